"""Render the films of a batch, a few at a time. Return one report a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from storyreel.errors import StoryreelError
from storyreel.plan.make import Plan
from storyreel.report.model import RunReport
from storyreel.run import finishing
from storyreel.run.batch import Row
from storyreel.run.request import Prepared

Reports = dict[str, RunReport | None]  # by row; None: that run never began
Ended = Callable[[RunReport, StoryreelError | None], None]
RenderFilm = Callable[[Row, Prepared, Plan, Ended], Coroutine[Any, Any, str]]


async def render_films(
    films: Sequence[tuple[Row, Prepared, Plan]],
    parallel: int,
    render: RenderFilm,
    log: Callable[[str], None],
) -> Reports:
    """Render each film that has work, at most `parallel` at once.

    Update report and film of the others. `render` starts one run, passes its report to the last
    argument, and returns in words how the run ended.
    """
    free = asyncio.Semaphore(max(1, parallel))
    reports: Reports = {row.name: None for row, _, _ in films}

    async def render_row(row: Row, prepared: Prepared, plan: Plan) -> None:
        def keep(report: RunReport, stopped: StoryreelError | None) -> None:
            reports[row.name] = report

        async with free:
            words = await render(row, prepared, plan, keep)
            if reports[row.name] is None:
                log(f"row {row.number}: {words}")

    async with asyncio.TaskGroup() as group:
        for row, prepared, plan in films:
            if plan.has_work:
                group.create_task(render_row(row, prepared, plan))
            else:
                reports[row.name] = await asyncio.to_thread(finishing.finish, prepared, plan)
    return reports
