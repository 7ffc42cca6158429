"""How long a plan takes: the critical path, and the clock on the wall with so many jobs at once."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from storyreel.manifest.storyboard import Scene, Storyboard
from storyreel.plan.model import ScenePlan


def critical_path(storyboard: Storyboard, planned: Mapping[str, ScenePlan]) -> tuple[str, ...]:
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


def expected(
    storyboard: Storyboard, planned: Mapping[str, ScenePlan], slots: int
) -> tuple[float, float]:
    """(low, high) wall-clock in seconds with `slots` jobs at once, each started as soon as its turn
    comes.
    """
    low, high = (_end(storyboard, planned, max(1, slots), side) for side in (0, 1))
    return low, high


def _end(storyboard: Storyboard, planned: Mapping[str, ScenePlan], slots: int, side: int) -> float:
    """When the last scene ends, in seconds. `side` chooses the low or the high end of each wait."""
    free = [0.0] * slots
    ends: dict[str, float] = {}
    below = _below(storyboard)
    waiting = {scene.id: len(scene.upstream) for scene in storyboard.scenes}
    ready = [(0.0, scene.index, scene.id) for scene in storyboard.scenes if not scene.upstream]
    heapq.heapify(ready)
    while ready:
        at, _, name = heapq.heappop(ready)
        ends[name] = _run(planned[name], at, free, side)
        for child in below[name]:
            waiting[child.id] -= 1
            if waiting[child.id] == 0:
                heapq.heappush(ready, (max(ends[n] for n in child.upstream), child.index, child.id))
    return max(ends.values(), default=0.0)


def _below(storyboard: Storyboard) -> dict[str, list[Scene]]:
    """The scenes made from each scene."""
    below: dict[str, list[Scene]] = {scene.id: [] for scene in storyboard.scenes}
    for scene in storyboard.scenes:
        for name in scene.upstream:
            below[name].append(scene)
    return below


def _run(planned: ScenePlan, at: float, free: list[float], side: int) -> float:
    """Give a scene that is ready at `at` the slots that are free first.

    Return when its last take ends.
    """
    if not planned.is_to_run:
        return at
    end = at
    for _ in range(max(1, planned.to_make)):
        take_end = max(at, heapq.heappop(free)) + planned.wait_s[side]
        heapq.heappush(free, take_end)
        end = max(end, take_end)
    return end


def _duration(planned: ScenePlan) -> float:
    if planned.is_to_run:
        return sum(planned.wait_s) / 2
    return 0.0
