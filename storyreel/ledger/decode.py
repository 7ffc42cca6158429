"""Decode a ledger's row into a `Take`. Pure.

An older version, another tool or a person may have written the row. A field with an invalid value
is read as None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from storyreel.errors import ErrorKind
from storyreel.ledger.clip import Clip
from storyreel.ledger.moments import LATEST_S, moment
from storyreel.ledger.rows import State, Take

DEAREST = 10**9  # no clip costs that much


def take_of(row: Mapping[str, Any]) -> Take:
    """Return the take of a row. A take in an unknown state is held."""
    values = dict(row)
    values["state"] = _state(values["state"])
    values["request"] = _object(values["request"]) or {}
    values["inputs"] = {
        k: v for k, v in (_object(values["inputs"]) or {}).items() if isinstance(v, dict)
    }
    values["price"] = amount(values["price"])
    values["clip"] = Clip.of(_object(values["clip"]) or {})
    values["error_class"] = ErrorKind.read(values["error_class"])
    for name in ("completed_at", "expires_at", "submitted_at", "collected_at"):
        values[name] = _time(values[name])
    values["created_at"] = _time(values["created_at"]) or 0.0
    for name in ("take", "ordinal", "submissions", "polls"):
        values[name] = values[name] if isinstance(values[name], int) else 1
    return Take(**values)


def amount(text: Any) -> Decimal | None:
    """Return a price that the ledger holds as text; None if it is not a price."""
    try:
        found = Decimal(str(text)) if text is not None else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and 0 <= found < DEAREST else None


def _state(text: Any) -> State:
    """Return the state, `AMBIGUOUS` for an unknown word."""
    try:
        return State(text)
    except ValueError:
        return State.AMBIGUOUS


def _object(text: Any) -> dict[str, Any] | None:
    """Return a JSON object; None for any other text."""
    try:
        found = json.loads(text) if text else None
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _time(seconds: Any) -> float | None:
    """Return a time in Unix seconds. One after 2100 is read as milliseconds, or as None."""
    if isinstance(seconds, (int, float)) and math.isfinite(seconds) and 0 <= seconds <= LATEST_S:
        return float(seconds)
    return moment(seconds)
