"""The takes of a scene: those that exist, those of other ledgers, those to be made again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Storyboard
from storyreel.plan.model import Action, TakePlan
from storyreel.plan.request import Request
from storyreel.plan.snapshot import Elsewhere, Snapshot


class Takes:
    """The takes of one scene as they are found, then as many new ones as are wanted.

    `key` is that of new ones.
    """

    def __init__(self, request: Request, key: str, snapshot: Snapshot) -> None:
        self.found: list[TakePlan] = []
        self._scene = request.scene.id
        self._key = key
        self._snapshot = snapshot
        self._wanted = max(request.scene.takes, snapshot.retakes.get((self._scene, key), 0))
        self._ordinals = [
            take.ordinal for take in snapshot.by_key.get(key, []) if take.scene == self._scene
        ]

    @property
    def has_new(self) -> bool:
        """Is one of them still to be made?"""
        return any(take.action is Action.SUBMIT for take in self.found)

    def add_existing(self, rows: list[Take], *, are_kept: bool) -> None:
        """Add the takes of the ledger. `are_kept`: a scene above them changed, and they stay."""
        found = existing(rows, self._snapshot, self._scene)[: self._wanted]
        why = "kept, though a scene above it changed"
        self.found += (
            [dataclasses.replace(take, reason=why) for take in found] if are_kept else found
        )

    def add_elsewhere(self, jobs: Collection[str]) -> None:
        """Add takes of other ledgers where some are missing; `jobs` are those that this ledger has
        itself.
        """
        others = [
            one
            for one in self._snapshot.elsewhere_by_key.get(self._key, [])
            if one.take.job_id not in jobs
        ]
        found = from_elsewhere(others[: max(0, self._wanted - len(self.found))], self._ordinals)
        self.found += found
        self._ordinals += [take.ordinal for take in found]

    def force(self) -> None:
        """Make every take again."""
        top = self._top
        self.found = [forced(one, self._key, top + n) for n, one in enumerate(self.found, 1)]
        self._ordinals.append(top + len(self.found))

    def add_new(self, reason: str) -> None:
        """Add those that are still missing."""
        top = self._top
        ordinals = range(top + 1, top + 1 + self._wanted - len(self.found))
        self.found += [
            TakePlan(Action.SUBMIT, reason, ordinal, place=ordinal) for ordinal in ordinals
        ]

    def block(self, reason: str) -> None:
        """None of the new ones can be made."""
        self.found = [
            dataclasses.replace(take, action=Action.BLOCKED, reason=reason)
            if take.action is Action.SUBMIT
            else take
            for take in self.found
        ]

    @property
    def _top(self) -> int:
        return max(self._ordinals, default=0)


def of_request(request: Request, storyboard: Storyboard, snapshot: Snapshot) -> list[Take]:
    """The ledger's takes of this request, made under the scene's own name or under one that is
    gone.
    """
    scene_id = request.scene.id
    found = [
        take
        for take in snapshot.by_key.get(request.key, [])
        if not take.superseded
        and (take.scene == scene_id or take.scene not in storyboard.by_id)
        and _counts(take)
    ]
    return sorted(found, key=partial(take_order, scene_id))


def take_order(scene_id: str, take: Take | TakePlan) -> tuple[bool, int]:
    """Sorts a scene's takes, so that every plan, and the run itself, finds the same one to be the
    first.
    """
    if isinstance(take, TakePlan):
        return take.row is not None and take.row.scene != scene_id, take.place
    return take.scene != scene_id, take.ordinal


def _counts(take: Take) -> bool:
    if take.state is State.FAILED:
        return take.error_class == "moderation"  # the same words would be blocked again
    return take.state not in (State.RELEASED, State.ABANDONED)


def kept(request: Request, snapshot: Snapshot) -> list[Take]:
    """The newest takes of a scene that differ from its request in the takes above only."""
    own = snapshot.collected(request.scene.id)
    for newest in reversed(own):
        if request.made_from(newest).key == newest.key:
            return [take for take in own if take.key == newest.key]
    return []


def existing(rows: list[Take], snapshot: Snapshot, scene_id: str) -> list[TakePlan]:
    """One plan for each place: the newest row of those that replace one another, an older one to be
    used instead.
    """
    places: dict[int, list[Take]] = {}
    beside = {take.id: take for row in rows for take in snapshot.by_key.get(row.key, [])}
    for row in rows:
        places.setdefault(first_of(row, beside).id, []).append(row)
    found = []
    for first, here in places.items():
        older = [
            _existing(row, snapshot.missing, scene_id)
            for row in sorted(here, key=lambda row: row.id)
        ]
        newest = older.pop()
        instead = next((one for one in reversed(older) if one.action is Action.REUSE), None)
        found.append(dataclasses.replace(newest, instead=instead, place=beside[first].ordinal))
    return sorted(found, key=partial(take_order, scene_id))


def first_of(take: Take, beside: Mapping[int, Take]) -> Take:
    """The take in whose place this one is: back through all that replaced one another."""
    seen = {take.id}
    while take.replaces is not None and take.replaces in beside and take.replaces not in seen:
        take = beside[take.replaces]
        seen.add(take.id)
    return take


def forced(one: TakePlan, key: str, ordinal: int) -> TakePlan:
    """A take that `--force` makes again beside the one that exists, unless its job is still under
    way.
    """
    row = one.row
    if row is None or (
        one.action is Action.RESUME and row.state is not State.COLLECTED and not row.error_class
    ):
        return dataclasses.replace(
            one, reason=f"{one.reason}; --force takes it up and makes no second one"
        )
    instead = one if one.action is Action.REUSE else one.instead
    replaces = row.id if row.key == key else None
    place = one.place if replaces else ordinal
    return TakePlan(
        Action.SUBMIT, "forced", ordinal, replaces=replaces, instead=instead, place=place
    )


def _existing(take: Take, missing: frozenset[int], scene_id: str) -> TakePlan:
    action, reason = _state(take, take.id in missing)
    if action is Action.REUSE and take.scene != scene_id:
        reason += f", made as scene `{take.scene}`"
    return TakePlan(action, reason, take.ordinal, take)


def _state(take: Take, is_missing: bool) -> tuple[Action, str]:
    """What a run does with a take of the ledger, and why."""
    match take.state:
        case State.COLLECTED if is_missing and take.error_class == "expired":
            return (
                Action.RESUME,
                f"clip missing on disk, and its link was dead at the last try; {made_again(take)}",
            )
        case State.COLLECTED if is_missing:
            return Action.RESUME, "clip missing on disk: fetched again while its link lives"
        case State.COLLECTED:
            return Action.REUSE, "unchanged"
        case State.IN_FLIGHT:
            return Action.RESUME, f"job {take.job_id} is in flight"
        case State.COMPLETED:
            return Action.RESUME, f"job {take.job_id} is finished; its clip is to be fetched"
        case State.FAILED:
            return Action.FAILED, "moderation blocked it; change the prompt, or use --force"
        case State.AMBIGUOUS if take.job_id:
            return Action.HELD, f"held: {take.error_message}"
        case _:
            why = take.error_message or "the run ended"
            return (
                Action.HELD,
                f"held: the answer to its request was lost at {_clock(take)} ({why})",
            )


def from_elsewhere(found: Iterable[Elsewhere], ordinals: Collection[int]) -> list[TakePlan]:
    """Takes that other ledgers hold.

    They keep their ordinals where these are free: a clip made from one then stays as it is.
    """
    used = set(ordinals)
    plans: list[TakePlan] = []
    for one in found:
        ordinal = one.take.ordinal if one.take.ordinal not in used else max(used) + 1
        used.add(ordinal)
        name = f"scene `{one.take.scene}` of storyboard `{one.take.storyboard}` in {one.place}"
        if one.is_whole:
            plans.append(
                TakePlan(Action.REUSE, f"taken from {name}", ordinal, source=one, place=ordinal)
            )
        else:
            reason = (
                f"paid for already as {name}, and not collected there ({one.take.state}); "
                f"type: storyreel rescue {shlex.quote(one.place)}"
            )
            plans.append(TakePlan(Action.HELD, reason, ordinal, source=one, place=ordinal))
    return plans


def made_again(row: Take) -> str:
    """How to make a clip again that is gone, and for how much."""
    cost = (
        f"for {row.price} {row.currency}"
        if row.price is not None
        else "at a price that is not known"
    )
    return f"`storyreel run FILE --force {row.scene}` makes it again, {cost}"


def _clock(row: Take) -> str:
    return datetime.fromtimestamp(row.created_at, UTC).strftime("%H:%M UTC on %Y-%m-%d")
