"""kill -9 at points drawn by chance, with the ledger on PostgreSQL."""

from __future__ import annotations

import dataclasses
import queue
import random

import pytest

from tests.crash.killing import SMALL_BOARD, Nursery, kill_at, points
from tests.postgres import server


@pytest.mark.timeout(600)
def test_nothing_is_paid_twice_or_lost_with_the_ledger_on_postgresql(
    nurseries: queue.Queue[Nursery],
) -> None:
    with server() as url:
        board = dataclasses.replace(SMALL_BOARD, ledger=url)
        count = points(nurseries, board, 20_000)
        draw = random.Random(13)
        assert (
            kill_at(
                nurseries, [(board, 20_001 + i, draw.randrange(1, count + 1)) for i in range(24)]
            )
            == []
        )
