"""Servers of the family, each with its own way to answer: no job is paid twice, none is lost, none is waited for without end.

The rows are kinds out of reference/gateways.md 1.1 to 1.11, and forms that stand on no page.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from PIL import Image, ImageEnhance

from storyreel import manifest
from storyreel.api.client import Client
from storyreel.catalog import load as catalog
from storyreel.errors import (
    DeadlinePassed,
    DownloadError,
    EndpointRefused,
    KeyRefused,
    OutOfCredit,
    StillLimited,
    StoryreelError,
)
from storyreel.film.media.clip import verify
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State, Take
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot
from storyreel.run import collection, submission, waiting
from storyreel.run.inputs import Ready
from storyreel.run.session import Clock, Progress, Session
from storyreel.simulator.picture import Shot, render
from storyreel.workspace.folder import Workspace
from storyreel.workspace.settings import Settings
from tests.integration.test_likeness import photo

HOST = "https://api.example"
BOARD = "version: 1\nid: b\nscenes:\n  - {id: s, prompt: x, model: kling-video-o1}\n"
LINK = "https://cdn.example/clip.mp4"
START_S = 1_763_802_000.0
START_MS = 1_763_802_000_000
LONGEST_S = 3 * 3600.0  # a run with one job may last so long, at the very most

Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
NOT_FOUND: Answer = (404, {"error": {"message": "no such route"}})


@dataclass(frozen=True)
class Server:
    """How one server answers. `asked` are its answers about the job, the last one for ever; `made` whether the request made
    a job; `ends` how the scene ends after two runs: a state, or with the class of the error.
    """

    name: str
    created: Answer = (200, {"id": "q-1", "status": "queued"})
    asked: Sequence[Answer] = ()
    made: bool = True
    ends: str = "collected"
    stops: type[StoryreelError] | None = None
    code: int | None = None  # the exit code of what stops the run
    says: str = ""
    bytes_at: Mapping[str, Sequence[Answer | str]] = field(default_factory=lambda: {LINK: ["clip"]})


def done(**more: Any) -> Answer:
    return 200, {"id": "q-1", "status": "completed", **more}


HOME = done(task_result={"videos": [{"url": LINK}]})
BUSY: Answer = (200, {"id": "q-1", "status": "in_progress"})


def found(name: str, **more: Any) -> Server:
    return Server(name, asked=[BUSY, done(**more)])


def job(name: str, body: Any, **options: Any) -> Server:
    return Server(name, created=(200, body), **({"asked": [HOME]} | options))


def refused(name: str, status: int, body: Any, kind: str, **options: Any) -> Server:
    return Server(name, created=(status, body), made=False, ends=kind, **options)


def stopped(
    name: str, status: int, body: Any, kind: type[StoryreelError], code: int, says: str
) -> Server:
    return Server(
        name, created=(status, body), made=False, ends="released", stops=kind, code=code, says=says
    )


def err(message: str, code: Any = None, kind: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": kind}}


OWN_CONTENT = f"{HOST}/v1/videos/q-1/content"
NATIVE = {"code": 0, "data": {"task_id": "q-1", "task_status": "submitted"}}

TIMES = [
    found("ms", created_at=START_MS, completed_at=START_MS + 1, video_url=LINK),
    found("ms as text", created_at=str(START_MS), completed_at=str(START_MS), url=LINK),
    found("iso", created_at="2025-11-22T09:00:00Z", completed_at="2025-11-22T09:01:00+08:00", video_url=LINK),
    found("nonsense", created_at="yesterday", completed_at=1e300, expires_at=-5, video_url=LINK),
    found("microseconds, a list", created_at=[START_MS * 1000], completed_at={"seconds": 1}, video_url=LINK),
    Server("a number of a thousand digits",
           asked=[(200, '{"id":"q-1","status":"completed","completed_at":' + "9" * 5000 + f',"video_url":"{LINK}"}}')]),
    Server("NaN", asked=[(200, f'{{"id":"q-1","status":"completed","completed_at":NaN,"video_url":"{LINK}"}}')]),
]  # fmt: skip
LINKS = [
    found("qiniu", task_result={"videos": [{"url": LINK}]}), found("new-api", metadata={"url": LINK}, progress=100),
    found("openrouter", unsigned_urls=[LINK]), found("runway", output=[LINK]), found("together", outputs={"video_url": LINK}),
    found("ark", content={"video_url": LINK}), found("zhipu", video_result=[{"url": LINK, "cover_image_url": LINK + "/c.jpg"}]),
    found("fal", result={"video": {"url": LINK}}),
    Server("new-api's row", asked=[(200, {"code": "success", "data": {"task_id": "q-1", "status": "SUCCESS", "fail_reason": LINK}})]),
    Server("nested thrice", asked=[(200, {"data": {"data": {"id": "q-1", "status": "succeed", "output": {"video_url": LINK}}}})]),
    # on no page
    found("another nesting", payload={"renders": [{"formats": {"hd": {"href": LINK}}}]}),
    found("another word", clip={"uri": LINK, "thumbnail": "https://cdn.example/t.jpg"}),
    found("a link beside its poster and a page", media={"poster": "https://cdn.example/p.png", "file": LINK, "help": "https://x.example/help"}),
    found("text within text", task_result=json.dumps({"videos": [{"url": LINK}]})),
    Server("a relative link", asked=[done(url="/files/clip.mp4")], bytes_at={f"{HOST}/files/clip.mp4": ["clip"]}),
    Server("openai", asked=[done(progress=100)], bytes_at={OWN_CONTENT: ["clip"]}),
    Server("http, https answers too", asked=[done(video_url=LINK.replace("https", "http"))]),
    Server("a redirect", asked=[done(video_url="https://a.example/x")],
           bytes_at={"https://a.example/x": [(302, "", {"Location": LINK})], LINK: ["clip"]}),
]  # fmt: skip
IDS = [
    job("task_id", {"task_id": "q-1"}), job("new-api's two ids", {"id": 12, "task_id": "q-1", "status": "queued"}),
    job("302.ai", {"code": 200, "data": {"task_id": "q-1"}}), job("apimart", {"code": 200, "data": [{"task_id": "q-1", "status": "submitted"}]}),
    job("dashscope", {"output": {"task_id": "q-1", "task_status": "PENDING"}, "request_id": "r"}), job("kling", NATIVE),
    Server("a number", created=(200, {"id": 1}), asked=[(200, {"id": 1, "status": "completed", "url": LINK})]),
    Server("openrouter's 202", created=(202, {"id": "q-1", "status": "pending", "polling_url": f"{HOST}/v1/videos/q-1"}), asked=[HOME]),
    Server("a byte order mark", created=(200, '\ufeff{"id": "q-1", "status": "queued"}'), asked=[HOME]),
    job("localai, finished at once", {"created": 1, "id": "q-1", "data": [{"url": LINK}]}, asked=[NOT_FOUND]),
    # on no page
    job("finished at once, with a word", {"id": "q-1", "status": "succeeded", "video": {"url": LINK}}, asked=[NOT_FOUND]),
    job("a wrapper of another name", {"ok": True, "response": {"generation": {"id": "q-1", "state": "QUEUED"}}}),
    job("a job within text", json.dumps({"id": "q-1", "status": "queued"})),
    Server("the Location alone", created=(201, "", {"Location": "/v1/videos/q-1"}), asked=[HOME]),
    job("an item of a list", {"items": [{"id": "q-1", "status": "queued"}]}),
    Server("a bare id", created=(200, {"code": 0, "message": "ok", "data": "q-1-2025-11"}), asked=[HOME]),
    job("capitals", {"ID": "q-1", "Status": "TASK_STATUS_QUEUED"}), job("another id", {"result": {"generationId": "q-1"}}),
    job("a colon and blanks", {"id": " q-1 ", "status": {"name": "In Queue"}}),
]  # fmt: skip
LOST = [
    Server("a page", created=(200, "<html>ok</html>"), ends="ambiguous"), Server("nothing", created=(200, ""), ends="ambiguous"),
    Server("a list", created=(200, []), ends="ambiguous"), Server("request_id alone", created=(200, {"request_id": "r"}), ends="ambiguous"),
    Server("do_request_failed", created=(500, err("do request failed", "do_request_failed")), ends="ambiguous"),
    Server("a timeout inside 200", created=(200, err("upstream timeout")), ends="ambiguous"),
    Server("502", created=(502, "<html>Bad Gateway</html>"), ends="ambiguous"),
    Server("a fault that names the job", created=(500, {"id": "q-1", "status": "queued"}), asked=[HOME]),
]  # fmt: skip
REFUSED = [
    refused("an error inside 200", 200, err("the size is wrong", "invalid_size"), "released:invalid"),
    refused("kling's code inside 200", 200, {"code": 1201, "message": "model is not valid", "request_id": "r"}, "released:invalid"),
    refused("minimax", 200, {"task_id": "", "base_resp": {"status_code": 2013, "status_msg": "invalid params"}}, "released:invalid"),
    refused("403 for a prompt", 403, err("no", "content_policy_violation"), "failed:moderation"),
    refused("审核 inside 200", 200, {"code": 1301, "msg": "内容审核不通过"}, "failed:moderation"),
    refused("403 for a model", 403, err("该令牌无权访问模型 kling"), "released:invalid"),
    refused("503 for a model", 503, err("No available channel for model kling", "model_not_found"), "released:invalid"),
    refused("fastapi", 422, {"detail": [{"loc": ["body", "seconds"], "msg": "field required"}]}, "released:invalid"),
    refused("multipart only", 415, err("Content-Type must be multipart/form-data"), "released:invalid"),
    # on no page
    refused("errors, a list", 200, {"errors": [{"title": "bad ratio", "detail": "16:9 only"}]}, "released:invalid"),
    refused("a refusal with something like an id", 200, {"code": 1201, "message": "ratio is wrong", "data": "request-12345678"}, "released:invalid"),
    refused("success: false", 200, {"success": False, "reason": "duration must be 6"}, "released:invalid"),
    stopped("402", 402, "", OutOfCredit, 3, "top up"), stopped("429 for money", 429, err("当前分组上游负载已饱和", "insufficient_user_quota", "insufficient_quota"), OutOfCredit, 3, "top up"),
    stopped("401 for money", 401, err("该令牌额度已用尽"), OutOfCredit, 3, "top up"), stopped("403 for money", 403, err("token quota is not enough", "pre_consume_token_quota_failed"), OutOfCredit, 3, "top up"),
    stopped("money inside 200", 200, {"task_id": "", "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, OutOfCredit, 3, "top up"),
    stopped("kling's money inside 200", 200, {"code": 1102, "message": "Account balance not enough"}, OutOfCredit, 3, "top up"),
    stopped("a firewall", 403, "<html>Just a moment...</html>", EndpointRefused, 4, "network"),
    stopped("another firewall", 403, "error code: 1010", EndpointRefused, 4, "network"),
    stopped("a key", 401, err("invalid api key"), KeyRefused, 4, "OPENAI_API_KEY"), stopped("a wrong path", 404, {"detail": "Not Found"}, EndpointRefused, 4, "/v1"),
    stopped("429 for ever", 429, err("当前分组上游负载已饱和，请稍后再试"), StillLimited, 4, "quota"),
    stopped("400 for too many, for ever", 400, err("parallel task over resource pack limit", "task_failed"), StillLimited, 4, "quota"),
]  # fmt: skip
ENDS = [
    Server("not known yet", asked=[(400, {"code": "task_not_exist", "message": "task_not_exist", "data": None}), BUSY, HOME]),
    Server("not known any more", asked=[BUSY, (400, {"code": "task_not_exist", "message": "task_not_exist"})], ends="ambiguous:expired"),
    Server("404 for ever", asked=[(404, err("video not found"))], ends="ambiguous:expired"),
    Server("vllm-omni", asked=[BUSY, (500, {"id": "q-1", "status": "failed", "error": {"message": "out of memory"}})], ends="failed:transient", says="out of memory"),
    Server("5xx, then done", asked=[(502, "<html>"), (503, err("busy")), (429, "", {"Retry-After": "2"}), HOME]),
    Server("an unknown word and a link", asked=[(200, {"id": "q-1", "status": "cooked", "video_url": LINK})]),
    Server("an unknown word and an error", asked=[(200, {"id": "q-1", "status": "kaputt", "error": "no luck"})], ends="failed:transient", says="no luck"),
    Server("an unknown word for ever", asked=[(200, {"id": "q-1", "status": "simmering"})], ends="in_flight", stops=DeadlinePassed, says="simmering"),
    Server("不符合规范", asked=[(200, {"id": "q-1", "status": "fail", "fail_reason": "内容不符合规范"})], ends="failed:moderation"),
    Server("kling's own reason", asked=[(200, {"code": 0, "data": {"task_id": "q-1", "task_status": "failed", "task_status_msg": "risk control"}})], ends="failed:moderation"),
    Server("failed at once", created=(200, {"id": "q-1", "status": "failed", "error": {"message": "the model broke"}}),
           asked=[(200, {"id": "q-1", "status": "failed", "error": {"message": "the model broke"}})], ends="failed:transient"),
    Server("a pool that answers for ever", asked=[(200, [1, 2])], ends="in_flight", stops=DeadlinePassed),
    # on no page
    Server("the state outside, the clip inside", asked=[(200, {"status": "processing", "video": {"id": "v"}}), (200, {"status": "ready", "video": {"id": "v", "uri": LINK}})]),
    Server("a failure outside of the clip", asked=[(200, {"status": "failed", "video": {"id": "v"}, "reason": "boom"})], ends="failed:transient", says="boom"),
    Server("words with a prefix", asked=[(200, {"task": {"task_id": "q-1", "status": "TASK_STATUS_SUCCEED"}, "videos": [{"video_url": LINK}]})]),
    Server("a status that is a number", asked=[(200, {"id": "q-1", "status": 3, "video_url": LINK})]),
    Server("other words", asked=[(200, {"jobId": "q-1", "state": "Error", "err_msg": "boom"})], ends="failed:transient", says="boom"),
]  # fmt: skip
BYTES = [
    Server("late content", asked=[done(progress=100)],
           bytes_at={OWN_CONTENT: [(400, err("Task is not completed yet")), (404, ""), (425, ""), "clip"]}),
    Server("late content in a 200", asked=[done(progress=100)],
           bytes_at={OWN_CONTENT: [(200, err("Task is not completed yet")), "clip"]}),
    Server("content that answers with a link", asked=[done(progress=100)],
           bytes_at={OWN_CONTENT: [(200, {"url": LINK})], LINK: ["clip"]}),
    Server("content that is JSON for ever", asked=[done(progress=100)], ends="completed", stops=DownloadError,
           says="the moon is full", bytes_at={OWN_CONTENT: [(200, err("the moon is full"))]}),
    Server("content that is a page", asked=[done(video_url=LINK)], ends="completed", stops=DownloadError,
           says="text instead of the clip", bytes_at={LINK: [(200, "<!DOCTYPE html><p>Sign in</p>")]}),
    Server("a dead link, then a fresh one", asked=[done(video_url="https://cdn.example/old.mp4"), HOME],
           bytes_at={LINK: ["clip"], "https://cdn.example/old.mp4": [(403, "")]}),
    Server("a malformed link", asked=[done(video_url="http://[fe80::1/x")], ends="completed", stops=DownloadError),
    Server("a malformed redirect", asked=[done(video_url=LINK)], ends="completed", stops=DownloadError,
           bytes_at={LINK: [(302, "", {"Location": "http://[fe80::1/x"})]}),
    Server("finished at once, and its first bytes break", created=done(video_url=LINK), asked=[NOT_FOUND],
           bytes_at={LINK: [(503, ""), "clip"]}),
    Server("a link of its own that wants the key", asked=[done(video_url=f"{HOST}/dl/q-1")],
           bytes_at={f"{HOST}/dl/q-1": [(401, ""), "clip"]}),
    Server("two links", asked=[done(made={"a": LINK, "b": "https://cdn.example/b.mp4"})], ends="completed", stops=DownloadError, says="2 links"),
    Server("http alone", asked=[done(video_url="http://cdn.example/clip.mp4")], ends="completed", stops=DownloadError,
           says="http:", bytes_at={}),
    Server("a link in ftp", asked=[done(url="ftp://cdn.example/clip.mp4")], ends="completed", stops=DownloadError),
]  # fmt: skip
SERVERS = [*TIMES, *LINKS, *IDS, *LOST, *REFUSED, *ENDS, *BYTES]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    render(Shot("x", "x", 320, 180, 5), path)
    return path.read_bytes()


class World:
    """One storyboard with one scene, run again and again against one server; time passes in sleeps only."""

    def __init__(self, folder: Path, server: Server, clip: bytes, board: str = BOARD) -> None:
        (folder / "b.yaml").write_text(board)
        checked = manifest.check(folder / "b.yaml", catalog.load(), {})
        assert checked.storyboard is not None
        self.board = checked.storyboard
        self.server, self.clip = server, clip
        self.passed = 0.0
        self.posts = self.asked = 0
        self.fetched: dict[str, int] = {}
        self.told: list[Progress] = []
        self.errors: list[StoryreelError] = []
        self.workspace = Workspace(folder / "ws")
        self.workspace.root.mkdir()
        self.ledger = Ledger.in_file(self.workspace.root / "ledger.db", now=self.now)

    def now(self) -> float:
        return START_S + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.passed += 0.2
        url = str(request.url)
        own = str(request.url.copy_with(query=None)).startswith(HOST + "/")
        assert own or "Authorization" not in request.headers, "the key left the API's origin"
        if request.method == "POST":
            self.posts += 1
            return self.answer(self.server.created)
        if url in self.server.bytes_at:
            at = self.fetched[url] = self.fetched.get(url, 0) + 1
            answers = self.server.bytes_at[url]
            return self.answer(answers[min(at, len(answers)) - 1])
        if (
            unquote(request.url.path)
            in ("/v1/videos/q-1", "/v1/videos/1", "/v1/videos/q-1-2025-11")
            and own
        ):
            self.asked += 1
            answers = self.server.asked or [HOME]
            return self.answer(answers[min(self.asked, len(answers)) - 1])
        if request.url.scheme == "https" and url.startswith("https://cdn.example"):
            raise httpx.ConnectError("nothing answers by https")
        return self.answer(NOT_FOUND)

    def answer(self, given: Answer | str) -> httpx.Response:
        if given == "clip":
            return httpx.Response(200, content=self.clip, headers={"Content-Type": "video/mp4"})
        status, body, *headers = given
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        return httpx.Response(status, text=text, headers=dict(headers[0]) if headers else {})  # type: ignore[call-overload]

    async def run(self, run_id: str) -> None:
        """One run: the plan by the ledger, then whatever of submit, wait and collect is left."""
        settings = Settings(OPENAI_BASE_URL=HOST + "/v1", OPENAI_API_KEY="sk-x")  # type: ignore[call-arg]
        client = Client(settings, transport=httpx.MockTransport(self.handle), now=self.now)
        session = Session(
            storyboard=self.board, catalog=catalog.load(), settings=settings, workspace=self.workspace, ledger=self.ledger,
            client=client, store=None, run_id=run_id, on_progress=self.told.append, clock=Clock(self.now, lambda: self.passed,
            self.sleep, random.Random(1)),
        )  # fmt: skip
        session.stop_mark = self.ledger.stop_mark(session.account)
        digests = {
            f.name: hashlib.sha256(f.read_bytes()).hexdigest()
            for f in self.board.folder.glob("*.png")
        }
        taken = Snapshot(tuple(self.ledger.takes("b")), digests=digests)
        planned = plan.make(self.board, catalog.load(), taken).scene("s")
        one = planned.takes[0]
        try:
            row = one.row
            record = {
                role: {"from": given.label, "id": given.identity.recorded}
                for role, given in planned.inputs.items()
            }
            url = None
            if one.action is plan.Action.SUBMIT:
                row = await submission.submit(session, planned, 1, Ready({}, None, None, record))
            if row is not None and row.state is State.IN_FLIGHT:
                row, url = await waiting.wait(session, planned.scene, row)
            if row is not None and row.state is State.COMPLETED:
                row = await collection.collect(session, row, url)
                session.first_look.compare(session, planned.scene, row)
                assert session.stopped is None
        except StoryreelError as error:
            self.errors.append(error)
        finally:
            await session.close()


@pytest.fixture
def open_world(tmp_path: Path, clip: bytes) -> Iterator[Any]:
    worlds: list[World] = []

    def make(server: Server) -> World:
        worlds.append(World(tmp_path, server, clip))
        return worlds[-1]

    yield make
    for world in worlds:
        world.ledger.close()


def _end(take: Take, wanted: str) -> str:
    return f"{take.state}:{take.error_class}" if ":" in wanted else str(take.state)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_a_neighbours_job_is_paid_once_and_ends(open_world: Any, server: Server) -> None:
    world = open_world(server)
    await world.run("one")
    posts, first_errors = world.posts, list(world.errors)
    assert world.passed < LONGEST_S, "waited without end"
    take = world.ledger.takes("b")[-1]
    assert _end(take, server.ends) == server.ends, (take.error_message, world.errors)
    told = f"{take.error_message} " + " ".join(p.detail for p in world.told)
    if server.stops is None:
        assert not first_errors
    else:
        (error,) = first_errors
        assert type(error) is server.stops or isinstance(error, server.stops)
        assert server.code is None or error.exit_code == server.code
        assert error.fix, error
        told += f" {error.message} {error.fix}"
    assert server.says in told and "Traceback" not in told and "Invalid IPv6" not in told
    if (
        server.made
    ):  # whatever the answer was, no other run sends it again unless the job itself failed
        assert posts == 1
        if take.state is not State.FAILED:
            await world.run("two")
            assert world.posts == 1, "paid twice"
            assert world.ledger.takes("b")[-1].id == take.id


def test_there_are_enough_of_them() -> None:
    assert len(SERVERS) >= 30 and len({server.name for server in SERVERS}) == len(SERVERS)


async def test_a_server_that_leaves_the_first_frame_out_stops_the_run_and_keeps_the_clip(
    tmp_path: Path, clip: bytes
) -> None:
    photo(1).save(tmp_path / "sent.png")
    board = BOARD.replace("prompt: x,", "prompt: x, first_frame: sent.png,")
    world = World(tmp_path, Server("x", asked=[HOME]), clip, board)
    try:
        with pytest.raises(AssertionError):  # of `run`: the session has stopped
            await world.run("one")
        (take,) = world.ledger.takes("b")
        assert (
            take.state is State.COLLECTED
            and "`first_frame`: the clip's first picture" in world.told[-1].detail
        )
    finally:
        world.ledger.close()


async def test_a_first_frame_that_is_honoured_or_cannot_be_judged_stops_nothing(
    tmp_path: Path, clip: bytes
) -> None:
    """The clip's own first picture, regraded; and one of a single colour."""
    (tmp_path / "clip.mp4").write_bytes(clip)
    ours = ImageEnhance.Brightness(verify(tmp_path / "clip.mp4").first.resize((640, 360))).enhance(
        0.7
    )
    for name, sent in (("same", ours), ("flat", Image.new("RGB", (640, 360), "red"))):
        folder = tmp_path / name
        folder.mkdir()
        sent.save(folder / "sent.png")
        board = BOARD.replace("prompt: x,", "prompt: x, first_frame: sent.png,")
        world = World(folder, Server("x", asked=[HOME]), clip, board)
        try:
            await world.run("one")
            assert world.ledger.takes("b")[0].state is State.COLLECTED and not world.errors
        finally:
            world.ledger.close()
