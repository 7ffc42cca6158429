"""Run each step as a Prefect task: submit, wait, collect, frames, cut.

Parameters and results of the tasks are small: ids, words, paths. Objects that are open, large or
secret stay in `TaskSteps`. The parameter `after` holds the results of earlier tasks: Prefect draws
its graph from it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from storyreel.ledger.rows import Take
from storyreel.report.model import CutReport
from storyreel.run.finishing import Shown
from storyreel.run.session import Session
from storyreel.run.steps import Order, PlainSteps
from storyreel.tasks import retries

Result = dict[str, Any]
_OPTIONS: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE}


class TaskSteps:
    """The steps of one run, each a task run of its flow run.

    `started` counts the task runs by flow run.
    """

    def __init__(self, session: Session, started: Counter[str]) -> None:
        self._session = session
        self._plain = PlainSteps(session)
        self._started = started
        self._orders: dict[tuple[str, int], Order] = {}
        self._takes: dict[int, Take] = {}
        self._results: dict[int, Result] = {}  # by take id: the result of its last task
        self._clips: Shown = []
        self._make_tasks()

    def _make_tasks(self) -> None:
        """Make a task of each method below."""
        self._submit_task = task(
            name="submit", task_run_name="submit {scene} take {take}", **_OPTIONS
        )(self._submit)
        self._wait_task = task(name="wait", task_run_name="wait {scene} take {take}", **_OPTIONS)(
            self._wait
        )
        self._collect_task = task(
            name="collect",
            task_run_name="collect {scene} take {take}",
            retries=retries.COLLECT_TIMES,
            retry_delay_seconds=retries.COLLECT_DELAYS_S,
            retry_condition_fn=retries.may_collect_again,
            **_OPTIONS,
        )(self._collect)
        self._stills_task = task(
            name="frames", task_run_name="frames {scene} take {take}", **_OPTIONS
        )(self._frames)
        self._cut_task = task(name="cut", task_run_name="cut the film", **_OPTIONS)(self._cut)

    # ---- the steps that a run calls

    async def submit(self, order: Order) -> Take | None:
        """See `Steps`."""
        scene = order.scene_plan.scene.id
        self._orders[scene, order.number] = order
        after = [
            self._results[take.id] for take in order.sources.values() if take.id in self._results
        ]
        resend = order.resend.id if order.resend else None
        result = await self._run(
            self._submit_task, scene, order.number, after, resend, order.replaces
        )
        return self._keep(result) if result["take_id"] is not None else None

    async def wait(self, take: Take) -> Take:
        """See `Steps`."""
        return self._keep(
            await self._run(self._wait_task, take.scene, take.take, self._before(take))
        )

    async def collect(self, take: Take, stills: Sequence[str]) -> Take:
        """See `Steps`."""
        return self._keep(
            await self._run(
                self._collect_task, take.scene, take.take, list(stills), self._before(take)
            )
        )

    async def write_stills(self, take: Take, stills: Sequence[str]) -> None:
        """See `Steps`."""
        self._keep(
            await self._run(
                self._stills_task, take.scene, take.take, list(stills), self._before(take)
            )
        )

    async def cut(self, clips: Shown) -> CutReport:
        """See `Steps`."""
        self._clips = clips
        takes = {scene: take.id if take else None for scene, take in clips}
        after = [self._results[take.id] for _, take in clips if take and take.id in self._results]
        return CutReport(**await self._run(self._cut_task, takes, after))

    async def _run(self, step: Any, *args: Any) -> Result:
        """Run a task, and count it for its flow run."""
        if (context := FlowRunContext.get()) and context.flow_run:
            self._started[str(context.flow_run.id)] += 1
        result: Result = await step(*args)
        return result

    def _before(self, take: Take) -> Result:
        """Remember the take. Return the result that its next task starts from."""
        self._takes[take.id] = take
        return self._results.setdefault(take.id, _result(take))

    def _keep(self, result: Result) -> Take:
        """Remember a task's result. Return its take."""
        self._results[result["take_id"]] = result
        return self._takes[result["take_id"]]

    def _returned(self, take: Take) -> Result:
        """Remember the take that a task ends with. Return the task's result."""
        self._takes[take.id] = take
        return _result(take)

    # ---- the tasks

    async def _submit(
        self,
        scene: str,
        take: int,
        after: list[Result],
        again: int | None = None,
        replaces: int | None = None,
    ) -> Result:
        """Pay for one take: one POST, through the ledger's gate. Prefect never retries it.

        `again`: the ledger's id of a held take that the policy sends once more. `replaces`: the id
        of a take that is used until the new clip is on disk.
        """
        order = self._orders[scene, take]
        submitted = await self._plain.submit(order)
        log = get_run_logger()
        if submitted is None:
            log.warning("another run has paid for this take")
            return {"take_id": None}
        scene_plan, job = order.scene_plan, f", job {submitted.job_id}" if submitted.job_id else ""
        log.info(
            "%s, %s s, %s: %s%s",
            scene_plan.scene.model,
            scene_plan.scene.seconds,
            scene_plan.reason,
            submitted.state,
            job,
        )
        return self._returned(submitted)

    async def _wait(self, scene: str, take: int, after: Result) -> Result:
        """Poll the job until it is final."""
        final = await self._plain.wait(self._takes[after["take_id"]])
        level = logging.WARNING if final.error_class else logging.INFO
        why = f": {final.error_message}" if final.error_message else ""
        get_run_logger().log(level, "%s after %d requests%s", final.state, final.polls, why)
        return self._returned(final)

    async def _collect(self, scene: str, take: int, names: list[str], after: Result) -> Result:
        """Download the clip, verify it, move it into the workspace, then write its stills.

        `names`: the stills that other scenes start from.
        """
        collected = await self._plain.collect(self._takes[after["take_id"]], names)
        clip = collected.here
        get_run_logger().info(
            "%s: %s x %s, %s frames, %s bytes",
            clip.path,
            clip.width,
            clip.height,
            clip.frames,
            clip.bytes,
        )
        return self._returned(collected) | {"frames": self._paths(collected, names)}

    async def _frames(self, scene: str, take: int, names: list[str], after: Result) -> Result:
        """Write the stills that other scenes start from, out of a clip that is on disk."""
        collected = self._takes[after["take_id"]]
        await self._plain.write_stills(collected, names)
        paths = self._paths(collected, names)
        get_run_logger().info("%s", ", ".join(paths.values()))
        return self._returned(collected) | {"frames": paths}

    async def _cut(self, takes: dict[str, int | None], after: list[Result]) -> Result:
        """Cut the film and the contact sheet from these takes, in this order.

        `takes` maps each scene to the ledger's id of its take; None: it has no clip.
        """
        film = await self._plain.cut(self._clips)
        get_run_logger().info("%s: %d frames, %.2f s", film.path, film.frames, film.duration_s)
        return film.model_dump()

    def _paths(self, take: Take, names: Sequence[str]) -> dict[str, str]:
        """Return the path of each still, relative to the workspace."""
        workspace = self._session.workspace
        return {
            name: workspace.relative(workspace.frame(take.scene, take.take, name)) for name in names
        }


def _result(take: Take) -> Result:
    return {"take_id": take.id, "take": take.take, "state": str(take.state)}
