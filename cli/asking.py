"""Says what a run costs, and asks whether to go ahead."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal

from storyreel.errors import UsageError


def price(cost: Mapping[str, tuple[Decimal, Decimal]]) -> str:
    """The cost of a plan, (low, high) by currency, in words."""
    parts = [f"{low} to {high} {c}" if low != high else f"{high} {c}" for c, (low, high) in cost.items()]
    return " + ".join(parts) or "no known price"


def go_ahead() -> None:
    """Return if the person at the terminal says yes.

    Raises:
        UsageError: they do not.
    """
    print("Go ahead? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent", fix="answer y, or add --yes")
