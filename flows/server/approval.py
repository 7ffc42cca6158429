"""`policy: {approve: plan}`: a deployment's run waits until a person approves its price."""

from __future__ import annotations

import hashlib
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.flow_runs import asuspend_flow_run

from storyreel.flows.server import announce
from storyreel.manifest.storyboard import Storyboard
from storyreel.plan.make import Plan

WAIT_S = 24 * 3600


def is_wanted(storyboard: Storyboard) -> bool:
    """Must a person approve this run's price first? At the command line, one already did."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return storyboard.policy.approve == "plan" and run is not None and run.deployment_id is not None


async def await_approval(plan: Plan) -> None:
    """Suspend the flow run until a person resumes it, in the UI or by `storyreel approve`.

    Return at once if the plan pays for nothing. The process ends, and the worker starts the run
    again when it is resumed. The approval holds for this plan only: if the plan has changed by
    then, the run waits again. A run that is not resumed within a day fails; it has spent nothing.
    """
    if not plan.jobs:
        return
    await announce.plan_table(plan)
    paid = sorted((p.scene.id, p.key, p.to_make) for p in plan.scenes if p.to_make)
    key = hashlib.sha256(repr((paid, plan.cost())).encode()).hexdigest()[:16]
    await asuspend_flow_run(timeout=WAIT_S, key=f"plan-{key}")


def waiting() -> list[FlowRun]:
    """Return the runs that wait for a person."""
    with get_client(sync_client=True) as client:
        suspended = FlowRunFilter(
            state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Suspended"]))
        )
        return client.read_flow_runs(flow_run_filter=suspended)


def approve(flow_run_id: UUID) -> None:
    """Resume a run that waits for approval."""
    with get_client(sync_client=True) as client:
        client.resume_flow_run(flow_run_id)
