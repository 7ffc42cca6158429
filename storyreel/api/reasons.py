"""Reasons of failures: the code and the message that an answer gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storyreel.api.bodies import clean, loads, text_of
from storyreel.api.layers import layers

# Keys of the reason of a failure. Only a failed job has them (gateways.md 1.11).
_REASONS = (
    "error", "fail_reason", "failReason", "failure_reason", "failureReason", "failure",
    "failure_message",
    "error_message",
    "errorMessage", "error_msg", "err_msg", "fail_msg",
)  # fmt: skip
# Keys that any job may have. They give the reason if the job has failed.
_REMARKS = (
    "task_status_msg", "status_message", "status_msg", "base_resp", "detail", "reason",
    "message", "msg",
    "description",
)  # fmt: skip
_CODES = ("error_code", "errorCode", "failureCode", "failure_code", "fail_code")
_SUCCESS = {"", "0", "200", "ok", "success", "succeed", "none", "null", "{}", "[]"}


def error_of(error: Any) -> tuple[str | None, str | None]:
    """Return (code, message) of an `error` in any form: an object, text, JSON within text, None."""
    if isinstance(error, str) and error.lstrip()[:1] == "{":
        error = loads(error) or error
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict):
        code = next((c for key in ("code", "type", "status") if (c := _text(error.get(key)))), None)
        message = next(
            (
                m
                for key in ("message", "msg", "status_msg", "detail")
                if (m := _text(error.get(key)))
            ),
            None,
        )
        inner = error.get("error")
        return (code, message) if message or not inner else error_of(inner)
    return None, _text(error)


def reason(
    layer: Mapping[str, Any], outer: Mapping[str, Any], *, has_failed: bool
) -> tuple[str | None, str | None]:
    """Return (code, message) of a failure from the job's layer, the answer around it and the
    objects inside it.
    """
    code = message = None
    for part in (layer, outer, *layers(layer)):
        for key in (*_REASONS, *(_REMARKS if has_failed else ())):
            found = error_of(part.get(key))
            code, message = code or found[0], message or found[1]
        for key in _CODES:
            code = code or _text(part.get(key))
    return code, message


def _text(value: Any) -> str | None:
    """Return a field as text; None for a word of success."""
    text = clean(text_of(value) or "")
    return None if text.lower() in _SUCCESS else text
