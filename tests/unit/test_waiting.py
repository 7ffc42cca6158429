"""Waiting for a job, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest

from storyreel import catalog, wire
from storyreel.errors import NotFound
from storyreel.waiting import DeadlinePassed, wait


class Clock:
    """Monotonic time that passes only in sleeps, and a wall clock beside it that may jump."""

    def __init__(self) -> None:
        self.passed, self.jump = 0.0, 0.0

    def now(self) -> float:
        return 1_000_000 + self.passed + self.jump

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


def session(clock: Clock, ends: float, jump_at: float = -1.0, jump: float = 0.0, words: Any = None) -> Any:
    """A run whose only job is completed after `ends` seconds."""
    asked: list[float] = []

    async def retrieve(job_id: str) -> wire.Job:
        asked.append(clock.passed)
        if 0 <= jump_at <= clock.passed:
            clock.jump = jump
        if words:
            raise words
        done = clock.passed >= ends
        return wire.Job(
            "q", wire.JobStatus.COMPLETED if done else wire.JobStatus.RUNNING, "x", url="https://x.example/a"
        )

    async def write(function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    row = SimpleNamespace(id=1, take=1, job_id="q", submitted_at=clock.now())
    ledger = SimpleNamespace(
        durations=lambda *a: [], finished=lambda *a, **k: SimpleNamespace(state="completed", **k),
        failed=lambda *a, **k: SimpleNamespace(state="failed", words=a[-1]), polled=lambda *a: None,
    )  # fmt: skip
    return SimpleNamespace(
        catalog=catalog.load(), settings=SimpleNamespace(time_scale=1.0), ledger=ledger, account="a", write=write,
        client=SimpleNamespace(retrieve=retrieve), now=clock.now, clock=lambda: clock.passed, sleep=clock.sleep,
        tell=lambda progress: None, rng=random.Random(1), row=row, asked=asked,
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


async def test_a_job_that_the_api_does_not_know_is_asked_for_a_few_times() -> None:
    clock = Clock()
    one = session(clock, ends=0, words=NotFound("no such video"))
    row, _ = await wait(one, SCENE, one.row)
    assert row.state == "failed" and "does not know job q" in row.words and len(one.asked) == 6
