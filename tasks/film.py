"""The tasks at the end of a run: the cut, the contact sheet, the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from storyreel.film import assembly
from storyreel.run.session import Progress, Session
from storyreel.tasks.desk import current


@task(name="cut", task_run_name="cut the film", persist_result=False, cache_policy=NO_CACHE)
async def cut_film(takes: dict[str, int | None], after: list[dict[str, Any]]) -> dict[str, Any]:
    """Cut the film and the contact sheet from these takes, scene -> ledger id (None: it has no clip), in this order."""
    session = current.get().session
    shown = [(scene, session.ledger.take(take_id) if take_id else None) for scene, take_id in takes.items()]
    film = await session.media(assembly.cut, session.storyboard, session.workspace, shown, tell=told(session))
    get_run_logger().info("%s: %d frames, %.2f s", film["path"], film["frames"], film["duration_s"])
    return film


def told(session: Session) -> Callable[[int, int], None]:
    """Tells of the cut once for each percent."""
    last: int | None = None

    def tell(done: int, total: int) -> None:
        nonlocal last
        progress = Progress.cutting(done, total)
        if progress.percent != last:
            last = progress.percent
            session.tell(progress)

    return tell
