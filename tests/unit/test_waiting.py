"""Waiting for a job, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest

from storyreel.api import answers
from storyreel.api.answers import JobStatus
from storyreel.api.verdict import OVER_S
from storyreel.catalog import load as catalog
from storyreel.errors import AnswerLost, ApiError, DeadlinePassed, MadeElsewhere, NotFound
from storyreel.run.waiting import wait


class Clock:
    """Monotonic time that passes only in sleeps, and a wall clock beside it that may jump."""

    def __init__(self) -> None:
        self.passed, self.jump = 0.0, 0.0

    def now(self) -> float:
        return 1_000_000 + self.passed + self.jump

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


def session(
    clock: Clock, ends: float, jump_at: float = -1.0, jump: float = 0.0, words: Any = None
) -> Any:
    """A run whose only job is completed after `ends` seconds."""
    asked: list[float] = []

    async def retrieve(job_id: str) -> answers.Job:
        asked.append(clock.passed)
        if 0 <= jump_at <= clock.passed:
            clock.jump = jump
        found = words(clock.passed) if callable(words) else words
        if isinstance(found, answers.Job):
            return found
        if found:
            raise found
        done = clock.passed >= ends
        return answers.Job(
            "q", JobStatus.COMPLETED if done else JobStatus.RUNNING, "x", url="https://x.example/a"
        )

    async def write(function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    row = SimpleNamespace(
        id=1, scene="s", take=1, job_id="q", job="q", endpoint=None, submitted_at=clock.now()
    )
    ledger = SimpleNamespace(
        durations=lambda *a: [], finished=lambda *a, **k: SimpleNamespace(state="completed", **k),
        failed=lambda *a, **k: SimpleNamespace(state="failed", words=a[-1]), unknown=lambda *a, **k: SimpleNamespace(
            state="ambiguous", words=a[-1], code=a[-2]
        ), polled=lambda *a: None,
    )  # fmt: skip
    return SimpleNamespace(
        catalog=catalog.load(), settings=SimpleNamespace(time_scale=1.0), ledger=ledger, account="a", write=write,
        client=SimpleNamespace(retrieve=retrieve), pace=1.0, clock=SimpleNamespace(now=clock.now, monotonic=lambda: clock.passed,
        sleep=clock.sleep, rng=random.Random(1)), on_progress=lambda progress: None, row=row, asked=asked,
    )  # fmt: skip


SCENE: Any = SimpleNamespace(id="s", model="sora-2", seconds=4)


@pytest.mark.parametrize("jump", [-1e6, -3600.0, 0.0, 3600.0, 1e7])
async def test_a_clock_that_jumps_changes_nothing_in_a_wait(jump: float) -> None:
    clock = Clock()
    one = session(clock, ends=200, jump_at=20, jump=jump)
    row, url = await wait(one, SCENE, one.row)
    assert row.state == "completed" and url
    assert len(one.asked) <= 14 and 200 <= one.asked[-1] <= 210


async def test_a_job_taken_up_again_is_asked_about_at_once_whatever_the_clock_says() -> None:
    for submitted in (0.0, 2e6):  # long ago, and in what is now the future
        clock = Clock()
        one = session(clock, ends=0)
        one.row.submitted_at = submitted
        row, _ = await wait(one, SCENE, one.row)
        assert row.state == "completed" and one.asked[0] <= 10


async def test_a_job_without_end_is_left_adopted_at_its_deadline() -> None:
    clock = Clock()
    one = session(clock, ends=1e9)
    with pytest.raises(DeadlinePassed):
        await wait(one, SCENE, one.row)
    assert clock.passed < 2 * catalog.load().models["sora-2"].deadline_s


async def test_a_job_that_the_api_does_not_know_for_minutes_is_held_with_the_apis_words() -> None:
    clock = Clock()
    one = session(clock, ends=0, words=NotFound("no such video", code="gone"))
    row, url = await wait(one, SCENE, one.row)
    assert row.state == "ambiguous" and url is None and row.code == "gone"
    assert "does not know job q" in row.words and "no such video" in row.words
    assert len(one.asked) >= 6 and one.asked[-1] - one.asked[0] >= OVER_S


async def test_a_gateways_hiccup_of_any_length_writes_no_job_off() -> None:
    for lasts in (35.0, 600.0, 3000.0):
        clock = Clock()
        one = session(
            clock,
            ends=0,
            words=lambda passed, lasts=lasts: AnswerLost("404") if passed < lasts else None,
        )
        row, _ = await wait(one, SCENE, one.row)
        assert row.state == "completed"


async def test_a_job_that_the_api_knows_again_is_waited_for() -> None:
    clock = Clock()
    one = session(
        clock, ends=0, words=lambda passed: NotFound("no such video") if passed < OVER_S else None
    )
    row, _ = await wait(one, SCENE, one.row)
    assert row.state == "completed"


@pytest.mark.parametrize("last", [AnswerLost("the gateway is ill"), ApiError("odd"), "marinating"])
async def test_a_deadline_says_what_the_api_said_last(last: Any) -> None:
    clock = Clock()
    word = last if isinstance(last, str) else last.message
    job = answers.Job("q", JobStatus.RUNNING, "marinating", is_new_word=True)
    one = session(clock, ends=1e9, words=job if isinstance(last, str) else last)
    with pytest.raises(DeadlinePassed, match=f"the API's last answer: {word}") as caught:
        await wait(one, SCENE, one.row)
    assert caught.value.fix


async def test_a_word_that_is_new_is_shown_once() -> None:
    clock = Clock()
    told: list[str] = []
    job = answers.Job("q", JobStatus.RUNNING, "marinating", is_new_word=True)
    one = session(clock, ends=300, words=lambda passed: job if passed < 300 else None)
    one.on_progress = lambda progress: told.append(progress.detail)
    await wait(one, SCENE, one.row)
    assert sum("does not know" in words and "`marinating`" in words for words in told) == 1


async def test_a_job_of_another_endpoint_is_not_asked_about() -> None:
    clock = Clock()
    one = session(clock, ends=0)
    one.row.endpoint, one.endpoint = "https://a.example/v1", "https://b.example/v1"
    with pytest.raises(MadeElsewhere, match="job q was made at") as caught:
        await wait(one, SCENE, one.row)
    assert one.asked == [] and "OPENAI_BASE_URL to https://a.example/v1" in str(caught.value.fix)
    one.row.endpoint = "https://b.example/v1/"
    row, _ = await wait(one, SCENE, one.row)
    assert row.state == "completed"


async def test_only_what_was_watched_to_its_end_on_our_own_clock_teaches() -> None:
    clock = Clock()
    one = session(clock, ends=200)
    assert (await wait(one, SCENE, one.row))[0].watched_s == pytest.approx(205, abs=6)
    for spoil in ("late", "pause", "errors", "ahead"):
        clock = Clock()
        one = session(clock, ends=200)
        if spoil == "late":
            one.row.submitted_at -= 3600
        if spoil == "ahead":
            one.row.submitted_at += 3600
        if spoil == "errors":
            one = session(
                clock, ends=0, words=lambda passed: AnswerLost("x") if passed < 400 else None
            )
        if spoil == "pause":  # the machine slept through it

            async def sleep(seconds: float, clock: Clock = clock) -> None:
                clock.passed += seconds + (8 * 3600 if clock.passed > 100 else 0)

            one.clock.sleep = sleep
        assert (await wait(one, SCENE, one.row))[0].watched_s is None, spoil
