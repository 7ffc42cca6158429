"""Warn of comments that may be part of a text: in YAML ` #` begins a comment, even inside
unquoted text.
"""

from __future__ import annotations

import re

from storyreel.manifest.faults import Severity
from storyreel.manifest.places import Source, YamlPath

FREE_TEXT = (
    "prompt",
    "fallback_prompt",
    "caption",
    "title",
    "note",
    "description",
    "prefix",
    "suffix",
)
_COMMENT = re.compile(r"(?P<gap>[ \t]+)(?P<text>#[^\n]*)")


def warn(source: Source) -> None:
    """Warn of each comment after an unquoted text: YAML cuts the text off there without a
    message.
    """
    for path in source.values:
        if not _is_free_text(path) or (found := _behind(source, path)) is None:
            continue
        at, comment = found
        source.error(
            at,
            f"`{comment}` is a comment in YAML, so `{path[-1]}` is {_kept(source, path)}",
            "put the whole text in quotes; if it is a comment, write it on a line of its own",
            Severity.WARNING,
        )


def _is_free_text(path: YamlPath) -> bool:
    """Is this a text for people or models, which may contain a `#`?"""
    return (path[:1] == ("vars",) and len(path) == 2) or path[-1:] in [
        (name,) for name in FREE_TEXT
    ]


def _behind(source: Source, path: YamlPath) -> tuple[int, str] | None:
    """Return (offset, text) of a comment after the unquoted value at `path`, in its last line.

    None for a comment that is clearly one: two spaces before its `#`, and one after it.
    """
    span = source.values[path]
    if source.text[span.start : span.start + 1] in ('"', "'", "|", ">"):
        return None
    end = (
        span.end
        if span.end > span.start
        else source.text.find(":", source.keys.get(path, span).start) + 1
    )
    comment = _COMMENT.match(source.text, end)
    if comment is None or (len(comment["gap"]) > 1 and comment["text"][1:2].strip() == ""):
        return None
    return comment.start("text"), comment["text"].rstrip()


def _kept(source: Source, path: YamlPath) -> str:
    span = source.values[path]
    text = " ".join(source.text[span.start : span.end].split())
    return f"only `{text if len(text) <= 60 else '…' + text[-57:]}`" if text else "empty"
