"""What the workspace and the ledgers hold when a plan is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from storyreel.ledger.rows import State, Take


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A take that was paid for under another id, folder or name.

    `workspace` is the folder of its storyboard's results, `place` the same for a person to read.
    `is_whole`: its clip is on disk as it was recorded.
    """

    take: Take
    workspace: str
    place: str
    is_whole: bool


@dataclass(frozen=True)
class Snapshot:
    """What exists already.

    `missing` holds the ids of takes whose clip is not on disk as recorded. `digests` maps a picture
    file to its sha256. `retakes` counts the takes that a person asked for beside the storyboard, by
    (scene, key). `elsewhere` holds what other ledgers of the project have paid for.
    """

    takes: tuple[Take, ...] = ()
    missing: frozenset[int] = frozenset()
    digests: Mapping[str, str] = field(default_factory=dict)
    retakes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    elsewhere: tuple[Elsewhere, ...] = ()

    @cached_property
    def elsewhere_by_key(self) -> dict[str, list[Elsewhere]]:
        """The takes of other ledgers by key, whole clips first; each job once."""
        found: dict[str, dict[str, Elsewhere]] = {}
        for one in sorted(
            self.elsewhere, key=lambda e: (not e.is_whole, e.take.ordinal, e.take.id)
        ):
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

    def collected(self, scene_id: str) -> list[Take]:
        """The takes of a scene that have their clip and were not set aside, oldest first."""
        own = self.by_scene.get(scene_id, [])
        return [take for take in own if not take.superseded and take.state is State.COLLECTED]


def _grouped(takes: Iterable[Take], by: Callable[[Take], str]) -> dict[str, list[Take]]:
    groups: dict[str, list[Take]] = {}
    for take in takes:
        groups.setdefault(by(take), []).append(take)
    return groups
