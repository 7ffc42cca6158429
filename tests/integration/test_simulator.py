"""The stand-in API keeps the document's rules."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from storyreel.api import answers, error_bodies
from storyreel.catalog import load as catalog
from storyreel.errors import UsageError
from storyreel.film.media.clip import verify
from storyreel.simulator.app import Simulator
from storyreel.simulator.faults import parse
from storyreel.simulator.jobs import Jobs
from storyreel.simulator.serve import read_scale
from tests.conftest import png

GOOD = {
    "model": "kling-video-o1",
    "prompt": "x",
    "seconds": "5",
    "size": "1920x1080",
    "mode": "pro",
}


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
    async with httpx.AsyncClient(
        transport=transport, base_url="http://sim", headers=headers
    ) as client:
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
async def test_what_the_document_forbids_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    body = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    answer = await api.post("/v1/videos", json=body)
    assert answer.status_code in (400, 503), answer.text
    assert answer.json()["error"]["message"]
    assert (await api.get("/simulator/truth")).json()["accepted"] == []


async def test_a_job_walks_through_its_statuses_to_a_real_clip(
    api: httpx.AsyncClient, clock: Clock
) -> None:
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
    assert words == [
        "initializing",
        "queued",
        "in_progress",
        "downloading",
        "uploading",
        "completed",
    ]
    clip = await api.get(job["task_result"]["videos"][0]["url"], headers={"Authorization": ""})
    assert clip.status_code == 200 and clip.content[4:8] == b"ftyp"
    clock.time += 8 * 24 * 3600
    assert (await api.get(job["task_result"]["videos"][0]["url"])).status_code == 403


async def test_a_remix_needs_a_finished_source_and_takes_nothing_else(
    api: httpx.AsyncClient, clock: Clock
) -> None:
    source = (await api.post("/v1/videos", json=GOOD)).json()["id"]
    assert (await api.post(f"/v1/videos/{source}/remix", json={"prompt": "y"})).status_code == 400
    clock.time += 1000
    assert (
        await api.post(f"/v1/videos/{source}/remix", json={"prompt": "y", "seconds": "5"})
    ).status_code == 400
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


def simulator(folder: Path, clock: Clock, **options: Any) -> httpx.AsyncClient:
    app = Simulator(Jobs(catalog.load(), folder, speed=1.0, now=clock), **options).app()
    headers = {"Authorization": "Bearer k"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://sim", headers=headers
    )


async def test_the_accounts_limits_are_kept(tmp_path: Path, clock: Clock) -> None:
    async with simulator(tmp_path / "a", clock, max_running=1) as api:
        assert [(await api.post("/v1/videos", json=GOOD)).status_code for _ in range(2)] == [
            200,
            429,
        ]
        clock.time += 1000
        assert (await api.post("/v1/videos", json=GOOD)).status_code == 200
    async with simulator(tmp_path / "b", clock, per_minute=1) as api:
        await api.post("/v1/videos", json=GOOD)
        refused = await api.post("/v1/videos", json=GOOD)
        assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60
    async with simulator(tmp_path / "c", clock, credit=Decimal("5")) as api:
        assert [(await api.post("/v1/videos", json=GOOD)).status_code for _ in range(3)] == [
            200,
            200,
            402,
        ]
        truth = (await api.get("/simulator/truth")).json()
        assert (len(truth["accepted"]), truth["billed"], len(truth["refused"])) == (2, "8.00", 1)


@pytest.mark.parametrize("form", ["json", "string", "text", "html", "empty"])
async def test_an_error_may_have_any_form_and_its_words_are_found(
    tmp_path: Path, clock: Clock, form: str
) -> None:
    async with simulator(
        tmp_path, clock, faults=parse([{"do": "status", "form": form, "message": "oh no"}])
    ) as api:
        answer = await api.post("/v1/videos", json=GOOD)
    assert answer.status_code == 500
    message = error_bodies.read(answer.status_code, answer.text).message
    assert message == {"html": "502 Bad Gateway 502 Bad Gateway", "empty": ""}.get(form, "oh no")


@pytest.mark.parametrize(
    ("fault", "frames", "size", "sound"),
    [
        ("wrong", 120, (1080, 1920), None),
        ("odd_rate", 150, (1920, 1080), None),
        ("long_sound", 120, (1920, 1080), 7.0),
    ],
)
async def test_a_clip_may_be_another_than_was_asked_for(
    tmp_path: Path,
    clock: Clock,
    fault: str,
    frames: int,
    size: tuple[int, int],
    sound: float | None,
) -> None:
    async with simulator(tmp_path / "api", clock, faults=parse([{"do": fault}])) as api:
        made = (await api.post("/v1/videos", json=GOOD)).json()
        clock.time += 1000
        job = (await api.get(f"/v1/videos/{made['id']}")).json()
        (tmp_path / "clip.mp4").write_bytes(
            (await api.get(job["task_result"]["videos"][0]["url"])).content
        )
    facts = verify(tmp_path / "clip.mp4").facts
    assert (facts.frames, (facts.width, facts.height)) == (frames, size)
    with av.open(tmp_path / "clip.mp4") as container:
        heard = [
            float(s.duration * s.time_base)
            for s in container.streams.audio
            if s.duration and s.time_base
        ]
    assert [round(s, 1) for s in heard] == ([sound] if sound else [])


async def test_a_rehearsed_take_differs_from_the_one_before_and_the_same_seed_repeats(
    tmp_path: Path, clock: Clock
) -> None:
    clips = []
    for run in ("a", "b"):
        jobs = Jobs(catalog.load(), tmp_path / run, speed=1.0, now=clock)
        for _ in range(2):
            job = jobs.accept(model="sora-2", prompt="x", seconds=4, size="1280x720", mode=None)
            clips.append((await jobs.clip(job)).read_bytes())
    assert clips[0] == clips[2] and clips[1] == clips[3] and clips[0] != clips[1]


async def test_words_for_a_status_may_be_of_another_gateway(tmp_path: Path, clock: Clock) -> None:
    async with simulator(
        tmp_path, clock, faults=parse([{"on": "retrieve", "do": "word", "word": "Succeeded"}])
    ) as api:
        made = (await api.post("/v1/videos", json=GOOD)).json()
        clock.time += 1000
        job = answers.parse_job((await api.get(f"/v1/videos/{made['id']}")).json())
    assert job and job.status is answers.JobStatus.COMPLETED and job.url


async def test_a_thousand_jobs_in_flight_are_counted_quickly(tmp_path: Path, clock: Clock) -> None:
    jobs = Jobs(catalog.load(), tmp_path, speed=1.0, now=clock)
    for i in range(1000):
        jobs.accept(model="sora-2", prompt=str(i), seconds=4, size="1280x720", mode=None)
    assert jobs.running() == 1000
    clock.time += 10_000
    assert jobs.running() == 0 and not jobs._open


OWN = """\
version: 1
sources: {me: {title: "my contract", read: 2026-11-01}}
models:
  my-model:
    title: Mine
    dialect: DIALECT
    prompt_max: 20
    seconds: [3, 6]
    sizes: [160x96, 96x160]
    modes: [draft, fine]
    output: {fine: 192}
    defaults: {seconds: 3, size: 160x96, mode: draft}
    text_to_video: {allowed: true, source: me}
    first_frame: {allowed: true, source: me}
    end_frame: {allowed: false, source: me}
    image: {by: [url, base64], exact_size: true, formats: [png], source: me}
    remix: {documented: false, source: me}
    prices: [{per_second: "0.10", currency: CNY, source: me}]
"""
MINE = {"model": "my-model", "prompt": "x", "seconds": "3", "size": "160x96", "mode": "fine"}


def of_my_own(folder: Path, clock: Clock, dialect: str = "lists") -> httpx.AsyncClient:
    """The simulator with a model that no document of the API speaks of."""
    (folder / "mine.yaml").write_text(OWN.replace("DIALECT", dialect))
    app = Simulator(Jobs(catalog.load(folder / "mine.yaml"), folder, speed=1.0, now=clock)).app()
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://sim",
        headers={"Authorization": "Bearer k"},
    )


async def test_a_model_of_ones_own_is_rehearsed_by_its_entry(tmp_path: Path, clock: Clock) -> None:
    async with of_my_own(tmp_path, clock) as api:
        first = {"image": base64.b64encode(png(160, 96)).decode(), "type": "first_frame"}
        created = await api.post("/v1/videos", json={**MINE, "image_list": [first]})
        assert created.status_code == 200, created.text
        clock.time += 3600
        job = (await api.get(f"/v1/videos/{created.json()['id']}")).json()
        clip = tmp_path / "clip.mp4"
        clip.write_bytes((await api.get(job["task_result"]["videos"][0]["url"])).content)
        facts = verify(clip).facts
        assert (facts.width, facts.height, facts.frames) == (320, 192, 72)
        assert (await api.get("/simulator/truth")).json()["billed"] == "0.30"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "another"}, {"seconds": "5"}, {"seconds": 3}, {"size": "1280x720"}, {"mode": "pro"}, {"prompt": "x" * 21},
        {"extra": 1}, {"image_list": [image(type="first_frame")]}, {"image_list": [image()]},
        {"image_list": [image(type="first_frame"), image(type="end_frame")]},
        {"video_list": [{"video_url": "https://a.example"}]}, {"input_reference": "https://a.example/p.png"},
    ],
)  # fmt: skip
async def test_and_held_to_it(tmp_path: Path, clock: Clock, change: dict[str, Any]) -> None:
    async with of_my_own(tmp_path, clock) as api:
        assert (await api.post("/v1/videos", json={**MINE, **change})).status_code in (400, 503)
        assert (await api.get("/simulator/truth")).json()["accepted"] == []


async def test_a_model_of_the_document_keeps_the_documents_rules_beside_it(
    tmp_path: Path, clock: Clock
) -> None:
    async with of_my_own(tmp_path, clock, "reference") as api:
        assert (await api.post("/v1/videos", json={**GOOD, "mode": "std"})).status_code == 400
        assert (await api.post("/v1/videos", json=GOOD)).status_code == 200
        assert (await api.post("/v1/videos", json={**MINE, "image_list": []})).status_code == 400


@pytest.mark.parametrize(("size", "made"), [("1280x720", (576, 324)), ("720x1280", (324, 576))])
async def test_its_pictures_may_be_smaller(
    tmp_path: Path, clock: Clock, size: str, made: tuple[int, int]
) -> None:
    jobs = Jobs(catalog.load(), tmp_path, speed=1.0, scale=0.2, now=clock)
    job = jobs.accept(model="sora-2", prompt="x", seconds=4, size=size, mode=None)
    facts = verify(await jobs.clip(job)).facts
    assert (facts.width, facts.height, facts.frames) == (*made, 96)


@pytest.mark.parametrize("text", ["0", "1.5", "-1", "small", "nan", ""])
def test_a_scale_that_is_none_is_refused(text: str) -> None:
    assert read_scale({}) == 1.0 and read_scale({"STORYREEL_SIMULATOR_SCALE": "0.25"}) == 0.25
    with pytest.raises(UsageError, match=f"STORYREEL_SIMULATOR_SCALE is `{text}`"):
        read_scale({"STORYREEL_SIMULATOR_SCALE": text})
