"""Storyboard + catalogue + what the ledger holds -> what would run, why, for how much, and how long it takes. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import json
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, partial
from typing import Any

from storyreel.catalog.load import Catalog, Model, PriceRange
from storyreel.ledger.rows import State, Take
from storyreel.manifest.faults import counted
from storyreel.manifest.storyboard import FileImage, Image, Scene, SceneImage, Storyboard, UrlImage


class Action(StrEnum):
    """What a run will do with a scene or a take."""

    REUSE = "reuse"
    RESUME = "resume"
    SUBMIT = "submit"
    WAIT_UPSTREAM = "wait-upstream"
    BLOCKED = "blocked"
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

    `replaces` is the row whose place it takes once its clip is here; until then `instead` is used. `place` sorts the takes of a
    scene: one that replaces another has the other's place.
    """

    action: Action
    reason: str
    ordinal: int
    row: Take | None = None
    source: Elsewhere | None = None
    replaces: int | None = None
    instead: TakePlan | None = None
    place: int = 0

    @property
    def usable(self) -> TakePlan | None:
        """The take that can be counted on in this place, None where there is none."""
        return self.instead if self.action in (Action.HELD, Action.FAILED, Action.BLOCKED) else self


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """One scene. `key` covers exactly what reaches the API; `inputs` are its pictures: role -> (label, identity).

    `blocked_by` is the scene at the beginning of why it cannot go on.
    """

    scene: Scene
    action: Action
    reason: str
    key: str
    inputs: Mapping[str, tuple[str, str]]
    takes: tuple[TakePlan, ...]
    price: PriceRange | None
    wait_s: tuple[float, float]
    forced: bool = False
    blocked_by: str | None = None

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
        usable = [take.usable for take in self.takes]
        if self.scene.pick is not None:
            return usable[self.scene.pick - 1] if self.scene.pick <= len(usable) else None
        for actions in ((Action.REUSE, Action.RESUME), (Action.SUBMIT,)):
            for take in usable:
                if take and take.action in actions:
                    return take
        return None

    @property
    def kept(self) -> Take | None:
        """The row of the used take where its clip is here already."""
        used = self.used
        return used.row if used and used.action is Action.REUSE else None

    @property
    def identity(self) -> str | None:
        """Names the used take by content: what a scene made from it has in its own key."""
        used = self.used
        if used is None:
            return None
        return identity_of(used.row.key if used.row else self.key, used.ordinal)


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

    @property
    def unpriced(self) -> int:
        """How many of the jobs have no known price."""
        return sum(p.to_make for p in self.scenes if p.price is None and p.action is not Action.SKIP)

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


def price(cost: Mapping[str, tuple[Decimal, Decimal]], unpriced: int = 0) -> str:
    """The cost of a plan, or of several, (low, high) by currency, in words; `unpriced` jobs have no known price."""
    parts = [f"{low} to {high} {c}" if low != high else f"{high} {c}" for c, (low, high) in cost.items()]
    if parts and unpriced:
        parts.append(f"{counted(unpriced, 'job')} of no known price")
    return " + ".join(parts) or "no known price"


def agreement(planned: Plan) -> str:
    """Names the scenes of a plan, and after a colon each take that it would pay for, with what is sent and its price."""
    scenes = [
        [p.scene.id, p.scene.prompt, p.scene.fallback_prompt, p.scene.takes, _wanted(p.scene), sorted(p.inputs)]
        for p in planned.scenes
    ]
    paid = [
        [p.scene.id, p.key, p.scene.fallback_prompt, str(p.price)] for p in planned.scenes for _ in range(p.to_make)
    ]
    return f"{_short(scenes)}:{'.'.join(_short(one) for one in paid)}"


def keeps_to(planned: Plan, agreed: str) -> bool:
    """Is the plan the one that was agreed to? Less may be left to pay for: another run may have made some of it meanwhile."""
    (scenes, _, paid), (then, _, limit) = agreement(planned).partition(":"), agreed.partition(":")
    return scenes == then and Counter(paid.split(".")) <= Counter([*limit.split("."), ""])


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def bill(planned: Plan) -> str:
    """What the plan would pay for, in words: `3 jobs, about 12.00 CNY`."""
    return (
        f"{counted(planned.jobs, 'job')}, about {price(planned.cost(), planned.unpriced)}"
        if planned.jobs
        else "nothing to pay for"
    )


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
            planned[scene.id] = _left_out(scene, storyboard, catalog, snapshot, planned)
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
    rows = _rows(scene, key, storyboard, snapshot)
    if scene.fallback_prompt and not forced and rows and all(row.state is State.FAILED for row in rows):
        softer = dataclasses.replace(scene, prompt=scene.fallback_prompt, fallback_prompt=None)
        return plan_scene(softer, storyboard, catalog, snapshot, above)
    kept = []
    if not rows and storyboard.policy.on_upstream_change == "keep":
        kept = _kept(scene, inputs, snapshot)
        if kept and not forced:
            key = kept[0].key
    wanted = max(scene.takes, snapshot.retakes.get((scene.id, key), 0))
    takes = _existing_takes(rows or kept, snapshot, scene.id)[:wanted]
    if kept:
        takes = [dataclasses.replace(t, reason="kept, though a scene above it changed") for t in takes]
    same_key = [t.ordinal for t in snapshot.by_key.get(key, []) if t.scene == scene.id]
    if not forced:
        jobs = {row.job_id for row in rows if row.job_id}
        others = [one for one in snapshot.elsewhere_by_key.get(key, []) if one.take.job_id not in jobs]
        takes += _from_elsewhere(others[: max(0, wanted - len(takes))], same_key)
    top = max((*same_key, *(take.ordinal for take in takes if take.source)), default=0)
    if forced:
        takes = [_made_again(one, key, top + n + 1) for n, one in enumerate(takes)]
        top += len(takes)
    reason = "forced" if forced else _why_new(scene, inputs, snapshot, above)
    missing = wanted - len(takes)
    takes += [TakePlan(Action.SUBMIT, reason, top + n + 1, place=top + n + 1) for n in range(missing)]
    price = model.price(scene.seconds, scene.mode, with_video=scene.video is not None)
    blocked = _blocked(scene, above) if any(take.action is Action.SUBMIT for take in takes) else None
    if blocked:
        takes = [_stopped(take, blocked[1]) for take in takes]
    action, reason = _together(takes, scene, above)
    wait_s, by = model.wait(scene.seconds), blocked[0] if blocked else None
    return ScenePlan(scene, action, reason, key, inputs, tuple(takes), price, wait_s, forced, by)


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


def take_order(scene_id: str, take: Take | TakePlan) -> tuple[bool, int]:
    """Sorts a scene's takes, so that every plan, and the run itself, finds the same one to be the first."""
    if isinstance(take, TakePlan):
        return take.row is not None and take.row.scene != scene_id, take.place
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


def _existing_takes(rows: list[Take], snapshot: Snapshot, scene_id: str) -> list[TakePlan]:
    """One plan for each place: the newest row of those that replace one another, with an older one to be used instead."""
    places: dict[int, list[Take]] = {}
    beside = {take.id: take for row in rows for take in snapshot.by_key.get(row.key, [])}
    for row in rows:
        places.setdefault(first_of(row, beside).id, []).append(row)
    found = []
    for first, here in places.items():
        older = [_existing(row, snapshot.missing, scene_id) for row in sorted(here, key=lambda row: row.id)]
        newest = older.pop()
        instead = next((one for one in reversed(older) if one.action is Action.REUSE), None)
        found.append(dataclasses.replace(newest, instead=instead, place=beside[first].ordinal))
    return sorted(found, key=partial(take_order, scene_id))


def first_of(take: Take, beside: Mapping[int, Take]) -> Take:
    """The take in whose place this one is, or is to be: back through all that replaced one another."""
    seen = {take.id}
    while take.replaces is not None and take.replaces in beside and take.replaces not in seen:
        take = beside[take.replaces]
        seen.add(take.id)
    return take


def _made_again(one: TakePlan, key: str, ordinal: int) -> TakePlan:
    """A take that is forced: made again beside the one that is here, unless its job is still under way."""
    row = one.row
    if row is None or (one.action is Action.RESUME and row.state is not State.COLLECTED and not row.error_class):
        return dataclasses.replace(one, reason=f"{one.reason}; --force takes it up and makes no second one")
    instead = one if one.action is Action.REUSE else one.instead
    replaces = row.id if row.key == key else None
    place = one.place if replaces else ordinal
    return TakePlan(Action.SUBMIT, "forced", ordinal, replaces=replaces, instead=instead, place=place)


def _existing(row: Take, missing: frozenset[int], scene_id: str) -> TakePlan:
    renamed = f", made as scene `{row.scene}`" if row.scene != scene_id else ""
    match row.state:
        case State.COLLECTED if row.id in missing and row.error_class == "expired":
            reason = f"clip missing on disk, and its link was dead at the last try; {made_again(row)}"
            return TakePlan(Action.RESUME, reason, row.ordinal, row)
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
            plans.append(TakePlan(Action.REUSE, f"taken from {name}", ordinal, source=one, place=ordinal))
        else:
            reason = (
                f"paid for already as {name}, and not collected there ({one.take.state}); "
                f"type: storyreel rescue {shlex.quote(one.place)}"
            )
            plans.append(TakePlan(Action.HELD, reason, ordinal, source=one, place=ordinal))
    return plans


def made_again(row: Take) -> str:
    """What a clip that is gone would cost to make again, and how."""
    cost = f"for {row.price} {row.currency}" if row.price is not None else "at a price that is not known"
    return f"`storyreel run FILE --force {row.scene}` makes it again, {cost}"


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
        waits = [n for n in scene.upstream if above[n].action in (Action.SUBMIT, Action.WAIT_UPSTREAM, Action.RESUME)]
        return (Action.WAIT_UPSTREAM if waits else Action.SUBMIT), by_action[Action.SUBMIT]
    for action in (Action.RESUME, Action.BLOCKED, Action.HELD, Action.FAILED):
        if action in by_action:
            return action, by_action[action]
    return Action.REUSE, by_action[Action.REUSE]


def _blocked(scene: Scene, above: Mapping[str, ScenePlan]) -> tuple[str, str] | None:
    """(the scene at the beginning of it, why in words) where a scene cannot be made, because one above it has no clip and will
    have none."""
    for name in scene.upstream:
        planned = above.get(name)
        if planned is None or planned.used is None:
            by = planned.blocked_by if planned and planned.blocked_by else name
            if by != name:
                return by, f"needs `{name}`, which is blocked by `{by}`"
            words = {Action.SKIP: "left out", Action.HELD: "held", Action.FAILED: "failed: moderation blocked it"}
            action = planned.action if planned else Action.SKIP
            return by, f"needs `{name}`, which is {words.get(action, 'without the take that is picked')}"
    return None


def _stopped(take: TakePlan, why: str) -> TakePlan:
    return dataclasses.replace(take, action=Action.BLOCKED, reason=why) if take.action is Action.SUBMIT else take


def _left_out(
    scene: Scene, storyboard: Storyboard, catalog: Catalog, snapshot: Snapshot, above: Mapping[str, ScenePlan]
) -> ScenePlan:
    """A scene that was not asked for: nothing is made of it, and the clip that it has, be it of before a change, is shown."""
    planned = plan_scene(scene, storyboard, catalog, snapshot, above)
    takes = tuple(take for take in planned.takes if take.action not in (Action.SUBMIT, Action.BLOCKED))
    planned = dataclasses.replace(planned, action=Action.SKIP, reason="not asked for", takes=takes, blocked_by=None)
    if takes:
        return planned
    own = [t for t in snapshot.by_scene.get(scene.id, []) if not t.superseded and t.state is State.COLLECTED]
    here = [t for t in own if t.key == own[-1].key and t.id not in snapshot.missing]
    before = [TakePlan(Action.REUSE, "not asked for: its clip is of before a change", t.ordinal, t) for t in here]
    return dataclasses.replace(planned, key=own[-1].key, takes=tuple(before)) if before else planned


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
