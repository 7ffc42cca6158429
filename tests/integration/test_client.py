"""Each answer becomes the error that says what it means, and the key goes nowhere but to the
API.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from storyreel import errors
from storyreel.api import answers
from storyreel.api.client import Client
from storyreel.film.media import clip
from storyreel.workspace.settings import Settings
from tests.server import Live, live

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
    (401, JSON_ERROR, errors.KeyRefused), (403, JSON_ERROR, errors.KeyRefused), (402, "", errors.OutOfCredit),
    (403, "error code: 1010", errors.EndpointRefused), (404, "", errors.EndpointRefused), (408, "", errors.AnswerLost), (413, "", errors.RequestRefused),
    (429, JSON_ERROR, errors.RateLimited), (429, '{"error": "insufficient_quota"}', errors.OutOfCredit),
    (500, JSON_ERROR, errors.AnswerLost), (503, JSON_ERROR, errors.AnswerLost), (521, "", errors.NotSent), (500, "<html>oops</html>", errors.AnswerLost),
    (503, '{"error": {"message": "the price of the model is not set"}}', errors.RequestRefused),
    (502, "<html>bad gateway</html>", errors.AnswerLost), (504, JSON_ERROR, errors.AnswerLost), (520, "", errors.AnswerLost),
    (422, '{"error": {"message": "unsafe content"}}', errors.Moderated), (200, JSON_ERROR, errors.RequestRefused),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), POST)
async def test_each_answer_to_a_post_has_one_meaning(
    status: int, body: str, kind: type[Exception]
) -> None:
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
async def test_what_provably_never_left_is_told_from_a_lost_answer(
    fault: Exception, kind: type[Exception]
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    async with client(fail) as api:
        with pytest.raises(kind):
            await api.create({"prompt": "x"})


async def test_a_wish_to_wait_is_read_in_both_forms() -> None:
    odd = [
        (value, None)
        for value in (
            "soon",
            "²",
            "",
            "-1",
            "9" * 400,
            "1e9",
            "Thu, 01 Jan 99999 00:00:00 GMT",
            "NaN",
        )
    ]
    for value, wait in (("7", 7.0), ("1.5", 1.5), ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0), *odd):
        answer = httpx.Response(429, headers=[(b"Retry-After", value.encode())])
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


async def test_a_download_never_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("it would hold up every other job"))
    async with client(lambda request: httpx.Response(200, content=BYTES)) as api:
        await api.download("https://x.example/a.mp4", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BYTES


async def test_the_key_never_follows_a_result_url_or_a_redirect(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "api.example":
            return httpx.Response(
                302, headers={"Location": "https://cdn.example/clip.mp4?e=1&token=t"}
            )
        return httpx.Response(200, content=b"bytes")

    async with client(handler) as api:
        await api.download(api.content_url("q1"), tmp_path / "a")
        await api.download("https://cdn.example/clip.mp4?e=1&token=t", tmp_path / "b")
    assert [(r.url.host, "Authorization" in r.headers) for r in seen] == [
        ("api.example", True), ("cdn.example", False), ("cdn.example", False)
    ]  # fmt: skip
    assert str(seen[-1].url) == "https://cdn.example/clip.mp4?e=1&token=t"


async def test_a_server_that_echoes_the_key_does_not_get_it_into_our_words() -> None:
    async with client(
        lambda request: httpx.Response(401, json={"error": {"message": f"bad key {KEY}"}})
    ) as api:
        with pytest.raises(errors.KeyRefused) as caught:
            await api.retrieve("q")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x.example/a",
        "gopher://x",
        "//x",
        "data:,x",
        "http://[fe80::1/x",
        "https://h:99999/x",
        "https://h:80a/",
        "",
        "x",
    ],
)
async def test_strange_result_addresses_are_not_fetched(tmp_path: Path, url: str) -> None:
    async with client(lambda request: httpx.Response(200, content=b"x")) as api:
        with pytest.raises(errors.DownloadError, match="not fetched"):
            await api.download(url, tmp_path / "a")


async def test_an_http_link_of_an_https_api_is_fetched_by_https(tmp_path: Path) -> None:
    seen: list[httpx.URL] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        if request.url.host == "api.example":
            return httpx.Response(302, headers={"Location": "http://cdn.example/a.mp4"})
        return httpx.Response(200, content=b"bytes")

    async with client(handler) as api:
        await api.download("http://cdn.example/a.mp4", tmp_path / "a")
        await api.download(api.content_url("q1"), tmp_path / "b")
    assert {url.scheme for url in seen} == {"https"}


async def test_an_http_link_that_does_not_answer_https_is_said_to_be_one(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with client(refuse) as api:
        with pytest.raises(errors.DownloadError, match="`http:` address") as caught:
            await api.download("http://cdn.example/a.mp4", tmp_path / "a")
    assert caught.value.fix


async def test_a_link_of_the_apis_own_origin_that_wants_the_key_gets_it_and_no_other_does(
    tmp_path: Path,
) -> None:
    seen: list[tuple[str, bool]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        has_key = "Authorization" in request.headers
        seen.append((request.url.host + request.url.path, has_key))
        return httpx.Response(200 if has_key else 401, content=b"bytes")

    async with client(handler) as api:
        await api.download("https://api.example/files/a.mp4", tmp_path / "a")
        await api.download("https://api.example/other/base/videos/q/content", tmp_path / "b")
        with pytest.raises(errors.DownloadError):
            await api.download("https://api.example.evil.example/videos/q/content", tmp_path / "c")
    assert seen == [
        ("api.example/files/a.mp4", False), ("api.example/files/a.mp4", True), ("api.example/other/base/videos/q/content", True),
        ("api.example.evil.example/videos/q/content", False),
    ]  # fmt: skip


async def test_a_failed_job_that_is_told_by_an_error_status_is_failed() -> None:
    told = {"id": "q", "status": "failed", "error": {"message": "out of memory"}}
    async with client(lambda request: httpx.Response(500, json=told)) as api:
        job = await api.retrieve("q")
    assert job.status is answers.JobStatus.FAILED and job.error_message == "out of memory"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (httpx.Response(200, text='\ufeff{"task_id": "q"}'), "q"), (httpx.Response(202, json={"data": {"task_id": 7}}), "7"),
        (httpx.Response(201, headers={"Location": "/v1/videos/q%3A1"}), "q:1"),
        (httpx.Response(500, json={"id": "q", "status": "queued"}), "q"),
    ],
)  # fmt: skip
async def test_a_job_that_was_made_is_found_in_the_answer(
    answer: httpx.Response, name: str
) -> None:
    async with client(lambda request: answer) as api:
        assert (await api.create({})).id == name


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://[::1", "http://\u0000/v1"])
async def test_an_address_that_cannot_be_asked_sends_nothing(url: str) -> None:
    async with Client(Settings(OPENAI_API_KEY=KEY)) as api:  # type: ignore[call-arg]
        api.base_url = url
        with pytest.raises(errors.NotSent):
            await api.create({})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404), errors.LinkExpired), (httpx.Response(410), errors.LinkExpired),
        (httpx.Response(403), errors.LinkExpired), (httpx.Response(500), errors.DownloadError),
        (httpx.Response(200, headers={"Content-Length": "99"}, content=b"x"), errors.BrokenOff),
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


BYTES = bytes(range(256)) * 40


def breaking(
    *answers: tuple[int, dict[str, str], bytes],
) -> tuple[Callable[[httpx.Request], httpx.Response], list[str]]:
    """A server whose answers break off after their bytes, but for the last; and the ranges it is
    asked for.
    """
    left, asked = list(answers), []

    class Stream(httpx.AsyncByteStream):
        def __init__(self, data: bytes, breaks: bool) -> None:
            self.data, self.breaks = data, breaks

        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield self.data
            if self.breaks:
                raise httpx.ReadError("reset")

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Range", "") + request.headers.get("If-Range", ""))
        status, headers, data = left.pop(0)
        return httpx.Response(status, headers=headers, stream=Stream(data, bool(left)))

    return handler, asked


WHOLE = {"Content-Length": str(len(BYTES)), "Accept-Ranges": "bytes", "ETag": '"v1"'}


def rest(start: int) -> tuple[int, dict[str, str], bytes]:
    return 206, {"Content-Range": f"bytes {start}-{len(BYTES) - 1}/{len(BYTES)}"}, BYTES[start:]


async def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    first = (200, WHOLE, BYTES[:1000])
    middle = (206, rest(1000)[1], BYTES[1000:5000])
    handler, asked = breaking(first, middle, rest(5000))
    async with client(handler) as api:
        fetched = await api.download("https://x.example/a.mp4", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BYTES
    assert (fetched.bytes, fetched.sha256) == (len(BYTES), hashlib.sha256(BYTES).hexdigest())
    assert asked == ["", 'bytes=1000-"v1"', 'bytes=5000-"v1"']


async def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(tmp_path: Path) -> None:
    other = b"another clip altogether"
    changed = (
        200,
        {"Content-Length": str(len(other)), "Accept-Ranges": "bytes", "ETag": '"v2"'},
        other,
    )
    handler, _ = breaking((200, WHOLE, BYTES[:1000]), changed)
    async with client(handler) as api:
        await api.download("https://x.example/a.mp4", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == other


@pytest.mark.parametrize(
    "second",
    [
        (206, {"Content-Range": f"bytes 0-{len(BYTES) - 1}/{len(BYTES)}"}, BYTES),
        (206, {"Content-Range": "bytes 1000-1999/2000"}, BYTES[1000:2000]),
        (206, {}, BYTES[1000:]), (416, {}, b""), (500, {}, b""), (*rest(1000)[:2], b""),
    ],
)  # fmt: skip
async def test_what_does_not_continue_the_clip_is_not_taken_for_its_rest(
    tmp_path: Path, second: tuple[int, dict[str, str], bytes]
) -> None:
    handler, _ = breaking((200, WHOLE, BYTES[:1000]), second)
    async with client(handler) as api:
        with pytest.raises(errors.DownloadError):
            await api.download("https://x.example/a.mp4", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


async def test_no_range_is_asked_for_where_none_is_offered(tmp_path: Path) -> None:
    handler, asked = breaking((200, {"Content-Length": str(len(BYTES))}, BYTES[:1000]), rest(1000))
    async with client(handler) as api:
        with pytest.raises(errors.BrokenOff):
            await api.download("https://x.example/a.mp4", tmp_path / "a")
    assert asked == [""]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("api"), speed=1e6) as api:
        yield api


async def _made(api: Client) -> answers.Job:
    body = {"model": "sora-2", "prompt": "x", "seconds": "4", "size": "1280x720"}
    job = await api.create(body)
    while not job.status.is_final:
        job = await api.retrieve(job.id)
    return job


async def test_a_real_server_that_drops_a_download_half_way_is_gone_on_with(
    server: Live, tmp_path: Path
) -> None:
    settings = Settings(OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY)  # type: ignore[call-arg]
    server.faults({"on": "content", "nth": [1], "do": "break"})
    async with Client(settings) as api:
        job = await _made(api)
        await api.download(job.url or "", tmp_path / "a")
    assert server.simulator.truth["downloads"] == 2
    assert clip.verify(tmp_path / "a").facts.frames == 96


async def test_answers_that_drip_byte_by_byte_are_given_up_in_time(
    server: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY)  # type: ignore[call-arg]
    async with Client(settings) as api:
        job = await _made(api)
        server.faults(
            *({"on": on, "do": "slow", "seconds": 60} for on in ("create", "retrieve", "content"))
        )
        monkeypatch.setattr("storyreel.api.client.REQUEST_DEADLINE_S", 0.2)
        monkeypatch.setattr("storyreel.api.download.DOWNLOAD_DEADLINE_S", 0.2)
        with pytest.raises(errors.AnswerLost):
            await api.create({"model": "sora-2", "prompt": "y", "seconds": "4", "size": "1280x720"})
        with pytest.raises(errors.AnswerLost):
            await api.retrieve(job.id)
        with pytest.raises(errors.DownloadError, match="longer than"):
            await api.download(job.url or "", tmp_path / "a")
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


def test_a_part_that_a_full_disk_cannot_take_is_removed(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom storyreel.api.part "
        "import Part\n"
        "signal.signal(signal.SIGXFSZ, "
        "signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "part = Part(Path(sys.argv[1]), 10**6)\npart._out.write(b'x' * 100)\n"
        "try: part.close(keep=False)\nexcept OSError: print('full')\n"
    )
    path = tmp_path / ".clip.part"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "full" and not path.exists()
