"""The fonts that come with Storyreel, so that no text depends on what a machine has installed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

_FOLDER = Path(__file__).with_name("fonts")
LATIN = _FOLDER / "DejaVuSans.ttf"
CJK = _FOLDER / "wqy-microhei.ttc"
_FIRST_CJK = 0x2E80


def for_text(text: str, size_px: int) -> ImageFont.FreeTypeFont:
    """A font that has the glyphs of `text`: DejaVu Sans, or WenQuanYi Micro Hei where it holds Chinese, Japanese or Korean."""
    return _load(CJK if any(ord(c) >= _FIRST_CJK for c in text) else LATIN, size_px)


@lru_cache(maxsize=32)
def _load(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


def wrap(text: str, font: ImageFont.FreeTypeFont, width_px: int, lines: int) -> str:
    """Break `text` into at most `lines` lines of `width_px`; the rest becomes an ellipsis. Breaks anywhere in CJK."""
    out, line = [], ""
    words = [w for part in text.split() for w in ([*part, " "] if ord(part[0]) >= _FIRST_CJK else [part + " "])]
    for i, word in enumerate(words):
        if font.getlength(line + word.rstrip()) <= width_px or not line:
            line += word
            continue
        out.append(line.rstrip())
        line = word
        if len(out) == lines:
            out[-1] = out[-1][:-1] + "…" if i < len(words) else out[-1]
            return "\n".join(out)
    return "\n".join([*out, line.rstrip()])
