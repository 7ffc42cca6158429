"""Why a scene is made, waits or is blocked, in words."""

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
    State.ABANDONED: "given up before; made again",
}


def why_new(request: Request, snapshot: Snapshot, above: Mapping[str, ScenePlan]) -> str:
    """Why a take has to be made: the first difference from the newest one of this scene."""
    own = snapshot.by_scene.get(request.scene.id, [])
    if not own:
        return "new"
    last = own[-1]
    if last.superseded:
        return "asked for again"
    if changed := request.changed(last):
        return f"{changed[0]} changed"
    if changed_input := _changed_input(request, last, above):
        return changed_input
    if last.key != request.key:
        return "its inputs are sent in another way"
    if last.state is State.FAILED:
        return f"failed last time ({last.error_class}); tried again"
    return _AFTER.get(last.state, f"takes: {request.scene.takes}")


def _changed_input(request: Request, last: Take, above: Mapping[str, ScenePlan]) -> str | None:
    """The first input that differs from those of a take, in words."""
    for role, one in request.inputs.items():
        if role not in last.inputs:
            return f"{role} added"
        before = identity.parse(str(last.inputs[role].get("id")))
        if before and before.recorded == one.identity.recorded:
            continue
        if one.identity.is_of_another_take(before):
            return (
                f"scene `{one.scene}` {'will be' if _is_remade(above, one.scene) else 'was'} "
                "made again"
            )
        is_bytes = before and before.kind is one.identity.kind is Kind.BYTES
        return f"{role} bytes changed" if is_bytes else f"{role} changed"
    removed = set(last.inputs) - set(request.inputs)
    return f"{min(removed)} removed" if removed else None


def _is_remade(above: Mapping[str, ScenePlan], scene_id: str | None) -> bool:
    planned = above.get(scene_id or "")
    return planned is not None and planned.action in (Action.SUBMIT, Action.WAIT_UPSTREAM)


def together(
    takes: Sequence[TakePlan], scene: Scene, above: Mapping[str, ScenePlan]
) -> tuple[Action, str]:
    """The scene's action and reason out of its takes'."""
    by_action = {take.action: take.reason for take in reversed(takes)}
    if Action.SUBMIT in by_action:
        waits = any(above[name].is_to_run for name in scene.upstream)
        return (Action.WAIT_UPSTREAM if waits else Action.SUBMIT), by_action[Action.SUBMIT]
    for action in (Action.RESUME, Action.BLOCKED, Action.HELD, Action.FAILED):
        if action in by_action:
            return action, by_action[action]
    return Action.REUSE, by_action[Action.REUSE]


@dataclass(frozen=True, slots=True)
class Block:
    """Why a scene cannot be made: a scene above it has no clip and gets none.

    `scene` is where it begins.
    """

    scene: str
    reason: str


_WITHOUT_CLIP = {
    Action.SKIP: "left out",
    Action.HELD: "held",
    Action.FAILED: "failed: moderation blocked it",
}


def block(scene: Scene, above: Mapping[str, ScenePlan]) -> Block | None:
    """What blocks a scene, None if nothing does."""
    for name in scene.upstream:
        planned = above.get(name)
        if planned is not None and planned.used is not None:
            continue
        if planned and planned.blocked_by and planned.blocked_by != name:
            return Block(
                planned.blocked_by, f"needs `{name}`, which is blocked by `{planned.blocked_by}`"
            )
        action = planned.action if planned else Action.SKIP
        return Block(
            name,
            f"needs `{name}`, which is "
            f"{_WITHOUT_CLIP.get(action, 'without the take that is picked')}",
        )
    return None
