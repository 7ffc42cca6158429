"""What the workspace and the ledgers hold at the time of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from storyreel.ledger.rows import State, Take


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A take that was paid for under another storyboard id, folder or scene name.

    `workspace`: the folder of its storyboard's results. `place`: the same folder, as messages show
    it. `is_whole`: its clip is on disk as recorded.
    """

    take: Take
    workspace: str
    place: str
    is_whole: bool


@dataclass(frozen=True)
class Snapshot:
    """The state that a plan starts from.

    `missing`: the ids of takes whose clip is not on disk as recorded. `digests`: the sha256 of each
    picture file. `retakes`: how many takes `storyreel retake` asked for, by (scene, key).
    `elsewhere`: takes that other ledgers of the project have paid for.
    """

    takes: tuple[Take, ...] = ()
    missing: frozenset[int] = frozenset()
    digests: Mapping[str, str] = field(default_factory=dict)
    retakes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    elsewhere: tuple[Elsewhere, ...] = ()

    @cached_property
    def elsewhere_by_key(self) -> dict[str, list[Elsewhere]]:
        """Return the takes of other ledgers by key, whole clips first; each job once."""
        found: dict[str, dict[str, Elsewhere]] = {}
        for other in sorted(
            self.elsewhere, key=lambda e: (not e.is_whole, e.take.ordinal, e.take.id)
        ):
            job = other.take.job_id or f"#{other.take.id}"
            found.setdefault(other.take.key, {}).setdefault(job, other)
        return {key: list(jobs.values()) for key, jobs in found.items()}

    @cached_property
    def by_scene(self) -> dict[str, list[Take]]:
        """Return the takes of each scene, oldest first."""
        return _grouped(self.takes, lambda take: take.scene)

    @cached_property
    def by_key(self) -> dict[str, list[Take]]:
        """Return the takes of each key, oldest first."""
        return _grouped(self.takes, lambda take: take.key)

    def collected(self, scene_id: str) -> list[Take]:
        """Return a scene's takes that have a clip and were not replaced, oldest first."""
        own = self.by_scene.get(scene_id, [])
        return [take for take in own if not take.superseded and take.state is State.COLLECTED]


def _grouped(takes: Iterable[Take], by: Callable[[Take], str]) -> dict[str, list[Take]]:
    groups: dict[str, list[Take]] = {}
    for take in takes:
        groups.setdefault(by(take), []).append(take)
    return groups
