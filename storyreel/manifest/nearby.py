"""Guess the file that was meant by a path without a file."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

LOOKED_AT = 2000


def guess(folder: Path, text: str, suffixes: Iterable[str] = ()) -> str | None:
    """Guess the file in `folder`, or up to two levels below it, that `text` most likely meant.
    Return its path relative to `folder`, or None.

    `suffixes`, e.g. `.yaml`, limits the files; by default all count.
    """
    wanted = tuple(suffixes)
    files = [
        f
        for f in islice(_files(folder), LOOKED_AT)
        if not wanted or Path(f).suffix.lower() in wanted
    ]
    path = Path(text.replace("\\", "/"))
    for is_like in (
        lambda f: f.lower() == path.as_posix().lower(),
        lambda f: Path(f).with_suffix("") == path.with_suffix(""),
        lambda f: Path(f).name.lower() == path.name.lower(),
        lambda f: Path(f).stem.lower() == path.stem.lower(),
    ):
        if found := [f for f in files if is_like(f)]:
            return min(found, key=len)
    close = difflib.get_close_matches(path.as_posix(), files, n=1, cutoff=0.75)
    return close[0] if close else None


def _files(folder: Path) -> Iterator[str]:
    """Yield the files of a folder and two levels below it; nothing hidden, no results of runs."""
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        folders[:] = (
            sorted(f for f in folders if not f.startswith(".") and f != "runs")
            if len(inside.parts) < 2
            else []
        )
        yield from (
            (inside / name).as_posix() for name in sorted(files) if not name.startswith(".")
        )
