"""Has one picture anything to do with another? A structural measure on small luma pictures.

Models do not give their input back exactly: they regrade it, encode it, cut it to their own shape,
move on by a few pixels. So what is compared is coarse structure: both pictures become 48x48 luma,
lose what is broader than about a sixth of the picture (skies and vignettes are alike everywhere),
and are correlated, at the best of small shifts, crops and paddings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SIDE = 48
BROAD = 6  # what so small a picture still has is taken out
SHIFT = 3  # cells to each side: 6 % of the picture
ZOOMS = (1.0, 0.92)
FLAT = 1.0  # levels of luma, of 255: what varies less has no structure to compare

Luma = NDArray[np.float32]


def likeness(sent: Image.Image, made: Image.Image) -> float | None:
    """-1 to 1: near 1 for the same picture, near 0 for two that have nothing in common.

    None where one of them has no structure.
    """
    target = _structure(made)
    if target is None:
        return None
    found = [
        _correlation(one, target)
        for fit in _fits(sent, made.size)
        if (one := _structure(fit)) is not None
    ]
    return max(found) if found else None


def _fits(sent: Image.Image, size: tuple[int, int]) -> Iterator[Image.Image]:
    """The picture as a model may have brought it to the clip's shape."""
    small = sent.convert("L")
    small.thumbnail((640, 640))
    for zoom in ZOOMS:
        cut = ((1 - zoom) / 2 * small.width, (1 - zoom) / 2 * small.height)
        one = small.crop(
            (
                round(cut[0]),
                round(cut[1]),
                round(small.width - cut[0]),
                round(small.height - cut[1]),
            )
        )
        yield ImageOps.fit(one, size)
        if abs(one.width * size[1] / (one.height * size[0]) - 1) > 0.02:
            yield ImageOps.pad(one, size)
            yield one.resize(size)


def _structure(picture: Image.Image) -> Luma | None:
    luma = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    fine = np.asarray(luma, np.float32)
    broad = (
        Image.fromarray(fine)
        .resize((BROAD, BROAD), Image.Resampling.BOX)
        .resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    )
    found = fine - np.asarray(broad, np.float32)
    return found if float(found.std()) >= FLAT else None


def _correlation(a: Luma, b: Luma) -> float:
    """The best correlation of the inner part of `a` with `b` at any small shift."""
    inner = a[SHIFT:-SHIFT, SHIFT:-SHIFT]
    best = -1.0
    for down in range(2 * SHIFT + 1):
        for right in range(2 * SHIFT + 1):
            other = b[down : down + inner.shape[0], right : right + inner.shape[1]]
            spread = float(inner.std() * other.std())
            if spread > 0:
                best = max(
                    best, float(((inner - inner.mean()) * (other - other.mean())).mean()) / spread
                )
    return best
