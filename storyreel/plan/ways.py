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
) -> Request:
    """Return the request of the first way that has not failed, or else of the first to try again.

    A way has failed once the API said so: it refused the request, or ended the job as failed. A
    lost answer is no failure. `tried` holds the keys that this run has tried already.
    """
    again = None
    request = request_of(scene)
    for request in _requests(scene, snapshot, request_of):
        failed = [take for take in snapshot.by_key.get(request.key, []) if _has_failed(take)]
        recorded = takes.of_request(request, storyboard, snapshot)
        if any(take.state is not State.FAILED for take in recorded) or not failed:
            return request
        if again is None and request.key not in tried and not any(map(takes.is_moderated, failed)):
            again = request
    return again or request


def _requests(
    scene: Scene, snapshot: Snapshot, request_of: Callable[[Scene], Request]
) -> Iterator[Request]:
    """Yield the request of each way, and after one that moderation blocked that of other words."""
    for way in scene.ways:
        request = request_of(way)
        yield request
        earlier = snapshot.by_key.get(request.key, [])
        if way.fallback_prompt and any(map(takes.is_moderated, earlier)):
            softer = dataclasses.replace(way, prompt=way.fallback_prompt, fallback_prompt=None)
            yield request_of(softer)


def _has_failed(take: Take) -> bool:
    """Did the API say that this take failed, or that it refuses the request?"""
    is_refused = take.state is State.RELEASED and take.error_class == ErrorKind.INVALID
    return take.state is State.FAILED or is_refused
