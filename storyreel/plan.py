"""Storyboard + catalogue + what the ledger holds -> what would run, why, for how much, and how long it takes. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, partial
from typing import Any

from storyreel.catalog import Catalog, Model, PriceRange
from storyreel.ledger_rows import State, Take
from storyreel.manifest.storyboard import FileImage, Image, Scene, SceneImage, Storyboard, UrlImage


class Action(StrEnum):
    """What a run will do with a scene or a take."""

    REUSE = "reuse"
    RESUME = "resume"
    SUBMIT = "submit"
    WAIT_UPSTREAM = "wait-upstream"
    HELD = "held"
    FAILED = "failed"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A take that was paid for under another id, folder or name. `workspace` is the folder of its storyboard's results,
    `place` the same for a person to read; `is_whole`: its clip is on disk as it was recorded.
    """

    take: Take
    workspace: str
    place: str
    is_whole: bool


@dataclass(frozen=True)
class Snapshot:
    """What is there already. `missing` are the ids of takes whose clip is not on disk as recorded; `digests` maps a picture
    file to its sha256; `retakes` is how many takes a person asked for beside the storyboard, by (scene, key);
    `elsewhere` is what other ledgers of the project hold."""

    takes: tuple[Take, ...] = ()
    missing: frozenset[int] = frozenset()
    digests: Mapping[str, str] = field(default_factory=dict)
    retakes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    elsewhere: tuple[Elsewhere, ...] = ()

    @cached_property
    def elsewhere_by_key(self) -> dict[str, list[Elsewhere]]:
        """What is elsewhere of each key, whole clips first; each job once."""
        found: dict[str, dict[str, Elsewhere]] = {}
        for one in sorted(self.elsewhere, key=lambda e: (not e.is_whole, e.take.ordinal, e.take.id)):
            found.setdefault(one.take.key, {}).setdefault(one.take.job_id or f"#{one.take.id}", one)
        return {key: list(jobs.values()) for key, jobs in found.items()}

    @cached_property
    def by_scene(self) -> dict[str, list[Take]]:
        """The takes of each scene, oldest first."""
        return _grouped(self.takes, lambda take: take.scene)

    @cached_property
    def by_key(self) -> dict[str, list[Take]]:
        """The takes of each key, oldest first."""
        return _grouped(self.takes, lambda take: take.key)


@dataclass(frozen=True, slots=True)
class TakePlan:
    """One take: an existing row of the ledger, or (row None) one to be made, the `ordinal`-th of its key.

    `source`: it is paid for already, in another ledger.
    """

    action: Action
    reason: str
    ordinal: int
    row: Take | None = None
    source: Elsewhere | None = None


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """One scene. `key` covers exactly what reaches the API; `inputs` are its pictures: role -> (label, identity)."""

    scene: Scene
    action: Action
    reason: str
    key: str
    inputs: Mapping[str, tuple[str, str]]
    takes: tuple[TakePlan, ...]
    price: PriceRange | None
    wait_s: tuple[float, float]

    @property
    def to_make(self) -> int:
        """How many takes will be paid for."""
        return sum(1 for take in self.takes if take.action is Action.SUBMIT)

    @property
    def takes_over(self) -> bool:
        """Is a clip of it to be taken over from another ledger?"""
        return any(take.source and take.source.is_whole for take in self.takes)

    @property
    def used(self) -> TakePlan | None:
        """The take that others use and the cut shows: the picked one, else the first good one."""
        if self.scene.pick is not None:
            return self.takes[self.scene.pick - 1] if self.scene.pick <= len(self.takes) else None
        for actions in ((Action.REUSE, Action.RESUME), (Action.SUBMIT,)):
            for take in self.takes:
                if take.action in actions:
                    return take
        return None

    @property
    def identity(self) -> str | None:
        """Names the used take by content: what a scene made from it has in its own key."""
        used = self.used
        return identity_of(self.key, used.ordinal) if used else None


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan, scenes in file order."""

    storyboard: Storyboard
    scenes: tuple[ScenePlan, ...]
    critical_path: tuple[str, ...]
    expected_s: tuple[float, float]

    def scene(self, scene_id: str) -> ScenePlan:
        """Raises `KeyError`."""
        for planned in self.scenes:
            if planned.scene.id == scene_id:
                return planned
        raise KeyError(scene_id)

    @property
    def jobs(self) -> int:
        """How many jobs will be paid for."""
        return sum(p.to_make for p in self.scenes if p.action is not Action.SKIP)

    @property
    def has_work(self) -> bool:
        """Is there anything to send, to wait for or to fetch?"""
        return any(p.action in (Action.SUBMIT, Action.WAIT_UPSTREAM, Action.RESUME) for p in self.scenes)

    def cost(self) -> dict[str, tuple[Decimal, Decimal]]:
        """(low, high) by currency of what will be paid for."""
        totals: dict[str, tuple[Decimal, Decimal]] = {}
        for planned in self.scenes:
            if planned.price and planned.to_make and planned.action is not Action.SKIP:
                low, high = totals.get(planned.price.currency, (Decimal(0), Decimal(0)))
                totals[planned.price.currency] = (
                    low + planned.price.low * planned.to_make,
                    high + planned.price.high * planned.to_make,
                )
        return totals


def price(cost: Mapping[str, tuple[Decimal, Decimal]]) -> str:
    """The cost of a plan, or of several, (low, high) by currency, in words."""
    parts = [f"{low} to {high} {c}" if low != high else f"{high} {c}" for c, (low, high) in cost.items()]
    return " + ".join(parts) or "no known price"


def make(
    storyboard: Storyboard,
    catalog: Catalog,
    snapshot: Snapshot,
    *,
    selected: Collection[str] | None = None,
    force: Collection[str] = (),
    slots: int = 5,
) -> Plan:
    """Return the plan. `selected` leaves the other scenes alone; `force` makes these scenes again."""
    planned: dict[str, ScenePlan] = {}
    for scene in storyboard.ordered():
        if selected is not None and scene.id not in selected:
            planned[scene.id] = _skipped(scene)
            continue
        planned[scene.id] = plan_scene(scene, storyboard, catalog, snapshot, planned, forced=scene.id in force)
    inside = [planned[scene.id] for scene in storyboard.scenes]
    path = _critical_path(storyboard, planned)
    return Plan(storyboard, tuple(inside), path, _expected(storyboard, planned, slots))


def plan_scene(
    scene: Scene,
    storyboard: Storyboard,
    catalog: Catalog,
    snapshot: Snapshot,
    above: Mapping[str, ScenePlan],
    *,
    forced: bool = False,
) -> ScenePlan:
    """Plan one scene, given the plans of those it is made from."""
    model = catalog.models[scene.model]
    inputs = _inputs(scene, model, snapshot.digests, above)
    key = take_key(scene, inputs)
    rows = [] if forced else _rows(scene, key, storyboard, snapshot)
    if scene.fallback_prompt and rows and all(row.state is State.FAILED for row in rows):
        softer = dataclasses.replace(scene, prompt=scene.fallback_prompt, fallback_prompt=None)
        return plan_scene(softer, storyboard, catalog, snapshot, above)
    kept = None
    if not rows and not forced and storyboard.policy.on_upstream_change == "keep":
        kept = _kept(scene, inputs, snapshot)
        if kept:
            key, rows = kept[0].key, kept
    wanted = max(scene.takes, snapshot.retakes.get((scene.id, key), 0))
    again = storyboard.policy.on_ambiguous == "resubmit"
    takes = [_existing(row, snapshot.missing, scene.id, resubmit=again) for row in rows][:wanted]
    if kept:
        takes = [TakePlan(t.action, "kept, though a scene above it changed", t.ordinal, t.row) for t in takes]
    same_key = [t.ordinal for t in snapshot.by_key.get(key, []) if t.scene == scene.id]
    reason = "forced" if forced else _why_new(scene, inputs, snapshot, above)
    missing = max(0, wanted - len(takes))
    jobs = {row.job_id for row in rows}
    others = [] if forced else snapshot.elsewhere_by_key.get(key, [])
    found = [one for one in others if one.take.job_id not in jobs][:missing]
    takes += _from_elsewhere(found, same_key)
    top = max((*same_key, *(take.ordinal for take in takes)), default=0)
    takes += [TakePlan(Action.SUBMIT, reason, top + n + 1) for n in range(missing - len(found))]
    action, reason = _together(takes, scene, above)
    price = model.price(scene.seconds, scene.mode, with_video=scene.video is not None)
    return ScenePlan(scene, action, reason, key, inputs, tuple(takes), price, model.wait(scene.seconds))


def identity_of(key: str, ordinal: int) -> str:
    """A take by content: the n-th of its key."""
    return f"{key}#{ordinal}"


def take_key(scene: Scene, inputs: Mapping[str, tuple[str, str]]) -> str:
    """The hash of exactly what reaches the API: the request, and its inputs by content."""
    ids = {role: identity for role, (_, identity) in inputs.items()}
    if scene.remix:
        request: dict[str, Any] = {"prompt": scene.prompt}
    else:
        request = {
            "model": scene.model,
            "prompt": scene.prompt,
            "seconds": scene.seconds,
            "size": scene.size,
            "mode": scene.mode,
        }
        if scene.video:
            request["video"] = [scene.video.refer_type, scene.video.keep_sound]
        if scene.fit != "refuse":
            request["fit"] = scene.fit
    text = json.dumps([request, ids], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def with_upstream(storyboard: Storyboard, scenes: Iterable[str]) -> set[str]:
    """These scenes and all that they are made from."""
    found: set[str] = set()
    todo = list(scenes)
    while todo:
        scene_id = todo.pop()
        if scene_id not in found:
            found.add(scene_id)
            todo.extend(storyboard.scene(scene_id).upstream)
    return found


def with_downstream(storyboard: Storyboard, scenes: Iterable[str]) -> set[str]:
    """These scenes and all that are made from them."""
    found = set(scenes)
    for scene in storyboard.ordered():
        if found.intersection(scene.upstream):
            found.add(scene.id)
    return found


# ---- inside


def _grouped(takes: Iterable[Take], by: Callable[[Take], str]) -> dict[str, list[Take]]:
    groups: dict[str, list[Take]] = {}
    for take in takes:
        groups.setdefault(by(take), []).append(take)
    return groups


def _inputs(
    scene: Scene, model: Model, digests: Mapping[str, str], above: Mapping[str, ScenePlan]
) -> dict[str, tuple[str, str]]:
    found = {role: (image.label, _image_identity(image, digests, above)) for role, image in scene.images}
    if scene.video:
        label = f"clip of {scene.video.scene}" if scene.video.scene else "url"
        identity = f"url:{scene.video.url}" if scene.video.url else f"clip:{_above(above, scene.video.scene)}"
        found["reference_video"] = (label, identity)
    if scene.remix:
        label = f"video of {scene.remix.scene}" if scene.remix.scene else f"video {scene.remix.video_id}"
        identity = (
            f"video:{scene.remix.video_id}" if scene.remix.video_id else f"clip:{_above(above, scene.remix.scene)}"
        )
        found["remix_of"] = (label, identity)
    return found


def _image_identity(image: Image, digests: Mapping[str, str], above: Mapping[str, ScenePlan]) -> str:
    match image:
        case UrlImage(url=url):
            return f"url:{url}"
        case FileImage(path=path):
            return f"sha256:{digests.get(path, '')}"
        case SceneImage(scene=scene, frame=frame, offset=offset):
            return f"frame:{frame}:{offset}:{_above(above, scene)}"


def _above(above: Mapping[str, ScenePlan], scene_id: str | None) -> str:
    planned = above.get(scene_id or "")
    return (planned.identity if planned else None) or "nothing"


def _rows(scene: Scene, key: str, storyboard: Storyboard, snapshot: Snapshot) -> list[Take]:
    """The ledger's takes that are this scene's: of its key, made under its name or under one that is gone."""
    found = [
        t
        for t in snapshot.by_key.get(key, [])
        if not t.superseded and (t.scene == scene.id or t.scene not in storyboard.by_id) and _counts(t)
    ]
    return sorted(found, key=partial(take_order, scene.id))


def take_order(scene_id: str, take: Take) -> tuple[bool, int]:
    """Sorts a scene's takes, so that every plan, and the run itself, finds the same one to be the first."""
    return take.scene != scene_id, take.ordinal


def _counts(take: Take) -> bool:
    if take.state is State.FAILED:
        return take.error_class == "moderation"  # the same words would be blocked again
    return take.state not in (State.RELEASED, State.ABANDONED)


def _kept(scene: Scene, inputs: Mapping[str, tuple[str, str]], snapshot: Snapshot) -> list[Take]:
    """The newest takes that differ from what is wanted now in the scenes above only."""
    own = [t for t in snapshot.by_scene.get(scene.id, []) if not t.superseded and t.state is State.COLLECTED]
    for newest in reversed(own):
        if newest.request.get("prompt") != scene.prompt or _parameters(newest.request) != _wanted(scene):
            continue
        if {r: _loose(v.get("id", "")) for r, v in newest.inputs.items()} == {
            r: _loose(i) for r, (_, i) in inputs.items()
        }:
            return [t for t in own if t.key == newest.key]
    return []


def _loose(identity: str) -> str:
    """An identity without the take it came from."""
    kind = identity.partition(":")[0]
    return identity.rpartition(":")[0] if kind in ("frame", "clip") else identity


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: request.get(name) for name in ("model", "seconds", "size", "mode")}


def _wanted(scene: Scene) -> dict[str, Any]:
    if scene.remix:
        return dict.fromkeys(("model", "seconds", "size", "mode"))
    return {"model": scene.model, "seconds": str(scene.seconds), "size": scene.size, "mode": scene.mode}


def _existing(row: Take, missing: frozenset[int], scene_id: str, *, resubmit: bool) -> TakePlan:
    renamed = f", made as scene `{row.scene}`" if row.scene != scene_id else ""
    match row.state:
        case State.COLLECTED if row.id in missing:
            return TakePlan(Action.RESUME, "clip missing on disk: fetched again while its link lives", row.ordinal, row)
        case State.COLLECTED:
            return TakePlan(Action.REUSE, f"unchanged{renamed}", row.ordinal, row)
        case State.IN_FLIGHT:
            return TakePlan(Action.RESUME, f"job {row.job_id} is in flight", row.ordinal, row)
        case State.COMPLETED:
            return TakePlan(Action.RESUME, f"job {row.job_id} is finished; its clip is to be fetched", row.ordinal, row)
        case State.FAILED:
            return TakePlan(Action.FAILED, "moderation blocked it; change the prompt, or use --force", row.ordinal, row)
        case State.AMBIGUOUS if row.job_id:
            return TakePlan(Action.HELD, f"held: {row.error_message}", row.ordinal, row)
        case _:
            return TakePlan(
                Action.HELD,
                f"held: the answer to its request was lost at {_clock(row)} ({row.error_message or 'the run ended'})",
                row.ordinal,
                row,
            )


def _from_elsewhere(found: Iterable[Elsewhere], ordinals: Collection[int]) -> list[TakePlan]:
    """Takes that other ledgers hold. They keep their ordinals where these are free, so that what was made from them stays."""
    used = set(ordinals)
    plans: list[TakePlan] = []
    for one in found:
        ordinal = one.take.ordinal if one.take.ordinal not in used else max(used) + 1
        used.add(ordinal)
        name = f"scene `{one.take.scene}` of storyboard `{one.take.storyboard}` in {one.place}"
        if one.is_whole:
            plans.append(TakePlan(Action.REUSE, f"taken from {name}", ordinal, source=one))
        else:
            reason = (
                f"paid for already as {name}, and not collected there ({one.take.state}); "
                f"type: storyreel rescue {one.place}"
            )
            plans.append(TakePlan(Action.HELD, reason, ordinal, source=one))
    return plans


def _clock(row: Take) -> str:
    return datetime.fromtimestamp(row.created_at, UTC).strftime("%H:%M UTC on %Y-%m-%d")


def _why_new(
    scene: Scene, inputs: Mapping[str, tuple[str, str]], snapshot: Snapshot, above: Mapping[str, ScenePlan]
) -> str:
    """Why a take has to be made: the first difference from the newest one of this scene."""
    own = snapshot.by_scene.get(scene.id, [])
    if not own:
        return "new"
    last = own[-1]
    if last.superseded:
        return "asked for again"
    if last.request.get("prompt") != scene.prompt:
        return "prompt changed"
    now, then = _wanted(scene), _parameters(last.request)
    for name in now:
        if now[name] != then[name]:
            return f"{name} changed"
    for role, (label, identity) in inputs.items():
        before = last.inputs.get(role)
        if before is None:
            return f"{role} added"
        if before.get("id") == identity:
            continue
        kind = identity.partition(":")[0]
        if kind in ("frame", "clip"):
            source = label.rpartition(" of ")[2].partition(" ")[0]
            return f"scene `{source}` {'will be' if _remade(above, source) else 'was'} made again"
        if before.get("id", "").startswith("sha256:") and kind == "sha256":
            return f"{role} bytes changed"
        return f"{role} changed"
    if set(last.inputs) - set(inputs):
        return f"{min(set(last.inputs) - set(inputs))} removed"
    if last.state is State.FAILED:
        return f"failed last time ({last.error_class}); tried again"
    if last.state is State.RELEASED:
        return "was not accepted last time; sent again"
    if last.state is State.ABANDONED:
        return "given up before; made again"
    return f"takes: {scene.takes}"


def _remade(above: Mapping[str, ScenePlan], scene_id: str) -> bool:
    return scene_id in above and above[scene_id].action in (Action.SUBMIT, Action.WAIT_UPSTREAM)


def _together(takes: list[TakePlan], scene: Scene, above: Mapping[str, ScenePlan]) -> tuple[Action, str]:
    """The scene's action and reason out of its takes'."""
    by_action = {take.action: take.reason for take in reversed(takes)}
    if Action.SUBMIT in by_action:
        for name in scene.upstream:
            planned = above.get(name)
            if planned is None or planned.action in (Action.HELD, Action.FAILED, Action.SKIP):
                state = planned.action if planned else Action.SKIP
                return Action.WAIT_UPSTREAM, f"needs `{name}`, which is {'left out' if state is Action.SKIP else state}"
        waits = [n for n in scene.upstream if above[n].action in (Action.SUBMIT, Action.WAIT_UPSTREAM, Action.RESUME)]
        return (Action.WAIT_UPSTREAM if waits else Action.SUBMIT), by_action[Action.SUBMIT]
    for action in (Action.RESUME, Action.HELD, Action.FAILED):
        if action in by_action:
            return action, by_action[action]
    return Action.REUSE, by_action[Action.REUSE]


def _skipped(scene: Scene) -> ScenePlan:
    return ScenePlan(scene, Action.SKIP, "not asked for", "", {}, (), None, (0.0, 0.0))


def _duration(planned: ScenePlan) -> float:
    if planned.action in (Action.SUBMIT, Action.WAIT_UPSTREAM, Action.RESUME):
        return sum(planned.wait_s) / 2
    return 0.0


def _critical_path(storyboard: Storyboard, planned: Mapping[str, ScenePlan]) -> tuple[str, ...]:
    """The chain of scenes that ends last if every scene starts as soon as it can."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for scene in storyboard.ordered():
        latest = max(scene.upstream, key=lambda n: ends[n], default=None)
        before[scene.id] = latest
        ends[scene.id] = (ends[latest] if latest else 0.0) + _duration(planned[scene.id])
    last = max(ends, key=lambda n: ends[n], default=None)
    if last is None or ends[last] == 0:
        return ()
    path: list[str] = []
    while last is not None:
        if _duration(planned[last]):
            path.append(last)
        last = before[last]
    return tuple(reversed(path))


def _expected(storyboard: Storyboard, planned: Mapping[str, ScenePlan], slots: int) -> tuple[float, float]:
    """(low, high) wall-clock in seconds with so many jobs at once, each started when its turn has come."""
    result = []
    for side in (0, 1):
        free = [0.0] * max(1, slots)
        ready: list[tuple[float, int, str]] = []
        ends: dict[str, float] = {}
        waiting = {s.id: len(s.upstream) for s in storyboard.scenes}
        below: dict[str, list[str]] = {}
        for scene in storyboard.scenes:
            for name in scene.upstream:
                below.setdefault(name, []).append(scene.id)
            if not scene.upstream:
                heapq.heappush(ready, (0.0, scene.index, scene.id))
        index = {s.id: s.index for s in storyboard.scenes}
        while ready:
            at, _, name = heapq.heappop(ready)
            plan = planned[name]
            end = at
            if _duration(plan):
                for _take in range(max(1, plan.to_make)):
                    start = max(at, heapq.heappop(free))
                    heapq.heappush(free, start + plan.wait_s[side])
                    end = max(end, start + plan.wait_s[side])
            ends[name] = end
            for child in below.get(name, []):
                waiting[child] -= 1
                if waiting[child] == 0:
                    begin = max(ends[n] for n in storyboard.scene(child).upstream)
                    heapq.heappush(ready, (begin, index[child], child))
        result.append(max(ends.values(), default=0.0))
    return result[0], result[1]
