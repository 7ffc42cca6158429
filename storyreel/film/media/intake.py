"""Verify a downloaded clip, and write its strip and stills from one decode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storyreel.errors import MediaError
from storyreel.film.media import still, thumbnail
from storyreel.film.media.clip import ClipFacts, Opened, verify
from storyreel.workspace.folder import write_whole


def take_in(clip: Path, strip: Path, stills: Mapping[str, Path]) -> ClipFacts:
    """Verify a clip and write its strip and its `stills` (`first`, `last`, `last-3` -> path). Skip
    a still before the clip's beginning.

    Raises:
        MediaError: the clip is not whole; nothing is written.
    """
    opened = verify(clip, tail=_reach(stills))
    write_whole(strip, thumbnail.strip(opened))
    _write(opened, {name: path for name, path in stills.items() if len(opened.tail) > _back(name)})
    return opened.facts


def write_stills(clip: Path, stills: Mapping[str, Path]) -> None:
    """Write stills of a clip that is already on disk.

    Raises:
        MediaError: the clip is damaged, or too short for one of them; nothing is written.
    """
    opened = verify(clip, tail=_reach(stills))
    for name in stills:
        if len(opened.tail) <= _back(name):
            raise MediaError(
                f"the clip has only {opened.facts.frames} pictures; {name} is before its beginning"
            )
    _write(opened, stills)


def _write(opened: Opened, stills: Mapping[str, Path]) -> None:
    for name, path in stills.items():
        write_whole(
            path, still.png(opened.first if name == "first" else opened.before_last(_back(name)))
        )


def _reach(stills: Mapping[str, Path]) -> int:
    """Return how many of the last pictures are needed."""
    return 1 + max((_back(name) for name in stills), default=0)


def _back(name: str) -> int:
    """Return how many pictures before the last one a still is; `first` is not counted."""
    return -int(name[4:] or 0) if name.startswith("last") else 0
