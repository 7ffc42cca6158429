"""Each answer becomes the error that says what it means, and the key goes nowhere but to the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from storyreel import errors
from storyreel.client import Client
from storyreel.settings import Settings

KEY = "sk-very-secret-key"
BASE = "https://api.example/v1"


def client(handler: Callable[[httpx.Request], httpx.Response], base: str = BASE) -> Client:
    settings = Settings(OPENAI_BASE_URL=base, OPENAI_API_KEY=KEY)  # type: ignore[call-arg]
    return Client(settings, transport=httpx.MockTransport(handler), now=lambda: 1_000.0)


JOB = {"id": "q1", "status": "queued"}
JSON_ERROR = '{"error": {"message": "it went wrong", "code": "c"}}'

POST = [
    (200, "<html>ok</html>", errors.AnswerLost), (200, "", errors.AnswerLost), (200, "[]", errors.AnswerLost),
    (301, "", errors.RequestRefused), (400, JSON_ERROR, errors.RequestRefused), (422, "plain", errors.RequestRefused),
    (401, JSON_ERROR, errors.KeyRefused), (403, "error code: 1010", errors.KeyRefused), (402, "", errors.OutOfCredit),
    (404, "", errors.RequestRefused), (408, "", errors.AnswerLost), (413, "", errors.RequestRefused),
    (429, JSON_ERROR, errors.RateLimited), (429, '{"error": "insufficient_quota"}', errors.OutOfCredit),
    (500, JSON_ERROR, errors.ServerFault), (503, JSON_ERROR, errors.ServerFault), (500, "<html>oops</html>", errors.AnswerLost),
    (503, '{"error": {"message": "the price of the model is not set"}}', errors.RequestRefused),
    (502, "<html>bad gateway</html>", errors.AnswerLost), (504, JSON_ERROR, errors.AnswerLost), (520, "", errors.AnswerLost),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), POST)
async def test_each_answer_to_a_post_has_one_meaning(status: int, body: str, kind: type[Exception]) -> None:
    async with client(lambda request: httpx.Response(status, text=body)) as api:
        with pytest.raises(kind) as caught:
            await api.create({"prompt": "x"})
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.ConnectError("refused"), errors.NotSent), (httpx.ConnectTimeout("slow"), errors.NotSent),
        (httpx.PoolTimeout("full"), errors.NotSent), (httpx.ReadTimeout("slow"), errors.AnswerLost),
        (httpx.ReadError("reset"), errors.AnswerLost), (httpx.WriteError("reset"), errors.AnswerLost),
        (httpx.RemoteProtocolError("closed"), errors.AnswerLost), (httpx.WriteTimeout("slow"), errors.AnswerLost),
    ],
)  # fmt: skip
async def test_what_provably_never_left_is_told_from_a_lost_answer(fault: Exception, kind: type[Exception]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    async with client(fail) as api:
        with pytest.raises(kind):
            await api.create({"prompt": "x"})


async def test_a_wish_to_wait_is_read_in_both_forms() -> None:
    for value, wait in (("7", 7.0), ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0), ("soon", None)):
        answer = httpx.Response(429, headers={"Retry-After": value})
        async with client(lambda request, answer=answer: answer) as api:
            with pytest.raises(errors.RateLimited) as caught:
                await api.create({})
        assert caught.value.retry_after_s == wait


async def test_requests_carry_the_key_as_bearer_and_our_own_name() -> None:
    seen: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=JOB)

    async with client(keep) as api:
        await api.create({"prompt": "守"})
        await api.remix("a/b?c", {"prompt": "x"})
        await api.retrieve("../../etc")
    assert [str(r.url) for r in seen] == [
        f"{BASE}/videos",
        f"{BASE}/videos/a%2Fb%3Fc/remix",
        f"{BASE}/videos/..%2F..%2Fetc",
    ]
    assert all(r.headers["Authorization"] == f"Bearer {KEY}" for r in seen)
    assert all(r.headers["User-Agent"].startswith("storyreel/") for r in seen)
    assert seen[0].headers["Content-Type"] == "application/json"
    assert json.loads(seen[0].content) == {"prompt": "守"}


async def test_the_key_never_follows_a_result_url_or_a_redirect(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "api.example":
            return httpx.Response(302, headers={"Location": "https://cdn.example/clip.mp4?e=1&token=t"})
        return httpx.Response(200, content=b"bytes")

    async with client(handler) as api:
        await api.download(api.content_url("q1"), tmp_path / "a")
        await api.download("https://cdn.example/clip.mp4?e=1&token=t", tmp_path / "b")
    assert [(r.url.host, "Authorization" in r.headers) for r in seen] == [
        ("api.example", True), ("cdn.example", False), ("cdn.example", False)
    ]  # fmt: skip
    assert str(seen[-1].url) == "https://cdn.example/clip.mp4?e=1&token=t"


async def test_a_server_that_echoes_the_key_does_not_get_it_into_our_words() -> None:
    async with client(lambda request: httpx.Response(401, json={"error": {"message": f"bad key {KEY}"}})) as api:
        with pytest.raises(errors.KeyRefused) as caught:
            await api.retrieve("q")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x.example/a", "http://x.example/a", "gopher://x", "//x", "data:,x"]
)
async def test_strange_result_addresses_are_not_fetched(tmp_path: Path, url: str) -> None:
    async with client(lambda request: httpx.Response(200, content=b"x")) as api:
        with pytest.raises(errors.DownloadError, match="not fetched"):
            await api.download(url, tmp_path / "a")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404), errors.LinkExpired), (httpx.Response(410), errors.LinkExpired),
        (httpx.Response(403), errors.LinkExpired), (httpx.Response(500), errors.DownloadError),
        (httpx.Response(200, headers={"Content-Length": "99"}, content=b"x"), errors.DownloadError),
        (httpx.Response(200, headers={"Content-Length": "50000000000"}, stream=httpx.ByteStream(b"")), errors.DownloadError),
        (httpx.Response(302, headers={"Location": "https://x.example/again"}), errors.DownloadError),
    ],
)  # fmt: skip
async def test_a_download_that_is_not_whole_leaves_nothing(
    tmp_path: Path, answer: httpx.Response, kind: type[Exception]
) -> None:
    async with client(lambda request: answer) as api:
        with pytest.raises(kind) as caught:
            await api.download("https://x.example/a.mp4", tmp_path / "a")
    assert type(caught.value) is kind
    assert list(tmp_path.iterdir()) == []


async def test_a_gigabyte_of_json_is_cut_short() -> None:
    class Endless(httpx.AsyncByteStream):
        sent = 0

        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                Endless.sent += 1 << 20
                yield b" " * (1 << 20)

    async with client(lambda request: httpx.Response(200, stream=Endless())) as api:
        with pytest.raises(errors.AnswerLost):
            await api.retrieve("q")
    assert Endless.sent <= 8 << 20
