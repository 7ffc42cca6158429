"""Broken answers: dropped, truncated, slow, or from a gateway and not the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response, StreamingResponse

from storyreel.simulator.faults import GATEWAY_PAGE, Fault


def spoilt(fault: Fault) -> Response:
    """Return the answer of a fault that replaces the API's answer."""
    if fault.do == "status":
        return Response(fault.text, fault.status, headers=fault.headers)
    if fault.do == "garbage":
        return Response(GATEWAY_PAGE, 200, media_type="text/html")
    return dropped()


async def spoilt_file(fault: Fault, clip: Path) -> Response:
    """Return a clip's bytes as a fault changes them."""
    data = await asyncio.to_thread(clip.read_bytes)
    if fault.do == "break":
        answer = FileResponse(
            clip, media_type="video/mp4", stat_result=await asyncio.to_thread(clip.stat)
        )
        return StreamingResponse(
            _breaking(data[: len(data) // 2]),
            headers=_plain(answer.headers),
            media_type="video/mp4",
        )
    if fault.do == "slow":
        return byte_by_byte(data, fault.seconds, "video/mp4")
    if fault.do in ("truncate", "empty"):
        data = data[: len(data) // 2] if fault.do == "truncate" else b""
    return Response(data, media_type="video/mp4")


def _plain(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}


async def _breaking(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise ConnectionResetError("dropped on purpose")


def dropped() -> Response:
    """Return an answer that breaks off, so that the client cannot know if it was accepted."""
    return StreamingResponse(_breaking(b"{"), headers={"Content-Length": "1000"})


def byte_by_byte(data: bytes, seconds: float, kind: str) -> Response:
    """Return an answer in small pieces over `seconds`."""

    async def drip() -> AsyncIterator[bytes]:
        pieces = min(len(data), 200)
        size = -(-len(data) // max(1, pieces))
        for at in range(0, len(data), size):
            await asyncio.sleep(seconds / pieces)
            yield data[at : at + size]

    return StreamingResponse(drip(), headers={"Content-Length": str(len(data))}, media_type=kind)
