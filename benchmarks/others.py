"""The same board as others would write it: `plain` asyncio and httpx, or a Prefect flow that uses
`.submit()`.

`python -m benchmarks.others plain|submit SCENES JOB_SECONDS BASE_URL FOLDER`
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import httpx

BODY = {"model": "sora-2", "prompt": "x", "seconds": "4", "size": "160x288"}


async def make(http: httpx.AsyncClient, folder: Path, number: int, job_s: float) -> None:
    """One scene: submit, poll every 5 s near the end, download."""
    job = (await http.post("/videos", json=BODY)).json()["id"]
    await asyncio.sleep(job_s)
    while (told := (await http.get(f"/videos/{job}")).json())["status"] != "completed":
        await asyncio.sleep(1)
    data = (await http.get(told["task_result"]["videos"][0]["url"])).content
    (folder / f"{number}.mp4").write_bytes(data)


async def plain(scenes: int, job_s: float, url: str, folder: Path) -> None:
    async with httpx.AsyncClient(
        base_url=url, timeout=60, limits=httpx.Limits(max_connections=64)
    ) as http:
        await asyncio.gather(*(make(http, folder, i, job_s) for i in range(scenes)))


def submit(scenes: int, job_s: float, url: str, folder: Path) -> None:
    from prefect import flow, task
    from prefect.futures import wait

    @task
    def send() -> str:
        return str(httpx.post(f"{url}/videos", json=BODY, timeout=60).json()["id"])

    @task
    def poll(job: str) -> str:
        time.sleep(job_s)
        while (told := httpx.get(f"{url}/videos/{job}", timeout=60).json())[
            "status"
        ] != "completed":
            time.sleep(1)
        return str(told["task_result"]["videos"][0]["url"])

    @task
    def fetch(link: str, number: int) -> None:
        (folder / f"{number}.mp4").write_bytes(httpx.get(link, timeout=60).content)

    @flow
    def board() -> None:
        wait([fetch.submit(poll.submit(send.submit()), i) for i in range(scenes)])

    board()


if __name__ == "__main__":
    kind, count, seconds, base, place = (
        sys.argv[1],
        int(sys.argv[2]),
        float(sys.argv[3]),
        sys.argv[4],
        Path(sys.argv[5]),
    )
    if kind == "plain":
        asyncio.run(plain(count, seconds, base, place))
    else:
        submit(count, seconds, base, place)
