"""The shelf: encoded pieces of a film, each kept under what it consists of, so none is encoded
twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from storyreel.film.media.parts import Piece, Style
from storyreel.film.media.sound import Span
from storyreel.workspace.folder import write_whole

VERSION = 1  # raise it when the same inputs give other pictures


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded piece: its pictures, how many of them are in its file (`put`), and the rest of
    its `Span`.
    """

    count: int
    put: int
    begin_s: Fraction
    lead: int
    held: int
    rise: int
    fall: int
    notes: tuple[str, ...] = ()

    def span(self, path: Path | None, start: int) -> Span:
        """Return where its sound is in the film; `start` is its first picture there."""
        return Span(
            path, start, self.count, self.begin_s, self.lead, self.held, self.rise, self.fall
        )


class Shelf:
    """A folder of pieces: `KEY.mp4`, and beside it `KEY.json` once it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()
        self._digests: dict[Path, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def key(self, made_of: Sequence[object], style: Style) -> str:
        """Compute a piece's key from the bytes of its files, what is done with them, and the
        tools.
        """
        burned = style.subtitles == "burned"
        how = [style.size, style.fps, style.transition_s, burned]
        parts = [
            self._described(part, burned) if isinstance(part, Piece) else part for part in made_of
        ]
        text = json.dumps(
            [VERSION, av.__version__, *sorted(av.library_versions.items()), how, parts]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _described(self, piece: Piece, burned: bool) -> list[Any]:
        seconds = None if piece.path else piece.seconds
        drawn = piece.caption if burned or seconds is not None else None
        files = [self._digest(file) if file else None for file in (piece.path, piece.still)]
        return [*files, piece.skip_first, piece.into, drawn, piece.leave_out_last, seconds]

    def _digest(self, file: Path) -> str:
        if file not in self._digests:
            with file.open("rb") as data:
                self._digests[file] = hashlib.file_digest(data, "sha256").hexdigest()
        return self._digests[file]

    def file(self, key: str) -> Path:
        """Return the path of a whole piece."""
        return self._folder / f"{key}.mp4"

    def part(self, key: str) -> Path:
        """Return the path of a piece that is being written."""
        return self._folder / f".{key}.{os.getpid()}.part"

    def find(self, key: str) -> Encoded | None:
        """Return the piece of that key; None if it is missing or not whole."""
        self._used.add(key)
        try:
            record = json.loads((self._folder / f"{key}.json").read_text("utf-8"))
            size = record.pop("bytes")
            record["begin_s"] = Fraction(record["begin_s"])
            record["notes"] = tuple(record["notes"])
            encoded = Encoded(**record)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        file = self.file(key)
        return encoded if file.exists() and file.stat().st_size == size else None

    def keep(self, key: str, encoded: Encoded) -> Encoded:
        """Move the piece that was written to `part` onto the shelf."""
        file = self.file(key)
        self.part(key).touch()  # a piece that is all dissolve has no pictures of its own
        self.part(key).replace(file)
        record = {name: getattr(encoded, name) for name in encoded.__dataclass_fields__}
        record |= {"begin_s": str(encoded.begin_s), "bytes": file.stat().st_size}
        write_whole(self._folder / f"{key}.json", json.dumps(record).encode())
        return encoded

    def clear(self) -> None:
        """Remove the pieces that this film did not use."""
        for file in self._folder.iterdir():
            if file.suffix == ".part" or file.stem not in self._used:
                file.unlink(missing_ok=True)
