"""Texts of answers: read JSON liberally, and make text safe to show. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_SHOWN = 400
_DIGITS = 300  # Python reads no number of more than 4300 digits; float() none of more than 308


def loads(text: str) -> Any:
    """Parse the JSON of an answer; None if it is not JSON.

    Accept a byte order mark, NaN and numbers of any length. Parse JSON within a string once: some
    gateways send it.
    """
    value = _read(text.lstrip("\ufeff"))
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return _read(value)
    return value


def unwrapped(value: Any) -> Any:
    """Return a value of an answer. Parse an object or a list that is sent as text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return _read(value) or value
    return value


def is_text(start: bytes) -> bool:
    """Do the bytes begin like JSON or HTML? No video container begins so."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[", b"<", b'"')


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_whole, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float("inf")


def text_of(value: Any) -> str | None:
    """Return a string or a number as text; None for anything else, or empty text."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value).strip() or None


def clean(text: str) -> str:
    """Return one line of at most 400 characters without tags, signatures and control
    characters, safe to show.
    """
    text = text[: 50 * LONGEST_SHOWN]
    text = re.sub(r"(?is)<(script|style).*?</\1>", " ", text)
    text = re.sub(r"<[^>]{1,200}>", " ", text) if "<" in text else text
    text = re.sub(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+", r"\1?…", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
