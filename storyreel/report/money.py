"""Sums of what takes cost, and of what may have been charged twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from storyreel.ledger.rows import CHARGED, Take

_CENT = Decimal("0.01")


def spent(rows: Iterable[Take]) -> tuple[dict[str, Decimal], Decimal]:
    """Return (cost of these takes by currency, amount that may have been charged twice)."""
    found: dict[str, Decimal] = {}
    double = Decimal(0)
    for row in rows:
        if row.price is None:
            continue
        double += row.price * max(0, row.submissions - 1)
        if row.state in CHARGED and row.submissions:
            found[row.currency or ""] = (
                found.get(row.currency or "", Decimal(0)) + row.price * row.submissions
            )
    return found, double


def amount(value: Decimal) -> str:
    """Return an amount with two decimals."""
    return str(value.quantize(_CENT))
