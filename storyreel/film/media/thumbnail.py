"""Small pictures of a clip for the report and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
from PIL import Image

from storyreel.film.media.clip import Opened, moving, pixel_shape, to_rgb
from storyreel.workspace.folder import write_whole

WIDTH_PX = 320
QUALITY = 80


def strip(opened: Opened) -> bytes:
    """Return the first, middle and last picture of a clip side by side, as a small JPEG."""
    return beside(
        [
            to_rgb(frame, WIDTH_PX, shape=opened.shape)
            for frame in (opened.head, opened.middle, opened.tail[-1])
        ],
        QUALITY,
    )


def of(clip: Path, kept: Path) -> list[Image.Image]:
    """Return the first, middle and last picture of a clip from its `kept` strip; make the strip
    if it is missing.
    """
    if not kept.exists():
        keep(clip, kept)
    with Image.open(kept) as pictures:
        width = pictures.width // 3
        return [pictures.crop((i * width, 0, (i + 1) * width, pictures.height)) for i in range(3)]


def keep(clip: Path, kept: Path) -> None:
    """Make the strip of a clip that was collected without one."""
    write_whole(kept, beside(triple(clip), QUALITY))


def beside(pictures: Sequence[Image.Image], quality: int) -> bytes:
    """Join pictures of one size side by side, as JPEG."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * width, height))
    for i, picture in enumerate(pictures):
        row.paste(picture, (i * width, 0))
    return jpeg(row, quality)


def triple(path: Path) -> list[Image.Image]:
    """Decode the first, middle and last picture of a clip, small."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = moving(container)
        length = video.duration or 0
        pictures = [
            near(container, video, 0),
            near(container, video, length // 2),
            _last(container, video),
        ]
        return [to_rgb(frame, WIDTH_PX, shape=pixel_shape(video)) for frame in pictures]


def near(container: av.container.InputContainer, video: av.VideoStream, pts: int) -> av.VideoFrame:
    """Decode the picture shown at `pts`, in the stream's time base."""
    container.seek(pts, stream=video)
    chosen = None
    for frame in container.decode(video):
        chosen = frame
        if (frame.pts or 0) >= pts:
            break
    if chosen is None:
        raise ValueError("no picture")
    return chosen


def _last(container: av.container.InputContainer, video: av.VideoStream) -> av.VideoFrame:
    """Decode the last picture of the clip."""
    container.seek(video.duration or 0, stream=video)
    chosen = None
    for frame in container.decode(video):
        chosen = frame
    return chosen if chosen is not None else near(container, video, 0)


def jpeg(picture: Image.Image, quality: int = 80) -> bytes:
    """Encode as JPEG: for people only, never for the API."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()
