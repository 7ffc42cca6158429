"""Collects what is paid for and not in a run's plan: of prompts that were edited, of scenes that
are gone. Submits nothing.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from storyreel.errors import EndpointRefused, ErrorKind, KeyRefused, Status, Stopped, Unreachable
from storyreel.ledger.rows import State, Take
from storyreel.plan.make import Plan
from storyreel.run import rescue
from storyreel.run.rescue import Rescued
from storyreel.run.session import Progress, Session

NO_ANSWER = (KeyRefused, EndpointRefused, Unreachable)  # after these the API is not asked again


async def collect(session: Session, in_plan: Container[int]) -> list[str]:
    """Poll each job once that is not among these ledger ids, and download its clip if it is final.

    What the links' seven days would take away is kept so: who edits a prompt back finds the clip.
    Returns a warning for each that could not be had; never raises for one.
    """
    if session.stopped is not None and (
        isinstance(session.stopped, NO_ANSWER) or not isinstance(session.stopped, Stopped)
    ):
        # no answer can be expected, or nothing can be kept: the ledger or the disk failed
        return []
    try:
        takes = await session.write(session.ledger.takes, session.storyboard.id)
        strays = [(session, take) for take in takes if take.id not in in_plan and _is_wanted(take)]
        results = await rescue.rescue_takes(
            strays, lambda rescued: _show(session, rescued), is_patient=False
        )
    except Exception as error:  # the film and its report are what the run is for
        return [f"jobs of earlier plans could not be looked after: {error}"]
    return [
        f"{one.scene} take {one.take}, not in this plan: {one.words}"
        for one in results
        if not one.is_good
    ]


def uncollected(plan: Plan, history: Sequence[Take]) -> list[str]:
    """A warning for each job that is paid for, not collected and not in the plan, where no run
    polls it.
    """
    known, file = ids_of(plan), plan.storyboard.path.name
    return [
        f"{take.scene} take {take.take}, not in this plan: job {take.job_id} is paid for "
        "and its clip not collected; "
        f"`storyreel rescue {file}` downloads it"
        for take in history
        if take.id not in known and _is_wanted(take)
    ]


def ids_of(plan: Plan) -> set[int]:
    """The ledger ids of all takes of a plan."""
    takes = [one for scene in plan.scenes for take in scene.takes for one in (take, take.instead)]
    return {one.row.id for one in takes if one and one.row}


def _is_wanted(take: Take) -> bool:
    """A job whose clip was never collected; one that is known to have expired was reported once,
    which is enough.
    """
    if take.job_id is None or take.state not in (State.IN_FLIGHT, State.COMPLETED):
        return False
    return take.error_class is not ErrorKind.EXPIRED


def _show(session: Session, rescued: Rescued) -> None:
    if rescued.is_fetched or not rescued.is_good:
        state = Status.COMPLETED if rescued.is_fetched else Status.FAILED
        session.on_progress(
            Progress(rescued.scene, rescued.take, state, f"not in this plan: {rescued.words}")
        )
