"""The prompt as it is sent: inside its style, with variables replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"\$(?:\$|\{(?P<name>[^{}]*)\}|(?P<open>\{))")
_STOPS = ".,;:!?…。,;:!?、"


@dataclass(frozen=True, slots=True)
class BadVariable:
    """A `${…}` that cannot be replaced; `occurrence` counts equal texts from 0."""

    text: str
    name: str | None
    occurrence: int


def replace(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with each known `${name}` replaced and `$$` turned into `$`. Values are not
    searched again.
    """

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match["name"] or "", match[0])

    return _TOKEN.sub(one, text)


def used(text: str) -> set[str]:
    """Return the names of the variables in `text`."""
    return {m["name"] for m in _TOKEN.finditer(text) if m["name"]}


def bad_variables(text: str, variables: Mapping[str, str]) -> Iterator[BadVariable]:
    """Yield each `${…}` of `text` that has no value, or is never closed."""
    seen: dict[str, int] = {}
    for match in _TOKEN.finditer(text):
        if match["open"] or (match["name"] is not None and match["name"] not in variables):
            count = seen.get(match[0], 0)
            seen[match[0]] = count + 1
            yield BadVariable(match[0], match["name"], count)


def compose(prefix: str, prompt: str, suffix: str) -> str:
    """Join the parts that are not empty: by a comma, or by a space after punctuation."""
    out = ""
    for part in (prefix.strip(), prompt.strip(), suffix.strip()):
        if out and part:
            out += " " if out[-1] in _STOPS else ", "
        out += part
    return out
