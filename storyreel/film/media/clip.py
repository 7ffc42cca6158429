"""A clip on disk: is it whole, what are its facts, its first and its last pictures?

One full decode answers all of it. Walking the boxes finds every truncation, even by one byte; the
decode finds damage. A clip is paid for: if its picture is whole, it is used, and damage elsewhere
(its sound, bytes after its end) is reported.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray
from PIL import Image

from storyreel.errors import MediaError
from storyreel.film.media import colour, seed

# Boxes of an mp4. One of these that goes past the end of the file is cut off; other bytes are no
# part of the clip.
BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"moof",
    b"free",
    b"skip",
    b"wide",
    b"udta",
    b"uuid",
    b"meta",
    b"sidx",
    b"mfra",
    b"pdin",
)


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Facts of a clip. Width and height are upright, in square pixels. `colour_assumed`: an HD
    picture without a matrix was read as BT.709. `concerns`: why its end may be a poor start for
    another clip. `damage`: what is wrong beside its picture.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    has_audio: bool
    codec: str
    colour_assumed: bool
    suspect: bool
    concerns: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the facts for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Opened:
    """A verified clip with its first, middle and last decoded pictures. `tail` has as many of
    the last ones as were requested, newest last. `shape` is the width of its pixels over their
    height.
    """

    facts: ClipFacts
    head: av.VideoFrame
    middle: av.VideoFrame
    tail: list[av.VideoFrame]
    shape: Fraction = Fraction(1)

    @property
    def first(self) -> Image.Image:
        """Return the first picture."""
        return to_rgb(self.head, shape=self.shape)

    @property
    def last(self) -> Image.Image:
        """Return the last picture."""
        return to_rgb(self.tail[-1], shape=self.shape)

    def before_last(self, count: int) -> Image.Image:
        """Return the picture `count` before the last one; 0 is the last one."""
        return to_rgb(self.tail[-1 - count], shape=self.shape)


def verify(path: Path, *, tail: int = 1) -> Opened:
    """Decode the whole clip. Return its facts, its first and middle picture, and its last `tail`
    ones.

    Raises:
        MediaError: truncated, its picture damaged, not an mp4, without pictures, or not on disk.
    """
    try:
        damage = _check_boxes(path)
        return _decode(path, tail, damage)
    except FileNotFoundError as error:
        raise MediaError(f"the clip {path.name} is not on disk") from error
    except av.FFmpegError as error:
        raise MediaError(
            f"the clip is damaged: {type(error).__name__}: {error.strerror}"
        ) from error


def _check_boxes(path: Path) -> list[str]:
    """Check that the mp4's boxes fill the file exactly and include `moov` and `mdat`. Return
    bytes after the last box as damage.
    """
    size, at, seen = path.stat().st_size, 0, set[bytes]()
    if size == 0:
        raise MediaError("the clip is empty")
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(16)
            length, kind = _box(head, size - at)
            # later boxes hold no picture
            is_whole = {b"moov", b"mdat"} <= seen and b"moof" not in seen
            if is_whole and (kind not in BOXES or length < 8):
                return [f"{size - at} bytes that are no part of it follow its end"]
            if len(head) < 8:
                raise MediaError("the clip is truncated inside a box header")
            if length < 8 or not all(31 < c < 127 for c in kind):
                raise MediaError("the file is not an mp4")
            seen.add(kind)
            at += length
    if at != size:
        raise MediaError(f"the clip is truncated: its boxes need {at} bytes, the file has {size}")
    for needed in (b"moov", b"mdat"):
        if needed not in seen:
            raise MediaError(f"the file is an mp4 without a {needed.decode()} box")
    return []


def _box(head: bytes, rest: int) -> tuple[int, bytes]:
    """Return (length in bytes, kind) of the box that begins with `head`; 0 if the header is cut
    off.
    """
    if len(head) < 8:
        return 0, b""
    length, kind = struct.unpack(">I4s", head[:8])
    if length == 1 and len(head) == 16:
        length = struct.unpack(">Q", head[8:])[0]
    elif length == 0:
        length = rest
    return length, kind


def _decode(path: Path, tail: int, damage: list[str]) -> Opened:
    with av.open(str(path), format="mp4", metadata_errors="replace") as container:
        video = moving(container)
        audio = list(container.streams.audio)
        first: av.VideoFrame | None = None
        middle: av.VideoFrame | None = None
        last: deque[av.VideoFrame] = deque(maxlen=max(tail, seed.LOOKED_AT))
        frames = packets = silent = 0
        for packet in container.demux([video, *audio]):
            if packet.stream is not video:
                silent += not _is_heard(packet)
                continue
            if packet.size and packet.is_corrupt:
                raise MediaError("the clip has a corrupt packet")
            packets += bool(packet.size) and not packet.is_discard
            for frame in packet.decode():
                if not isinstance(frame, av.VideoFrame):
                    continue
                if frame.is_corrupt:
                    raise MediaError(f"the clip is corrupt at frame {frames}")
                first = first or frame
                middle = frame if frames <= video.frames // 2 else middle
                last.append(frame)
                frames += 1
        if first is None:
            raise MediaError("the clip has no pictures in it")
        if frames < packets:
            raise MediaError(f"{packets - frames} pictures of the clip are lost")
        if silent:
            damage = [
                *damage,
                f"{silent} packet{'s' * (silent != 1)} of its sound cannot be decoded",
            ]
        facts = _facts(video, list(last), frames, bool(audio), damage)
        return Opened(
            facts, first, middle or first, list(last)[-max(1, tail) :], pixel_shape(video)
        )


def _is_heard(packet: av.Packet[Any]) -> bool:
    """Can a packet of sound be decoded? If not, the picture is still used."""
    try:
        if packet.size and (packet.is_corrupt or packet.stream.codec_context is None):
            return False
        if packet.stream.codec_context is not None:
            packet.decode()
    except (av.FFmpegError, ValueError):
        return False
    return True


def moving(container: av.container.InputContainer) -> av.VideoStream:
    """Return the clip's first video stream that is not a cover picture.

    Raises:
        MediaError: it has none.
    """
    for video in container.streams.video:
        if not video.disposition & Disposition.attached_pic:
            return video
    raise MediaError("the clip has no picture")


def _facts(
    video: av.VideoStream,
    tail: list[av.VideoFrame],
    frames: int,
    has_audio: bool,
    damage: list[str],
) -> ClipFacts:
    last = tail[-1]
    base, rate = float(video.time_base or 0), float(video.average_rate or 24)
    end = ((last.pts or 0) + (last.duration or 0)) * base
    promised = ((video.start_time or 0) + (video.duration or 0)) * base
    if video.duration and end < promised - 1.5 / rate:
        raise MediaError(f"the picture ends at {end:.3f} s, the header says {promised:.3f} s")
    duration = end - (video.start_time or 0) * base
    turned = last.rotation % 180 == 90
    width, height = squared(
        video.codec_context.width, video.codec_context.height, pixel_shape(video)
    )
    return ClipFacts(
        width=height if turned else width,
        height=width if turned else height,
        fps=round(rate, 3),
        frames=frames,
        duration_s=round(duration, 3),
        has_audio=has_audio,
        codec=video.codec.canonical_name,
        colour_assumed=colour.is_untagged_hd(last),
        suspect=abs(frames - duration * rate) > 1.5,
        concerns=tuple(seed.concerns(tail)),
        damage=tuple(damage),
    )


def pixel_shape(video: av.VideoStream) -> Fraction:
    """Return the width of the clip's pixels over their height; 1 if it is missing or absurd."""
    shape = Fraction(video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or 1)
    return shape if Fraction(1, 4) <= shape <= 4 else Fraction(1)


def squared(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Return the size of a picture with square pixels; the height stays."""
    return (width, height) if shape == 1 else (max(2, round(width * shape / 2) * 2), height)


def to_rgb(
    frame: av.VideoFrame, width_px: int | None = None, *, shape: Fraction = Fraction(1)
) -> Image.Image:
    """Return the frame as an upright RGB picture in square pixels, each channel within 2/255.

    Scale down to `width_px` if it is smaller. Convert HDR and wide colours to BT.709.
    """
    turn, frame = frame.rotation, colour.narrowed(frame)
    options = colour.options(frame)
    width, height = squared(frame.width, frame.height, shape)
    if width_px is not None and width_px < width:
        width, height = width_px, max(1, round(height * width_px / width))
    if (width, height) != (frame.width, frame.height):
        options |= {"width": width, "height": height}
    picture: Image.Image = frame.to_image(**options)  # type: ignore[no-untyped-call]
    return picture.rotate(turn, expand=True) if turn else picture


def to_planes(picture: Image.Image) -> NDArray[np.uint8]:
    """Return an RGB picture as stacked yuv420p planes, BT.709 limited, shape (height * 3 / 2,
    width). Both sides are even.
    """
    frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
    converted = frame.reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=colour.HQ
    )
    planes: NDArray[np.uint8] = converted.to_ndarray().astype(np.uint8)
    return planes
