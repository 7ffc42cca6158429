"""Captions: a subtitle track beside the picture, or letters in it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from storyreel.media import clip, font

Planes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Cue:
    """A text from one second of the film to another."""

    start_s: float
    end_s: float
    text: str


def add_track(out: av.container.OutputContainer, cues: Sequence[Cue]) -> list[av.Packet[Any]]:
    """Add a mov_text track to `out`; returns its packets, to be muxed."""
    with av.open(io.BytesIO(srt(cues).encode()), "r", format="srt") as source:
        texts = source.streams.subtitles[0]
        found = [(p, texts.codec_context.decode2(p)) for p in source.demux(texts) if p.dts is not None]
        stream = out.add_stream("mov_text")
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.subtitle_header = texts.codec_context.subtitle_header  # known only once something was decoded
        packets = []
        for packet, text in found:
            if text is None:
                continue
            made = context.encode_subtitle(text)
            made.pts = made.dts = packet.pts
            made.duration, made.time_base, made.stream = packet.duration, texts.time_base or Fraction(1, 1000), stream
            packets.append(made)
        return packets


def srt(cues: Sequence[Cue]) -> str:
    """The cues as SubRip."""
    return "\n".join(
        f"{i}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{' '.join(cue.text.split())}\n"
        for i, cue in enumerate(cues, 1)
    )


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"


class Overlay:
    """A caption drawn once, to be laid over many yuv420p pictures of one size."""

    def __init__(self, text: str, width: int, height: int) -> None:
        face = font.for_text(text, max(14, height // 18))
        layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
        ImageDraw.Draw(layer).multiline_text(
            (width / 2, height - height // 14), font.wrap(text, face, int(width * 0.88), 2), font=face, fill="white",
            anchor="md", align="center", stroke_width=max(1, height // 360), stroke_fill="black",
        )  # fmt: skip
        box = layer.getbbox() or (0, 0, width, 4)
        self.top, foot = box[1] // 4 * 4, min(height, -(-box[3] // 4) * 4)
        band = layer.crop((0, self.top, width, foot))
        rows = foot - self.top
        planes = clip.to_planes(band.convert("RGB")).astype(np.uint16)
        alpha = np.asarray(band.getchannel("A")).astype(np.uint16)
        soft = (alpha[::2, ::2] + alpha[1::2, ::2] + alpha[::2, 1::2] + alpha[1::2, 1::2]) // 4
        half = (rows // 2, width // 2)
        quarter = rows // 4
        self._rows = rows
        self._luma = (planes[:rows], alpha)
        self._chroma = [(planes[rows + i * quarter : rows + (i + 1) * quarter].reshape(half), soft) for i in range(2)]

    def over(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture with the caption in it."""
        width, height = frame.width, frame.height
        planes = frame.to_ndarray().astype(np.uint8)
        _mix(planes[self.top : self.top + self._rows], *self._luma)
        for i, (colour, alpha) in enumerate(self._chroma):
            begin = height + i * height // 4
            plane = planes[begin : begin + height // 4].reshape(height // 2, width // 2)
            _mix(plane[self.top // 2 : (self.top + self._rows) // 2], colour, alpha)
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def card(text: str, width: int, height: int) -> Planes:
    """A dark card with a text in its middle, as yuv420p planes."""
    picture = Image.new("RGB", (width, height), (24, 24, 27))
    face = font.for_text(text, max(14, height // 16))
    ImageDraw.Draw(picture).multiline_text(
        (width / 2, height / 2), font.wrap(text, face, int(width * 0.8), 4), font=face, fill=(228, 228, 231), anchor="mm", align="center"
    )  # fmt: skip
    return clip.to_planes(picture)


def _mix(below: Planes, above: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> None:
    below[:] = ((below * (255 - alpha) + above * alpha) // 255).astype(np.uint8)
