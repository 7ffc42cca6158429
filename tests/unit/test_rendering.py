"""A run without Prefect: takes made side by side, and what becomes of errors that no code
foresaw.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from storyreel.catalog import load as catalog
from storyreel.errors import AnswerLost, ApiError, StoryreelError, WorkspaceError
from storyreel.ledger.rows import State, Take
from storyreel.manifest import Checked
from storyreel.plan import make as plan
from storyreel.plan.make import Action, Plan, Snapshot, TakePlan
from storyreel.report.model import CutReport
from storyreel.report.outcome import Outcome
from storyreel.run.finishing import Shown
from storyreel.run.outcomes import Log, Outcomes
from storyreel.run.session import Session
from storyreel.run.steps import Order
from storyreel.run.takes import Takes, in_order
from storyreel.workspace.folder import Workspace
from tests.unit.test_plan import row

BOARD = (
    "version: 1\nid: b\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, "
    "takes: 3}\n"
)


@pytest.fixture
def planned(check: Callable[..., Checked]) -> Plan:
    board = check(BOARD).storyboard
    assert board is not None
    return plan.make(board, catalog.load(), Snapshot())


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_the_used_take_is_the_one_that_the_next_plan_will_use(
    planned: Plan, order: tuple[int, ...]
) -> None:
    """Whichever came to the gate first: else what is made from it would be stale, and paid for
    again.
    """
    scene = planned.scene("a")
    rows = [
        dataclasses.replace(row(planned, "a", ordinal), state=State.COLLECTED) for ordinal in order
    ]
    takes = in_order(
        scene.scene,
        [TakePlan(Action.REUSE, "", take.ordinal, take, place=take.ordinal) for take in rows],
    )
    again = plan.make(planned.storyboard, catalog.load(), Snapshot(tuple(rows))).scene("a")
    assert [t.ordinal for t in takes] == [t.ordinal for t in again.takes] == [1, 2, 3]
    assert dataclasses.replace(scene, takes=takes).identity == again.identity


class Fails:
    """Steps whose first one meets an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def submit(self, order: Order) -> Take | None:
        raise self.error

    async def wait(self, take: Take) -> Take:
        raise AssertionError("nothing was submitted")

    async def collect(self, take: Take, stills: Sequence[str]) -> Take:
        raise AssertionError("nothing was submitted")

    async def write_stills(self, take: Take, stills: Sequence[str]) -> None:
        raise AssertionError("nothing was submitted")

    async def cut(self, clips: Shown) -> CutReport:
        raise AssertionError("nothing was submitted")


async def fail(planned: Plan, error: Exception) -> tuple[Outcome, list[StoryreelError]]:
    """(the outcome of a take whose request ends in this error, what stopped the run)."""
    stops: list[StoryreelError] = []
    fake: Any = SimpleNamespace(
        stop=stops.append,
        stopped=None,
        on_progress=lambda progress: None,
        settings=SimpleNamespace(max_in_flight=5),
        workspace=Workspace(Path("/x/runs/b")),
    )
    session = cast(Session, fake)
    outcomes = Outcomes(session, Log())
    takes = Takes(session, planned, Snapshot(), Fails(error), outcomes)
    scene = planned.scene("a")
    assert await takes.make_one(scene, scene.takes[0], 1, {}) is None
    (outcome,) = outcomes.all
    return outcome, stops


@pytest.mark.parametrize(
    "error",
    [
        ValueError("year 58869 is out of range"),
        KeyError("x"),
        RecursionError(),
        ApiError("no"),
        AnswerLost("lost"),
    ],
)
async def test_an_error_that_nothing_foresaw_fails_its_scene_only(
    planned: Plan, error: Exception
) -> None:
    outcome, stops = await fail(planned, error)
    assert outcome.status == "failed" and outcome.error_class == "transient" and stops == []
    assert str(error.args[0] if error.args else "Recursion") in outcome.reason


async def test_a_ledger_that_is_gone_stops_the_run_in_its_own_words(planned: Plan) -> None:
    error = WorkspaceError("the ledger /x/runs/b/ledger.db cannot be used: disk full")
    outcome, stops = await fail(planned, error)
    assert stops == [error]
    assert outcome.reason == "transient: the ledger ledger.db cannot be used: disk full"
