"""The flow `render-storyboard`: its parameters, approval, artifacts and final state.

`storyreel.run` holds the run itself.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from storyreel.errors import BudgetReached, StoryreelError
from storyreel.flows.server import announce, approval, callers, interruption, refusal, turn
from storyreel.ledger.rows import Caps
from storyreel.plan import make as plans
from storyreel.report.model import RunReport
from storyreel.run import checks, notice, opening, placing, planning
from storyreel.run.caller import Caller, Member
from storyreel.run.render import Run
from storyreel.run.request import Prepared, Request
from storyreel.tasks.steps import TaskSteps


def called_by(caller: Caller, **options: Any) -> Flow[..., Any]:
    """Return the flow for a caller in this process, with `options` of `Flow.with_options`."""
    return callers.with_caller(render_storyboard, caller, **options)


def _run_name() -> str:
    """Return the flow run's name: `lake rehearsal 11-25 14:05`."""
    context = FlowRunContext.get()
    parameters = (context.parameters if context else None) or {}
    name = Path(str(parameters.get("storyboard", "storyboard"))).stem
    rehearsal = " rehearsal" if parameters.get("simulate") else ""
    return f"{name}{rehearsal} {time.strftime('%m-%d %H:%M')}"


@flow(
    name="render-storyboard",
    flow_run_name=_run_name,
    persist_result=False,
    validate_parameters=True,
)
@refusal.in_a_sentence
async def render_storyboard(
    storyboard: Path,
    workspace: Path | None = None,
    simulate: bool = False,
    speed: float = 60.0,
    only: list[str] | None = None,
    start: str | None = None,
    variables: dict[str, str] | None = None,
    budget: Decimal | None = None,
    budget_per_run: Decimal | None = None,
    budget_per_day: Decimal | None = None,
    force: list[str] | None = None,
    accept_differences: bool = False,
    catalog: Path | None = None,
    agreed: str | None = None,
) -> State[Any]:
    """Render what is left of a storyboard, cut the film, write the report.

    Args:
        storyboard: The YAML file, on the machine that runs this.
        workspace: The folder of results; default `runs/<id>`.
        simulate: Rehearse on the built-in simulator; nothing is spent.
        speed: How much faster than the real API the simulator is.
        only: Only these scenes, and the scenes they are made from.
        start: Only this scene, and the scenes made from it.
        variables: Values for the storyboard's vars.
        budget: What may be spent over the workspace's life; replaces the storyboard's own budget.
        budget_per_run: What this run may spend (of a batch: all of its runs together).
        budget_per_day: What the storyboard may spend within 24 hours.
        force: Make these scenes again.
        accept_differences: Go on if the first clip of a model has another length or shape than its
        request.
        catalog: A model catalogue of your own.
        agreed: The plan whose price a person agreed to; another one is refused. Leave it empty.
    """
    caller = callers.current()
    caps = Caps(budget_per_run, budget_per_day, caller.member.batch)
    request = Request(storyboard, workspace, simulate=simulate, speed=speed, caps=caps)
    request = replace(request, only=tuple(only or ()), start=start, force=tuple(force or ()))
    request = replace(request, variables=variables or {}, budget=budget, catalog=catalog)
    request = replace(request, accept_differences=accept_differences)
    return await _render(_as_member(request, caller.member), caller, agreed)


def _as_member(request: Request, film: Member) -> Request:
    """Return the request with the name, ledger and simulator that the batch gives its film."""
    return replace(request, name=film.name, ledger=film.ledger, simulator=film.simulator)


async def _render(request: Request, caller: Caller, agreed: str | None) -> State[Any]:
    """Run the request, show it in Prefect, and return the flow run's final state."""
    prepared = placing.prepare(request)
    agreed = await _approved(prepared, agreed)
    batch = caller.member.batch
    run_id = f"{batch}.{uuid.uuid4().hex[:12]}" if batch else uuid.uuid4().hex[:12]
    opened = partial(opening.open_session, prepared, run_id, caller.progress)
    async with interruption.held(), turn.taken(opened) as session:
        snapshot, plan = planning.plan_to_run(prepared, session.ledger, run_id)
        checks.check_agreed(agreed, plan)
        checks.check_ready(prepared, plan)
        currency = checks.budget_currency(prepared, plan)
        session.money.currency = currency or session.money.currency
        steps = TaskSteps(session, caller.task_runs)
        run = Run(session, plan, snapshot, steps, announce.Announcer(session))
        async with announce.progress(plan, run.percent):
            report = await run.render()
        await announce.report_markdown(report, session.workspace)
        caller.ended(report, session.stopped)
    if isinstance(session.stopped, BudgetReached):
        announce.budget_event(session, session.stopped.message)
    try:
        await notice.send(session.settings, report)
    except StoryreelError as error:
        get_run_logger().warning("%s", error.message)
    return _state(report, session.stopped)


async def _approved(prepared: Prepared, agreed: str | None) -> str | None:
    """Check that a person agreed to this plan; wait for one if the policy asks for approval.

    Return the name of the plan whose price is agreed to; None if nobody was asked. Call it before
    the run changes the ledger.
    """
    if agreed is not None:
        checks.check_agreed(agreed, planning.make_plan(prepared, planning.snapshot(prepared)))
    if not approval.is_wanted(prepared.storyboard):
        return agreed
    plan = planning.make_plan(prepared, planning.snapshot(prepared))
    await approval.await_approval(plan)
    return plans.agreement(plan)


def _state(report: RunReport, stopped: StoryreelError | None) -> State[Any]:
    """Return the flow run's final state."""
    message = announce.summary(report)
    if report.status == "completed":
        return Completed(message=message)
    if stopped is not None:
        name = "Budget reached" if isinstance(stopped, BudgetReached) else "Stopped"
        return Failed(name=name, message=f"{stopped.message}; {message}")
    return Failed(message=message)
