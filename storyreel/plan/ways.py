"""Choose the way to make a scene: as it is written, or by a fallback after a failure. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator

from storyreel.errors import ErrorKind
from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Scene, Storyboard
from storyreel.plan import takes
from storyreel.plan.request import Request
from storyreel.plan.snapshot import Snapshot


def choose(
    scene: Scene,
    storyboard: Storyboard,
    snapshot: Snapshot,
    request_of: Callable[[Scene], Request],
    tried: Collection[str] = (),
) -> Scene:
    """Return the first way that has not failed, or else the first one that may be tried again.

    A way has failed once the API said so: it refused the request, or ended the job as failed. A
    lost answer is no failure. `tried` holds the keys that this run has tried already.
    """
    again = None
    way = scene
    for way in _ways(scene, snapshot, request_of):
        request = request_of(way)
        failed = [take for take in snapshot.by_key.get(request.key, []) if has_failed(take)]
        rows = takes.of_request(request, storyboard, snapshot)
        if any(row.state is not State.FAILED for row in rows) or not failed:
            return way
        if again is None and request.key not in tried and not any(map(is_moderated, failed)):
            again = way
    return again or way


def _ways(
    scene: Scene, snapshot: Snapshot, request_of: Callable[[Scene], Request]
) -> Iterator[Scene]:
    """Yield each way, and after one that moderation blocked the same with the other prompt."""
    for way in scene.ways:
        yield way
        before = snapshot.by_key.get(request_of(way).key, [])
        if way.fallback_prompt and any(map(is_moderated, before)):
            yield dataclasses.replace(way, prompt=way.fallback_prompt, fallback_prompt=None)


def has_failed(take: Take) -> bool:
    """Did the API say that this take failed, or that it refuses the request?"""
    is_refused = take.state is State.RELEASED and take.error_class == ErrorKind.INVALID
    return take.state is State.FAILED or is_refused


def is_moderated(take: Take) -> bool:
    """Did moderation block the take? The same request would be blocked again."""
    return take.state is State.FAILED and take.error_class == ErrorKind.MODERATION
