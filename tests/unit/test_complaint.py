"""Errors in the words that a person sees: a fault of its own is only what no person can change."""

from __future__ import annotations

import errno
import os

import pytest

from storyreel.cli.complaint import complain_of, said
from storyreel.errors import BudgetReached, UsageError


def test_an_error_of_ours_is_found_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    error = ExceptionGroup(
        "unhandled",
        [ValueError("x"), ExceptionGroup("", [BudgetReached("no money", fix="raise it")])],
    )
    assert complain_of(error) == 3
    assert capsys.readouterr().err == "storyreel: no money\n  Fix: raise it\n"
    assert complain_of(UsageError("wrong")) == 2


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "writable"), (errno.EACCES, "permissions")],
)
def test_what_the_system_refuses_is_told_with_a_fix(
    capsys: pytest.CaptureFixture[str], number: int, words: str
) -> None:
    assert (
        complain_of(ExceptionGroup("", [OSError(number, os.strerror(number), "/some/place")])) == 2
    )
    said_ = capsys.readouterr().err
    assert (
        said_.startswith(f"storyreel: /some/place: {os.strerror(number)}\n  Fix: ")
        and words in said_
    )
    assert "fault of its own" not in said_


def test_the_rest_is_a_fault_of_its_own_and_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain_of(ExceptionGroup("unhandled errors in a TaskGroup", [KeyError("a")])) == 1
    said_ = capsys.readouterr().err
    assert "a fault of its own: KeyError: 'a'" in said_ and "--debug" in said_


def test_a_state_is_said_once() -> None:
    assert said("held", "held: the answer was lost") == "the answer was lost"
    assert said("not made", "not made yet: new") == "new"
    assert said("failed", "media: broken") == "media: broken"
