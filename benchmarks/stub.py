"""A server of the API's shape that costs next to nothing: every job takes the same time and gives
the same clip.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

numbers = itertools.count()
began: dict[str, float] = {}


def app(job_s: float, clip: Path) -> Starlette:
    async def create(request: Request) -> Response:
        job = f"q-{next(numbers)}"
        began[job] = time.time()
        return JSONResponse({"id": job, "object": "video", "status": "queued"})

    async def retrieve(request: Request) -> Response:
        job = request.path_params["id"]
        if time.time() - began[job] < job_s:
            return JSONResponse({"id": job, "object": "video", "status": "in_progress"})
        url = f"{request.base_url}files/clip.mp4"
        done = int(began[job] + job_s)
        told = {
            "id": job,
            "status": "completed",
            "completed_at": done,
            "task_result": {"videos": [{"id": "1", "url": url}]},
        }
        return JSONResponse(told)

    async def file(request: Request) -> Response:
        return FileResponse(clip)

    return Starlette(
        routes=[
            Route("/v1/videos", create, methods=["POST"]),
            Route("/v1/videos/{id}", retrieve),
            Route("/files/clip.mp4", file),
        ]
    )


if __name__ == "__main__":
    port, seconds, path = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    uvicorn.run(
        app(seconds, path), host="127.0.0.1", port=port, log_level="critical", access_log=False
    )
