"""Each kind of neighbour that the simulator can be: our client gets its one clip from it, and
understands its refusals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from storyreel.api.answers import Job, JobStatus
from storyreel.api.client import Client
from storyreel.api.refusals import failure_class
from storyreel.catalog import load as catalog
from storyreel.errors import (
    ApiError,
    DownloadError,
    Moderated,
    NotFound,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    UsageError,
)
from storyreel.film.media.clip import verify
from storyreel.simulator import profiles
from storyreel.simulator.app import Simulator
from storyreel.simulator.gateways import GATEWAYS, fill
from storyreel.simulator.jobs import Jobs
from storyreel.simulator.material import Material
from storyreel.simulator.rules import InputImage, Refused, VideoRequest
from storyreel.workspace.settings import Settings

BODY = {
    "model": "kling-v2-5-turbo",
    "prompt": "x",
    "seconds": "10",
    "size": "1280x720",
    "mode": "std",
}
Make = Callable[..., Any]


@asynccontextmanager
async def opened(
    folder: Path, name: str, **options: Any
) -> AsyncIterator[tuple[Client, Simulator, list[float]]]:
    """A client of a simulator of that profile, and the time that it has, in a list."""
    time = [1_763_802_000.0]
    jobs = Jobs(catalog.load(), folder, speed=1.0, scale=0.25, now=lambda: time[0])
    simulator = Simulator(jobs, profile=name, **options)
    settings = Settings(OPENAI_BASE_URL="http://sim/v1", OPENAI_API_KEY="k")  # type: ignore[call-arg]
    async with Client(
        settings, transport=httpx.ASGITransport(simulator.app()), now=lambda: time[0]
    ) as client:
        yield client, simulator, time


async def finished(client: Client, job: Job, time: list[float]) -> Job:
    for _ in range(40):
        with suppress(NotFound):
            job = await client.retrieve(job.id)
        if job.status.is_final:
            return job
        time[0] += 40
    raise AssertionError(f"never final: {job}")


async def fetch(client: Client, job: Job, path: Path) -> Path:
    for _ in range(5):
        try:
            await client.download(job.url or client.content_url(job.id), path)
            return path
        except DownloadError as error:
            last = error
    raise last


@pytest.mark.parametrize("name", [name for name, _ in profiles.listed()])
async def test_a_clip_comes_from_every_kind(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / "sim", name) as (client, simulator, time):
        job = await finished(client, await client.create(BODY), time)
        assert job.status is JobStatus.COMPLETED and not job.candidates
        facts = verify(await fetch(client, job, tmp_path / "clip.mp4")).facts
        gateway = simulator.gateway
        ignores = gateway is not None and "seconds" in gateway.ignores
        assert round(facts.duration_s) == (5 if ignores else 10)
        assert len(simulator.truth["accepted"]) == 1 and simulator.truth["keys"] == []
        assert job.completed_at is None or 1.7e9 < job.completed_at < 1.8e9


@pytest.mark.parametrize("name", [f"gateway:{name}" for name in GATEWAYS])
async def test_every_kind_of_refusal_is_understood(tmp_path: Path, name: str) -> None:
    for options, kind in (({"max_running": 0}, RateLimited), ({"credit": Decimal(0)}, OutOfCredit)):
        async with opened(tmp_path / str(kind.__name__), name, **options) as (client, simulator, _):
            with pytest.raises(kind) as caught:
                await client.create(BODY)
            assert type(caught.value) is kind and simulator.jobs.jobs == {}
    async with opened(tmp_path / "other", name) as (client, simulator, _):
        with pytest.raises(RequestRefused):
            await client.create(BODY | {"size": "5x5"})
        assert simulator.jobs.jobs == {}


@pytest.mark.parametrize(
    "name", [f"gateway:{name}" for name, kind in GATEWAYS.items() if not kind.at_once]
)
async def test_moderation_is_understood_at_once_or_later(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / "sim", name) as (client, simulator, time):
        try:
            job = await finished(
                client, await client.create(BODY | {"prompt": "a moderation-test"}), time
            )
        except ApiError as error:
            assert type(error) is Moderated and simulator.jobs.jobs == {}
            return
        assert job.status is JobStatus.FAILED
        assert failure_class(job.error_code, job.error_message) == "moderation"


def test_profiles_are_found_by_name_or_said() -> None:
    assert profiles.find("strict").gateway is None and not profiles.find("strict").is_lax
    for name, title in profiles.listed():
        assert profiles.find(name).name == name and len(title) < 120
    for wrong, guess in (
        ("gateway:new-api", "gateway:newapi"),
        ("openrouter", "gateway:openrouter"),
        ("strickt", "strict"),
    ):
        with pytest.raises(UsageError, match=f"did you mean `{guess}") as caught:
            profiles.find(wrong)
        assert "--profiles" in str(caught.value.fix)


def test_a_template_takes_values_and_percents() -> None:
    assert fill({"a": ["$x", "$x%", "x"], "b": None, "c": 5}, {"x": 7}) == {
        "a": [7, "7%", "x"],
        "b": None,
        "c": 5,
    }


async def test_a_rehearsal_needs_no_network_and_the_simulator_by_itself_stays_strict(
    tmp_path: Path,
) -> None:
    jobs = Jobs(catalog.load(), tmp_path, speed=1.0)
    warned: list[str] = []
    given = InputImage("first_frame", "http://127.0.0.1:1/dawn.png?sign=secret", None)
    for model, size in (("kling-v2-5-turbo", "1280x720"), ("kling-video-o1", "1080x1920")):
        wanted = VideoRequest(model, "x", 5, size, "pro", (given,), None, False)
        with pytest.raises(Refused, match="cannot be fetched"):
            await Material(jobs).picture(given, wanted)
        rehearsal = Material(jobs, with_cards=True, warn=warned.append)
        for _ in range(2):
            assert await rehearsal.picture(given, wanted)
        assert len(await rehearsal.video("http://127.0.0.1:1/x.mp4", size)) == 2
    assert len(warned) == 4 and "dawn.png" in warned[0] and "secret" not in "".join(warned)
    with pytest.raises(Refused, match="not a picture"):  # what was fetched is checked as ever
        await Material(jobs, with_cards=True).picture(InputImage("first_frame", None, b"x"), wanted)
