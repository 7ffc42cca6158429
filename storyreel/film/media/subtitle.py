"""Captions: a subtitle track, or letters in the picture."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from storyreel.film.media import clip, font
from storyreel.film.media.picture import Plane, planes, stacked

Planes = NDArray[np.uint8]
LINES = 2
SIDE, FOOT = 0.06, 1 / 14  # what stays free at each side and below, as shares of width and height
# The encoder wants the header of an ASS script, and takes the track's style from it.
_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Cue:
    """A text from one second of the film to another."""

    start_s: float
    end_s: float
    text: str


def add_track(out: av.container.OutputContainer, cues: Sequence[Cue]) -> list[av.Packet[Any]]:
    """Add a mov_text track to `out` and return its packets, to be muxed.

    Write the samples without an encoder, a length and the text: an encoder reads `<b>` and `{` as
    markup.
    """
    stream = out.add_stream("mov_text")
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.codec_context.subtitle_header = _HEADER
    packets = []
    for cue in cues:
        text = font.tidy(cue.text).encode()[:0xFFFF].decode(errors="ignore").encode()
        packet: av.Packet[Any] = av.Packet(struct.pack(">H", len(text)) + text)
        packet.pts = packet.dts = round(cue.start_s * 1000)
        packet.duration = max(1, round(cue.end_s * 1000) - round(cue.start_s * 1000))
        packet.time_base, packet.stream = Fraction(1, 1000), stream
        packets.append(packet)
    return packets


def srt(cues: Sequence[Cue]) -> str:
    """Write the cues as SubRip."""
    return "\n".join(
        f"{i}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{font.tidy(cue.text)}\n"
        for i, cue in enumerate(cues, 1)
    )


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    hours, minutes, seconds = whole // 3_600_000, whole // 60_000 % 60, whole // 1000 % 60
    return f"{hours:02}:{minutes:02}:{seconds:02},{whole % 1000:03}"


def lay(text: str, size: tuple[int, int]) -> font.Block:
    """Lay out a caption for a film of that size, by its shorter side, so a tall film has
    letters of the same size.
    """
    width, height = size
    return font.lay(
        text, max(14, min(size) // 18), int(width * (1 - 2 * SIDE)), LINES if width >= height else 3
    )


def is_crowded(text: str, size: tuple[int, int]) -> bool:
    """Does the caption need more than a third of the picture's height?"""
    return lay(text, size).height_px > size[1] / 3


class Overlay:
    """A caption drawn once, to be put on many yuv420p pictures of one size."""

    def __init__(self, text: str, width: int, height: int) -> None:
        block = lay(text, (width, height))
        layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
        top = max(0.0, height * (1 - FOOT) - block.height_px)
        stroke = max(1, min(width, height) // 360)
        font.draw(
            ImageDraw.Draw(layer), block, 0, top, width, (255, 255, 255, 255), stroke_px=stroke
        )
        box = layer.getbbox() or (0, 0, width, 2)
        self._top, foot = box[1] // 2 * 2, min(height, -(-box[3] // 2) * 2)
        band = layer.crop((0, self._top, width, foot))
        frame = av.VideoFrame.from_ndarray(clip.to_planes(band.convert("RGB")), format="yuv420p")
        self._colours = [plane.astype(np.uint16) for plane in planes(frame)]
        alpha = np.asarray(band.getchannel("A")).astype(np.uint16)
        soft = (alpha[::2, ::2] + alpha[1::2, ::2] + alpha[::2, 1::2] + alpha[1::2, 1::2]) // 4
        self._alpha = [alpha, soft, soft]

    def over(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the picture with the caption in it."""
        parts = [plane.copy() for plane in planes(frame)]
        for i, (part, colour, alpha) in enumerate(
            zip(parts, self._colours, self._alpha, strict=True)
        ):
            top = self._top if i == 0 else self._top // 2
            _mix(part[top : top + alpha.shape[0]], colour, alpha)
        return stacked(parts)


def card(text: str, width: int, height: int) -> Planes:
    """Return a dark card with a text in its middle, as yuv420p planes."""
    block = font.lay(text, max(14, min(width, height) // 16), int(width * 0.8), 4)
    return clip.to_planes(font.picture(block, (width, height), (228, 228, 231), (24, 24, 27)))


def _mix(below: Plane, above: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> None:
    below[:] = ((below * (255 - alpha) + above * alpha) // 255).astype(np.uint8)
