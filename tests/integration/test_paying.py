"""Submitting, waiting and fetching against answers as they come, with a real ledger and a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from storyreel import manifest
from storyreel.api import answers
from storyreel.api.client import Client
from storyreel.catalog import load as catalog
from storyreel.errors import (
    DownloadError,
    EndpointRefused,
    KeyRefused,
    LinkExpired,
    MadeElsewhere,
    NoLink,
    OutOfCredit,
    StillLimited,
    StoryreelError,
    Unreachable,
    WorkspaceError,
)  # fmt: skip
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import Intent, State, Take
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot
from storyreel.run import delivery, rescue, submission, waiting
from storyreel.run.inputs import Ready
from storyreel.run.session import Clock, Progress, Session
from storyreel.workspace.folder import Workspace
from storyreel.workspace.settings import Settings

BOARD = "version: 1\nid: b\nscenes:\n  - {id: s, prompt: x, model: kling-video-o1}\n"
CLIP = "https://cdn.example/clip.mp4"
Answer = Callable[[httpx.Request], httpx.Response]


class Bench:
    """A session whose API is a function, and whose time passes only in sleeps."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        (folder / "b.yaml").write_text(BOARD)
        checked = manifest.check(folder / "b.yaml", catalog.load(), {})
        assert checked.storyboard is not None
        self.passed = 0.0
        self.posts = 0
        self.told: list[Progress] = []
        self.answer = answer
        workspace = Workspace(folder / "ws")
        workspace.root.mkdir()
        settings = Settings(OPENAI_BASE_URL="https://api.example/v1", OPENAI_API_KEY="sk-x")  # type: ignore[call-arg]
        self.ledger = Ledger.in_file(workspace.root / "ledger.db", now=self.now)
        client = Client(settings, transport=httpx.MockTransport(self.handle), now=self.now)
        self.session = Session(
            storyboard=checked.storyboard, catalog=catalog.load(), settings=settings, workspace=workspace, ledger=self.ledger,
            client=client, store=None, run_id="r", on_progress=self.told.append, clock=Clock(self.now, lambda: self.passed,
            self.sleep, random.Random(1)),
        )  # fmt: skip
        self.planned = plan.make(checked.storyboard, catalog.load(), Snapshot()).scene("s")

    def now(self) -> float:
        return 1_763_802_000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.posts += request.method == "POST"
        return self.answer(request)

    async def submit(self) -> Take | None:
        return await submission.submit(self.session, self.planned, 1, Ready({}, None, None, {}))

    async def wait(self, take: Take) -> tuple[Take, str | None]:
        return await waiting.wait(self.session, self.session.storyboard.scene("s"), take)

    def words(self) -> str:
        return "\n".join(progress.detail for progress in self.told)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[[Answer], Bench]]:
    made: list[Bench] = []

    def make(answer: Answer) -> Bench:
        made.append(Bench(tmp_path, answer))
        return made[-1]

    yield make
    for one in made:
        one.ledger.close()


def says(status: int, body: Any, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return lambda request: httpx.Response(status, text=text, headers=headers)


JOB = {"id": "q-1", "status": "queued"}


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {"error": {"message": "oops"}}), (503, {"error": "busy"}), (501, ""), (520, "x")],
)
async def test_a_server_error_after_a_post_is_held_and_never_sent_again(
    bench: Any, status: int, body: Any
) -> None:
    one = bench(says(status, body))
    row = await one.submit()
    assert row is not None and row.state is State.AMBIGUOUS and one.posts == 1


async def test_an_answer_that_names_another_length_is_shown_at_once_and_once(bench: Any) -> None:
    one = bench(says(200, JOB | {"seconds": "10", "size": "720x1280"}))
    await one.submit()
    submission._warn_of_echo(
        one.session,
        one.planned,
        one.ledger.takes("b")[0],
        answers.Job("q", answers.JobStatus.RUNNING, "", seconds="10"),
    )
    assert one.words().count("differs from the request") == 1 and "answer says 10" in one.words()


@pytest.mark.parametrize("status", [521, 522, 523, 525, 526])
async def test_what_never_reached_the_api_is_sent_again(bench: Any, status: int) -> None:
    one = bench(
        lambda request: httpx.Response(status) if one.posts < 3 else httpx.Response(200, json=JOB)
    )
    row = await one.submit()
    assert row is not None and row.state is State.IN_FLIGHT and one.posts == 3


async def test_what_never_reaches_the_api_stops_the_run(bench: Any) -> None:
    one = bench(says(522, ""))
    with pytest.raises(Unreachable):
        await one.submit()
    assert one.ledger.takes("b")[0].state is State.RELEASED


@pytest.mark.parametrize(
    ("status", "body", "state", "kind"),
    [
        (422, {"error": {"message": "unsafe content"}}, State.FAILED, "moderation"),
        (403, {"error": {"code": "content_policy_violation", "message": "no"}}, State.FAILED, "moderation"),
        (200, {"error": {"message": "size is wrong"}}, State.RELEASED, "invalid"),
        (403, {"error": {"message": "该令牌无权访问模型 kling"}}, State.RELEASED, "invalid"),
        (503, {"error": {"code": "model_not_found", "message": "No available channel for model kling"}}, State.RELEASED, "invalid"),
    ],
)  # fmt: skip
async def test_a_refusal_of_one_scene_is_that_scenes(
    bench: Any, status: int, body: Any, state: State, kind: str
) -> None:
    one = bench(says(status, body))
    row = await one.submit()
    assert row is not None and (row.state, row.error_class) == (state, kind)
    assert one.session.stopped is None and one.posts == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (403, {"error": {"message": "token quota is not enough"}}, OutOfCredit, 3), (429, {"error": "资源包已用完"}, OutOfCredit, 3),
        (401, {"error": {"message": "bad key"}}, KeyRefused, 4), (403, "<html>Just a moment...</html>", EndpointRefused, 4),
        (404, {"detail": "Not Found"}, EndpointRefused, 4),
    ],
)  # fmt: skip
async def test_what_stops_the_run_says_the_right_thing(
    bench: Any, status: int, body: Any, kind: type[StoryreelError], code: int
) -> None:
    one = bench(says(status, body))
    with pytest.raises(kind) as caught:
        await one.submit()
    assert (
        one.session.stopped is caught.value
        and caught.value.exit_code == code
        and caught.value.fix
        and one.posts == 1
    )
    assert ("OPENAI_API_KEY" in caught.value.fix) is (kind is KeyRefused)
    (row,) = one.ledger.takes("b")
    assert row.state is State.RELEASED and caught.value.fix in (row.error_message or "")


async def test_too_many_requests_in_words_that_nobody_knows_are_shown_and_end_after_minutes(
    bench: Any,
) -> None:
    one = bench(says(429, {"error": {"message": "the moon is full"}}))
    with pytest.raises(StillLimited, match="the moon is full") as caught:
        await one.submit()
    assert (
        900 < one.passed < 1200 and caught.value.exit_code == 4 and "quota" in str(caught.value.fix)
    )
    assert "the moon is full" in one.told[1].detail and " 0 s" not in one.words()


async def test_too_many_requests_while_a_job_of_ours_is_running_are_waited_for(bench: Any) -> None:
    one = bench(
        lambda request: (
            httpx.Response(429, text="full") if one.passed < 4000 else httpx.Response(200, json=JOB)
        )
    )
    other = one.ledger.reserve(
        Intent(
            storyboard="other", scene="o", key="k", account=one.session.account, run_id="r", request={}, inputs={}, price=None,
            currency=None,
        ), slots=5, budget=None,
    )  # fmt: skip
    one.ledger.submitted(other.id, "q-0")
    row = await one.submit()
    assert row is not None and row.state is State.IN_FLIGHT


@pytest.mark.parametrize("after", ["²", "-5", "9" * 400, "NaN", "soon", ""])
async def test_no_wish_to_wait_ends_a_run(bench: Any, after: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        full = httpx.Response(429, headers=[(b"Retry-After", after.encode())])
        return full if one.posts < 2 else httpx.Response(200, json=JOB)

    one = bench(answer)
    row = await one.submit()
    assert row is not None and row.state is State.IN_FLIGHT


async def test_an_id_that_cannot_be_written_down_for_a_while_is_not_lost(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench(says(200, JOB))
    real = one.ledger.submitted
    monkeypatch.setattr(
        one.ledger, "submitted", lambda *a: real(*a) if one.passed > 20 else _fail()
    )
    row = await one.submit()
    assert row is not None and (row.state, row.job_id) == (State.IN_FLIGHT, "q-1")
    assert "job q-1 of scene `s` take 1 exists" in one.words() and one.posts == 1


def _fail() -> Take:
    raise sa.exc.TimeoutError("the pool is empty")


async def test_an_id_that_cannot_be_written_down_at_all_is_said_with_what_to_do(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench(says(200, JOB))
    monkeypatch.setattr(one.ledger, "submitted", lambda *a: _fail())
    with pytest.raises(WorkspaceError, match="job q-1 of scene `s`") as caught:
        await one.submit()
    assert "storyreel resolve" in str(caught.value.fix) and "--adopt q-1" in str(caught.value.fix)
    assert one.session.stopped is caught.value and 60 <= one.passed < 90


async def _submitted(one: Bench) -> Take:
    one.answer, wanted = says(200, JOB), one.answer
    row = await one.submit()
    assert row is not None
    one.answer = wanted
    return row


async def test_a_job_that_is_not_known_is_held_counted_and_asked_about_by_rescue(
    bench: Any,
) -> None:
    one = bench(says(404, {"error": {"message": "video not found"}}))
    row, _ = await one.wait(await _submitted(one))
    assert (row.state, row.error_class, row.job_id) == (State.AMBIGUOUS, "expired", "q-1")
    assert one.ledger.in_flight(one.session.account) == []
    planned = plan.make(
        one.session.storyboard, catalog.load(), Snapshot(tuple(one.ledger.takes("b")))
    )
    assert planned.jobs == 0 and "does not know job q-1" in planned.scene("s").reason
    (told,) = await rescue.rescue_sessions([one.session])
    assert not told.is_good and one.ledger.take(row.id).state is State.AMBIGUOUS
    one.answer = says(200, {"id": "q-1", "status": "in_progress"})
    (told,) = await rescue.rescue_sessions([one.session])
    assert "still running" in told.words and one.ledger.take(row.id).state is State.IN_FLIGHT


async def test_a_gateways_404_is_no_verdict_and_the_last_word_is_told(bench: Any) -> None:
    one = bench(says(404, "default backend - 404"))
    row = await _submitted(one)
    with pytest.raises(StoryreelError, match="default backend - 404"):
        await one.wait(row)
    assert one.ledger.take(row.id).state is State.IN_FLIGHT


async def test_rescue_writes_down_what_it_learned_and_survives_what_is_odd(bench: Any) -> None:
    one = bench(says(404, {"error": {"message": "task_not_exist"}}))
    row = await _submitted(one)
    await rescue.rescue_sessions([one.session])
    assert one.ledger.take(row.id).error_class == "expired"
    one.ledger.known_again(row.id)
    one.answer = says(
        200,
        {
            "id": "q-1",
            "status": "completed",
            "video_url": "http://[fe80::1/x",
            "completed_at": 1e25,
        },
    )
    (told,) = await rescue.rescue_sessions([one.session])
    assert not told.is_good and "not fetched" in told.words
    assert one.ledger.take(row.id).state is State.COMPLETED


async def _completed(one: Bench) -> Take:
    row = await _submitted(one)
    return one.ledger.finished(row.id, completed_at=None, expires_at=None, polls=1)


async def test_a_link_that_is_dead_for_a_while_is_asked_for_again_and_again(
    bench: Any, tmp_path: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example":
            return httpx.Response(200, json={"id": "q-1", "status": "done", "url": CLIP})
        return httpx.Response(404) if one.passed < 100 else httpx.Response(200, content=b"bytes")

    one = bench(answer)
    row = await _completed(one)
    assert (await delivery.fetch(one.session, row, None, tmp_path / "part")).bytes == 5
    one.passed = 0.0
    one.answer = lambda request: (
        httpx.Response(404) if request.url.host != "api.example" else answer(request)
    )
    with pytest.raises(LinkExpired):
        await delivery.fetch(one.session, row, CLIP, tmp_path / "part")
    assert one.passed >= 180


async def test_a_clip_that_is_completed_and_not_ready_is_waited_for(
    bench: Any, tmp_path: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/content"):
            early = httpx.Response(400, json={"error": "Task is not completed yet"})
            return early if one.passed < 15 else httpx.Response(200, content=b"bytes")
        return httpx.Response(200, json={"id": "q-1", "status": "completed", "progress": 100})

    one = bench(answer)
    assert (
        await delivery.fetch(one.session, await _completed(one), None, tmp_path / "part")
    ).bytes == 5


async def test_no_link_is_said_with_what_the_answer_has_and_nothing_is_called_dead(
    bench: Any, tmp_path: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/content"):
            return httpx.Response(404)
        return httpx.Response(200, json={"id": "q-1", "status": "completed", "colour": "red"})

    one = bench(answer)
    with pytest.raises(NoLink, match="id, status, colour") as caught:
        await delivery.fetch(one.session, await _completed(one), None, tmp_path / "part")
    assert "dead" not in caught.value.message


async def test_two_links_are_said_and_none_is_guessed(bench: Any, tmp_path: Path) -> None:
    two = {"a": CLIP + "?token=secret", "b": "https://cdn.example/other.mp4"}
    one = bench(says(200, {"id": "q-1", "status": "completed", "made": two}))
    with pytest.raises(NoLink, match="2 links") as caught:
        await delivery.fetch(one.session, await _completed(one), None, tmp_path / "part")
    assert "other.mp4" in caught.value.message and "secret" not in caught.value.message


async def test_a_link_that_is_no_address_is_one_scenes_fault(bench: Any, tmp_path: Path) -> None:
    one = bench(says(404, ""))
    with pytest.raises(DownloadError):
        await delivery.fetch(
            one.session, await _completed(one), "http://[fe80::1/x", tmp_path / "part"
        )
    assert one.passed < 200


async def test_a_clip_of_another_endpoint_is_not_asked_for(bench: Any, tmp_path: Path) -> None:
    one = bench(says(404, ""))
    row = await _completed(one)
    one.session.settings = Settings(
        OPENAI_BASE_URL="https://other.example/v1", OPENAI_API_KEY="sk-y"
    )  # type: ignore[call-arg]
    with pytest.raises(MadeElsewhere, match=r"https://api\.example/v1"):
        await delivery.fetch(one.session, row, None, tmp_path / "part")
