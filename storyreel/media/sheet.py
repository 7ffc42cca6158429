"""The contact sheet: first, middle and last picture of every clip, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from storyreel.media import font, thumbnail

CELL_W, CELL_H, LABEL_H, GAP = 256, 144, 26, 8
BACKGROUND, INK = (24, 24, 27), (228, 228, 231)


def make(clips: Sequence[tuple[str, Path, Path]], title: str) -> bytes:
    """Return a JPEG with one row of three pictures for each (label, clip, kept strip)."""
    columns = 1 if len(clips) <= 6 else 2 if len(clips) <= 40 else 4
    rows = -(-len(clips) // columns)
    block_w, block_h = 3 * (CELL_W + 2) + GAP, CELL_H + LABEL_H + GAP
    sheet = Image.new("RGB", (columns * block_w + GAP, rows * block_h + 48), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, title, 20, (GAP, 10), sheet.width - 2 * GAP)
    for i, (label, path, strip) in enumerate(clips):
        x, y = GAP + (i % columns) * block_w, 48 + (i // columns) * block_h
        _write(draw, label, 14, (x, y + 4), block_w - GAP)
        for n, picture in enumerate(thumbnail.of(path, strip)):
            picture.thumbnail((CELL_W, CELL_H))
            cell_x = x + n * (CELL_W + 2)
            sheet.paste(picture, (cell_x + (CELL_W - picture.width) // 2, y + LABEL_H + (CELL_H - picture.height) // 2))
    return thumbnail.jpeg(sheet, 85)


def _write(draw: ImageDraw.ImageDraw, text: str, size_px: int, at: tuple[int, int], width_px: int) -> None:
    """Write the text in one line from `at`, smaller where it would be too wide."""
    while size_px > 8 and font.width(text, size_px) > width_px:
        size_px -= 1
    block = font.Block((text,), size_px)
    font.draw(draw, block, *at, font.width(text, size_px), INK)
