"""Plan the takes of a scene: existing ones, those of other ledgers, new ones."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

from storyreel.errors import ErrorKind
from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Storyboard
from storyreel.plan.model import Action, TakePlan
from storyreel.plan.request import Request
from storyreel.plan.snapshot import Elsewhere, Snapshot


class Takes:
    """Collects the take plans of one scene: those found, then new ones up to the wanted number.

    `key` is the key of new takes.
    """

    def __init__(self, request: Request, key: str, snapshot: Snapshot) -> None:
        self.plans: list[TakePlan] = []
        self._scene = request.scene.id
        self._key = key
        self._snapshot = snapshot
        self._wanted = max(request.scene.takes, snapshot.retakes.get((self._scene, key), 0))
        self._ordinals = [
            take.ordinal for take in snapshot.by_key.get(key, []) if take.scene == self._scene
        ]

    @property
    def has_new(self) -> bool:
        """Is there a take to make?"""
        return any(take.action is Action.SUBMIT for take in self.plans)

    def add_existing(self, recorded: list[Take], *, are_kept: bool) -> None:
        """Add takes of the ledger. `are_kept`: they are kept though a scene upstream changed."""
        plans = existing(recorded, self._snapshot, self._scene)[: self._wanted]
        if are_kept:
            why = "kept, though a scene above it changed"
            plans = [dataclasses.replace(take, reason=why) for take in plans]
        self.plans += plans

    def add_elsewhere(self, jobs: Collection[str]) -> None:
        """Add takes of other ledgers for those still missing.

        `jobs` holds the ids of jobs that this ledger has itself.
        """
        others = [
            other
            for other in self._snapshot.elsewhere_by_key.get(self._key, [])
            if other.take.job_id not in jobs
        ]
        plans = from_elsewhere(others[: max(0, self._wanted - len(self.plans))], self._ordinals)
        self.plans += plans
        self._ordinals += [take.ordinal for take in plans]

    def force(self) -> None:
        """Make every take again."""
        top = self._top
        self.plans = [forced(take, self._key, top + n) for n, take in enumerate(self.plans, 1)]
        self._ordinals.append(top + len(self.plans))

    def add_new(self, reason: str) -> None:
        """Add the takes that are still missing, to be made for this reason."""
        top = self._top
        ordinals = range(top + 1, top + 1 + self._wanted - len(self.plans))
        self.plans += [
            TakePlan(Action.SUBMIT, reason, ordinal, place=ordinal) for ordinal in ordinals
        ]

    def block(self, reason: str) -> None:
        """Mark each new take as blocked, for this reason."""
        self.plans = [
            dataclasses.replace(take, action=Action.BLOCKED, reason=reason)
            if take.action is Action.SUBMIT
            else take
            for take in self.plans
        ]

    @property
    def _top(self) -> int:
        """Return the highest ordinal in use."""
        return max(self._ordinals, default=0)


def of_request(request: Request, storyboard: Storyboard, snapshot: Snapshot) -> list[Take]:
    """Return the ledger's takes of this request, in order.

    They belong to this scene, or to a scene that the storyboard no longer has.
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
    """Return the sort key of a scene's takes: plan and run must agree which take is first."""
    if isinstance(take, TakePlan):
        return take.row is not None and take.row.scene != scene_id, take.place
    return take.scene != scene_id, take.ordinal


def _counts(take: Take) -> bool:
    """Does this take answer the request, so that no new one is made?"""
    if take.state is State.FAILED:
        return is_moderated(take)
    return take.state not in (State.RELEASED, State.ABANDONED)


def is_moderated(take: Take) -> bool:
    """Did moderation block this take? It would block the same request again."""
    return take.state is State.FAILED and take.error_class == ErrorKind.MODERATION


def kept(request: Request, snapshot: Snapshot) -> list[Take]:
    """Return the scene's newest takes that differ from its request only in the upstream takes."""
    own = snapshot.collected(request.scene.id)
    for newest in reversed(own):
        if request.made_from(newest).key == newest.key:
            return [take for take in own if take.key == newest.key]
    return []


def existing(recorded: list[Take], snapshot: Snapshot, scene_id: str) -> list[TakePlan]:
    """Return one plan for each place of recorded takes, in order.

    Takes that replace one another share a place: the newest has it, and an older one with a clip
    becomes its `instead`.
    """
    same_key = {t.id: t for take in recorded for t in snapshot.by_key.get(take.key, [])}
    by_place: dict[int, list[Take]] = {}
    for take in recorded:
        by_place.setdefault(first_of(take, same_key).id, []).append(take)
    plans = []
    for first, takes in by_place.items():
        takes.sort(key=lambda take: take.id)
        *older, newest = [_existing(take, snapshot.missing, scene_id) for take in takes]
        instead = next((take for take in reversed(older) if take.action is Action.REUSE), None)
        plans.append(dataclasses.replace(newest, instead=instead, place=same_key[first].ordinal))
    return sorted(plans, key=partial(take_order, scene_id))


def first_of(take: Take, beside: Mapping[int, Take]) -> Take:
    """Follow `replaces` back, and return the first take in whose place this one is."""
    seen = {take.id}
    while take.replaces is not None and take.replaces in beside and take.replaces not in seen:
        take = beside[take.replaces]
        seen.add(take.id)
    return take


def forced(existing: TakePlan, key: str, ordinal: int) -> TakePlan:
    """Return the plan of a take that `--force` makes again.

    A take whose job is still in flight is resumed, and no second one is made.
    """
    take = existing.row
    if take is None or _is_resumed(existing, take):
        reason = f"{existing.reason}; --force resumes it and makes no second one"
        return dataclasses.replace(existing, reason=reason)
    instead = existing if existing.action is Action.REUSE else existing.instead
    replaces = take.id if take.key == key else None
    place = existing.place if replaces else ordinal
    return TakePlan(
        Action.SUBMIT, "forced", ordinal, replaces=replaces, instead=instead, place=place
    )


def _is_resumed(take_plan: TakePlan, take: Take) -> bool:
    """Is its job in flight, or its clip still to download, without an error?"""
    is_open = take.state is not State.COLLECTED and not take.error_class
    return take_plan.action is Action.RESUME and is_open


def _existing(take: Take, missing: frozenset[int], scene_id: str) -> TakePlan:
    """Return the plan of a take in the ledger. `missing`: the ids of takes without their clip."""
    action, reason = _state(take, take.id in missing)
    if action is Action.REUSE and take.scene != scene_id:
        reason += f", made as scene `{take.scene}`"
    return TakePlan(action, reason, take.ordinal, take)


def _state(take: Take, is_missing: bool) -> tuple[Action, str]:
    """Return what a run does with a take of the ledger, and why."""
    match take.state:
        case State.COLLECTED if is_missing and take.error_class == ErrorKind.EXPIRED:
            return (
                Action.RESUME,
                f"clip missing on disk, and its link was dead at the last try; {made_again(take)}",
            )
        case State.COLLECTED if is_missing:
            return Action.RESUME, "clip missing on disk: downloaded again while its link works"
        case State.COLLECTED:
            return Action.REUSE, "unchanged"
        case State.IN_FLIGHT:
            return Action.RESUME, f"job {take.job_id} is in flight"
        case State.COMPLETED:
            return Action.RESUME, f"job {take.job_id} is finished; its clip is not downloaded yet"
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


def from_elsewhere(others: Iterable[Elsewhere], ordinals: Collection[int]) -> list[TakePlan]:
    """Return the plans of takes that other ledgers hold.

    A take keeps its ordinal if it is free. So a clip that was made from it is not made again.
    """
    used = set(ordinals)
    plans: list[TakePlan] = []
    for other in others:
        take = other.take
        ordinal = take.ordinal if take.ordinal not in used else max(used) + 1
        used.add(ordinal)
        action, reason = Action.REUSE, f"taken from {_origin(other)}"
        if not other.is_whole:
            action = Action.HELD
            reason = (
                f"paid for already as {_origin(other)}, and not collected there ({take.state}); "
                f"type: storyreel rescue {shlex.quote(other.place)}"
            )
        plans.append(TakePlan(action, reason, ordinal, source=other, place=ordinal))
    return plans


def _origin(other: Elsewhere) -> str:
    """Return where a take of another ledger is, in words."""
    take = other.take
    return f"scene `{take.scene}` of storyboard `{take.storyboard}` in {other.place}"


def made_again(take: Take) -> str:
    """Return the command that makes a missing clip again, and its price, in words."""
    cost = (
        f"for {take.price} {take.currency}"
        if take.price is not None
        else "at a price that is not known"
    )
    return f"`storyreel run FILE --force {take.scene}` makes it again, {cost}"


def _clock(take: Take) -> str:
    """Return when the take was reserved, as `14:05 UTC on 2026-11-25`."""
    return datetime.fromtimestamp(take.created_at, UTC).strftime("%H:%M UTC on %Y-%m-%d")
