"""Is the end of a clip fit to start another from? Report black, frozen and blurred pictures;
refuse none.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import av
import numpy as np
from numpy.typing import NDArray

LOOKED_AT = 13  # pictures at the end: half a second
WIDTH_PX = 320
DARK = 24  # of 255: nothing in the picture is brighter
STILL = 0.35  # mean change between neighbours, of 255; encoders alone make about 0.1
# of 255: the step at the sharpest edges of a small picture; out of focus they have 2 to 6
SHARP = 10.0

Luma = NDArray[np.float32]


def concerns(tail: Sequence[av.VideoFrame]) -> list[str]:
    """List what may be wrong with the last of these pictures as the start of another clip.
    Newest last.
    """
    last = _luma(tail[-1])
    if float(np.percentile(last, 99)) < DARK:
        return ["its last picture is almost black"]
    reasons = ["its pictures are interlaced"] if tail[-1].interlaced_frame else []
    backwards = itertools.pairwise(
        itertools.chain([last], (_luma(frame) for frame in reversed(tail[:-1])))
    )
    if len(tail) >= LOOKED_AT and all(float(np.abs(b - a).mean()) < STILL for a, b in backwards):
        reasons.append("its last half second stands still")
    if _sharpness(last) < SHARP:
        reasons.append("its last picture is blurred")
    return reasons


def _luma(frame: av.VideoFrame) -> Luma:
    """Return the light of a picture, small: shape (height, width), 0 to 255."""
    width = min(WIDTH_PX, frame.width)
    height = max(2, round(frame.height * width / frame.width))
    small = frame.reformat(width=width, height=height, format="gray", interpolation="AREA")
    luma: Luma = small.to_ndarray().astype(np.float32)
    return luma


def _sharpness(luma: Luma) -> float:
    """Return the step at the sharpest edges: the second difference that one pixel in 200
    exceeds.
    """
    across = np.abs(luma[:, 2:] - 2 * luma[:, 1:-1] + luma[:, :-2])[1:-1]
    down = np.abs(luma[2:] - 2 * luma[1:-1] + luma[:-2])[:, 1:-1]
    return float(np.percentile(np.maximum(across, down), 99.5))
