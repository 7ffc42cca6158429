"""YAML's syntax errors in plain words, at the place that the author must correct."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError

from storyreel.manifest.places import Source


def explain(source: Source, error: MarkedYAMLError) -> tuple[int, str, str]:
    """Return (offset, message, fix) of a YAML error."""
    problem = str(error.problem or "not YAML")
    mark = error.problem_mark or error.context_mark
    lines = source.text.split("\n")
    row = min(mark.line, len(lines) - 1) if mark else 0
    at = sum(len(line) + 1 for line in lines[:row]) + min(
        mark.column if mark else 0, len(lines[row])
    )
    line = lines[row]
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        at = at - min(mark.column, len(line)) + indent.index("\t")
        return at, "a tab is used for indentation", "indent with spaces"
    if "flow" in str(error.context) and not source.text[at:].strip():
        begin = _unclosed(source.text)
        return begin, f"this `{source.text[begin]}` is never closed", "add the closing bracket"
    if "quoted scalar" in str(error.context) and error.context_mark:
        begin = (
            sum(len(text) + 1 for text in lines[: error.context_mark.line])
            + error.context_mark.column
        )
        return begin, "the quote that opens here is never closed", "add the closing quote"
    if "expected <block end>" in problem:
        return (
            at,
            "this line is not indented like its neighbours",
            "give it the indentation of the lines it belongs to",
        )
    if "undefined alias" in problem:
        return (
            at,
            "YAML alias without an anchor of that name",
            "define it with `&name` above, or quote the text",
        )
    if "another document" in problem:
        return (
            at,
            "a second YAML document begins here",
            "keep one storyboard per file; delete the `---`",
        )
    if "cannot start any token" in problem:
        character = line[mark.column : mark.column + 1] if mark else ""
        return (
            at,
            f"`{character}` cannot begin a plain value in YAML",
            "put the text in double quotes",
        )
    if "mapping values are not allowed" in problem:
        return (
            at,
            "`:` is not allowed here",
            "put the text that holds `: ` in quotes, or correct the indentation",
        )
    context = f" {error.context}" if error.context else ""
    return (
        at,
        f"YAML syntax: {problem}{context}",
        "correct the syntax here or in the line above: quotes, brackets, indentation",
    )


def _unclosed(text: str) -> int:
    """Return the offset of the last bracket that is never closed."""
    open_: list[int] = []
    for bracket in re.finditer(r"[\[\]{}]", text):
        if bracket[0] in "[{":
            open_.append(bracket.start())
        elif open_:
            open_.pop()
    return open_[-1] if open_ else 0
