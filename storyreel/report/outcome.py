"""Outcomes of takes, derived from their ledger rows and their plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from storyreel.catalog.load import PriceRange
from storyreel.errors import ErrorKind, Status
from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Scene
from storyreel.plan.make import Action, Plan, ScenePlan, TakePlan


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one take.

    `take` is its number in the workspace, None if it never started.
    """

    scene: Scene
    status: Status
    reason: str
    row: Take | None = None
    take: int | None = None
    error_class: ErrorKind | None = None
    error_code: str | None = None
    error_message: str | None = None
    price: PriceRange | None = None
    used: bool = False
    fix: str | None = None


def from_ledger(plan: Plan) -> list[Outcome]:
    """Return the outcomes that the ledger alone gives, for `status` and `report`."""
    return [outcome for planned in plan.scenes for outcome in as_it_is(planned)]


def as_it_is(planned: ScenePlan) -> list[Outcome]:
    """Return the outcomes of one scene that the ledger alone gives."""
    scene, price = planned.scene, planned.price
    places = [one for take in planned.takes for one in (take, take.instead) if one and one.row]
    found = [_in_ledger(planned, one, one.row) for one in places if one.row]
    if planned.action is Action.BLOCKED:
        message = f"scene `{planned.blocked_by}` has no usable clip"
        found.append(
            Outcome(
                scene,
                Status.BLOCKED,
                planned.reason,
                None,
                None,
                ErrorKind.UPSTREAM,
                None,
                message,
                price,
            )
        )
    elif away := [one for one in planned.takes if one.action is Action.HELD and one.source]:
        found += [held_elsewhere(planned, one) for one in away]
    elif not found:
        reason = (
            planned.reason if planned.action is Action.SKIP else f"not made yet: {planned.reason}"
        )
        found.append(Outcome(scene, Status.SKIPPED, reason, price=price))
    return found


def held_elsewhere(planned: ScenePlan, one: TakePlan, number: int | None = None) -> Outcome:
    """Return the outcome of a take that another ledger holds, with the command that fetches it
    there.
    """
    return Outcome(
        planned.scene,
        Status.HELD,
        f"held: {one.reason}",
        take=number,
        error_class=ErrorKind.AMBIGUOUS,
        error_message=one.reason,
        price=planned.price,
        fix=f"{one.reason.rpartition('type: ')[2]}, then run again",
    )


def _in_ledger(planned: ScenePlan, one: TakePlan, row: Take) -> Outcome:
    used = planned.used
    is_used = used is not None and used.row is not None and used.row.id == row.id
    if one.action is Action.RESUME and row.state is State.COLLECTED:  # its clip is not on disk
        kind = row.error_class
        reason = f"{kind}: {one.reason}" if kind else one.reason
        status = Status.FAILED if kind else Status.SKIPPED
        return Outcome(
            planned.scene, status, reason, row, row.take, kind, None, one.reason, planned.price
        )
    return outcome_of(planned.scene, row, one.reason, planned.price, used=is_used, reused=True)


def outcome_of(
    scene: Scene,
    row: Take,
    reason: str,
    price: PriceRange | None,
    *,
    used: bool = False,
    reused: bool = False,
) -> Outcome:
    """Return the outcome of a ledger row."""
    status = status_of(row, reused=reused)
    match status:
        case Status.HELD:
            reason = f"held: {row.error_message}" if row.job_id else _lost(row)
        case Status.FAILED:
            reason = f"{row.error_class}: {row.error_message or 'the API gave no reason'}"
        case Status.SKIPPED:
            where = "finished, its clip not fetched" if row.completed_at else "still in flight"
            reason = f"job {row.job_id} is {where}"
        case Status.COMPLETED | Status.REUSED | Status.BLOCKED:
            pass  # the plan's reason stands
        case _:
            assert_never(status)
    return Outcome(
        scene,
        status,
        reason,
        row,
        row.take,
        row.error_class,
        row.error_code,
        row.error_message,
        price,
        used,
    )


def status_of(row: Take, *, reused: bool = False) -> Status:
    """Return a take's status. `reused`: its clip is older than this run."""
    match row.state:
        case State.COLLECTED:
            return Status.REUSED if reused else Status.COMPLETED
        case State.AMBIGUOUS | State.SUBMITTING:
            return Status.HELD
        case State.IN_FLIGHT | State.COMPLETED:
            return Status.FAILED if row.error_class else Status.SKIPPED
        case State.FAILED | State.RELEASED | State.ABANDONED:
            return Status.FAILED
        case _:
            assert_never(row.state)


def _lost(row: Take) -> str:
    why = row.error_message or "the run ended"
    return f"held: the answer to its request was lost, so it may have been made and billed ({why})"
