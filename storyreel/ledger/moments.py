"""Read points in time as servers write them: seconds, milliseconds, text, ISO 8601. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

EARLIEST_S = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
LATEST_S = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
# Seconds, then the units of other servers: new-api's Kling channel sends milliseconds (gateways.md
# 1.1).
_UNITS = (1.0, 1e3, 1e6, 1e9)
_COMPACT = re.compile(r"\d{8}T\d{6}Z")


def moment(value: Any) -> float | None:
    """Return Unix seconds between 2020 and 2100; None if `value` is no such time."""
    count = number(value)
    if count is None:
        return _written(value) if isinstance(value, str) else None
    return next((count / unit for unit in _UNITS if EARLIEST_S <= count / unit <= LATEST_S), None)


def number(value: Any) -> float | None:
    """Return a finite number, also one in a text (`"35%"` is 35); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value.strip().rstrip("%") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def shown(seconds: float | None) -> str | None:
    """Return Unix seconds as `2026-11-22T09:00:00Z`; None if no calendar has such a time."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _written(text: str) -> float | None:
    """Read ISO 8601, and its compact form `20261122T090000Z` of signed links.

    A time without a zone is UTC.
    """
    text = text.strip()
    try:
        if _COMPACT.fullmatch(text):
            found = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        else:
            found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
        seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if EARLIEST_S <= seconds <= LATEST_S else None
