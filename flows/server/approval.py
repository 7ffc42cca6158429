"""`policy: {approve: plan}`: a run that nobody sits before waits until a person has seen its
price.
"""

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
    """Must a person see this run's price first? Not where one sits before it: `storyreel run` has
    asked.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return storyboard.policy.approve == "plan" and run is not None and run.deployment_id is not None


async def await_approval(planned: Plan) -> None:
    """Suspend the flow run until a person resumes it, in the UI or by `storyreel approve`; return
    at once if nothing is to be paid.

    The process ends; the worker starts the run again when it is resumed. What was approved is this
    plan: if by then another would be paid for, the run waits again. Not resumed within a day, it
    fails, and nothing was spent.
    """
    if not planned.jobs:
        return
    await announce.plan_table(planned)
    wanted = sorted((p.scene.id, p.key, p.to_make) for p in planned.scenes if p.to_make)
    key = hashlib.sha256(repr((wanted, planned.cost())).encode()).hexdigest()[:16]
    await asuspend_flow_run(timeout=WAIT_S, key=f"plan-{key}")


def waiting() -> list[FlowRun]:
    """The runs that wait for a person."""
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(
            state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Suspended"]))
        )
        return client.read_flow_runs(flow_run_filter=wanted)


def approve(flow_run_id: UUID) -> None:
    """Let it go on."""
    with get_client(sync_client=True) as client:
        client.resume_flow_run(flow_run_id)
