"""The seam of two clips: compare the last picture of one with the first of the next."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storyreel.film.media import thumbnail
from storyreel.film.media.clip import moving, pixel_shape, to_rgb

# A chained seam differs by 0.7 on average, neighbours inside a clip by 1.1, an unchained cut by 48
# (levels of 255).
SAME_LEVELS = 3.0
WIDTH_PX, HEIGHT_PX = 320, 180
WINDOW_PX = 8
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # BT.709


@dataclass(frozen=True, slots=True)
class Seam:
    """Two pictures compared at 320 x 180. `psnr_db` is at most 99 (the same), `ssim` 1 for the
    same. The steps are mean differences in levels of 255, below minus above. `is_same`: they
    are one picture.
    """

    psnr_db: float
    ssim: float
    luma_step: float
    colour_step: float
    is_same: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self)


def measure(above: Image.Image, below: Image.Image) -> Seam:
    """Compare the last picture of one clip with the first of the next."""
    one, two = _small(above), _small(below)
    difference = two - one
    error = float(np.square(difference).mean())
    luma = [picture @ _LUMA for picture in (one, two)]
    return Seam(
        psnr_db=round(99.0 if error < 1e-5 else min(99.0, 10 * math.log10(255**2 / error)), 2),
        ssim=round(_ssim(*luma), 4),
        luma_step=round(float((luma[1] - luma[0]).mean()), 2) + 0.0,  # no minus zero
        colour_step=round(float(np.abs(difference.mean(axis=(0, 1))).max()), 2),
        is_same=bool(np.abs(difference).mean() < SAME_LEVELS),
    )


def first_picture(path: Path) -> Image.Image:
    """Decode the first picture of a clip."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = moving(container)
        return to_rgb(thumbnail.near(container, video, 0), shape=pixel_shape(video))


def _small(picture: Image.Image) -> NDArray[np.float32]:
    small = picture.convert("RGB").resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _ssim(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Return the mean structural similarity over windows of 8 x 8 (Wang et al. 2004, with a
    flat window).
    """

    def windows(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = HEIGHT_PX // WINDOW_PX, WIDTH_PX // WINDOW_PX
        cut = picture[: rows * WINDOW_PX, : columns * WINDOW_PX]
        return (
            cut.reshape(rows, WINDOW_PX, columns, WINDOW_PX)
            .swapaxes(1, 2)
            .reshape(-1, WINDOW_PX**2)
        )

    a, b = windows(one), windows(two)
    mean_a, mean_b = a.mean(1), b.mean(1)
    both = ((a - mean_a[:, None]) * (b - mean_b[:, None])).mean(1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (a.var(1) + b.var(1) + c2))).mean())
