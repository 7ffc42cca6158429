"""Forecast how long a plan takes: its critical path, and its wall-clock time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from storyreel.manifest.storyboard import Scene, Storyboard
from storyreel.plan.model import ScenePlan


def critical_path(storyboard: Storyboard, scene_plans: Mapping[str, ScenePlan]) -> tuple[str, ...]:
    """Return the chain of scenes that ends last if every scene starts as soon as it can."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for scene in storyboard.ordered():
        latest = max(scene.upstream, key=lambda n: ends[n], default=None)
        before[scene.id] = latest
        ends[scene.id] = (ends[latest] if latest else 0.0) + _duration(scene_plans[scene.id])
    last = max(ends, key=lambda n: ends[n], default=None)
    if last is None or ends[last] == 0:
        return ()
    path: list[str] = []
    while last is not None:
        if _duration(scene_plans[last]):
            path.append(last)
        last = before[last]
    return tuple(reversed(path))


def expected(
    storyboard: Storyboard, scene_plans: Mapping[str, ScenePlan], slots: int
) -> tuple[float, float]:
    """Return (low, high) wall-clock seconds with `slots` jobs at once.

    Each job starts as soon as its inputs exist and a slot is free.
    """
    low, high = (_end(storyboard, scene_plans, max(1, slots), side) for side in (0, 1))
    return low, high


def _end(
    storyboard: Storyboard, scene_plans: Mapping[str, ScenePlan], slots: int, side: int
) -> float:
    """Return when the last scene ends, in seconds.

    `side` chooses the low (0) or the high (1) end of each wait.
    """
    free = [0.0] * slots
    ends: dict[str, float] = {}
    downstream = _downstream(storyboard)
    waiting = {scene.id: len(scene.upstream) for scene in storyboard.scenes}
    ready = [(0.0, scene.index, scene.id) for scene in storyboard.scenes if not scene.upstream]
    heapq.heapify(ready)
    while ready:
        at, _, name = heapq.heappop(ready)
        ends[name] = _end_of_scene(scene_plans[name], at, free, side)
        for child in downstream[name]:
            waiting[child.id] -= 1
            if waiting[child.id] == 0:
                heapq.heappush(ready, (max(ends[n] for n in child.upstream), child.index, child.id))
    return max(ends.values(), default=0.0)


def _downstream(storyboard: Storyboard) -> dict[str, list[Scene]]:
    """Return the scenes that are made from each scene."""
    downstream: dict[str, list[Scene]] = {scene.id: [] for scene in storyboard.scenes}
    for scene in storyboard.scenes:
        for name in scene.upstream:
            downstream[name].append(scene)
    return downstream


def _end_of_scene(scene_plan: ScenePlan, at: float, free: list[float], side: int) -> float:
    """Occupy the earliest free slots with a scene that is ready at `at`.

    Return when its last take ends, in seconds.
    """
    if not scene_plan.is_to_run:
        return at
    end = at
    for _ in range(max(1, scene_plan.to_make)):
        take_end = max(at, heapq.heappop(free)) + scene_plan.wait_s[side]
        heapq.heappush(free, take_end)
        end = max(end, take_end)
    return end


def _duration(scene_plan: ScenePlan) -> float:
    """Return the expected seconds of one scene; 0 where it does not run."""
    if scene_plan.is_to_run:
        return sum(scene_plan.wait_s) / 2
    return 0.0
