"""Decode the sound of a file: stereo samples at 48 kHz, each block at its own time, from any
track.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
STEADY = RATE // 50  # times may waver by 20 ms without a gap between two blocks
Sound = NDArray[np.float32]  # shape (2, n): stereo, -1 to 1


class Ear:
    """Reads the first track of a file that can be decoded. `damaged` counts packets that cannot
    be decoded, `tracks` the file's tracks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.tracks = 0

    def blocks(self) -> Iterator[tuple[Sound, int]]:
        """Yield (block, its first sample's number). A gap in the track is a gap in the numbers."""
        number = 0
        while True:
            heard = False
            for block in self._track(number):
                heard = True
                yield block
            number += 1
            if heard or number >= self.tracks:
                return

    def _track(self, number: int) -> Iterator[tuple[Sound, int]]:
        with av.open(str(self.path), metadata_errors="replace") as container:
            self.tracks = len(container.streams.audio)
            if not self.tracks:
                return
            expected: int | None = None
            for made in self._resampled(container, number):
                block = made.to_ndarray().astype(np.float32)
                if made.pts is not None and made.time_base is not None:
                    place = round(Fraction(made.pts) * made.time_base * RATE)
                else:
                    place = expected or 0
                if expected is not None and abs(place - expected) <= STEADY:
                    place = expected
                yield block, place
                expected = place + block.shape[1]

    def _resampled(
        self, container: av.container.InputContainer, number: int
    ) -> Iterator[av.AudioFrame]:
        resampler: av.AudioResampler | None = None
        kind = None
        for frame in self._decoded(container, number):
            found = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
            if resampler is None or found != kind:
                yield from _flushed(resampler)
                resampler, kind = av.AudioResampler("fltp", "stereo", RATE), found
            yield from resampler.resample(frame)
        yield from _flushed(resampler)

    def _decoded(
        self, container: av.container.InputContainer, number: int
    ) -> Iterator[av.AudioFrame]:
        """Yield all frames that can be decoded; count and skip the others."""
        stream = container.streams.audio[number]
        if getattr(stream, "codec_context", None) is None:
            self.damaged += 1
            return
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except av.FFmpegError:
                self.damaged += 1
                return
            try:
                yield from packet.decode()
            except (av.FFmpegError, ValueError):  # ValueError: no decoder knows the codec
                self.damaged += 1


def _flushed(resampler: av.AudioResampler | None) -> Iterator[av.AudioFrame]:
    if resampler is not None:
        yield from resampler.resample(None)
