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
    draw.text((GAP, 12), title, fill=INK, font=font.for_text(title, 20))
    for i, (label, path, strip) in enumerate(clips):
        x, y = GAP + (i % columns) * block_w, 48 + (i // columns) * block_h
        draw.text((x, y + 4), label, fill=INK, font=font.for_text(label, 14))
        for n, picture in enumerate(thumbnail.of(path, strip)):
            picture.thumbnail((CELL_W, CELL_H))
            cell_x = x + n * (CELL_W + 2)
            sheet.paste(picture, (cell_x + (CELL_W - picture.width) // 2, y + LABEL_H + (CELL_H - picture.height) // 2))
    return thumbnail.jpeg(sheet, 85)
