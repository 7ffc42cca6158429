"""One picture: read its facts, fit it to a size, encode it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps

from storyreel.errors import MediaError

PNG_LEVEL = 3  # 372 ms and 6 % larger than level 6 (827 ms) for a 1080p frame


def inspect(source: Path | bytes, max_bytes: int) -> tuple[str, int, int, int]:
    """Return (format, width, height, bytes) of a picture, from a file or its bytes; format is
    Pillow's name in lower case.

    Raises:
        MediaError: not a picture, damaged, or larger than `max_bytes`.
    """
    count = len(source) if isinstance(source, bytes) else source.stat().st_size
    if count == 0:
        raise MediaError("is empty", fix="use a PNG or JPEG picture")
    if count > max_bytes:
        raise MediaError(f"has {count / 2**20:.0f} MiB", fix="save it smaller, e.g. as JPEG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ResourceWarning)  # from other objects, not this picture
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
                picture.load()
                return (picture.format or "?").lower(), picture.width, picture.height, count
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        raise MediaError(
            f"is not a picture that can be read ({_why(error)})", fix="use a PNG or JPEG picture"
        ) from error


def _why(error: BaseException) -> str:
    text = str(error)
    return "no known format" if "cannot identify" in text else text


def fitted(data: bytes, size: tuple[int, int], how: Literal["scale", "crop", "pad"]) -> bytes:
    """Return the picture as a PNG of exactly `size` (width, height).

    `scale` keeps all of it (for the same shape), `crop` cuts the longer side, `pad` adds black
    bars.
    """
    with Image.open(io.BytesIO(data)) as picture:
        rgb = picture.convert("RGB")
    if how == "crop":
        resized = ImageOps.fit(rgb, size, Image.Resampling.LANCZOS)
    elif how == "pad":
        resized = ImageOps.pad(rgb, size, Image.Resampling.LANCZOS, color=(0, 0, 0))
    else:
        resized = rgb.resize(size, Image.Resampling.LANCZOS)
    return png(resized)


def png(picture: Image.Image) -> bytes:
    """Encode as PNG, lossless."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=PNG_LEVEL)
    return out.getvalue()
