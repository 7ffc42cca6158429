"""Read a storyboard file: return a `Storyboard`, or every fault at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from storyreel.catalog.load import Catalog
from storyreel.errors import StoryboardError
from storyreel.manifest import comments, shape, source
from storyreel.manifest import prompt as prompts
from storyreel.manifest.document import ID_PATTERN, Document, slug
from storyreel.manifest.faults import Fault, Severity
from storyreel.manifest.places import Source, YamlPath
from storyreel.manifest.resolve import Resolver
from storyreel.manifest.rules import Rules
from storyreel.manifest.stills import Stills
from storyreel.manifest.storyboard import Storyboard


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: all faults in file order, and the storyboard if none is an error."""

    storyboard: Storyboard | None
    faults: tuple[Fault, ...]

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """Return the faults that do not refuse the storyboard."""
        return tuple(f for f in self.faults if f.severity is Severity.WARNING)


def load(path: Path, catalog: Catalog, variables: Mapping[str, str] | None = None) -> Storyboard:
    """Return the storyboard in `path`. `variables` override its `vars`.

    Raises:
        StoryboardError: it has faults; the exception carries all of them.
        UsageError: the file cannot be read.
    """
    checked = check(path, catalog, variables)
    if checked.storyboard is None:
        raise StoryboardError(list(checked.faults))
    return checked.storyboard


def check(
    path: Path,
    catalog: Catalog,
    variables: Mapping[str, str] | None = None,
    today: date | None = None,
) -> Checked:
    """Find every fault of the storyboard in `path`.

    Raises:
        UsageError: the file cannot be read.
    """
    text = source.read(path, str(path))
    storyboard = None
    if isinstance(text.data, dict):
        storyboard = _check(text, path, catalog, variables or {}, today or datetime.now(UTC).date())
    faults = tuple(sorted(text.faults))
    if any(f.severity is Severity.ERROR for f in faults):
        storyboard = None
    return Checked(storyboard, faults)


def _check(
    text: Source, path: Path, catalog: Catalog, variables: Mapping[str, str], today: date
) -> Storyboard | None:
    comments.warn(text)
    document, broken = shape.fit(text)
    _top(text, document, broken)
    resolver = Resolver(text, document, broken, catalog, variables)
    scenes = resolver.run()
    Rules(resolver, catalog, today).run()
    Stills(resolver, catalog, path.parent).run()
    board_id = document.id or slug(path.stem)
    if not re.match(ID_PATTERN, board_id) and ("id",) not in broken:
        text.error(
            text.at(()),
            f"the file's name `{path.stem}` gives no id",
            "add `id:` with a-z, 0-9 and -",
        )
        return None
    return Storyboard(
        id=board_id,
        title=prompts.replace(document.title or board_id, resolver.texts.variables),
        path=path,
        scenes=tuple(scenes),
        budget=document.budget,
        policy=document.policy,
        cut=document.cut,
        music_seen=look(path.parent / document.cut.music.file) if document.cut.music else None,
    )


def look(file: Path) -> tuple[int, int] | None:
    """Return a file's size and the time of its last change in nanoseconds: they change if it is
    replaced.
    """
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _top(text: Source, document: Document, broken: set[YamlPath]) -> None:
    if document.version is None and ("version",) not in broken:
        text.error(
            text.at(()),
            "`version` is missing; 1 is assumed",
            "add `version: 1` at the top",
            Severity.WARNING,
        )
    if not document.scenes and ("scenes",) not in broken:
        at = text.at(("scenes",), key=True) if "scenes" in text.data else text.at(())
        text.error(
            at,
            "the storyboard has no scenes",
            "add at least one under `scenes:` with `id` and `prompt`",
        )
