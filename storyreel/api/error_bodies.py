"""Error bodies: an answer that describes no job, in any known form. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storyreel.api.bodies import clean, loads
from storyreel.api.reasons import error_of

_INNER = ("error", "errors", "base_resp")  # keys of an object with the details
_CODES = ("code", "error_code", "errorCode", "status_code")
_MESSAGES = ("message", "msg", "error_message", "error_msg", "detail", "error_description")
_EMPTY: tuple[Any, ...] = (None, "", {}, [], False)
# Codes of success, beside which an answer without a job is no refusal.
_SUCCESS = {"0", "200", "201", "202", "success", "ok", "succeed", "", "true"}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """A parsed error body. `code` and `type` are the API's own words."""

    status: int
    code: str | None
    type: str | None
    message: str
    is_json: bool

    @property
    def text(self) -> str:
        """Return code, type and message for patterns, with code and type in brackets."""
        return f"[{self.code or ''}] [{self.type or ''}] {self.message}"


def read(status: int, text: str) -> ErrorBody:
    """Parse an error body in any known form: JSON of several kinds, plain text, HTML, nothing."""
    payload = loads(text)
    if not isinstance(payload, (dict, list)):
        return ErrorBody(status, None, None, clean(text), False)
    body = payload[0] if isinstance(payload, list) and payload else payload
    code = kind = message = None
    if isinstance(body, dict):
        inner = next((body[key] for key in _INNER if body.get(key) not in _EMPTY), None)
        code, message = error_of(inner)
        if isinstance(inner, dict):
            kind = _text(inner.get("type"))
            code = code or _text(inner.get("status_code"))
        code = code or _text(_first(body, *_CODES))
        kind = kind or _text(body.get("type"))
        message = message or _text(_first(body, *_MESSAGES))
    return ErrorBody(status, code, kind, message or clean(text), True)


def has_refusal(payload: Any) -> bool:
    """Does an answer without a job carry an error, or a code other than success?"""
    if not isinstance(payload, dict):
        return False
    base = payload.get("base_resp")
    codes = [payload.get("code"), base.get("status_code") if isinstance(base, dict) else None]
    if payload.get("error") or payload.get("errors") or payload.get("success") is False:
        return True
    return any(str(code).lower() not in _SUCCESS for code in codes if code is not None)


def _first(layer: dict[str, Any], *names: str) -> Any:
    return next((layer[name] for name in names if layer.get(name) not in (None, "")), None)


def _text(value: Any) -> str | None:
    """Return a field as text. FastAPI's `detail` is a list of errors, each with its place."""
    if isinstance(value, list):
        parts = [
            f"{'.'.join(str(p) for p in fault.get('loc', ()))}: {fault.get('msg')}"
            if isinstance(fault, dict)
            else str(fault)
            for fault in value[:5]
        ]
        return clean("; ".join(parts)) or None
    if isinstance(value, dict):
        return clean(str(value.get("message") or value))
    return clean(str(value)) if value not in (None, "", False) else None
