"""A clip's pictures against those that were sent: only one that has nothing to do with them
counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from storyreel.film.media.likeness import likeness
from storyreel.run.comparison import UNRELATED, unlike

SMALL = (320, 180)


def photo(seed: int, size: tuple[int, int] = (1280, 720)) -> Image.Image:
    """A picture with structure of all sizes, as photographs have it, and of no other picture."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0]))
    for cells in (4, 8, 16, 32, 64, 128):
        grain = Image.fromarray(
            random.standard_normal((cells * 9 // 16 + 1, cells)).astype(np.float32)
        )
        total += np.asarray(grain.resize(size, Image.Resampling.BICUBIC)) / cells
    total = (total - total.min()) / (total.max() - total.min()) * 255
    return Image.fromarray(total.astype(np.uint8)).convert("RGB")


def encoded(picture: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return Image.open(out)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "identical": lambda p: p,
    "small": lambda p: p.resize(SMALL),
    "re-encoded": lambda p: encoded(p.resize(SMALL), 15),
    "graded": lambda p: ImageEnhance.Contrast(ImageEnhance.Brightness(p).enhance(0.5)).enhance(0.6),
    "warm": lambda p: ImageChops.multiply(p, Image.new("RGB", p.size, (255, 190, 120))),
    "shifted": lambda p: ImageChops.offset(p, 14, 9),
    "moved in": lambda p: p.crop((40, 22, 1240, 698)).resize(SMALL),
    "soft": lambda p: p.resize(SMALL).filter(ImageFilter.GaussianBlur(4)),
    "cut to portrait": lambda p: ImageOps.fit(p, (180, 320)),
    "padded to a square": lambda p: ImageOps.pad(p, (300, 300)),
    "squeezed": lambda p: p.resize((300, 300)),
    "with a line of text": lambda p: ImageChops.lighter(
        p, ImageOps.pad(Image.new("RGB", (1280, 60), "white"), p.size)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(3))
def test_the_same_picture_is_recognised_however_it_was_changed(seed: int, change: str) -> None:
    like = likeness(photo(seed), CHANGES[change](photo(seed)))
    assert like is not None and like > 2 * UNRELATED


def test_another_picture_is_told_apart() -> None:
    pairs = [likeness(photo(a), photo(b).resize(SMALL)) for a in range(6) for b in range(6, 12)]
    assert np.median([one for one in pairs if one is not None]) < UNRELATED / 1.5
    assert sum(one is not None and one < UNRELATED for one in pairs) > 0.75 * len(pairs)


def test_a_picture_of_one_colour_cannot_be_judged() -> None:
    flat = Image.new("RGB", SMALL, (200, 59, 39))
    assert likeness(flat, photo(1)) is None and likeness(photo(1), flat) is None


def test_only_an_unrelated_picture_counts() -> None:
    assert unlike({"first_frame": 0.9, "end_frame": UNRELATED}) == []
    (words,) = unlike({"first_frame": 0.9, "end_frame": -0.1})
    assert words.startswith("`end_frame`: the clip's last picture") and "0.00" in words
