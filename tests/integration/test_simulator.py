"""The stand-in API keeps the document's rules."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from storyreel import catalog
from storyreel.simulator.app import Simulator
from storyreel.simulator.jobs import Jobs
from tests.conftest import png

GOOD = {"model": "kling-video-o1", "prompt": "x", "seconds": "5", "size": "1920x1080", "mode": "pro"}


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api(tmp_path: Path, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    app = Simulator(Jobs(catalog.load(), tmp_path, speed=1.0, now=clock)).app()
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer k"}
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", headers=headers) as client:
        yield client


def image(**more: str) -> dict[str, str]:
    return {"image": base64.b64encode(png(400, 400)).decode(), **more}


@pytest.mark.parametrize(
    "change",
    [
        {"model": None}, {"model": "sora-9"}, {"prompt": ""}, {"prompt": "x" * 2501}, {"prompt": None}, {"seconds": 5},
        {"seconds": "4"}, {"size": "640x480"}, {"mode": "std"}, {"mode": "fast"}, {"extra": 1}, {"input_reference": "https://x.example/a"},
        {"image_list": [image(type="end_frame")]}, {"image_list": [image()] * 5}, {"image_list": [{"image": "data:image/png;base64,AA"}]},
        {"image_list": [image(), {"image": "https://x.example/a.png"}]}, {"image_list": [{"image": base64.b64encode(png(200, 200)).decode()}]},
        {"image_list": [{"image": base64.b64encode(b"no picture").decode()}]}, {"image_list": [{"image": base64.b64encode(png(900, 300)).decode()}]},
        {"video_list": [{"video_url": "https://a.example"}] * 2},
        {"video_list": [{"video_url": "https://a.example", "refer_type": "base"}], "image_list": [image(type="first_frame")]},
        {"model": "sora-2", "seconds": "4", "size": "1280x720"}, {"model": "kling-v2-1"},
    ],
)  # fmt: skip
async def test_what_the_document_forbids_is_refused(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    body = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    answer = await api.post("/v1/videos", json=body)
    assert answer.status_code in (400, 503), answer.text
    assert answer.json()["error"]["message"]
    assert (await api.get("/simulator/truth")).json()["accepted"] == []


async def test_a_job_walks_through_its_statuses_to_a_real_clip(api: httpx.AsyncClient, clock: Clock) -> None:
    created = (await api.post("/v1/videos", json=GOOD)).json()
    assert created["status"] == "queued" and set(created) == {
        "id", "object", "model", "mode", "status", "created_at", "updated_at", "seconds", "size"
    }  # fmt: skip
    words = []
    for _ in range(400):
        job = (await api.get(f"/v1/videos/{created['id']}")).json()
        if job["status"] not in words:
            words.append(job["status"])
        clock.time += 1
    assert words == ["initializing", "queued", "in_progress", "downloading", "uploading", "completed"]
    clip = await api.get(job["task_result"]["videos"][0]["url"], headers={"Authorization": ""})
    assert clip.status_code == 200 and clip.content[4:8] == b"ftyp"
    clock.time += 8 * 24 * 3600
    assert (await api.get(job["task_result"]["videos"][0]["url"])).status_code == 403


async def test_a_remix_needs_a_finished_source_and_takes_nothing_else(api: httpx.AsyncClient, clock: Clock) -> None:
    source = (await api.post("/v1/videos", json=GOOD)).json()["id"]
    assert (await api.post(f"/v1/videos/{source}/remix", json={"prompt": "y"})).status_code == 400
    clock.time += 1000
    assert (await api.post(f"/v1/videos/{source}/remix", json={"prompt": "y", "seconds": "5"})).status_code == 400
    assert (await api.post("/v1/videos/nothing/remix", json={"prompt": "y"})).status_code == 404
    made = (await api.post(f"/v1/videos/{source}/remix", json={"prompt": "y"})).json()
    assert (made["model"], made["remixed_from_video_id"]) == ("kling-video-o1", source)


async def test_a_key_is_needed(api: httpx.AsyncClient) -> None:
    for header in ("", "k", "Basic k", "Bearer "):
        answer = await api.post("/v1/videos", json=GOOD, headers={"Authorization": header})
        assert answer.status_code == 401


async def test_jobs_outlive_a_restart(tmp_path: Path, clock: Clock) -> None:
    first = Jobs(catalog.load(), tmp_path, speed=1.0, now=clock)
    job = first.accept(model="sora-2", prompt="x", seconds=4, size="1280x720", mode=None)
    assert Jobs(catalog.load(), tmp_path, speed=1.0, now=clock).jobs[job.id] == job
