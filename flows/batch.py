"""The flow `render-batch`: one storyboard, a table, a film a row; each row a flow run of its
own.
"""

from __future__ import annotations

import contextlib
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from storyreel.flows import render
from storyreel.flows.server import announce, callers, interruption, refusal
from storyreel.manifest.document import slug
from storyreel.manifest.faults import counted
from storyreel.plan import make as plans
from storyreel.run import batch, opening, turns
from storyreel.run.caller import Caller, Member
from storyreel.run.request import Prepared, Request
from storyreel.workspace.settings import read as read_settings


@flow(name="render-batch", persist_result=False)
@refusal.in_a_sentence
async def render_batch(
    storyboard: Path,
    rows: Path,
    workspace: Path | None = None,
    simulate: bool = False,
    speed: float = 60.0,
    variables: dict[str, str] | None = None,
    budget_per_run: Decimal | None = None,
    parallel: int = 4,
    catalog: Path | None = None,
    accept_differences: bool = False,
    agreed: str | None = None,
) -> State[Any]:
    """Render a storyboard once for each row of a table. Doing it again does only what is left.

    Args:
        storyboard: The YAML file, on the machine that runs this.
        rows: A .csv, .xlsx or .parquet file; its columns are the storyboard's variables, and `id`.
        workspace: The folder of results; default `runs/<storyboard>-batch`.
        simulate: Rehearse on the built-in simulator; nothing is spent.
        speed: How much faster than the real API the simulator is.
        variables: Values for variables that the table has not.
        budget_per_run: What all rows together may spend in this run.
        parallel: How many rows are rendered at once; the account's limit of jobs holds over all of
        them.
        catalog: A model catalogue of your own.
        accept_differences: Go on where the first clip of a model is not what was asked for.
        agreed: Names the plans whose price a person agreed to; others are refused. Leave it empty.
    """
    folder = workspace or batch.folder_of(storyboard, simulate=simulate)
    request = Request(
        storyboard=storyboard,
        simulate=simulate,
        speed=speed,
        variables=variables or {},
        catalog=catalog,
    )
    films = batch.prepare(request, batch.read(rows), folder)
    batch.check_budget((plan for _, _, plan in films), budget_per_run)
    batch.check_agreed(agreed, [plan for _, _, plan in films])
    caller, group = callers.current(), uuid.uuid4().hex[:12]

    async def render_film(
        row: batch.Row, prepared: Prepared, plan: plans.Plan, ended: turns.Ended
    ) -> str:
        own = prepared.request
        member = Member(group, prepared.storyboard.id, own.ledger, simulator)
        call: Any = render.called_by(
            caller.of_film(row.name, member, ended),
            flow_run_name=f"{prepared.storyboard.id} row {row.number}",
        )
        state = await call(
            storyboard=own.storyboard,
            workspace=prepared.workspace.root,
            simulate=simulate,
            speed=speed,
            variables=own.variables,
            budget_per_run=budget_per_run,
            catalog=catalog,
            agreed=None if simulate or agreed is None else plans.agreement(plan),
            accept_differences=accept_differences,
            return_state=True,
        )
        return str(state.message)

    folder.mkdir(parents=True, exist_ok=True)
    simulator: str | None = None
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(interruption.held())
        if simulate and any(plan.has_work for _, _, plan in films):
            simulator = stack.enter_context(opening.simulator(request, read_settings(), folder))
        reports = await turns.render_films(films, parallel, render_film, get_run_logger().error)
    batch.summarise(folder, f"{storyboard.stem}: {counted(len(films), 'film')}", reports)
    await announce.patiently(_table(storyboard, reports))
    return _state(reports)


def called_by(caller: Caller) -> Flow[..., Any]:
    """The flow for a caller in this process."""
    return callers.with_caller(render_batch, caller)


def _state(reports: turns.Reports) -> State[Any]:
    good = sum(1 for report in reports.values() if report and report.status == "completed")
    message = f"{good} of {len(reports)} rows completed"
    return Completed(message=message) if good == len(reports) else Failed(message=message)


async def _table(storyboard: Path, reports: turns.Reports) -> None:
    rows = [
        {"row": name, "outcome": announce.summary(r) if r else "not run"}
        for name, r in reports.items()
    ]
    key = f"batch-{slug(storyboard.stem)}"
    await acreate_table_artifact(key=key, table=rows, description=f"Rows of {storyboard.name}")
