"""kill -9 while scenes that are there already are made again."""

from __future__ import annotations

import queue
import random

import pytest

from tests.crash.killing import FORCED, SMALL_BOARD, Nursery, check_forced, kill_at, points


@pytest.mark.timeout(900)
def test_no_good_clip_is_given_up_for_one_that_is_forced(nurseries: queue.Queue[Nursery]) -> None:
    points(nurseries, SMALL_BOARD, 30_000)
    nursery = nurseries.get()
    count = nursery.run(SMALL_BOARD, 30_000, -1, force=FORCED)["points"]
    nurseries.put(nursery)
    draw = random.Random(17)
    cases = [
        (SMALL_BOARD, 30_001 + i, point)
        for i, point in enumerate(draw.sample(range(1, count + 1), 40))
    ]
    assert kill_at(nurseries, cases, check_forced) == []
