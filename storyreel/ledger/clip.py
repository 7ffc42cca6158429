"""A clip on disk, as the ledger records it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Clip:
    """The file of a collected take, and the facts of its decode; see `film.media.clip.ClipFacts`.

    The ledger's JSON has the fields in this order. `path` is relative to the workspace. `bytes` is
    the file's size, `mtime_ns` its modification time. A field is None where an older version did
    not record it.
    """

    path: str
    sha256: str
    bytes: int
    mtime_ns: int | None
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    has_audio: bool
    codec: str
    colour_assumed: bool
    suspect: bool
    concerns: tuple[str, ...] | None = None
    damage: tuple[str, ...] | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Clip | None:
        """Return the clip; None if a value is missing that every version records."""
        recorded = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        for name in ("concerns", "damage"):
            if recorded.get(name) is not None:
                recorded[name] = tuple(recorded[name])
        try:
            return cls(**{"mtime_ns": None, **recorded})
        except TypeError:
            return None

    @classmethod
    def read(cls, text: str | None) -> Clip | None:
        """Return the clip of a ledger's row."""
        return cls.of(json.loads(text)) if text else None

    @property
    def text(self) -> str:
        """Return the JSON of a ledger's row."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def as_dict(self) -> dict[str, Any]:
        """Return every recorded fact, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}
