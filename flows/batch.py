"""The flow `render-batch`: one storyboard, a table, a film a row; each row a flow run of its own."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from storyreel.errors import Status, StoryreelError
from storyreel.flows import render
from storyreel.flows.server import announce, interruption, refusal
from storyreel.manifest.document import slug
from storyreel.manifest.faults import counted
from storyreel.plan import make as plan
from storyreel.report.model import RunReport
from storyreel.run import batch, finishing, opening
from storyreel.run.session import Progress
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
    agreed: str | None = None,
    accept_differences: bool = False,
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
        parallel: How many rows are rendered at once; the account's limit of jobs holds over all of them.
        catalog: A model catalogue of your own.
        accept_differences: Go on where the first clip of a model is not what was asked for.
        agreed: Names the plans whose price a person agreed to; others are refused. Leave it empty.
    """
    folder = workspace or batch.folder_of(storyboard, simulate=simulate)
    request = opening.Request(
        storyboard=storyboard, simulate=simulate, speed=speed, variables=variables or {}, catalog=catalog
    )
    made = batch.prepare(request, batch.read(rows), folder)
    batch.check_budget((planned for _, _, planned in made), budget_per_run)
    batch.check_agreed(agreed, [planned for _, _, planned in made])
    group = uuid.uuid4().hex[:12]
    simulator: str | None = None
    turn = asyncio.Semaphore(max(1, parallel))
    told: dict[str, RunReport | None] = {row.name: None for row, _, _ in made}
    tell = render.listener.get()

    async def one(row: batch.Row, prepared: opening.Prepared, planned: plan.Plan) -> None:
        def keep(report: RunReport, stopped: StoryreelError | None) -> None:
            told[row.name] = report

        async with turn:
            render.finished.set(keep)
            render.listener.set(lambda p: tell(p.of(row.name)))
            render.one_of.set(render.OneOf(group, prepared.storyboard.id, prepared.request.ledger, simulator))
            call: Any = render.render_storyboard.with_options(
                flow_run_name=f"{prepared.storyboard.id} row {row.number}"
            )
            state = await call(
                storyboard=prepared.request.storyboard, workspace=prepared.workspace.root, simulate=simulate, speed=speed,
                variables=prepared.request.variables, budget_per_run=budget_per_run, catalog=catalog,
                agreed=None if simulate or agreed is None else plan.agreement(planned),
                accept_differences=accept_differences, return_state=True,
            )  # fmt: skip
            if told[row.name] is None:
                get_run_logger().error("row %s: %s", row.number, state.message)
                tell(Progress(f"row {row.number} ({row.name})", 1, Status.FAILED, state.message or ""))

    folder.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(interruption.held())
        if simulate and any(planned.has_work for _, _, planned in made):
            simulator = stack.enter_context(opening.simulator(request, read_settings(), folder))
        async with asyncio.TaskGroup() as tasks:
            for row, prepared, planned in made:
                if planned.has_work:
                    tasks.create_task(one(row, prepared, planned))
                else:
                    told[row.name] = await asyncio.to_thread(finishing.finish, prepared, planned)
    batch.summarise(folder, f"{storyboard.stem}: {counted(len(made), 'film')}", told)
    await announce.patiently(_table(storyboard, told))
    good = sum(1 for report in told.values() if report and report.status == "completed")
    message = f"{good} of {len(told)} rows completed"
    return Completed(message=message) if good == len(told) else Failed(message=message)


async def _table(storyboard: Path, told: dict[str, RunReport | None]) -> None:
    rows = [{"row": name, "outcome": announce.summary(r) if r else "not run"} for name, r in told.items()]
    key = f"batch-{slug(storyboard.stem)}"
    await acreate_table_artifact(key=key, table=rows, description=f"Rows of {storyboard.name}")
