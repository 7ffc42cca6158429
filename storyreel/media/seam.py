"""The place where two clips meet."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from storyreel.media import thumbnail

# A chained seam differs by 0.7 on average, neighbours inside a clip by 1.1, an unchained cut by 48 (levels of 255).
SAME_LEVELS = 3.0
_SMALL = (160, 90)


def is_same_picture(before: Path, after: Path) -> bool:
    """Is the first picture of `after` the last one of `before` again?"""
    return bool(np.abs(_small(before, -1) - _small(after, 0)).mean() < SAME_LEVELS)


def _small(path: Path, which: int) -> NDArray[np.float32]:
    with av.open(str(path), metadata_errors="replace") as container:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        picture = thumbnail.last(container, video) if which else thumbnail.near(container, video, 0)
    return np.asarray(picture.convert("RGB").resize(_SMALL), dtype=np.float32)
