"""What a run did: outcomes -> RunReport. Format 1 of report.json is the dump of these classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializationInfo, field_serializer

from storyreel.catalog.load import PriceRange
from storyreel.ledger.moments import shown
from storyreel.ledger.rows import CHARGED, State, Take
from storyreel.manifest.storyboard import Scene, SceneImage, Storyboard
from storyreel.plan.make import Action, Plan, ScenePlan, TakePlan

Status = Literal["completed", "reused", "failed", "blocked", "held", "skipped"]
GOOD: tuple[Status, ...] = ("completed", "reused")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one take of a scene. `take` is its number in the workspace, None if it was never begun."""

    scene: Scene
    status: Status
    reason: str
    row: Take | None = None
    take: int | None = None
    error_class: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    price: PriceRange | None = None
    used: bool = False
    fix: str | None = None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ErrorReport(_Part):
    class_: str = Field(alias="class")
    code: str | None = None
    message: str
    fix: str | None = None

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class Timing(_Part):
    submitted_at: str | None = None
    completed_at: str | None = None
    collected_at: str | None = None
    waited_s: float | None = None
    polls: int = 0
    submissions: int = 0


class PriceReport(_Part):
    estimate: str | None
    currency: str | None


class SceneReport(_Part):
    """One take of one scene."""

    id: str
    take: int | None
    used: bool
    title: str | None
    status: Status
    reason: str
    job_id: str | None
    model: str
    mode: str | None
    seconds: int
    size: str
    prompt: str
    run_id: str | None = None
    upstream: list[str] = []
    inputs: dict[str, dict[str, Any]]
    clip: dict[str, Any] | None
    frames: dict[str, str]
    error: ErrorReport | None
    timing: Timing
    price: PriceReport


class PastTake(_Part):
    """A take as the ledger has it, whichever run made it. `replaced`: another one is used in its place."""

    scene: str
    take: int
    run_id: str
    state: str
    replaced: bool
    job_id: str | None
    model: str | None
    seconds: int | None
    clip: str | None
    error_class: str | None
    timing: Timing
    price: PriceReport


class SeamReport(_Part):
    """Where two scenes meet in the film; see `media.seam.Seam`. `doubled`: the picture was there twice and is shown once."""

    above: str
    below: str
    chained: bool
    doubled: bool
    psnr_db: float
    ssim: float
    luma_step: float
    colour_step: float
    is_same: bool


class CutReport(_Part):
    path: str
    timeline: str | None = None
    frames: int
    duration_s: float
    copied: bool = False
    scenes: list[str] = []
    seams: list[SeamReport] = []
    notes: list[str] = []  # of clips that had to be changed for the film, or are damaged


class Totals(_Part):
    """`spent_estimate` and `spent_by_currency` count over the workspace's life, `spent_this_run` this run only."""

    scenes: int
    completed: int
    reused: int
    failed: int
    blocked: int
    held: int
    skipped: int
    spent_estimate: str
    currency: str | None
    spent_by_currency: dict[str, str]
    spent_this_run: str = "0.00"
    possible_double_charge: str


class RunReport(_Part):
    """The whole run. Paths are relative to the workspace; there is no secret and no signed address in it."""

    format: Literal[1] = 1
    storyboard: str
    title: str
    run_id: str
    simulated: bool
    endpoint: str
    started_at: datetime
    finished_at: datetime
    status: Literal["completed", "partial", "failed"]
    stopped: str | None = None
    warnings: list[str] = []
    scenes: list[SceneReport]
    cut: CutReport | None
    cut_error: str | None = None
    totals: Totals
    history: list[PastTake] = []

    @field_serializer("started_at", "finished_at")
    def _utc(self, value: datetime, info: SerializationInfo) -> str:
        return stamp(value.timestamp()) or ""


def build(
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

    `frames` maps a take's ledger id to its stills, name -> relative path. `history` is every take of the storyboard, whichever
    run made it; without it, those of the outcomes. A scene that was `forced` is good only if all its takes are, one that was
    `left_out` keeps no run from being completed.
    """
    told = sorted(outcomes, key=lambda o: (o.scene.index, o.take or 10**6))
    by_scene: dict[str, list[Outcome]] = {}
    for outcome in told:
        by_scene.setdefault(outcome.scene.id, []).append(outcome)
    states = {name: _together(own, forced=name in forced) for name, own in by_scene.items()}
    counts = {status: sum(1 for s in states.values() if s == status) for status in set(states.values())}
    good = sum(counts.get(status, 0) for status in GOOD)
    asked = {name: status for name, status in states.items() if name not in left_out}
    is_whole = all(status in GOOD for status in asked.values())
    rows = [o.row for o in told if o.row] if history is None else list(history)
    spent, double = _money(rows)
    now, _ = _money([row for row in rows if row.run_id == run_id])
    currency = next(iter(spent), None) or next((o.price.currency for o in told if o.price), None)
    return RunReport(
        storyboard=storyboard.id,
        title=storyboard.title,
        run_id=run_id,
        simulated=simulated,
        endpoint=endpoint,
        started_at=datetime.fromtimestamp(started_at, UTC),
        finished_at=datetime.fromtimestamp(finished_at, UTC),
        status="completed" if is_whole else "partial" if good else "failed",
        stopped=stopped,
        warnings=[*warnings, *_concerns(storyboard, told), *(cut.notes if cut else [])],
        scenes=[_scene(o, (frames or {}).get(o.row.id if o.row else -1, {})) for o in told],
        cut=cut,
        cut_error=cut_error,
        totals=Totals(
            scenes=len(states),
            completed=counts.get("completed", 0),
            reused=counts.get("reused", 0),
            failed=counts.get("failed", 0),
            blocked=counts.get("blocked", 0),
            held=counts.get("held", 0),
            skipped=counts.get("skipped", 0),
            spent_estimate=_amount(spent.get(currency or "", Decimal(0))),
            currency=currency,
            spent_by_currency={name: _amount(value) for name, value in spent.items()},
            spent_this_run=_amount(now.get(currency or "", Decimal(0))),
            possible_double_charge=_amount(double),
        ),
        history=[_past(row) for row in rows] if history is not None else [],
    )


def from_ledger(plan: Plan) -> list[Outcome]:
    """What the ledger alone can tell of each scene: for `status`, and for a report made again."""
    return [outcome for planned in plan.scenes for outcome in as_it_is(planned)]


def as_it_is(planned: ScenePlan) -> list[Outcome]:
    """What the ledger alone can tell of one scene."""
    scene, price = planned.scene, planned.price
    places = [one for take in planned.takes for one in (take, take.instead) if one and one.row]
    found = [_in_ledger(planned, one, one.row) for one in places if one.row]
    if planned.action is Action.BLOCKED:
        message = f"scene `{planned.blocked_by}` has no usable clip"
        found.append(Outcome(scene, "blocked", planned.reason, None, None, "upstream", None, message, price))
    elif away := [one for one in planned.takes if one.action is Action.HELD and one.source]:
        found += [held_elsewhere(planned, one) for one in away]
    elif not found:
        reason = planned.reason if planned.action is Action.SKIP else f"not made yet: {planned.reason}"
        found.append(Outcome(scene, "skipped", reason, price=price))
    return found


def held_elsewhere(planned: ScenePlan, one: TakePlan, number: int | None = None) -> Outcome:
    """A take that another ledger holds, with the command that fetches it there."""
    fix = f"{one.reason.rpartition('type: ')[2]}, then run again"
    return Outcome(
        planned.scene,
        "held",
        f"held: {one.reason}",
        None,
        number,
        "ambiguous",
        None,
        one.reason,
        planned.price,
        fix=fix,
    )


def _in_ledger(planned: ScenePlan, one: TakePlan, row: Take) -> Outcome:
    used = planned.used
    is_used = used is not None and used.row is not None and used.row.id == row.id
    if one.action is Action.RESUME and row.state is State.COLLECTED:  # its clip is not on disk
        kind = row.error_class or ""
        reason = f"{kind}: {one.reason}" if kind else one.reason
        status: Status = "failed" if kind else "skipped"
        return Outcome(planned.scene, status, reason, row, row.take, row.error_class, None, one.reason, planned.price)
    return outcome_of(planned.scene, row, one.reason, planned.price, used=is_used, reused=True)


def outcome_of(
    scene: Scene, row: Take, reason: str, price: PriceRange | None, *, used: bool = False, reused: bool = False
) -> Outcome:
    """The outcome that a ledger row stands for."""
    status: Status
    match row.state:
        case State.COLLECTED:
            status = "reused" if reused else "completed"
        case State.AMBIGUOUS | State.SUBMITTING:
            status = "held"
        case State.IN_FLIGHT | State.COMPLETED:
            status = "failed" if row.error_class else "skipped"
        case _:
            status = "failed"
    if status == "held":
        reason = f"held: the answer to its request was lost, so it may have been made and billed ({row.error_message or 'the run ended'})"
        if row.job_id:
            reason = f"held: {row.error_message}"
    elif status == "failed":
        reason = f"{row.error_class}: {row.error_message or 'the API gave no reason'}"
    elif status == "skipped":
        reason = f"job {row.job_id} is {'finished, its clip not fetched' if row.completed_at else 'still in flight'}"
    return Outcome(
        scene, status, reason, row, row.take, row.error_class, row.error_code, row.error_message, price, used
    )


def stamp(seconds: float | None) -> str | None:
    """Unix seconds as `2026-11-22T09:00:00Z`; None where a ledger holds what no calendar has."""
    return shown(seconds)


def _together(own: list[Outcome], *, forced: bool) -> Status:
    """One status for a scene with several takes: that of the used one, else the worst; of one that is forced, the worst."""
    used = [o.status for o in own if o.used]
    if used and not forced:
        return used[0]
    statuses = [o.status for o in own]
    order: tuple[Status, ...] = ("held", "failed", "blocked", "skipped", "completed", "reused")
    return next(status for status in order if status in statuses)


def _money(rows: list[Take]) -> tuple[dict[str, Decimal], Decimal]:
    """(what these takes cost by currency, what of it may have been charged twice)."""
    spent: dict[str, Decimal] = {}
    double = Decimal(0)
    for row in rows:
        if row.price is None:
            continue
        double += row.price * max(0, row.submissions - 1)
        if row.state in CHARGED and row.submissions:
            spent[row.currency or ""] = spent.get(row.currency or "", Decimal(0)) + row.price * row.submissions
    return spent, double


def _concerns(storyboard: Storyboard, outcomes: list[Outcome]) -> list[str]:
    """What is wrong with the clips that are used; with their last pictures, where another scene starts from one."""
    starts: dict[str, list[str]] = {}
    for scene in storyboard.scenes:
        for _, image in scene.images:
            if isinstance(image, SceneImage) and image.frame == "last":
                starts.setdefault(image.scene, []).append(scene.id)
    found = []
    for outcome in outcomes:
        if not outcome.used or not outcome.row:
            continue
        clip, name = outcome.row.clip or {}, f"{outcome.scene.id} take {outcome.take}"
        found += [f"{name}: {damage}" for damage in clip.get("damage", ())]
        below = starts.get(outcome.scene.id)
        if below:
            found += [f"{name}: {concern}; {', '.join(below)} starts from it" for concern in clip.get("concerns", ())]
    return found


def _amount(value: Decimal) -> str:
    return str(value.quantize(_CENT))


def _scene(outcome: Outcome, frames: Mapping[str, str]) -> SceneReport:
    scene, row = outcome.scene, outcome.row
    error = None
    if outcome.error_class and outcome.status not in GOOD:
        error = ErrorReport(
            class_=outcome.error_class,
            code=outcome.error_code,
            message=outcome.error_message or outcome.reason,
            fix=outcome.fix,
        )
    clip = {k: v for k, v in (row.clip or {}).items() if k != "mtime_ns"} if row and row.clip else None
    estimate = row.price if row and row.price is not None else outcome.price.high if outcome.price else None
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
            estimate=None if estimate is None else _amount(estimate),
            currency=outcome.price.currency if outcome.price else None,
        ),
    )


def _timing(row: Take) -> Timing:
    waited = None
    if row.submitted_at and row.completed_at:
        waited = round(max(0.0, row.completed_at - row.submitted_at), 1)
    return Timing(
        submitted_at=stamp(row.submitted_at),
        completed_at=stamp(row.completed_at),
        collected_at=stamp(row.collected_at),
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
        clip=(row.clip or {}).get("path"),
        error_class=row.error_class,
        timing=_timing(row),
        price=PriceReport(estimate=None if row.price is None else _amount(row.price), currency=row.currency),
    )
