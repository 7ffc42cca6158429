"""The place of each part of a storyboard's text, and the faults found there."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from typing import Any

from storyreel.manifest.faults import Fault, Severity

YamlPath = tuple[str | int, ...]


@dataclass(slots=True)
class Span:
    """A node's half-open range of character offsets in the text."""

    start: int
    end: int


@dataclass(slots=True)
class Source:
    """A parsed file. `data` consists of dict, list, str, int, float, bool and None; the spans give
    each part's place.
    """

    name: str
    text: str
    data: Any = None
    values: dict[YamlPath, Span] = field(default_factory=dict)
    keys: dict[YamlPath, Span] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    def error(self, at: int, message: str, fix: str, severity: Severity = Severity.ERROR) -> None:
        """Add a fault at character offset `at`."""
        line, column = self.place(at)
        fault = Fault(self.name, line, column, severity, message, fix)
        if fault not in self.faults:
            self.faults.append(fault)

    def place(self, at: int) -> tuple[int, int]:
        """Return (line, column) of a character offset, both from 1."""
        if not self._lines:
            self._lines = [0, *(m.end() for m in re.finditer("\n", self.text))]
        row = bisect.bisect_right(self._lines, at) - 1
        return row + 1, at - self._lines[row] + 1

    def at(self, path: YamlPath, *, key: bool = False) -> int:
        """Return the offset of the value at `path`, or of its key. If neither exists: of the
        nearest part above it.
        """
        while path:
            span = (self.keys if key else self.values).get(path) or self.values.get(path)
            if span:
                return span.start
            path, key = path[:-1], False
        root = self.values.get(())
        return root.start if root else 0

    def within(self, path: YamlPath, needle: str, occurrence: int = 0) -> int:
        """Return the offset of the n-th `needle` in the text of the value at `path`, or the value's
        own offset.
        """
        span = self.values.get(path)
        if span is None:
            return self.at(path)
        offset = span.start - 1
        for _ in range(occurrence + 1):
            offset = self.text.find(needle, offset + 1, span.end)
            if offset < 0:
                return span.start
        return offset
