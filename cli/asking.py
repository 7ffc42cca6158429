"""Asks the person at the terminal."""

from __future__ import annotations

import sys

from storyreel.errors import UsageError


def go_ahead() -> None:
    """Return if the person at the terminal says yes.

    Raises:
        UsageError: they do not.
    """
    print("Go ahead? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent", fix="answer y, or add --yes")
