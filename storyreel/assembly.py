"""From the takes of a storyboard to its film and contact sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storyreel.catalog import parse_size
from storyreel.ledger_rows import Take
from storyreel.manifest.storyboard import SceneImage, Storyboard
from storyreel.media import sheet
from storyreel.media.cut import Film, Piece, assemble
from storyreel.media.seam import is_same_picture
from storyreel.workspace import Workspace, write_whole


def cut(
    storyboard: Storyboard,
    workspace: Workspace,
    shown: Sequence[tuple[str, Take]],
    *,
    tell: Callable[[int], None] = lambda frames: None,
) -> Film:
    """Assemble `final.mp4` and `contact-sheet.jpg` from these (scene id, take), in film order.

    Where a scene begins on the very picture on which the one before it ends, that picture is shown once.

    Raises:
        MediaError: a clip cannot be read; the old film stays.
    """
    pieces: list[Piece] = []
    for i, (scene, row) in enumerate(shown):
        path = workspace.root / (row.clip or {})["path"]
        joined = i > 0 and _is_chained(storyboard, shown[i - 1][0], scene) and is_same_picture(pieces[-1].path, path)
        pieces.append(Piece(path, skip_first=joined))
    film = assemble(pieces, workspace.film, size=_size([row for _, row in shown]), tell=tell)
    labels = [f"{scene} · take {row.take}" for scene, row in shown]
    pictures = sheet.make(list(zip(labels, (p.path for p in pieces), strict=True)), storyboard.title)
    write_whole(workspace.sheet, pictures)
    return film


def _is_chained(storyboard: Storyboard, above: str, scene: str) -> bool:
    """Was `scene` asked to begin on the last picture of `above`?"""
    first = storyboard.scene(scene).first_frame
    return isinstance(first, SceneImage) and first.scene == above and first.frame == "last" and not first.offset


def _size(rows: Sequence[Take]) -> tuple[int, int]:
    """The size most clips have; the first of equals. Made even, as H.264 wants it."""
    sizes = [((r.clip or {})["width"], (r.clip or {})["height"]) for r in rows]
    width, height = max(sizes, key=sizes.count) if sizes else parse_size("1280x720")
    return width // 2 * 2, height // 2 * 2
