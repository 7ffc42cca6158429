"""Takes made side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prefect.logging import disable_run_logger

from storyreel.catalog import load as catalog
from storyreel.errors import AnswerLost, ApiError, StoryreelError, WorkspaceError
from storyreel.flows.render import Rendering
from storyreel.ledger.rows import State, Take
from storyreel.manifest import Checked
from storyreel.plan import make as plan
from storyreel.plan.make import ScenePlan, Snapshot, TakePlan
from storyreel.report.outcome import Outcome
from storyreel.run.session import Session
from storyreel.workspace.folder import Workspace
from tests.unit.test_plan import row

BOARD = "version: 1\nid: b\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, takes: 3}\n"


async def test_the_used_take_is_the_one_that_the_next_plan_will_use(
    check: Callable[..., Checked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever came to the gate first: else what is made from it would be stale, and paid for again."""
    board = check(BOARD).storyboard
    assert board is not None
    planned = plan.make(board, catalog.load(), Snapshot())
    order = iter([3, 1, 2])
    rows: list[Take] = []

    async def take(self: Rendering, scene: ScenePlan, one: TakePlan, number: int) -> Take:
        ordinal = next(order)
        rows.append(dataclasses.replace(row(planned, "a", ordinal), state=State.COLLECTED))
        return rows[-1]

    monkeypatch.setattr(Rendering, "_take", take)
    monkeypatch.setattr(Rendering, "_numbers", lambda self, planned: [1, 2, 3])
    made = await object.__new__(Rendering)._takes(planned.scene("a"))
    again = plan.make(board, catalog.load(), Snapshot(tuple(rows))).scene("a")
    assert [t.ordinal for t in made.takes] == [t.ordinal for t in again.takes] == [1, 2, 3]
    assert made.identity == again.identity


class Fails(Rendering):
    """A rendering one of whose scenes meets an error that nothing foresaw."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.told: list[Outcome] = []
        self.begun = {}
        self.stops: list[StoryreelError] = []
        self.session = cast(
            Session, SimpleNamespace(stop=self.stops.append, stopped=None, workspace=Workspace(Path("/x/runs/b")))
        )

    async def _through(self, planned: ScenePlan, one: TakePlan, number: int) -> Take | None:
        raise self.error

    def _tell(self, outcome: Outcome) -> None:
        self.told.append(outcome)


@pytest.mark.parametrize(
    "error",
    [ValueError("year 58869 is out of range"), KeyError("x"), RecursionError(), ApiError("no"), AnswerLost("lost")],
)
async def test_an_error_that_nothing_foresaw_fails_its_scene_only(
    check: Callable[..., Checked], error: Exception
) -> None:
    board = check(BOARD).storyboard
    assert board is not None
    planned = plan.make(board, catalog.load(), Snapshot()).scene("a")
    rendering = Fails(error)
    with disable_run_logger():
        assert await rendering._take(planned, planned.takes[0], 1) is None
    (outcome,) = rendering.told
    assert outcome.status == "failed" and outcome.error_class == "transient" and rendering.stops == []
    assert str(error.args[0] if error.args else "Recursion") in outcome.reason


async def test_a_ledger_that_is_gone_stops_the_run_in_its_own_words(check: Callable[..., Checked]) -> None:
    board = check(BOARD).storyboard
    assert board is not None
    planned = plan.make(board, catalog.load(), Snapshot()).scene("a")
    error = WorkspaceError("the ledger /x/runs/b/ledger.db cannot be used: disk full")
    rendering = Fails(error)
    with disable_run_logger():
        assert await rendering._take(planned, planned.takes[0], 1) is None
    assert rendering.stops == [error]
    assert rendering.told[0].reason == "transient: the ledger ledger.db cannot be used: disk full"
