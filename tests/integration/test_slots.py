"""A slot is held by a job that is under way, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storyreel.api.answers import parse_job
from storyreel.errors import AnswerLost
from storyreel.ledger.gate import DAY_S, Ledger, SlotsFull
from storyreel.ledger.rows import State
from storyreel.run import slots
from tests.integration.test_ledger import intent, reserve

NOW = 1_800_000_000.0


class Api:
    """Answers GETs from a table: job id -> status; without an entry it fails."""

    def __init__(self) -> None:
        self.status: dict[str, str] = {}
        self.asked: list[str] = []

    async def retrieve(self, job_id: str) -> Any:
        self.asked.append(job_id)
        if job_id not in self.status:
            raise AnswerLost("no answer")
        return parse_job({"id": job_id, "status": self.status[job_id]})


class Desk:
    """What `Slots` needs of a session, on a clock of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.client = ledger, Api()
        self.account, self.run_id, self.pace = "acc", "now", 1.0
        self.time = 1000.0
        self.settings = SimpleNamespace(time_scale=1.0)
        self.clock = SimpleNamespace(monotonic=lambda: self.time)

    async def write(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


@pytest.fixture
def now() -> list[float]:
    return [NOW]


@pytest.fixture
def ledger(tmp_path: Path, now: list[float]) -> Iterator[Ledger]:
    made = Ledger.in_file(tmp_path / "ledger.db", now=lambda: now[0])
    yield made
    made.close()


def fly(ledger: Ledger, scene: str, **changes: Any) -> Any:
    take = reserve(ledger, intent(scene, scene, **changes))
    return ledger.submitted(take.id, f"q-{scene}")


async def test_jobs_that_nobody_watches_are_asked_about_and_what_is_final_frees_its_slot(
    ledger: Ledger,
) -> None:
    fly(ledger, "a")
    fly(ledger, "b", storyboard="another")
    fly(ledger, "c")
    desk = Desk(ledger)
    desk.client.status = {"q-a": "completed", "q-b": "failed", "q-c": "in_progress"}
    left = await slots.Slots().look(desk)  # type: ignore[arg-type]
    assert [take.scene for take in left] == ["c"]
    assert [take.state for take in ledger.takes("b")] == [State.COMPLETED, State.IN_FLIGHT]
    assert reserve(ledger, intent("d", "d"), slots=2).state is State.SUBMITTING
    with pytest.raises(SlotsFull):
        reserve(ledger, intent("e", "e"), slots=2)


async def test_each_is_asked_about_once_in_a_while_and_not_what_this_run_watches(
    ledger: Ledger,
) -> None:
    a, b = fly(ledger, "a"), fly(ledger, "b", run_id="now")
    watched = fly(ledger, "c")
    desk, look = Desk(ledger), slots.Slots()
    with look.watching(watched.id):
        for _ in range(3):
            assert [t.id for t in await look.look(desk)] == [a.id, b.id, watched.id]  # type: ignore[arg-type]
        assert desk.client.asked == ["q-a"], "an answer that does not come frees nothing"
        desk.time += slots.ASK_EVERY_S
        await look.look(desk)  # type: ignore[arg-type]
    assert desk.client.asked == ["q-a", "q-a"]


async def test_a_request_of_a_dead_run_is_held_and_that_of_a_living_one_is_not(
    ledger: Ledger,
) -> None:
    dead = reserve(ledger, intent("a", "a", storyboard="dead"))
    alive = reserve(ledger, intent("b", "b", storyboard="alive"))
    with ledger.held("alive"):
        left = await slots.Slots().look(Desk(ledger))  # type: ignore[arg-type]
    assert [take.id for take in left] == [alive.id]
    assert ledger.take(dead.id).state is State.AMBIGUOUS


def test_what_is_older_than_any_job_holds_no_slot(ledger: Ledger, now: list[float]) -> None:
    fly(ledger, "a")
    with pytest.raises(SlotsFull):
        reserve(ledger, intent("b", "b"), slots=1)
    now[0] += DAY_S + 1
    assert reserve(ledger, intent("b", "b"), slots=1).state is State.SUBMITTING
    assert ledger.takes("b")[0].state is State.IN_FLIGHT, "and is still paid for"


def test_those_that_are_waited_for_are_named(ledger: Ledger) -> None:
    takes = [fly(ledger, scene) for scene in "abcd"]
    assert (
        slots.words(takes, 4) == "4 jobs are in flight: b/a (q-a), b/b (q-b), b/c (q-c) and 1 more"
    )
    assert slots.words(takes[:1], 1) == "1 job is in flight: b/a (q-a)"
    assert slots.words([], 5) == "5 jobs are in flight"
