"""The tasks at the end of a run: the cut, the contact sheet, the report."""

from __future__ import annotations

import dataclasses
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from storyreel import assembly
from tasks.desk import current


@task(name="cut", task_run_name="cut the film", persist_result=False, cache_policy=NO_CACHE)
async def cut_film(takes: dict[str, int | None], after: list[dict[str, Any]]) -> dict[str, Any]:
    """Cut the film and the contact sheet from these takes, scene -> ledger id (None: it has no clip), in this order."""
    session = current.get().session
    shown = [(scene, session.ledger.take(take_id) if take_id else None) for scene, take_id in takes.items()]
    film = await session.media(assembly.cut, session.storyboard, session.workspace, shown)
    get_run_logger().info("final.mp4: %d frames, %.2f s", film.frames, film.duration_s)
    return dataclasses.asdict(film)
