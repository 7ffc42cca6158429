"""The flow `render-batch`: one storyboard and a table; each row is a film and a flow run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
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
    """Render a storyboard once for each row of a table. A second run does only what is left.

    Args:
        storyboard: The YAML file, on the machine that runs this.
        rows: A .csv, .xlsx or .parquet file; its columns are the storyboard's variables, and `id`.
        workspace: The folder of results; default `runs/<storyboard>-batch`.
        simulate: Rehearse on the built-in simulator; nothing is spent.
        speed: How much faster than the real API the simulator is.
        variables: Values for variables that are not columns of the table.
        budget_per_run: What all rows together may spend in this run.
        parallel: How many rows are rendered at once. The account's limit of jobs holds for all rows
        together.
        catalog: A model catalogue of your own.
        accept_differences: Go on if the first clip of a model differs from its request.
        agreed: The plans whose price a person agreed to; others are refused. Leave it empty.
    """
    folder = workspace or batch.folder_of(storyboard, simulate=simulate)
    request = Request(storyboard, simulate=simulate, speed=speed, catalog=catalog)
    request = replace(request, variables=variables or {})
    films = batch.prepare(request, batch.read(rows), folder)
    batch.check_budget((plan for _, _, plan in films), budget_per_run)
    batch.check_agreed(agreed, [plan for _, _, plan in films])
    folder.mkdir(parents=True, exist_ok=True)
    async with interruption.held():
        with _simulator(request, films, folder) as simulator:
            calls = FilmCalls(
                callers.current(),
                simulator,
                is_agreed=agreed is not None,
                budget_per_run=budget_per_run,
                accept_differences=accept_differences,
            )
            reports = await turns.render_films(films, parallel, calls.call, get_run_logger().error)
    batch.summarise(folder, f"{storyboard.stem}: {counted(len(films), 'film')}", reports)
    await announce.send(_table(storyboard, reports))
    return _state(reports)


def called_by(caller: Caller) -> Flow[..., Any]:
    """Return the flow for a caller in this process."""
    return callers.with_caller(render_batch, caller)


class FilmCalls:
    """Calls the flow `render-storyboard` for each film, as part of one batch.

    `simulator` is the address of the simulator that the films share, None for the real API.
    `is_agreed`: a person agreed to the price of the whole batch.
    """

    def __init__(
        self,
        caller: Caller,
        simulator: str | None,
        *,
        is_agreed: bool,
        budget_per_run: Decimal | None,
        accept_differences: bool,
    ) -> None:
        self._caller = caller
        self._simulator = simulator
        self._is_agreed = is_agreed
        self._budget_per_run = budget_per_run
        self._accept_differences = accept_differences
        self._batch_id = uuid.uuid4().hex[:12]

    async def call(
        self, row: batch.Row, prepared: Prepared, plan: plans.Plan, ended: turns.Ended
    ) -> str:
        """Render the film of one row. Return how its flow run ended, in words."""
        request, film = prepared.request, prepared.storyboard.id
        member = Member(self._batch_id, film, request.ledger, self._simulator)
        flow_for_film: Any = render.called_by(
            self._caller.of_film(row.name, member, ended),
            flow_run_name=f"{film} row {row.number}",
        )
        is_agreed = self._is_agreed and not request.simulate
        state = await flow_for_film(
            storyboard=request.storyboard,
            workspace=prepared.workspace.root,
            simulate=request.simulate,
            speed=request.speed,
            variables=request.variables,
            budget_per_run=self._budget_per_run,
            catalog=request.catalog,
            agreed=plans.agreement(plan) if is_agreed else None,
            accept_differences=self._accept_differences,
            return_state=True,
        )
        return str(state.message)


def _simulator(
    request: Request, films: Sequence[tuple[batch.Row, Prepared, plans.Plan]], folder: Path
) -> AbstractContextManager[str | None]:
    """Start the simulator of a rehearsal that has work to do. Yield its address, or None."""
    if request.simulate and any(plan.has_work for _, _, plan in films):
        return opening.simulator(request, read_settings(), folder)
    return nullcontext()


def _state(reports: turns.Reports) -> State[Any]:
    """Return the flow run's final state: Completed if every row is completed."""
    good = sum(1 for report in reports.values() if report and report.status == "completed")
    message = f"{good} of {len(reports)} rows completed"
    return Completed(message=message) if good == len(reports) else Failed(message=message)


async def _table(storyboard: Path, reports: turns.Reports) -> None:
    """Create the artifact that shows how each row ended."""
    rows = [
        {"row": name, "outcome": announce.summary(report) if report else "not run"}
        for name, report in reports.items()
    ]
    key = f"batch-{slug(storyboard.stem)}"
    await acreate_table_artifact(key=key, table=rows, description=f"Rows of {storyboard.name}")
