"""Small pictures of a clip for the report and the contact sheet."""

from __future__ import annotations

import io
from pathlib import Path

import av
from PIL import Image

from storyreel.media.clip import Opened, to_rgb
from storyreel.workspace import write_whole

WIDTH_PX = 320


def strip(opened: Opened) -> bytes:
    """The first, middle and last picture of a clip side by side, as JPEG: small enough to be kept for report and sheet."""
    return _strip([_small(picture, WIDTH_PX) for picture in (opened.first, opened.middle, opened.last)])


def of(clip: Path, kept: Path) -> list[Image.Image]:
    """The first, middle and last picture of a clip, from the strip that is `kept`; it is made where it is missing."""
    if not kept.exists():
        write_whole(kept, _strip(triple(clip)))
    with Image.open(kept) as pictures:
        width = pictures.width // 3
        return [pictures.crop((i * width, 0, (i + 1) * width, pictures.height)) for i in range(3)]


def _strip(pictures: list[Image.Image]) -> bytes:
    width, height = pictures[0].size
    made = Image.new("RGB", (3 * width, height))
    for i, picture in enumerate(pictures):
        made.paste(picture, (i * width, 0))
    return jpeg(made, 88)


def triple(path: Path, width_px: int = WIDTH_PX) -> list[Image.Image]:
    """The first, middle and last picture of a clip, `width_px` wide."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        length = video.duration or 0
        found = [near(container, video, 0), near(container, video, length // 2), last(container, video)]
    return [_small(picture, width_px) for picture in found]


def near(container: av.container.InputContainer, video: av.VideoStream, pts: int) -> Image.Image:
    """The picture shown at `pts`, in the stream's time base."""
    container.seek(pts, stream=video)
    chosen = None
    for frame in container.decode(video):
        chosen = frame
        if (frame.pts or 0) >= pts:
            break
    if chosen is None:
        raise ValueError("no picture")
    return to_rgb(chosen)


def last(container: av.container.InputContainer, video: av.VideoStream) -> Image.Image:
    """The last picture of the clip."""
    container.seek(video.duration or 0, stream=video)
    chosen = None
    for frame in container.decode(video):
        chosen = frame
    return to_rgb(chosen) if chosen is not None else near(container, video, 0)


def _small(picture: Image.Image, width_px: int) -> Image.Image:
    height = max(1, round(picture.height * width_px / picture.width))
    return picture.resize((width_px, height), Image.Resampling.LANCZOS)


def jpeg(picture: Image.Image, quality: int = 80) -> bytes:
    """Encode as JPEG; for looking at only, never for the API."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()
