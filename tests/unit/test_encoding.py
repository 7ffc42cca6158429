"""How a request leaves."""

from __future__ import annotations

import base64
import json
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from storyreel.api import encoding
from storyreel.api.client import Client
from storyreel.catalog.dialect import Auth, Endpoint
from storyreel.workspace.settings import Settings

PNG = b"\x89PNG\r\n\x1a\n--not a boundary\r\n"
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


def form(body: dict[str, Any]) -> list[tuple[str | None, str | None, bytes]]:
    """(name, file name, bytes) of each part of a form, as Python's own parser reads it."""
    kind, data = encoding.encode(body, Endpoint(body="multipart"))
    message: Message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + data)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            bytes(part.get_payload(decode=True)),  # type: ignore[arg-type]
        )
        for part in message.get_payload()  # type: ignore[union-attr]
    ]


def test_a_form_has_text_as_it_is_files_of_data_uris_and_the_rest_as_json() -> None:
    body = {
        "prompt": "守る\r\nb",
        "seconds": 5,
        "watermark": False,
        "extra": {"a": [1]},
        "input_reference": URI,
        "more": [URI, URI],
    }
    assert form(body) == [
        ("prompt", None, "守る\r\nb".encode()), ("seconds", None, b"5"), ("watermark", None, b"false"),
        ("extra", None, b'{"a": [1]}'), ("input_reference", "input_reference.png", PNG), ("more", "more.png", PNG),
        ("more", "more.png", PNG),
    ]  # fmt: skip


def test_what_only_looks_like_a_data_uri_stays_text() -> None:
    assert form({"prompt": "data:image/png;base64,a b"}) == [
        ("prompt", None, b"data:image/png;base64,a b")
    ]


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (Auth(), {"Authorization": "Bearer k"}),
        (Auth(header="api-key", scheme=""), {"api-key": "k"}),
        (Auth(scheme="Key"), {"Authorization": "Key k"}),
    ],
)
def test_the_key_goes_into_the_endpoints_header(auth: Auth, header: dict[str, str]) -> None:
    assert encoding.authorization(auth, "k") == header
    assert encoding.authorization(auth, None) == {}


async def test_a_client_speaks_to_an_endpoint_of_another_shape(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path.endswith("/file"):
            return httpx.Response(200, content=b"clip")
        return httpx.Response(200, json={"id": "task/1", "status": "queued"})

    settings = Settings(OPENAI_BASE_URL="http://gate.example/api", OPENAI_API_KEY="secret")  # type: ignore[call-arg]
    async with Client(settings, transport=httpx.MockTransport(answer)) as client:
        client.endpoint = Endpoint.model_validate(
            {
                "auth": {"header": "api-key", "scheme": ""},
                "body": "multipart",
                "paths": {
                    "create": "/jobs",
                    "get": "/job?id={id}",
                    "content": "/jobs/{id}/file",
                    "remix": "/jobs/{id}/again",
                },
            }
        )
        job = await client.create({"model": "m", "prompt": "x"})
        await client.retrieve(job.id)
        await client.remix(job.id, {"prompt": "y"})
        await client.download(client.content_url(job.id), tmp_path / "a.part")
        await client.download("http://gate.example/elsewhere/a.mp4/file", tmp_path / "b.part")
    assert [str(one.url).removeprefix("http://gate.example") for one in seen] == [
        "/api/jobs", "/api/job?id=task%2F1", "/api/jobs/task%2F1/again", "/api/jobs/task%2F1/file", "/elsewhere/a.mp4/file",
    ]  # fmt: skip
    assert [one.headers.get("api-key") for one in seen] == ["secret"] * 4 + [None], (
        "not to other addresses"
    )
    assert all("authorization" not in one.headers for one in seen)
    assert (
        seen[0].headers["content-type"].startswith("multipart/form-data")
        and b'name="model"' in seen[0].content
    )


async def test_by_default_a_request_is_json_with_a_bearer_token() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "a", "status": "queued"})

    settings = Settings(OPENAI_BASE_URL="http://gate.example/v1", OPENAI_API_KEY="secret")  # type: ignore[call-arg]
    async with Client(settings, transport=httpx.MockTransport(answer)) as client:
        await client.create({"model": "m"})
    assert (seen[0].url.path, seen[0].headers["authorization"]) == ("/v1/videos", "Bearer secret")
    assert json.loads(seen[0].content) == {"model": "m"}
