"""When a job is asked about."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyreel.api.polling import ENOUGH, Expected, next_delay


def asked(ends: float, expected: Expected) -> tuple[int, float]:
    """(requests until the end is noticed, the lag as a share of the job's time)."""
    at, count = 0.0, 0
    while at < ends:
        at += next_delay(at, expected)
        count += 1
    return count, (at - ends) / ends


@pytest.mark.parametrize(
    ("low", "high", "most"), [(120, 300, 12.5), (300, 600, 10.0), (600, 900, 7.0)]
)
def test_few_requests_notice_a_job_of_the_documented_range_soon(
    low: float, high: float, most: float
) -> None:
    rng = random.Random(1)
    found = [asked(rng.uniform(low, high), Expected.of(low, high)) for _ in range(2000)]
    lags = sorted(lag for _, lag in found)
    assert statistics.mean(count for count, _ in found) <= most
    assert lags[1000] <= 0.021 and lags[1900] <= 0.05


def test_it_learns_from_what_was_seen() -> None:
    """Jobs that take a quarter of what the catalogue says, and hardly vary, are noticed at once and
    with few requests.
    """
    seen = [30.0 + i / 10 for i in range(50)]
    count, lag = asked(33.0, Expected.of(120, 300, seen))
    assert count <= 6 and lag < 0.05
    assert Expected.of(120, 300, seen[: ENOUGH - 1]) == Expected.of(120, 300)


@given(st.floats(0, 1e6), st.lists(st.floats(0.001, 1e5), min_size=1, max_size=60))
def test_no_wait_is_endless_or_none(elapsed: float, waits: list[float]) -> None:
    expected = Expected(tuple(sorted(waits)))
    assert 0 < next_delay(elapsed, expected) <= max(60.0, expected.waits_s[-1])


def test_a_job_that_ends_at_once_is_noticed_early() -> None:
    assert asked(1.0, Expected.of(120, 300)) == (1, 9.0)


def test_what_took_far_longer_than_the_catalogue_says_teaches_nothing() -> None:
    """A clock that is an hour off, or a night's pause, in ledgers that older versions wrote."""
    wrong = [3600.0 + i for i in range(50)]
    assert Expected.of(120, 300, wrong) == Expected.of(120, 300)
    assert (
        Expected.of(120, 300, [1.76e12, -5.0, float("inf"), *[200.0] * ENOUGH]).waits_s
        == (200.0,) * ENOUGH
    )
