"""Odd clips with known pictures: the number of each frame as a barcode, and flat patches whose RGB is known from a matrix
of our own, not from the tools under test."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rgb = tuple[int, int, int]
PATCHES: tuple[Rgb, ...] = (
    (200, 59, 39),
    (30, 140, 80),
    (40, 60, 190),
    (128, 128, 128),
    (220, 210, 60),
    (16, 16, 16),
)
LUMA = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
TAGS = {"601": (6, 6, 6), "709": (1, 1, 1), "2020": (9, 9, 14)}
BITS = 10


@dataclass(frozen=True)
class Odd:
    """How a clip is odd.

    Frames are shown at `times` (in frames) where they are not evenly spaced.
    """

    codec: str = "libx264"
    frames: int = 24
    size: tuple[int, int] = (320, 180)
    fps: Fraction = Fraction(24)
    options: dict[str, str] = field(default_factory=dict)
    sound_s: float | None = None
    sound_first: bool = False
    matrix: str = "709"
    full: bool = False
    tagged: bool = True
    movflags: str = "+faststart"
    times: tuple[int, ...] = ()


def make(odd: Odd, path: Path) -> Path:
    """Write the clip."""
    codec = {
        "libx264": {"crf": "4", "preset": "veryfast"},
        "libx265": {"crf": "6", "x265-params": "log-level=none"},
        "libsvtav1": {"crf": "10", "preset": "10"},
        "libvpx-vp9": {"crf": "4", "b": "0", "deadline": "realtime", "cpu-used": "8"},
    }
    flags = {"movflags": odd.movflags} if odd.movflags else {}
    with av.open(str(path), "w", format="mp4", options=flags) as out:
        track = (
            out.add_stream("aac", rate=48_000, layout="stereo")
            if odd.sound_s and odd.sound_first
            else None
        )
        stream = out.add_stream(
            odd.codec, rate=odd.fps, options={**codec[odd.codec], **odd.options}
        )
        stream.width, stream.height, stream.pix_fmt = *odd.size, "yuv420p"
        context = stream.codec_context
        if odd.tagged:
            context.colorspace, context.color_primaries, context.color_trc = TAGS[odd.matrix]
            context.color_range = 2 if odd.full else 1
        if odd.sound_s and track is None:
            track = out.add_stream("aac", rate=48_000, layout="stereo")
        for i in range(odd.frames):
            frame = av.VideoFrame.from_ndarray(_planes(odd, i), format="yuv420p")
            frame.pts = odd.times[i] if odd.times else i
            frame.time_base = 1 / odd.fps
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            samples = int((odd.sound_s or 0) * 48_000)
            for at in range(0, samples, 1024):
                block = av.AudioFrame.from_ndarray(
                    np.full((2, min(1024, samples - at)), 0.1, np.float32),
                    format="fltp",
                    layout="stereo",
                )
                block.sample_rate, block.pts, block.time_base = 48_000, at, Fraction(1, 48_000)
                out.mux(track.encode(block))
            out.mux(track.encode(None))
    return path


def ffmpeg(*arguments: Any) -> str:
    """Run another build of ffmpeg than the one under test; returns what it says."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-nostdin",
        "-y",
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr


def rotate(path: Path, degrees: int, out: Path) -> None:
    """Copy a clip, and tell players to show it turned."""
    ffmpeg("-display_rotation", degrees, "-i", path, "-c", "copy", out)


def _layout(size: tuple[int, int]) -> tuple[int, int]:
    """(height of the barcode, width of a patch)."""
    return size[1] // 4 // 2 * 2, size[0] // len(PATCHES) // 2 * 2


def _planes(odd: Odd, number: int) -> NDArray[np.uint8]:
    width, height = odd.size
    bar, patch = _layout(odd.size)
    rgb = np.zeros((height, width, 3), np.float64)
    for i, colour in enumerate(PATCHES):
        rgb[bar:, i * patch : (i + 1) * patch if i + 1 < len(PATCHES) else width] = colour
    cell = width // BITS
    for bit in range(BITS):
        rgb[:bar, bit * cell : (bit + 1) * cell] = 235 if number >> bit & 1 else 20
    red, blue = LUMA[odd.matrix]
    y = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    cb, cr = (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
    offset, luma_scale, chroma_scale = (0, 1.0, 1.0) if odd.full else (16, 219 / 255, 224 / 255)
    planes = offset + y * luma_scale, 128 + cb * chroma_scale, 128 + cr * chroma_scale
    luma, *chroma = (np.rint(np.clip(plane, 0, 255)).astype(np.uint8) for plane in planes)
    half = [np.ascontiguousarray(plane[::2, ::2]).reshape(-1, width) for plane in chroma]
    return np.ascontiguousarray(np.concatenate([luma, *half]))


def number_of(picture: Image.Image) -> int:
    """The barcode of a picture."""
    pixels = np.asarray(picture.convert("L"))
    bar, _ = _layout(picture.size)
    cell = picture.width // BITS
    return sum(int(pixels[bar // 2, bit * cell + cell // 2] > 128) << bit for bit in range(BITS))


def colour_error(picture: Image.Image) -> int:
    """The largest difference of a patch's middle from its true RGB, in levels of 255."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    bar, patch = _layout(picture.size)
    middle = (bar + picture.height) // 2
    found = [pixels[middle - 4 : middle + 4, i * patch + patch // 2 - 4 : i * patch + patch // 2 + 4].mean((0, 1))
             for i in range(len(PATCHES))]  # fmt: skip
    return int(np.ceil(np.abs(np.array(found) - np.array(PATCHES)).max() - 0.49))
