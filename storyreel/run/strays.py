"""Collect takes that are paid for and not in a run's plan. Submit nothing.

Their prompts were edited, or their scenes removed from the storyboard.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from storyreel.errors import EndpointRefused, ErrorKind, KeyRefused, Status, Stopped, Unreachable
from storyreel.ledger.rows import State, Take
from storyreel.plan.make import Plan
from storyreel.run import rescue
from storyreel.run.rescue import Rescued
from storyreel.run.session import Progress, Session

NO_ANSWER = (KeyRefused, EndpointRefused, Unreachable)  # after these the run sends nothing


async def collect(session: Session, in_plan: Container[int]) -> list[str]:
    """Poll each job once that is not among these ledger ids, and download its clip if it is final.

    Links expire after seven days. With the clip on disk, a prompt that is edited back reuses it.
    Return a warning for each clip that could not be downloaded. Raise for none.
    """
    if session.stopped is not None and (
        isinstance(session.stopped, NO_ANSWER) or not isinstance(session.stopped, Stopped)
    ):
        # The API will not answer, or the ledger or the disk failed and could keep nothing.
        return []
    try:
        takes = await session.write(session.ledger.takes, session.storyboard.id)
        strays = [(session, take) for take in takes if take.id not in in_plan and _is_wanted(take)]
        results = await rescue.rescue_takes(
            strays, lambda rescued: _show(session, rescued), is_patient=False
        )
    except Exception as error:  # of any kind: film and report matter more
        return [f"jobs of earlier plans could not be collected: {error}"]
    return [
        f"{rescued.scene} take {rescued.take}, not in this plan: {rescued.words}"
        for rescued in results
        if not rescued.is_good
    ]


def uncollected(plan: Plan, history: Sequence[Take]) -> list[str]:
    """Return a warning for each job that is paid for, not collected, and not in the plan."""
    in_plan, file = ids_of(plan), plan.storyboard.path.name
    return [
        f"{take.scene} take {take.take}, not in this plan: job {take.job_id} is paid for "
        "and its clip not collected; "
        f"`storyreel rescue {file}` downloads it"
        for take in history
        if take.id not in in_plan and _is_wanted(take)
    ]


def ids_of(plan: Plan) -> set[int]:
    """Return the ledger ids of all takes of a plan, also of those that others replace."""
    takes = [take for scene in plan.scenes for take in scene.takes]
    takes += [take.instead for take in takes if take.instead]
    return {take.row.id for take in takes if take.row}


def _is_wanted(take: Take) -> bool:
    """Return True if the clip of a job was never collected, and may still be downloaded.

    A run has reported an expired clip before: that is enough.
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
