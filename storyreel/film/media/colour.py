"""Colours of a picture: read its tags, and convert to BT.709."""

from __future__ import annotations

from typing import Any

import av
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation

# swscale's default path darkens each yuv->rgb step by about one level; a chain of ten would show
# it.
HQ = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
UNTAGGED = 2
BT709 = 1
LIMITED, FULL = 1, 2
HD_HEIGHT_PX = 720
_HDR = {int(ColorTrc.SMPTE2084): "HDR (PQ)", int(ColorTrc.ARIB_STD_B67): "HDR (HLG)"}
_WIDE = (int(ColorPrimaries.SMPTE431), int(ColorPrimaries.SMPTE432))


def is_untagged_hd(frame: av.VideoFrame) -> bool:
    """Does the frame name no matrix, at a height at which BT.709 is usual?"""
    return frame.colorspace == UNTAGGED and frame.height >= HD_HEIGHT_PX


def beyond(frame: av.VideoFrame) -> str | None:
    """Name what the picture has that BT.709 cannot show; None for nothing."""
    return _HDR.get(frame.color_trc) or ("P3 colours" if frame.color_primaries in _WIDE else None)


def options(frame: av.VideoFrame) -> dict[str, Any]:
    """Return the options with which `reformat` converts the frame to BT.709; swscale maps HDR."""
    found: dict[str, Any] = {"interpolation": HQ}
    if is_untagged_hd(frame):
        found["src_colorspace"] = "ITU709"
    if beyond(frame):
        found |= {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
    return found


def narrowed(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame, converted to BT.709 if it has more. swscale fails on HDR straight to
    RGB.
    """
    if not beyond(frame):
        return frame
    return frame.reformat(
        format="yuv444p10le", dst_colorspace="ITU709", dst_color_range="MPEG", **options(frame)
    )
