"""A row of a ledger that an odd hand wrote: whatever one field says, the others are read."""

from __future__ import annotations

from typing import Any

import pytest

from storyreel.ledger.decode import take_of
from storyreel.ledger.rows import State, Take

ROW: dict[str, Any] = {
    "id": 1, "storyboard": "b", "scene": "s", "take": 1, "key": "k", "ordinal": 1, "state": "collected",
    "superseded": False, "account": "a", "run_id": "r", "request": '{"prompt": "p"}', "inputs": "{}", "price": "4.00",
    "currency": "CNY", "submissions": 1, "created_at": 1.7e9, "submitted_at": 1.7e9, "completed_at": 1.7e9,
    "collected_at": 1.7e9, "expires_at": None, "polls": 1, "job_id": "j", "error_class": None, "error_code": None,
    "error_message": None, "clip": '{"path": "c.mp4"}',
}  # fmt: skip
ODD = (
    "x",
    "",
    "NaN",
    "1e999",
    -5,
    1e25,
    float("inf"),
    "[]",
    "{",
    '{"path": 3}',
    '{"a": 1}',
    b"\x00",
    None,
)


def read(**odd: Any) -> Take:
    return take_of({**ROW, **odd})


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    "name", [name for name in ROW if name not in ("id", "storyboard", "scene", "key", "job_id")]
)
def test_a_field_that_makes_no_sense_spoils_no_other(name: str, value: Any) -> None:
    take = read(**{name: value})
    assert take.job_id == "j" and take.id == 1
    assert take.price is None or 0 <= take.price < 10**9
    assert isinstance(take.created_at, float) and isinstance(take.request, dict)


def test_what_is_odd_is_held_or_left_out_and_milliseconds_are_times() -> None:
    assert read(state="weird").state is State.AMBIGUOUS
    assert read(price="viel").price is None and read(clip='{"path": 3}').clip is None
    assert (
        read(completed_at=1.7e12).completed_at == 1.7e9
        and read(created_at="gestern").created_at == 0.0
    )
    assert read(inputs='{"first_frame": 3}').inputs == {}
