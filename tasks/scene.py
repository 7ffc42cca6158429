"""The three tasks of a take: submit, wait, collect; and one for stills out of a clip that was here already. Parameters and
results are small: ids, words, paths.

`after` only carries the results of the tasks before, so that Prefect draws the edge.
"""

from __future__ import annotations

import logging
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from storyreel.ledger.rows import Take
from storyreel.run import collection, inputs, submission, waiting
from storyreel.tasks import retries
from storyreel.tasks.desk import current

Result = dict[str, Any]
_OPTIONS: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE}


@task(name="submit", task_run_name="submit {scene} take {take}", **_OPTIONS)
async def submit_job(
    scene: str, take: int, after: list[Result], again: int | None = None, replaces: int | None = None
) -> Result:
    """Pay for one take: through the ledger's gate, one POST. Never retried by Prefect.

    `again` is the ledger's id of a held take that the policy sends once more, `replaces` that of one that is used until this
    one's clip is here.
    """
    desk = current.get()
    planned = desk.planned[scene]
    sources = {name: desk.used[name] for name in planned.scene.upstream}
    ready = await inputs.prepare(desk.session, planned, sources)
    if again is None:
        row = await submission.submit(desk.session, planned, take, ready, replaces)
    else:
        row = await submission.resubmit(desk.session, planned, ready, desk.row(again))
    log = get_run_logger()
    if row is None:
        log.warning("another run has paid for this take")
        return {"take_id": None}
    desk.rows[row.id] = row
    log.info("%s, %s s, %s: %s%s", planned.scene.model, planned.scene.seconds, planned.reason, row.state, _job(row))
    return _result(row)


@task(name="wait", task_run_name="wait {scene} take {take}", **_OPTIONS)
async def wait_for_job(scene: str, take: int, after: Result) -> Result:
    """Ask about the job until it is final."""
    desk = current.get()
    row = desk.row(after["take_id"])
    with desk.session.watching(row.id):
        row, url = await waiting.wait(desk.session, desk.session.storyboard.scene(scene), row)
    desk.urls[row.id] = url
    desk.rows[row.id] = row
    log = get_run_logger()
    level = logging.WARNING if row.error_class else logging.INFO
    log.log(
        level, "%s after %d requests%s", row.state, row.polls, f": {row.error_message}" if row.error_message else ""
    )
    return _result(row)


@task(
    name="collect",
    task_run_name="collect {scene} take {take}",
    retries=retries.COLLECT_TIMES,
    retry_delay_seconds=retries.COLLECT_DELAYS_S,
    retry_condition_fn=retries.may_collect_again,
    **_OPTIONS,
)
async def collect_clip(scene: str, take: int, names: list[str], after: Result) -> Result:
    """Download the clip, check it, put it in its place, and take the stills that other scenes start from."""
    desk = current.get()
    row = desk.row(after["take_id"])
    url = desk.urls.pop(row.id, None)
    row = desk.rows[row.id] = await collection.collect(desk.session, row, url, names)
    paths = await collection.take_frames(desk.session, row, names)
    clip = row.here
    get_run_logger().info(
        "%s: %s x %s, %s frames, %s bytes", clip.path, clip.width, clip.height, clip.frames, clip.bytes
    )
    return _result(row) | {"frames": dict(zip(names, paths, strict=True))}


@task(name="frames", task_run_name="frames {scene} take {take}", **_OPTIONS)
async def take_frames(scene: str, take: int, names: list[str], after: Result) -> Result:
    """Take the stills that other scenes start from, out of a clip that was here already."""
    desk = current.get()
    row = desk.row(after["take_id"])
    paths = await collection.take_frames(desk.session, row, names)
    get_run_logger().info("%s", ", ".join(paths))
    return _result(row) | {"frames": dict(zip(names, paths, strict=True))}


def _result(row: Take) -> Result:
    return {"take_id": row.id, "take": row.take, "state": str(row.state)}


def _job(row: Take) -> str:
    return f", job {row.job_id}" if row.job_id else ""
