"""The record of a clip, for tests that need only some of its facts."""

from __future__ import annotations

from typing import Any

from storyreel.ledger.clip import Clip


def clip(path: str = "clips/a/take-1.mp4", **changes: Any) -> Clip:
    """A clip of five seconds; `changes` are the facts that matter."""
    facts: dict[str, Any] = {
        "sha256": "0", "bytes": 1, "mtime_ns": 0, "width": 1280, "height": 720, "fps": 24.0, "frames": 120,
        "duration_s": 5.0, "has_audio": False, "codec": "h264", "colour_assumed": False, "suspect": False,
        "concerns": (), "damage": (),
    }  # fmt: skip
    return Clip(path, **{**facts, **changes})
