"""Plan: from storyboard, catalogue and snapshot to what would run, why and for how much."""

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

# The room's door: other rooms need this module only.
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
    """Return the plan.

    `selected` leaves the other scenes alone; `force` makes these scenes again.
    """
    planned: dict[str, ScenePlan] = {}
    for scene in storyboard.ordered():
        forced = scene.id in force and (selected is None or scene.id in selected)
        one = plan_scene(scene, storyboard, catalog, snapshot, planned, forced=forced)
        planned[scene.id] = (
            one if selected is None or scene.id in selected else _left_out(one, snapshot)
        )
    path = forecast.critical_path(storyboard, planned)
    in_file_order = tuple(planned[scene.id] for scene in storyboard.scenes)
    return Plan(storyboard, in_file_order, path, forecast.expected(storyboard, planned, slots))


def plan_scene(
    scene: Scene,
    storyboard: Storyboard,
    catalog: Catalog,
    snapshot: Snapshot,
    above: Mapping[str, ScenePlan],
    *,
    forced: bool = False,
    tried: Collection[str] = (),
) -> ScenePlan:
    """Plan one scene, given the plans of those it is made from.

    `tried` holds the keys of its ways that this run has tried already: see `ways.choose`.
    """
    inputs = inputs_of(scene, snapshot.digests, above)

    def request_of(way: Scene) -> Request:
        return Request(way, catalog.dialect_of(catalog.models[way.model]), inputs)

    written = scene
    if not forced and (scene.fallback or scene.fallback_prompt):
        scene = ways.choose(scene, storyboard, snapshot, request_of, tried)
    model, request = catalog.models[scene.model], request_of(scene)
    rows = takes.of_request(request, storyboard, snapshot)
    keeps = not rows and storyboard.policy.on_upstream_change == "keep"
    kept = takes.kept(request, snapshot) if keeps else []
    key = kept[0].key if kept and not forced else request.key
    planned = takes.Takes(request, key, snapshot)
    planned.add_existing(rows or kept, are_kept=bool(kept))
    if forced:
        planned.force()
    else:
        planned.add_elsewhere({row.job_id for row in rows if row.job_id})
    planned.add_new("forced" if forced else _why_new(written, request, snapshot, above))
    blocked = reason.block(scene, above) if planned.has_new else None
    if blocked:
        planned.block(blocked.reason)
    action, why = reason.together(planned.found, scene, above)
    return ScenePlan(
        request=request,
        action=action,
        reason=why,
        key=key,
        takes=tuple(planned.found),
        price=price_of(scene, catalog),
        dearest=_dearest(written, catalog),
        wait_s=model.wait(scene.seconds),
        forced=forced,
        blocked_by=blocked.scene if blocked else None,
    )


def _why_new(
    written: Scene, request: Request, snapshot: Snapshot, above: Mapping[str, ScenePlan]
) -> str:
    way = request.scene
    if (way.model, way.mode) == (written.model, written.mode):
        return reason.why_new(request, snapshot, above)
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


def _left_out(planned: ScenePlan, snapshot: Snapshot) -> ScenePlan:
    """A scene that was not asked for: nothing is made of it.

    The clip that it has is shown, even from before a change.
    """
    here = tuple(
        take for take in planned.takes if take.action not in (Action.SUBMIT, Action.BLOCKED)
    )
    planned = dataclasses.replace(
        planned, action=Action.SKIP, reason="not asked for", takes=here, blocked_by=None
    )
    own = snapshot.collected(planned.scene.id)
    if here or not own:
        return planned
    whole = [take for take in own if take.key == own[-1].key and take.id not in snapshot.missing]
    before = [
        TakePlan(Action.REUSE, "not asked for: its clip is of before a change", t.ordinal, t)
        for t in whole
    ]
    return dataclasses.replace(planned, key=own[-1].key, takes=tuple(before)) if before else planned
