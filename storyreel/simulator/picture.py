"""The simulated picture: real, distinct, small mp4 files that begin and end on the given stills."""

from __future__ import annotations

import colorsys
import hashlib
import io
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from storyreel.media import clip, font

FPS = 24
BT709 = 1
LIMITED = 1
Planes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """What to render. `first` and `last` are the given stills, None where the model invents them."""

    prompt: str
    label: str
    width: int
    height: int
    seconds: int
    sound: bool
    first: Image.Image | None = None
    last: Image.Image | None = None


def render(shot: Shot, path: Path) -> None:
    """Write the clip: H.264 with BT.709 tags, 24 pictures a second, faststart. The same shot gives the same bytes."""
    count = shot.seconds * FPS
    first = shot.first or _invented(shot, 0.0)
    last = shot.last or _invented(shot, 1.0)
    start, end = _planes(first, shot), _planes(last, shot)
    lettering = _lettering(shot)
    a, b = Image.fromarray(start), Image.fromarray(end)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = shot.width, shot.height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        tone = av.open(io.BytesIO(_tone(shot.seconds, _seed(shot.prompt)[1] % 8)), "r") if shot.sound else None
        track = out.add_stream_from_template(tone.streams.audio[0]) if tone else None
        for i in range(count):
            if i in (0, count - 1):
                planes = start if i == 0 else end  # the given pictures, untouched
            else:
                planes = np.array(Image.blend(a, b, i / (count - 1)))
                _write_over(planes, lettering, shot, i, count)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if tone and track:
            for packet in tone.demux():
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)
            tone.close()


def _seed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _invented(shot: Shot, phase: float) -> Image.Image:
    """A picture that belongs to this prompt and to no other: a sky, a ground, a light."""
    seed = _seed(shot.prompt)
    hue, ground = seed[0] / 255, seed[1] / 255
    w, h = shot.width, shot.height
    top = np.array(colorsys.hsv_to_rgb(hue, 0.55, 0.35 + 0.4 * phase)) * 255
    bottom = np.array(colorsys.hsv_to_rgb((hue + 0.12) % 1, 0.35, 0.85)) * 255
    ramp = np.linspace(0, 1, h)[:, None, None]
    picture = Image.fromarray((top * (1 - ramp) + bottom * ramp).repeat(w, 1).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    earth = tuple(int(c * 255) for c in colorsys.hsv_to_rgb(ground, 0.4, 0.3))
    rise = h * (0.62 + seed[2] / 1500)
    draw.polygon([(0, rise), (w * seed[3] / 255, rise - h * 0.12), (w, rise + h * 0.05), (w, h), (0, h)], fill=earth)
    x, y, r = w * (0.15 + 0.6 * seed[4] / 255 + 0.1 * phase), h * (0.45 - 0.2 * phase), h * 0.09
    light = tuple(int(c * 255) for c in colorsys.hsv_to_rgb((hue + 0.45) % 1, 0.3, 1.0))
    draw.ellipse([x - r, y - r, x + r, y + r], fill=light)
    return picture


def _planes(picture: Image.Image, shot: Shot) -> Planes:
    """The picture as stacked yuv420p planes, BT.709 limited, shape (height * 3 / 2, width)."""
    rgb = picture.convert("RGB")
    if rgb.size != (shot.width, shot.height):
        rgb = rgb.resize((shot.width, shot.height), Image.Resampling.LANCZOS)
    return clip.to_planes(rgb)


@lru_cache(maxsize=64)
def _letters(text: str, width: int, height: int) -> tuple[int, NDArray[np.uint16]]:
    """(top row, alpha) of the text band; rows and top are even."""
    face = font.for_text(text, max(14, height // 26))
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).multiline_text(
        (width // 2, int(height * 0.93)),
        font.wrap(text, face, int(width * 0.86), 2),
        font=face,
        fill=255,
        anchor="md",
        align="center",
    )
    box = mask.getbbox() or (0, 0, width, 2)
    top, foot = box[1] // 2 * 2, -(-box[3] // 2) * 2
    return top, np.asarray(mask.crop((0, top, width, foot))).astype(np.uint16)


def _lettering(shot: Shot) -> tuple[int, NDArray[np.uint16]]:
    return _letters(f"{shot.label} · {shot.prompt}", shot.width, shot.height)


def _write_over(planes: Planes, lettering: tuple[int, NDArray[np.uint16]], shot: Shot, i: int, count: int) -> None:
    """Draw the prompt and a moving mark into the luma plane; both are gone by the outer pictures."""
    top, alpha = lettering
    strength = min(1.0, i / 12, (count - 1 - i) / 12)
    band = planes[top : top + alpha.shape[0]].astype(np.uint16)
    cover = (alpha * strength).astype(np.uint16)
    planes[top : top + alpha.shape[0]] = (band * (255 - cover) + 235 * cover) // 255
    side = max(8, shot.height // 24) // 2 * 2
    x = int((shot.width - side) * i / count) // 2 * 2
    y = shot.height // 30 * 2
    planes[y : y + side, x : x + side] = 200


@lru_cache(maxsize=32)
def _tone(seconds: int, note: int) -> bytes:
    """A quiet AAC tone of exactly `seconds`, as an mp4."""
    rate = 48_000
    out = io.BytesIO()
    t = np.arange(seconds * rate, dtype=np.float32) / rate
    wave = (0.08 * np.sin(2 * np.pi * 220 * 2 ** (note / 12) * t)).astype(np.float32)
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        for i in range(0, len(wave), 1024):
            block = np.ascontiguousarray(np.stack([wave[i : i + 1024]] * 2))
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
