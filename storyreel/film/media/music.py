"""The music under the film, at one level throughout: soft passages stay soft."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from storyreel.errors import MediaError
from storyreel.film.media import mix
from storyreel.film.media.hearing import RATE, Ear, Sound

LOUDNESS_LUFS = -16.0
END_S = 2.0  # faded out over so many seconds
_FIX = "name a file of sound, such as an mp3, m4a, flac or wav, that a player plays"


def inspect(path: Path) -> None:
    """Decode the beginning of a file.

    Raises:
        MediaError: nothing is heard in it: a picture, a text, an empty or a damaged file. The
        message follows its name.
    """
    ear = Ear(path)
    try:
        heard = next(ear.blocks(), None)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"is no sound that can be decoded ({type(error).__name__})", fix=_FIX
        ) from error
    if heard is None:
        what = "has no sound in it" if not ear.tracks else "has no sound that can be decoded"
        raise MediaError(what, fix=_FIX)


def blocks(path: Path, gain_db: float, total: int, notes: list[str]) -> Iterator[Sound]:
    """Yield the music at -16 LUFS plus `gain_db`, exactly `total` samples: cut with a fade, or
    followed by silence. Decode it twice, the first time for its level.

    Raises:
        MediaError: nothing can be decoded.
    """
    try:
        ear = Ear(path)
        lufs, _ = mix.loudness(_part(ear, total))
        if ear.damaged:
            notes.append(
                f"music {path.name}: {ear.damaged} places of it cannot be decoded: left out"
            )
        gain = (
            np.float32(10 ** ((LOUDNESS_LUFS - lufs + gain_db) / 20))
            if lufs > -70
            else np.float32(1)
        )
        at = 0
        for block in _part(Ear(path), total):
            fade = np.clip((total - np.arange(at, at + block.shape[1])) / (END_S * RATE), 0, 1)
            at += block.shape[1]
            yield block * gain * fade.astype(np.float32)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(
            f"the music {path.name} cannot be decoded: {type(error).__name__}", fix=_FIX
        ) from error
    if not at:
        raise MediaError(f"the music {path.name} has no sound that can be decoded", fix=_FIX)
    if total - at > RATE:
        notes.append(f"music {path.name}: it ends {(total - at) / RATE:.1f} s before the film")
    while at < total:
        silence = min(RATE, total - at)
        yield np.zeros((2, silence), np.float32)
        at += silence


def _part(ear: Ear, total: int) -> Iterator[Sound]:
    """Decode the music that a film of `total` samples needs; close gaps of damage."""
    at = 0
    for block, _ in ear.blocks():
        part = block[:, : total - at]
        at += part.shape[1]
        if part.shape[1]:
            yield part
        if at >= total:
            return
