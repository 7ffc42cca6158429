"""kill -9 at points drawn by chance, on larger boards drawn by chance."""

from __future__ import annotations

import queue
import random

import pytest

from tests.crash.killing import Nursery, drawn, kill_at, points


@pytest.mark.timeout(600)
def test_nothing_is_paid_twice_or_lost_on_larger_boards_drawn_by_chance(
    nurseries: queue.Queue[Nursery],
) -> None:
    draw = random.Random(11)
    cases = []
    for seed in range(6):
        count = points(nurseries, drawn(seed), 10_000 + 100 * seed)
        cases += [
            (drawn(seed), 10_001 + 100 * seed + i, draw.randrange(1, count + 1)) for i in range(5)
        ]
    assert kill_at(nurseries, cases) == []
