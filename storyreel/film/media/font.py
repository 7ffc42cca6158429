"""Text as pixels, in the fonts that come with Storyreel: the same on every machine.

No text is cut off. Lines break by Unicode's rules, and inside a word that is too long. Long text
gets smaller letters, or more lines. `missing` names characters that no font has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features
from uniseg.graphemecluster import grapheme_clusters
from uniseg.linebreak import line_break_units

_FOLDER = Path(__file__).with_name("fonts")
LATIN = _FOLDER / "DejaVuSans.ttf"  # with Greek, Cyrillic, Arabic and Hebrew
CJK = _FOLDER / "wqy-microhei.ttc"
FONTS = (
    LATIN,
    CJK,
    _FOLDER / "NotoSansThai.ttf",
    _FOLDER / "NotoSansDevanagari.ttf",
    _FOLDER / "NotoEmoji.ttf",
)
_SMALLEST = 0.6  # of the wanted size; a text that needs less takes more lines instead
_SPACING = 1.25  # lines apart, in sizes


@dataclass(frozen=True, slots=True)
class Block:
    """A text laid out: its lines, and the size of its letters in pixels."""

    lines: tuple[str, ...]
    size_px: int

    @property
    def height_px(self) -> int:
        """Return the share of the picture's height that its lines take."""
        return round(len(self.lines) * self.size_px * _SPACING)


def lay(text: str, size_px: int, width_px: int, lines: int) -> Block:
    """Lay out all of `text` in lines of at most `width_px`. Shrink the letters first, then add
    lines.
    """
    smallest = max(8, round(size_px * _SMALLEST))
    for size in range(size_px, smallest - 1, -1):
        made = wrap(text, size, width_px)
        if len(made) <= lines or size == smallest:
            return Block(tuple(made), size)
    return Block(tuple(wrap(text, smallest, width_px)), smallest)


def wrap(text: str, size_px: int, width_px: int) -> list[str]:
    """Break the text into lines of at most `width_px`; keep its own line breaks."""
    out: list[str] = []
    for paragraph in tidy(text).split("\n"):
        line = ""
        for unit in _units(paragraph, size_px, width_px):
            if line and width(line + unit.rstrip(), size_px) > width_px:
                out.append(line.rstrip())
                line = ""
            line += unit
        out.append(line.rstrip())
    return out


def tidy(text: str) -> str:
    """Remove needless space: one between words, none around lines, no empty line."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _units(paragraph: str, size_px: int, width_px: int) -> Iterator[str]:
    """Split a line where Unicode allows a break, and a part that is too wide between its
    letters.
    """
    for unit in line_break_units(paragraph):
        if width(unit.rstrip(), size_px) <= width_px:
            yield unit
        else:
            yield from grapheme_clusters(unit)


def width(line: str, size_px: int) -> float:
    """Return the width of a line in pixels."""
    return sum(_load(font, size_px).getlength(run) for run, font in _runs(line))


def draw(
    layer: ImageDraw.ImageDraw,
    block: Block,
    left: float,
    top: float,
    width_px: float,
    fill: tuple[int, ...],
    *,
    stroke_px: int = 0,
) -> None:
    """Draw the block centred between `left` and `left + width_px`, its first line at `top`."""
    step = block.size_px * _SPACING
    for i, line in enumerate(block.lines):
        x = left + (width_px - width(line, block.size_px)) / 2
        for run, font in _in_order(line):
            face = _load(font, block.size_px)
            place = (x, top + (i + 0.5) * step + 0.36 * block.size_px)  # a common baseline
            layer.text(
                place,
                run,
                fill=fill,
                font=face,
                anchor="ls",
                stroke_width=stroke_px,
                stroke_fill=(0, 0, 0, 255),
            )
            x += face.getlength(run)


def missing(text: str) -> list[str]:
    """List the characters of `text` that no font has, each once. They would be drawn as boxes."""
    characters = dict.fromkeys(
        c for c in text if not _is_silent(c) and not any(_has(font, c) for font in FONTS)
    )
    return list(characters)


def misshapen(text: str) -> bool:
    """Does the text need joined or reordered letters that this machine's Pillow cannot draw?"""
    complex_ = any(
        unicodedata.bidirectional(c) in ("R", "AL") or "\u0900" <= c <= "\u0dff" for c in text
    )
    return complex_ and not features.check("raqm")


def _in_order(line: str) -> list[tuple[str, Path]]:
    """Return the runs of a line from left to right. A line that begins in Arabic or Hebrew is
    read from the right.
    """
    runs = list(_runs(line))
    strong = (unicodedata.bidirectional(c) for c in line)
    first = next((kind for kind in strong if kind in ("L", "R", "AL")), "L")
    return runs if first == "L" else runs[::-1]


def _runs(line: str) -> Iterator[tuple[str, Path]]:
    """Split the line into parts of one font each; one part if one font has all of it."""
    whole = next(
        (font for font in FONTS if all(_is_silent(c) or _has(font, c) for c in line)), None
    )
    if whole:
        yield line, whole
        return
    run, current = "", FONTS[0]
    for cluster in grapheme_clusters(line):
        font = next((f for f in FONTS if all(_is_silent(c) or _has(f, c) for c in cluster)), LATIN)
        font = current if run and cluster.isspace() else font
        if run and font != current:
            yield run, current
            run = ""
        run, current = run + cluster, font
    yield run, current


def _is_silent(character: str) -> bool:
    """Is the character invisible: space, joiner, direction, variant?"""
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cf", "Cc", "Zs")
        or "\ufe00" <= character <= "\ufe0f"
    )


@lru_cache(maxsize=8192)
def _has(font: Path, character: str) -> bool:
    return _drawn(font, character) != _drawn(font, "\U0010fffe")


def _drawn(font: Path, character: str) -> tuple[tuple[int, int], bytes]:
    face = _plain(font)
    mask = face.getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=8)
def _plain(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), 24, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=64)
def _load(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


def picture(
    block: Block, size: tuple[int, int], fill: tuple[int, ...], background: tuple[int, int, int]
) -> Image.Image:
    """Return a picture with the block in its middle."""
    picture = Image.new("RGB", size, background)
    draw(ImageDraw.Draw(picture), block, 0, (size[1] - block.height_px) / 2, size[0], fill)
    return picture
