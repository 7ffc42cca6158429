"""Run a storyboard by plain steps, without Prefect."""

from __future__ import annotations

import asyncio

from storyreel.report.model import RunReport
from storyreel.run import opening, planning
from storyreel.run.render import Run
from storyreel.run.request import Prepared
from storyreel.run.steps import PlainSteps


def render(
    prepared: Prepared, run_id: str = "r", steps: type[PlainSteps] = PlainSteps
) -> RunReport:
    """Plan and run it in this process. Return its report."""

    async def run() -> RunReport:
        async with opening.open_session(prepared, run_id) as session:
            snapshot, plan = planning.plan_to_run(prepared, session.ledger, session.run_id)
            return await Run(session, plan, snapshot, steps(session)).render()

    return asyncio.run(run())
