"""The contact sheet: first, middle and last picture of every clip, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from storyreel.errors import MediaError
from storyreel.film.media import font, thumbnail

CELL_W, CELL_H, LABEL_H, GAP = 256, 144, 26, 8
BACKGROUND, INK = (24, 24, 27), (228, 228, 231)


def make(clips: Sequence[tuple[str, Path, Path]], title: str) -> bytes:
    """Return a JPEG with one row of three pictures for each (label, clip, kept strip)."""
    cell_w, cell_h = _cell(clips)
    columns = 1 if len(clips) <= 6 else 2 if len(clips) <= 40 else 4
    rows = -(-len(clips) // columns)
    block_w, block_h = 3 * (cell_w + 2) + GAP, cell_h + LABEL_H + GAP
    sheet = Image.new("RGB", (columns * block_w + GAP, rows * block_h + 48), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, title, 20, (GAP, 10), sheet.width - 2 * GAP)
    for i, (label, path, strip) in enumerate(clips):
        x, y = GAP + (i % columns) * block_w, 48 + (i // columns) * block_h
        _write(draw, label, 14, (x, y + 4), block_w - GAP)
        for n, picture in enumerate(_pictures(path, strip)):
            picture.thumbnail((cell_w, cell_h))
            cell_x = x + n * (cell_w + 2)
            sheet.paste(
                picture,
                (
                    cell_x + (cell_w - picture.width) // 2,
                    y + LABEL_H + (cell_h - picture.height) // 2,
                ),
            )
    return thumbnail.jpeg(sheet, 85)


def _cell(clips: Sequence[tuple[str, Path, Path]]) -> tuple[int, int]:
    """Return a picture's size: upright if those of the first clip are."""
    first = next(
        (pictures[0] for _, path, strip in clips if (pictures := _pictures(path, strip))), None
    )
    return (CELL_H, CELL_W) if first and first.height > first.width else (CELL_W, CELL_H)


def _pictures(path: Path, strip: Path) -> list[Image.Image]:
    """Return first, middle and last picture of a clip; none if they cannot be decoded."""
    try:
        return thumbnail.of(path, strip)
    except (MediaError, OSError, ValueError):  # OSError and ValueError: what PyAV raises
        return []


def _write(
    draw: ImageDraw.ImageDraw, text: str, size_px: int, at: tuple[int, int], width_px: int
) -> None:
    """Draw the text in one line from `at`; shrink it if it is too wide."""
    while size_px > 8 and font.width(text, size_px) > width_px:
        size_px -= 1
    block = font.Block((text,), size_px)
    font.draw(draw, block, *at, font.width(text, size_px), INK)
