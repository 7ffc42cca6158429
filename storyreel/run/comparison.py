"""Compares a clip with what was asked for: does the endpoint honour the fields of a request? Pure.

Gateways take our body, bill it, and leave fields out silently (gateways.md 1.2): `seconds`, `size`.
"""

from __future__ import annotations

from storyreel.ledger.clip import Clip
from storyreel.manifest.storyboard import Scene

LENGTH_S = 0.6
SQUARE = 1.15  # sides that differ by less have no orientation


def ignored(scene: Scene, clip: Clip) -> list[str]:
    """The fields that were not honoured, each as a sentence. A remix or an edit takes these from its source: none."""
    if scene.remix or scene.video:
        return []
    found = []
    if abs(clip.duration_s - scene.seconds) > LENGTH_S:
        found.append(f"`seconds`: {scene.seconds} s were asked for, the clip has {clip.duration_s:.1f} s")
    asked = _shape(scene.size)
    given = scene.first_frame or scene.end_frame or scene.references  # a picture may give the clip its own shape
    if not given and asked:
        wanted, has = _orientation(*asked), _orientation(clip.width, clip.height)
        if wanted != has:
            found.append(
                f"`size`: {scene.size} ({wanted}) was asked for, the clip is {clip.width}x{clip.height} ({has})"
            )
    return found


def _shape(size: str) -> tuple[int, int] | None:
    width, _, height = size.partition("x")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _orientation(width: int, height: int) -> str:
    if max(width, height) < SQUARE * max(1, min(width, height)):
        return "square"
    return "landscape" if width > height else "portrait"
