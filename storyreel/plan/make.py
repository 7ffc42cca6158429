"""Plan what would run, why and for how much, from storyboard, catalogue and snapshot."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from storyreel.catalog.load import Catalog, PriceRange
from storyreel.manifest.storyboard import Scene, Storyboard
from storyreel.plan import forecast, reason, takes, ways
from storyreel.plan.inputs import inputs_of
from storyreel.plan.model import Action, Plan, ScenePlan, TakePlan
from storyreel.plan.money import agreement, bill, keeps_to, price
from storyreel.plan.request import Request
from storyreel.plan.snapshot import Elsewhere, Snapshot
from storyreel.plan.takes import first_of, made_again, take_order

# Other rooms import the plan's names from this module.
__all__ = [
    "Action",
    "Elsewhere",
    "Plan",
    "PriceRange",
    "ScenePlan",
    "Snapshot",
    "TakePlan",
    "agreement",
    "bill",
    "first_of",
    "keeps_to",
    "made_again",
    "make",
    "plan_scene",
    "price",
    "take_order",
    "with_downstream",
    "with_upstream",
]


def make(
    storyboard: Storyboard,
    catalog: Catalog,
    snapshot: Snapshot,
    *,
    selected: Collection[str] | None = None,
    force: Collection[str] = (),
    slots: int = 5,
) -> Plan:
    """Return the plan of a whole storyboard.

    Scenes outside `selected` are left alone; None selects every scene. `force` names the scenes to
    make again. `slots` is how many jobs run at once.
    """
    by_id: dict[str, ScenePlan] = {}
    for scene in storyboard.ordered():
        is_selected = selected is None or scene.id in selected
        forced = scene.id in force and is_selected
        scene_plan = plan_scene(scene, storyboard, catalog, snapshot, by_id, forced=forced)
        by_id[scene.id] = scene_plan if is_selected else _left_out(scene_plan, snapshot)
    path = forecast.critical_path(storyboard, by_id)
    in_file_order = tuple(by_id[scene.id] for scene in storyboard.scenes)
    return Plan(storyboard, in_file_order, path, forecast.expected(storyboard, by_id, slots))


def plan_scene(
    scene: Scene,
    storyboard: Storyboard,
    catalog: Catalog,
    snapshot: Snapshot,
    upstream: Mapping[str, ScenePlan],
    *,
    forced: bool = False,
    tried: Collection[str] = (),
) -> ScenePlan:
    """Return the plan of one scene. `upstream` holds the plans of the scenes it is made from.

    `tried` holds the keys of its ways that this run has tried already: see `ways.choose`.
    """
    inputs = inputs_of(scene, snapshot.digests, upstream)

    def request_of(way: Scene) -> Request:
        return Request(way, catalog.dialect_of(catalog.models[way.model]), inputs)

    request = request_of(scene)
    if scene.has_fallback and not forced:
        request = ways.choose(scene, storyboard, snapshot, request_of, tried)
    way = request.scene
    recorded = takes.of_request(request, storyboard, snapshot)
    keeps = not recorded and storyboard.policy.on_upstream_change == "keep"
    kept = takes.kept(request, snapshot) if keeps else []
    key = kept[0].key if kept and not forced else request.key
    chosen = takes.Takes(request, key, snapshot)
    chosen.add_existing(recorded or kept, are_kept=bool(kept))
    if forced:
        chosen.force()
    else:
        chosen.add_elsewhere({take.job_id for take in recorded if take.job_id})
    chosen.add_new("forced" if forced else _why_new(scene, request, snapshot, upstream))
    blocked = reason.block(scene, upstream) if chosen.has_new else None
    if blocked:
        chosen.block(blocked.reason)
    action, why = reason.combine(chosen.plans, scene, upstream)
    return ScenePlan(
        request=request,
        action=action,
        reason=why,
        key=key,
        takes=tuple(chosen.plans),
        price=price_of(way, catalog),
        dearest=_dearest(scene, catalog),
        wait_s=catalog.models[way.model].wait(way.seconds),
        forced=forced,
        blocked_by=blocked.scene if blocked else None,
    )


def _why_new(
    written: Scene, request: Request, snapshot: Snapshot, upstream: Mapping[str, ScenePlan]
) -> str:
    way = request.scene
    if (way.model, way.mode) == (written.model, written.mode):
        return reason.why_new(request, snapshot, upstream)
    return f"fallback to {way.model}{f' {way.mode}' * bool(way.mode)}: {written.model} failed"


def price_of(scene: Scene, catalog: Catalog) -> PriceRange | None:
    """Return the price of one take."""
    model = catalog.models[scene.model]
    return model.price(scene.seconds, scene.mode, with_video=scene.video is not None)


def _dearest(scene: Scene, catalog: Catalog) -> PriceRange | None:
    """Return the price of one take by the dearest way; None where that of a way is not known.

    A job that failed is not paid for.
    """
    prices = [price_of(way, catalog) for way in scene.ways]
    known = [one for one in prices if one is not None]
    if len(known) < len(prices) or len({one.currency for one in known}) > 1:
        return None
    return max(known, key=lambda one: one.high)


def with_upstream(storyboard: Storyboard, scenes: Iterable[str]) -> set[str]:
    """Return the ids of these scenes, and of every scene they are made from."""
    found: set[str] = set()
    todo = list(scenes)
    while todo:
        scene_id = todo.pop()
        if scene_id not in found:
            found.add(scene_id)
            todo.extend(storyboard.scene(scene_id).upstream)
    return found


def with_downstream(storyboard: Storyboard, scenes: Iterable[str]) -> set[str]:
    """Return the ids of these scenes, and of every scene made from them."""
    found = set(scenes)
    for scene in storyboard.ordered():
        if found.intersection(scene.upstream):
            found.add(scene.id)
    return found


def _left_out(scene_plan: ScenePlan, snapshot: Snapshot) -> ScenePlan:
    """Return the plan of a scene that was not asked for: it makes no take.

    It shows the clip that exists, even one from before a change.
    """
    existing = tuple(
        take for take in scene_plan.takes if take.action not in (Action.SUBMIT, Action.BLOCKED)
    )
    scene_plan = dataclasses.replace(
        scene_plan, action=Action.SKIP, reason="not asked for", takes=existing, blocked_by=None
    )
    own = snapshot.collected(scene_plan.scene.id)
    if existing or not own:
        return scene_plan
    key = own[-1].key
    reason_kept = "not asked for: its clip is from before a change"
    before = tuple(
        TakePlan(Action.REUSE, reason_kept, take.ordinal, take)
        for take in own
        if take.key == key and take.id not in snapshot.missing
    )
    return dataclasses.replace(scene_plan, key=key, takes=before) if before else scene_plan
