"""Compares a clip with what was asked for: does the endpoint honour the fields of a request? Pure.

Gateways take our body, bill it, and leave fields out silently (gateways.md 1.2): `seconds`, `size`,
the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

from storyreel.ledger.clip import Clip
from storyreel.ledger.moments import number
from storyreel.manifest.storyboard import Scene

LENGTH_S = 0.6
# Measured (tests/integration/test_likeness.py): the same picture regraded, re-encoded, cut or moved
# has 0.87 and more, unrelated ones 0.12 in the middle. In doubt a picture counts as honoured: a
# wrong alarm stops a run.
UNRELATED = 0.25
SQUARE = 1.15  # sides that differ by less have no orientation


def ignored(scene: Scene, clip: Clip) -> list[str]:
    """The fields that were not honoured, each as a sentence.

    A remix or an edit takes these from its source: none.
    """
    if scene.remix or scene.video:
        return []
    found = []
    if abs(clip.duration_s - scene.seconds) > LENGTH_S:
        found.append(
            f"`seconds`: {scene.seconds} s were asked for, the clip has {clip.duration_s:.1f} s"
        )
    asked = _shape(scene.size)
    given = (
        scene.first_frame or scene.end_frame or scene.references
    )  # a picture may give the clip its own shape
    if not given and asked:
        wanted, has = _orientation(*asked), _orientation(clip.width, clip.height)
        if wanted != has:
            found.append(
                f"`size`: {scene.size} ({wanted}) was asked for, the clip is "
                f"{clip.width}x{clip.height} ({has})"
            )
    return found


def unlike(likenesses: Mapping[str, float]) -> list[str]:
    """The pictures that were sent and left out, each as a sentence; by role, how like them the
    clip's own pictures are.
    """
    sides = {"first_frame": "first", "end_frame": "last"}
    return [
        f"`{role}`: the clip's {sides[role]} picture has nothing to do with the one that was sent "
        f"(likeness {max(0.0, like):.2f}, the same picture has 1)"
        for role, like in likenesses.items()
        if like < UNRELATED
    ]


def echoed(scene: Scene, seconds: str | None, size: str | None) -> list[str]:
    """Where the answer to a request names another length or size than was asked for, each as a
    sentence. What a server does not name, or names in a form of its own (`720p`), does not speak
    against it.
    """
    if scene.remix or scene.video:
        return []
    found = []
    length = number(seconds.strip().lower().removesuffix("s")) if seconds else None
    if length is not None and abs(length - scene.seconds) > LENGTH_S:
        found.append(f"`seconds`: {scene.seconds} were asked for, the answer says {seconds}")
    asked, made = (
        _shape(scene.size),
        _shape((size or "").lower().replace("*", "x").replace(":", "x")),
    )
    given = scene.first_frame or scene.end_frame or scene.references
    if not given and asked and made and _orientation(*asked) != _orientation(*made):
        found.append(f"`size`: {scene.size} was asked for, the answer says {size}")
    return found


def _shape(size: str) -> tuple[int, int] | None:
    width, _, height = size.partition("x")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _orientation(width: int, height: int) -> str:
    if max(width, height) < SQUARE * max(1, min(width, height)):
        return "square"
    return "landscape" if width > height else "portrait"
