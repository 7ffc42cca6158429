"""A fault: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Does a fault refuse the storyboard, or only warn?"""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault. `line` and `column` count from 1, columns in characters."""

    file: str
    line: int
    column: int
    severity: Severity
    message: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}\n  Fix: "
            f"{self.fix}"
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word of `known` that `word` most likely meant, or None."""
    words = list(known)
    longer = [
        candidate for candidate in words if len(word) > 2 and candidate.startswith(word.lower())
    ]
    likely = longer or difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return likely[0] if likely else None


def counted(number: float, noun: str) -> str:
    """Return a number, rounded to a whole one, with its noun: `1 job`, `2 jobs`."""
    shown = f"{number:.0f}"
    return f"{shown} {noun}{'s' * (shown != '1')}"


def listing(words: Iterable[object]) -> str:
    """Join words as `a, b or c`."""
    *head, last = [str(w) for w in words]
    return f"{', '.join(head)} or {last}" if head else last
