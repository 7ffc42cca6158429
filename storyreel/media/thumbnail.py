"""Small pictures of a clip for the report and the contact sheet."""

from __future__ import annotations

import io
from pathlib import Path

import av
from PIL import Image

from storyreel.media.clip import to_rgb


def triple(path: Path, width_px: int = 320) -> list[Image.Image]:
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
