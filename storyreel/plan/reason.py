"""Explain in words why a scene is made, waits or is blocked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Scene
from storyreel.plan import identity
from storyreel.plan.identity import Kind
from storyreel.plan.model import Action, ScenePlan, TakePlan
from storyreel.plan.request import Request
from storyreel.plan.snapshot import Snapshot

_AFTER = {
    State.RELEASED: "was not accepted last time; sent again",
    State.ABANDONED: "abandoned before; made again",
}


def why_new(request: Request, snapshot: Snapshot, upstream: Mapping[str, ScenePlan]) -> str:
    """Return why a take must be made: the first difference from the scene's newest take."""
    own = snapshot.by_scene.get(request.scene.id, [])
    if not own:
        return "new"
    last = own[-1]
    if last.superseded:
        return "asked for again"
    if changed := request.changed(last):
        return f"{changed[0]} changed"
    if changed_input := _changed_input(request, last, upstream):
        return changed_input
    if last.key != request.key:
        return "its inputs are sent in another way"
    if last.state is State.FAILED:
        return f"failed last time ({last.error_class}); tried again"
    return _AFTER.get(last.state, f"takes: {request.scene.takes}")


def _changed_input(request: Request, last: Take, upstream: Mapping[str, ScenePlan]) -> str | None:
    """Return the first input that differs from those of a take, in words; None if none does."""
    for role, given in request.inputs.items():
        if role not in last.inputs:
            return f"{role} added"
        before = identity.parse(str(last.inputs[role].get("id")))
        if before and before.recorded == given.identity.recorded:
            continue
        if given.identity.is_of_another_take(before):
            when = "will be" if _is_remade(upstream, given.scene) else "was"
            return f"scene `{given.scene}` {when} made again"
        is_bytes = before and before.kind is given.identity.kind is Kind.BYTES
        return f"{role} bytes changed" if is_bytes else f"{role} changed"
    removed = set(last.inputs) - set(request.inputs)
    return f"{min(removed)} removed" if removed else None


def _is_remade(upstream: Mapping[str, ScenePlan], scene_id: str | None) -> bool:
    scene_plan = upstream.get(scene_id or "")
    return scene_plan is not None and scene_plan.action in (Action.SUBMIT, Action.WAIT_UPSTREAM)


def combine(
    takes: Sequence[TakePlan], scene: Scene, upstream: Mapping[str, ScenePlan]
) -> tuple[Action, str]:
    """Return the scene's action and reason, from those of its takes."""
    by_action = {take.action: take.reason for take in reversed(takes)}
    if Action.SUBMIT in by_action:
        waits = any(upstream[name].is_to_run for name in scene.upstream)
        return (Action.WAIT_UPSTREAM if waits else Action.SUBMIT), by_action[Action.SUBMIT]
    for action in (Action.RESUME, Action.BLOCKED, Action.HELD, Action.FAILED):
        if action in by_action:
            return action, by_action[action]
    return Action.REUSE, by_action[Action.REUSE]


@dataclass(frozen=True, slots=True)
class Block:
    """Why a scene cannot be made: a scene upstream has no clip and gets none.

    `scene` is the id of the first such scene.
    """

    scene: str
    reason: str


_WITHOUT_CLIP = {
    Action.SKIP: "left out",
    Action.HELD: "held",
    Action.FAILED: "failed: moderation blocked it",
}


def block(scene: Scene, upstream: Mapping[str, ScenePlan]) -> Block | None:
    """Return what blocks a scene; None if nothing does."""
    for name in scene.upstream:
        scene_plan = upstream.get(name)
        if scene_plan is not None and scene_plan.used is not None:
            continue
        if scene_plan and scene_plan.blocked_by and scene_plan.blocked_by != name:
            first = scene_plan.blocked_by
            return Block(first, f"needs `{name}`, which is blocked by `{first}`")
        action = scene_plan.action if scene_plan else Action.SKIP
        why = _WITHOUT_CLIP.get(action, "without the take that is picked")
        return Block(name, f"needs `{name}`, which is {why}")
    return None
