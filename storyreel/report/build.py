"""Outcomes and ledger rows -> RunReport. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from storyreel.errors import Status
from storyreel.ledger.moments import shown
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import SceneImage, Storyboard
from storyreel.report import money
from storyreel.report.model import (
    CutReport,
    ErrorReport,
    PastTake,
    PriceReport,
    RunReport,
    SceneReport,
    Timing,
    Totals,
)
from storyreel.report.money import amount
from storyreel.report.outcome import Outcome


def build(  # noqa: PLR0913  each becomes a part of the report
    storyboard: Storyboard,
    outcomes: Iterable[Outcome],
    *,
    run_id: str,
    simulated: bool,
    endpoint: str,
    started_at: float,
    finished_at: float,
    stopped: str | None = None,
    cut: CutReport | None = None,
    cut_error: str | None = None,
    frames: Mapping[int, Mapping[str, str]] | None = None,
    history: Sequence[Take] | None = None,
    forced: Collection[str] = (),
    left_out: Collection[str] = (),
    warnings: Sequence[str] = (),
) -> RunReport:
    """Return the report.

    `frames` maps a take's ledger id to its stills, name -> relative path. `history` is every take
    of the storyboard, of all runs; without it, the takes of the outcomes. A `forced` scene is good
    only if all its takes are. A run can be completed without the scenes that are `left_out`.
    """
    sorted_outcomes = sorted(outcomes, key=lambda o: (o.scene.index, o.take or 10**6))
    states = _statuses(sorted_outcomes, forced)
    is_whole = all(status.is_good for name, status in states.items() if name not in left_out)
    is_something = any(status.is_good for status in states.values())
    rows = [o.row for o in sorted_outcomes if o.row] if history is None else list(history)
    currency = next((o.price.currency for o in sorted_outcomes if o.price), None)
    return RunReport(
        storyboard=storyboard.id,
        title=storyboard.title,
        run_id=run_id,
        simulated=simulated,
        endpoint=endpoint,
        started_at=datetime.fromtimestamp(started_at, UTC),
        finished_at=datetime.fromtimestamp(finished_at, UTC),
        status="completed" if is_whole else "partial" if is_something else "failed",
        stopped=stopped,
        warnings=[*warnings, *_concerns(storyboard, sorted_outcomes), *(cut.notes if cut else [])],
        scenes=[
            _scene(o, (frames or {}).get(o.row.id if o.row else -1, {})) for o in sorted_outcomes
        ],
        cut=cut,
        cut_error=cut_error,
        totals=_totals(states.values(), rows, run_id, currency),
        history=[_past(row) for row in rows] if history is not None else [],
    )


def _statuses(outcomes: Iterable[Outcome], forced: Collection[str]) -> dict[str, Status]:
    """Return the status of each scene by its id."""
    by_scene: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_scene.setdefault(outcome.scene.id, []).append(outcome)
    return {name: _together(own, forced=name in forced) for name, own in by_scene.items()}


def _totals(
    statuses: Collection[Status], rows: list[Take], run_id: str, currency: str | None
) -> Totals:
    """Add up costs and statuses. `currency` is used if nothing is paid for yet."""
    spent, double = money.spent(rows)
    now, _ = money.spent(row for row in rows if row.run_id == run_id)
    currency = next(iter(spent), None) or currency
    counts = Counter(statuses)
    return Totals(
        scenes=len(statuses),
        **{str(status): counts[status] for status in Status},
        spent_estimate=amount(spent.get(currency or "", Decimal(0))),
        currency=currency,
        spent_by_currency={name: amount(value) for name, value in spent.items()},
        spent_this_run=amount(now.get(currency or "", Decimal(0))),
        possible_double_charge=amount(double),
    )


def _together(own: list[Outcome], *, forced: bool) -> Status:
    """Return a scene's status: that of its used take; the worst if it has none or is forced."""
    used = [o.status for o in own if o.used]
    if used and not forced:
        return used[0]
    return min((o.status for o in own), key=lambda status: status.rank)


def _concerns(storyboard: Storyboard, outcomes: list[Outcome]) -> list[str]:
    """Name what is wrong with the used clips, and with last pictures that a scene starts from."""
    starts: dict[str, list[str]] = {}
    for scene in storyboard.scenes:
        for _, image in scene.images:
            if isinstance(image, SceneImage) and image.frame == "last":
                starts.setdefault(image.scene, []).append(scene.id)
    found = []
    for outcome in outcomes:
        if not outcome.used or not outcome.row or not outcome.row.clip:
            continue
        clip, name = outcome.row.here, f"{outcome.scene.id} take {outcome.take}"
        found += [f"{name}: {damage}" for damage in clip.damage or ()]
        below = starts.get(outcome.scene.id)
        if below:
            found += [
                f"{name}: {concern}; {', '.join(below)} starts from it"
                for concern in clip.concerns or ()
            ]
    return found


def _scene(outcome: Outcome, frames: Mapping[str, str]) -> SceneReport:
    scene, row = outcome.scene, outcome.row
    error = None
    if outcome.error_class and not outcome.status.is_good:
        error = ErrorReport(
            class_=outcome.error_class,
            code=outcome.error_code,
            message=outcome.error_message or outcome.reason,
            fix=outcome.fix,
        )
    clip = (
        replace(row.clip, mtime_ns=None) if row and row.clip else None
    )  # differs from machine to machine
    estimate = (
        row.price
        if row and row.price is not None
        else outcome.price.high
        if outcome.price
        else None
    )
    return SceneReport(
        id=scene.id,
        take=outcome.take,
        used=outcome.used,
        title=scene.title,
        status=outcome.status,
        reason=outcome.reason,
        job_id=row.job_id if row else None,
        model=scene.model,
        mode=scene.mode,
        seconds=scene.seconds,
        size=scene.size,
        prompt=scene.prompt,
        run_id=row.run_id if row else None,
        upstream=list(scene.upstream),
        inputs=row.inputs if row else {},
        clip=clip,
        frames=dict(frames),
        error=error,
        timing=_timing(row) if row else Timing(),
        price=PriceReport(
            estimate=None if estimate is None else amount(estimate),
            currency=outcome.price.currency if outcome.price else None,
        ),
    )


def _timing(row: Take) -> Timing:
    waited = None
    if row.submitted_at and row.completed_at:
        waited = round(max(0.0, row.completed_at - row.submitted_at), 1)
    return Timing(
        submitted_at=shown(row.submitted_at),
        completed_at=shown(row.completed_at),
        collected_at=shown(row.collected_at),
        waited_s=waited,
        polls=row.polls,
        submissions=row.submissions,
    )


def _past(row: Take) -> PastTake:
    return PastTake(
        scene=row.scene,
        take=row.take,
        run_id=row.run_id,
        state=str(row.state),
        replaced=row.superseded,
        job_id=row.job_id,
        model=row.model,
        seconds=row.seconds,
        clip=row.clip.path if row.clip else None,
        error_class=row.error_class,
        timing=_timing(row),
        price=PriceReport(
            estimate=None if row.price is None else amount(row.price), currency=row.currency
        ),
    )
