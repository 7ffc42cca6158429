"""Simulated clips: real, distinct, small mp4 files that begin and end on the given stills."""

from __future__ import annotations

import colorsys
import hashlib
import io
import math
import textwrap
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from storyreel.film.media import clip, font

FPS = Fraction(24)
ZOOM = 0.08  # how far the camera moves in by the middle of the shot
BT709 = 1
LIMITED = 1
Planes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """The picture and sound of one clip.

    `first` and `last` are the given stills, or None. `sound_s` 0 is no sound.
    """

    prompt: str
    label: str
    width: int
    height: int
    seconds: int
    sound_s: float = 0.0
    fps: Fraction = FPS
    first: Image.Image | None = None
    last: Image.Image | None = None


def render(shot: Shot, path: Path) -> None:
    """Write a clip as H.264 with BT.709 tags, faststart. The same shot gives the same bytes."""
    count = round(shot.seconds * shot.fps)
    first = shot.first or _invented(shot, 0.0)
    last = shot.last or _invented(shot, 1.0)
    start, end = _planes(first, shot), _planes(last, shot)
    a, b = Image.fromarray(start), Image.fromarray(end)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream(
            "libx264", rate=shot.fps, options={"crf": "18", "preset": "ultrafast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = shot.width, shot.height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        tone = (
            av.open(io.BytesIO(_tone(shot.sound_s, _seed(shot.prompt)[1] % 8)), "r")
            if shot.sound_s
            else None
        )
        track = out.add_stream_from_template(tone.streams.audio[0]) if tone else None
        for i in range(count):
            if i in (0, count - 1):
                planes = start if i == 0 else end  # the stills exactly
            else:
                planes = _moved(Image.blend(a, b, i / (count - 1)), shot, i / (count - 1))
                _write_over(planes, shot, i, count)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            frame.pts, frame.time_base = i, 1 / shot.fps
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
    """Draw a sky, a ground and a light whose colours and places depend on the prompt."""
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
    draw.polygon(
        [(0, rise), (w * seed[3] / 255, rise - h * 0.12), (w, rise + h * 0.05), (w, h), (0, h)],
        fill=earth,
    )
    x, y, r = w * (0.15 + 0.6 * seed[4] / 255 + 0.1 * phase), h * (0.45 - 0.2 * phase), h * 0.09
    light = tuple(int(c * 255) for c in colorsys.hsv_to_rgb((hue + 0.45) % 1, 0.3, 1.0))
    draw.ellipse([x - r, y - r, x + r, y + r], fill=light)
    return picture


def card(text: str, width: int, height: int) -> bytes:
    """Return a PNG that replaces a picture and shows the address that failed."""
    picture = Image.new("RGB", (width, height), (38, 42, 51))
    draw = ImageDraw.Draw(picture)
    draw.rectangle(
        [width // 40, width // 40, width - width // 40, height - width // 40],
        outline=(200, 160, 60),
        width=3,
    )
    lines = ["not fetched in this rehearsal:", *textwrap.wrap(text, 48)[:4]]
    draw.multiline_text(
        (width / 2, height / 2),
        "\n".join(lines),
        (235, 235, 235),
        anchor="mm",
        font=_card_font(width, height),
    )
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _card_font(width: int, height: int) -> Any:
    return ImageFont.load_default(size=max(10, min(width, height) // 24))


def _planes(picture: Image.Image, shot: Shot) -> Planes:
    """Return stacked yuv420p planes, BT.709 limited range, shape (height * 3 / 2, width)."""
    rgb = picture.convert("RGB")
    if rgb.size != (shot.width, shot.height):
        rgb = rgb.resize((shot.width, shot.height), Image.Resampling.LANCZOS)
    return clip.to_planes(rgb)


def _moved(stacked: Image.Image, shot: Shot, at: float) -> Planes:
    """Zoom in towards a point that depends on the prompt, then out again.

    At 0 and 1 the picture is unchanged.
    """
    seed = _seed(shot.prompt)
    share = 1 - ZOOM * math.sin(math.pi * at) ** 2
    left, top = (1 - share) * (0.2 + 0.6 * seed[5] / 255), (1 - share) * (0.2 + 0.6 * seed[6] / 255)
    out = np.empty((shot.height * 3 // 2, shot.width), np.uint8)
    w, h = shot.width, shot.height

    def zoomed(plane: Image.Image) -> Planes:
        wide, high = plane.size
        box = (left * wide, top * high, (left + share) * wide, (top + share) * high)
        return np.asarray(
            plane.resize(plane.size, Image.Resampling.NEAREST, box)
        )  # 13 times as quick as bilinear

    out[:h] = zoomed(stacked.crop((0, 0, w, h)))
    colours = np.asarray(stacked)[h:].reshape(2, h // 2, w // 2)
    for i, plane in enumerate(colours):
        out[h:].reshape(2, h // 2, w // 2)[i] = zoomed(Image.fromarray(plane))
    return out


@lru_cache(maxsize=512)
def _letters(text: str, width: int, height: int, head: float) -> tuple[int, NDArray[np.uint16]]:
    """Return (top row, alpha) of a band of text that begins at `head`, a share of the height.

    The top row and the number of rows are even.
    """
    block = font.lay(font.tidy(text), max(14, min(width, height) // 26), int(width * 0.86), 2)
    block = font.Block(block.lines[:3], block.size_px)  # a prompt may fill the picture
    mask = Image.new("L", (width, height), 0)
    font.draw(ImageDraw.Draw(mask), block, 0, int(height * head), width, (255,))
    box = mask.getbbox() or (0, 0, width, 2)
    top, end = box[1] // 2 * 2, -(-box[3] // 2) * 2
    return top, np.asarray(mask.crop((0, top, width, end))).astype(np.uint16)


def _write_over(planes: Planes, shot: Shot, i: int, count: int) -> None:
    """Draw time code, model, take and prompt at the top of the luma plane.

    Captions are at the bottom. The text fades out before the first and the last picture.
    """
    strength = min(1.0, i / 12, (count - 1 - i) / 12)
    code = f"{i / float(shot.fps):04.1f} s"
    for top, alpha in (
        _letters(code, shot.width, shot.height, 0.03),
        _letters(f"{shot.label} · {shot.prompt}", shot.width, shot.height, 0.11),
    ):
        band = planes[top : top + alpha.shape[0]].astype(np.uint16)
        cover = (alpha * strength).astype(np.uint16)
        planes[top : top + alpha.shape[0]] = (band * (255 - cover) + 235 * cover) // 255


@lru_cache(maxsize=32)
def _tone(seconds: float, note: int) -> bytes:
    """Return a quiet AAC tone of exactly `seconds`, as an mp4."""
    rate = 48_000
    out = io.BytesIO()
    t = np.arange(int(seconds * rate), dtype=np.float32) / rate
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
