"""Who called a run, the turns of a batch's films, and the event at a run's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from storyreel.catalog import load as catalog
from storyreel.errors import ErrorKind, Status
from storyreel.manifest import Checked
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot
from storyreel.report.build import build
from storyreel.report.model import RunReport
from storyreel.report.outcome import Outcome
from storyreel.run import notice, turns
from storyreel.run.batch import Row
from storyreel.run.caller import Caller, Member
from storyreel.run.session import Progress

BOARD = "version: 1\nid: b\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x}\n"


@pytest.fixture
def result(check: Callable[..., Checked]) -> RunReport:
    board = check(BOARD).storyboard
    assert board is not None
    planned = plan.make(board, catalog.load(), Snapshot()).scene("a")
    outcome = Outcome(
        planned.scene, Status.FAILED, "transient: it broke", take=1, error_class=ErrorKind.TRANSIENT
    )
    facts: Any = {
        "run_id": "r",
        "simulated": False,
        "endpoint": "api",
        "started_at": 0.0,
        "finished_at": 1.0,
    }
    return build(board, [outcome], **facts)


def test_a_films_progress_is_shown_under_its_row_and_its_task_runs_count_for_the_batch() -> None:
    seen: list[Progress] = []
    batch = Caller(progress=seen.append)
    film = batch.of_film("ada", Member("g", "board-ada"), lambda report, stopped: None)
    film.progress(Progress("one", 1, Status.COMPLETED))
    film.task_runs["flow run"] += 2
    assert seen == [Progress("ada/one", 1, Status.COMPLETED)]
    assert dict(batch.task_runs) == {"flow run": 2} and film.member.name == "board-ada"


def test_the_event_of_a_run_says_which_scenes_have_trouble(result: RunReport) -> None:
    name, data = notice.event(result)
    assert name == "storyreel.run.failed" and data["run_id"] == "r"
    assert data["scenes"] == [
        {"id": "a", "take": 1, "status": "failed", "reason": "transient: it broke"}
    ]


@pytest.mark.parametrize("parallel", [0, 1, 2])
async def test_films_take_turns_and_one_that_never_began_is_said(
    result: RunReport, parallel: int
) -> None:
    running, most, lines = 0, 0, list[str]()

    async def render(row: Row, prepared: Any, planned: Any, ended: turns.Ended) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if row.name != "b":
            ended(result, None)
        return "refused"

    work: Any = SimpleNamespace(has_work=True)
    films: Any = [(Row(number, name, {}), None, work) for number, name in enumerate("abc", 2)]
    reports = await turns.render_films(films, parallel, render, lines.append)
    assert reports == {"a": result, "b": None, "c": result} and lines == ["row 3: refused"]
    assert most == max(1, parallel)
