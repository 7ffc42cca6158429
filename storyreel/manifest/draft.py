"""Scenes before they are resolved: their fields, their places, and the faults found in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storyreel.manifest.document import Document, SceneEntry
from storyreel.manifest.faults import nearest
from storyreel.manifest.places import Source, YamlPath


@dataclass(slots=True)
class Draft:
    """One scene before it is resolved. `own` names the fields that it sets itself."""

    index: int
    entry: SceneEntry
    id: str
    own: set[str]

    def path(self, name: str) -> YamlPath:
        """Return the place of a field: in the scene if it sets the field, else in the defaults."""
        return ("scenes", self.index, name) if name in self.own else ("defaults", name)


class Drafts:
    """All scenes of a document. `broken` holds the paths whose values had the wrong shape."""

    def __init__(self, source: Source, document: Document, broken: set[YamlPath]) -> None:
        self.source = source
        self.document = document
        self.broken = broken
        self.by_id: dict[str, Draft] = {}
        self.all = [self._add(i, entry) for i, entry in enumerate(document.scenes or [])]
        self.ids = [draft.id for draft in self.all]

    def _add(self, index: int, entry: SceneEntry) -> Draft:
        path: YamlPath = ("scenes", index)
        if entry.id is None and (*path, "id") not in self.broken and path not in self.broken:
            self.error(path, "a scene has no `id`", "add `id:`, e.g. `id: opening`")
        name = entry.id or f"#{index + 1}"
        if name in self.by_id:
            line, _ = self.source.place(self.source.at(("scenes", self.by_id[name].index, "id")))
            self.error(
                (*path, "id"),
                f"scene id `{name}` is used twice (first in line {line})",
                "give this scene another id",
            )
            name = f"{name}#{index + 1}"  # its other faults are reported, too
        draft = Draft(index, entry, name, set(entry.model_fields_set))
        self.by_id[name] = draft
        return draft

    def value(self, draft: Draft, name: str) -> Any:
        """Return a field of the scene: its own value, else the default."""
        if name in draft.own:
            return getattr(draft.entry, name)
        return getattr(self.document.defaults, name, None)

    def is_broken(self, draft: Draft, name: str) -> bool:
        """Did this field have the wrong shape, so that its value is unknown?"""
        spots: list[YamlPath] = [("scenes", draft.index, name)]
        if name not in draft.own:
            spots.append(("defaults", name))
        return any(_overlap(path, spot) for path in self.broken for spot in spots)

    def is_chained(self, draft: Draft) -> bool:
        """Does the scene start from the scene above because of `chain: true`?"""
        if not self.document.chain or "first_frame" in draft.own or draft.index == 0:
            return False
        video = self.value(draft, "reference_video")
        return not (video and video.refer_type == "base")

    def above(self, draft: Draft) -> str:
        """Return the id of the scene above."""
        return self.all[draft.index - 1].id

    def error(self, path: YamlPath, message: str, fix: str) -> None:
        """Note an error at the place of the value at `path`."""
        self.source.error(self.source.at(path), message, fix)

    def unknown_scene(self, path: YamlPath, name: str) -> None:
        """Note that no scene has this id; guess the one that was meant."""
        guess = nearest(name, self.ids)
        hint = f"; did you mean `{guess}`?" if guess else ""
        ids = ", ".join(self.ids[:12]) + (" …" if len(self.ids) > 12 else "")
        fix = f"write `{guess}`" if guess else f"scenes here: {ids}"
        self.error(path, f"unknown scene `{name}`{hint}", fix)


def _overlap(path: YamlPath, other: YamlPath) -> bool:
    shared = min(len(path), len(other))
    return path[:shared] == other[:shared]
