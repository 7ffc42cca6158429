"""kill -9 in every durable state of a run: nothing is paid twice, nothing that was paid is lost."""

from __future__ import annotations

import queue
import random

import pytest

from tests.crash.killing import (
    HELD_SOMEWHERE,
    SMALL_BOARD,
    SURELY_REACHED,
    Nursery,
    kill_at,
    states,
)

DRAWN = 40


def chosen(at: list[int]) -> list[int]:
    """The first and the last point of each state, and some drawn from the rest: where the disk, the
    ledger and the server are the same, dying is the same experiment.
    """
    first = {state: point for point, state in reversed(list(enumerate(at, 1)))}
    last = {state: point for point, state in enumerate(at, 1)}
    ends = {*first.values(), *last.values()}
    rest = [point for point in range(1, len(at) + 1) if point not in ends]
    draw = random.Random(7)
    points = [*sorted(ends), *draw.sample(rest, min(DRAWN, len(rest)))]
    draw.shuffle(points)
    return points


@pytest.mark.timeout(1200)
def test_nothing_is_paid_twice_or_lost_whatever_the_point_of_death(
    nurseries: queue.Queue[Nursery],
) -> None:
    at = states(nurseries, SMALL_BOARD, 0)
    assert len(at) > SURELY_REACHED and len(set(at)) > 50
    assert kill_at(nurseries, [(SMALL_BOARD, point, point) for point in chosen(at)]) == []
    assert HELD_SOMEWHERE, "no point hit the moment between a request and its answer"


def test_the_first_and_the_last_point_of_each_state_are_chosen() -> None:
    at = [*[0] * 100, *[1] * 100, 2]
    assert {1, 100, 101, 200, 201} <= set(chosen(at)) and len(chosen(at)) == len(
        set(chosen(at))
    ) == 5 + DRAWN
    assert sorted(chosen([3, 4, 5])) == [1, 2, 3]
