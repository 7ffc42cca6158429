"""Times of any form are a time between 2020 and 2100, or none at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyreel.ledger.moments import EARLIEST_S, LATEST_S, moment, number, shown

NINE = 1_763_802_000.0  # 2025-11-22T09:00:00Z


@pytest.mark.parametrize(
    "value",
    [
        NINE, int(NINE), NINE * 1e3, int(NINE) * 10**6, int(NINE) * 10**9, str(int(NINE)), f" {int(NINE)}000 ",
        "2025-11-22T09:00:00Z", "2025-11-22T10:00:00+01:00", "2025-11-22 09:00:00", "20251122T090000Z",
        "2025-11-22T09:00:00.000000",
    ],
)  # fmt: skip
def test_a_time_is_read_in_every_form(value: Any) -> None:
    assert moment(value) == NINE


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 1, 1e25, "1e999", math.nan, math.inf, "NaN", "Infinity", 10**400, "9" * 5000, "", "soon",
        [], {}, "0001-01-01T00:00:00", "9999-12-31T23:59:59-14:00", "²", b"1",
    ],
)  # fmt: skip
def test_nonsense_is_no_time(value: Any) -> None:
    assert moment(value) is None


@settings(deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()))
def test_nothing_raises_and_nothing_lies_outside(value: Any) -> None:
    found = moment(value)
    assert found is None or EARLIEST_S <= found <= LATEST_S
    assert number(value) is None or math.isfinite(number(value) or 0)


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats()))
def test_whatever_a_ledger_holds_is_shown_or_left_out(seconds: float | None) -> None:
    assert shown(seconds) is None or str(shown(seconds)).endswith("Z")
