"""Software of others against ours: OpenAI's SDK and schemathesis as clients of the simulator,
LiteLLM's proxy between.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from storyreel.api.client import Client
from storyreel.errors import RequestRefused
from storyreel.film.media.clip import verify
from storyreel.workspace.settings import Settings
from tests.conftest import png
from tests.litellm_proxy import proxy
from tests.server import Live, live

KLING = {
    "model": "kling-video-o1",
    "prompt": "a keeper",
    "seconds": "5",
    "size": "1920x1080",
    "mode": "pro",
}
OPENAI_FIELDS = {
    "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt", "size", "seconds",
    "remixed_from_video_id", "error",
}  # fmt: skip


@pytest.fixture(params=["strict", "lax"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path / "api", speed=1e5, profile=request.param) as server:
        yield server


@pytest.fixture
def lax(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path / "api", speed=1e5, profile="lax") as server:
        yield server


@pytest.fixture
def sdk(lax: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=lax.url, max_retries=0) as client:
        yield client


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
class TestOpenAI:
    def test_the_sdk_makes_a_kling_clip_by_json(self, api: Live) -> None:
        with openai.OpenAI(api_key="k", base_url=api.url, max_retries=0) as client:
            made = client.videos.create(
                prompt="a keeper",
                extra_headers={"Content-Type": "application/json"},
                extra_body={k: v for k, v in KLING.items() if k != "prompt"},
            )
            while made.status not in ("completed", "failed"):
                made = client.videos.retrieve(made.id)
        assert made.status == "completed" and made.seconds == "5"

    def test_the_sdks_own_form_with_an_uploaded_picture_is_taken(
        self, sdk: openai.OpenAI, lax: Live
    ) -> None:
        picture = io.BytesIO(png(1280, 720))
        picture.name = "dawn.png"
        made = sdk.videos.create_and_poll(
            prompt="守",
            model="sora-2",
            seconds="4",
            size="1280x720",
            input_reference=picture,
            poll_interval_ms=10,
        )
        assert made.status == "completed" and made.progress == 100 and made.prompt == "守"
        assert lax.simulator.jobs.jobs[made.id].stills
        assert sdk.videos.download_content(made.id).read()[4:8] == b"ftyp"
        for variant in ("thumbnail", "spritesheet"):
            assert sdk.videos.download_content(made.id, variant=variant).read()[:2] == b"\xff\xd8"

    def test_remix_list_and_delete(self, sdk: openai.OpenAI) -> None:
        first = sdk.videos.create_and_poll(prompt="one", model="sora-2", poll_interval_ms=10)
        second = sdk.videos.remix(first.id, prompt="two")
        assert second.remixed_from_video_id == first.id
        third = sdk.videos.create_and_poll(prompt="three", model="sora-2", poll_interval_ms=10)
        assert [v.prompt for v in sdk.videos.list(limit=2)] == [
            "three",
            "two",
            "one",
        ]  # the SDK turns the pages
        assert [v.prompt for v in sdk.videos.list(order="asc", limit=100)] == [
            "one",
            "two",
            "three",
        ]
        assert sdk.videos.delete(third.id).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.videos.retrieve(third.id)

    def test_errors_are_the_sdks_own(self, sdk: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="prompt is required"):
            sdk.videos.create(prompt="")
        with openai.OpenAI(api_key="k", base_url=str(sdk.base_url), max_retries=0) as other:
            other.api_key = " "
            with pytest.raises((openai.AuthenticationError, openai.APIConnectionError)):
                other.videos.retrieve("x")


async def test_every_field_that_openai_requires_is_there_and_nested_form_fields_are_read(
    lax: Live,
) -> None:
    fields = {
        "model": "kling-video-o1", "prompt": "x", "seconds": "5", "image_list[0][image]": lax.url.replace("/v1", "/nothing.png"),
        "image_list[0][type]": "first_frame",
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=lax.url, headers={"Authorization": "Bearer k"}) as http:
        made = await http.post("/videos", files={k: (None, v) for k, v in fields.items()})
        assert (
            made.status_code == 400 and "nothing.png answers 404" in made.text
        )  # it was read, and fetched
        del fields["image_list[0][image]"], fields["image_list[0][type]"]
        fields["image_list"] = json.dumps([])
        made = await http.post("/videos", files={k: (None, v) for k, v in fields.items()})
        assert set(made.json()) == OPENAI_FIELDS
        assert (
            await http.post(
                "/videos", content=b"--x", headers={"Content-Type": "multipart/form-data"}
            )
        ).status_code == 400


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    response_schema_conformance,
    content_type_conformance,
]


@pytest.mark.parametrize("profile", ["strict", "lax"])
def test_schemathesis_finds_no_fault(tmp_path: Path, profile: Any) -> None:
    """Whatever is sent: no 5xx, and every answer as the simulator's own description says."""
    seen = set()
    with live(tmp_path / "api", speed=1e5, profile=profile) as server:
        schema = schemathesis.openapi.from_url(f"{server.url.removesuffix('/v1')}/openapi.json")
        for operation in schema.get_all_operations():

            @settings(
                max_examples=60,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.ok().as_strategy())
            def ask(case: Any) -> None:
                for headers in ({"Authorization": "Bearer k"}, {}):
                    answer = case.call(headers=headers)
                    seen.add(answer.status_code)
                    case.validate_response(answer, checks=CHECKS)

            ask()
    assert {200, 400, 401, 404} <= seen


async def test_our_client_gets_its_clip_through_litellms_proxy(lax: Live, tmp_path: Path) -> None:
    """The proxy drops `task_result`; the bytes come from `/content`, and the key goes to the proxy
    only.
    """
    with proxy(tmp_path, lax.url) as address:
        ours = Settings(OPENAI_BASE_URL=address, OPENAI_API_KEY="sk-ours")  # type: ignore[call-arg]
        async with Client(ours) as client:
            job = await client.create(
                {"model": "sora-2", "prompt": "x", "seconds": "4", "size": "1280x720"}
            )
            made = job.id
            while not job.status.is_final:
                job = await client.retrieve(made)
            assert job.url is None and job.by_content
            await client.download(client.content_url(made), tmp_path / "clip.mp4")
            with pytest.raises(RequestRefused):
                await client.create(
                    {"model": "sora-2", "prompt": "x", "seconds": "5", "size": "1280x720"}
                )
    assert verify(tmp_path / "clip.mp4").facts.frames == 96
    assert len(lax.accepted) == 1
