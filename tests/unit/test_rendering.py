"""Takes made side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from flows.render import Rendering
from storyreel import catalog, plan
from storyreel.ledger_rows import State, Take
from storyreel.manifest import Checked
from storyreel.plan import ScenePlan, Snapshot, TakePlan
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
