"""Check that the data has the shape of a storyboard. Note each fault at its place; keep the
valid rest.
"""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from storyreel.manifest import forms
from storyreel.manifest.document import (
    Budget,
    Cut,
    Document,
    Fallback,
    FrameRef,
    Music,
    Policy,
    SceneEntry,
    SceneFields,
    Style,
    VideoIdRef,
    VideoRef,
)
from storyreel.manifest.faults import listing, nearest
from storyreel.manifest.places import Source, YamlPath

_PARTS: dict[str, type[BaseModel]] = {
    "defaults": SceneFields,
    "style": Style,
    "budget": Budget,
    "policy": Policy,
    "cut": Cut,
    "fallback": Fallback,
    "music": Music,
    "reference_video": VideoRef,
    "remix_of": VideoIdRef,
}
HARMLESS_IMAGE = "https://left.out.invalid/"
_SCENE_ONLY = ("id", "prompt", "remix_of", "fallback_prompt")


def fit(source: Source) -> tuple[Document, set[YamlPath]]:
    """Return the document of all values with the right shape, and the paths that were left out."""
    data = copy.deepcopy(source.data)
    broken = forms.misfits(source, data)
    for path in broken:
        _leave_out(data, path)
    while True:
        try:
            return Document.model_validate(data), broken
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                path = _path(detail["loc"], data)
                if path not in broken:  # each branch of a union reports it; one is enough
                    broken.add(path)
                    _report(source, detail, path)
            for path in sorted(broken, key=len, reverse=True):
                _leave_out(data, forms.left_out(path))


def _path(loc: tuple[int | str, ...], data: Any) -> YamlPath:
    """Return the path of an error, without pydantic's union tags."""
    path: list[str | int] = []
    for step in loc:
        if _holds(data, step):  # else it is a union tag of pydantic
            data = data[step]
            path.append(step)
    return tuple(path)


def _holds(data: Any, step: int | str) -> bool:
    return (isinstance(data, dict) and step in data) or (
        isinstance(data, list) and isinstance(step, int)
    )


def _leave_out(data: Any, path: YamlPath) -> None:
    """Remove the value at `path`. Replace a list's element by a harmless one, so its neighbours
    keep their index.
    """
    for step in path[:-1]:
        if not _holds(data, step):
            return
        data = data[step]
    if isinstance(data, list) and isinstance(path[-1], int):
        is_mapping = (path[0] == "scenes" and len(path) == 2) or path[-2] == "fallback"
        data[path[-1]] = {} if is_mapping else HARMLESS_IMAGE
    elif isinstance(data, dict):
        data.pop(path[-1], None)


def _part(path: YamlPath) -> type[BaseModel]:
    """Return the class that describes the mapping at `path`."""
    if not path:
        return Document
    last = path[-1]
    if isinstance(last, int):
        if len(path) == 2 and path[0] == "scenes":
            return SceneEntry
        return _PARTS.get(str(path[-2]), FrameRef)
    if last in ("first_frame", "end_frame"):
        return FrameRef
    return _PARTS.get(last, Document)


def _report(source: Source, detail: ErrorDetails, path: YamlPath) -> None:
    name = str(path[-1]) if path and isinstance(path[-1], str) else ""
    shown = f"`{name}`" if name else "this entry"
    kind, ctx = detail["type"], detail.get("ctx") or {}
    if kind == "extra_forbidden":
        _unknown_key(source, path)
        return
    message, fix = _words(kind, ctx, detail, shown, name)
    source.error(source.at(path), message, fix)


def _unknown_key(source: Source, path: YamlPath) -> None:
    key, parent = str(path[-1]), path[:-1]
    keys = list(_part(parent).model_fields)
    if parent == ("defaults",) and key in _SCENE_ONLY:
        source.error(
            source.at(path, key=True), f"`{key}` cannot be a default", "write it in each scene"
        )
        return
    guess = nearest(key, keys)
    hint = f"; did you mean `{guess}`?" if guess else ""
    fix = (
        f"write `{guess}`, or delete the key"
        if guess
        else f"delete it; known keys here: {', '.join(keys)}"
    )
    if " " in key and not guess:
        fix = "put a text that holds a comma or `: ` in quotes"
    source.error(source.at(path, key=True), f"unknown key `{key}`{hint}", fix)


def _words(
    kind: str, ctx: dict[str, Any], detail: ErrorDetails, shown: str, name: str
) -> tuple[str, str]:
    """Return (message, fix) for an error of shape."""
    value = detail["input"]
    given = _given(value)
    if kind == "literal_error":
        return _literal(str(ctx["expected"]), value, shown, name)
    if kind == "missing":
        missing = str(detail["loc"][-1])
        return f"`{missing}` is missing", f"add `{missing}:`"
    if kind == "string_pattern_mismatch":
        return f"{shown} is {given}", _pattern_fix(name, str(ctx["pattern"]), value)
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        bound = next(iter(ctx.values()))
        word = {"greater_than_equal": "at least", "less_than_equal": "at most"}.get(
            kind, kind.replace("_", " ")
        )
        return (
            f"{shown} is {given}; it must be {word} {bound}",
            f"use a number that is {word} {bound}",
        )
    if kind == "string_too_short":
        return f"{shown} is empty", f"give {shown} a value, or delete it"
    if kind == "value_error":
        return (
            f"{shown} is {given}; it {ctx.get('error')}",
            "write a plain amount, e.g. `40` or `12.50`",
        )
    return _mistyped(kind, detail, shown)


def _literal(expected: str, value: Any, shown: str, name: str) -> tuple[str, str]:
    """Return (message, fix) for a value other than the words allowed."""
    allowed = [w.strip("'") for w in expected.replace(" or ", ", ").split(", ")]
    if str(value) in allowed:
        return f"{shown} is text, not a number", f"write {value} without quotes"
    if name == "style":
        fix = "write `style: none`; prefix and suffix belong to `style:` of the file"
        return f"a scene's `style` is {_given(value)}", fix
    guess = nearest(str(value), allowed)
    hint = f"; did you mean `{guess}`?" if guess and guess != value else ""
    return f"{shown} is {_given(value)}{hint}", f"use {listing(allowed)}"


def _mistyped(kind: str, detail: ErrorDetails, shown: str) -> tuple[str, str]:
    """Return (message, fix) for a value of another type."""
    value = detail["input"]
    given, wanted = _given(value), _WANTED.get(kind, detail["msg"])
    if kind == "string_type" and isinstance(value, (int, float, bool)):
        return f"{shown} is {given}, not text", f'put it in quotes: "{str(value).lower()}"'
    if kind == "int_type" and isinstance(value, str) and value.strip().isdigit():
        return f"{shown} is text, not a whole number", f"write {value.strip()} without quotes"
    if value is None:
        return f"{shown} has no value; it must be {wanted}", f"give {shown} a value, or delete it"
    return f"{shown} is {given}; it must be {wanted}", f"make it {wanted}"


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list (lines that begin with `- `)",
    "dict_type": "a mapping (`name: value` lines)",
    "model_type": "a mapping (`key: value` lines)",
    "model_attributes_type": "a mapping (`key: value` lines)",
}


def _given(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value)
    return f"`{text if len(text) <= 60 else text[:57] + '…'}`"


def _pattern_fix(name: str, pattern: str, value: Any) -> str:
    if name == "size":
        return "write width x height in pixels, e.g. 1280x720"
    if name == "currency":
        return "use a code of three capital letters, e.g. CNY or USD"
    if name == "url":
        return "use a public address that begins with https://"
    if name == "id":
        slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in str(value).lower()).strip(
            "-"
        )[:63]
        tip = f"; e.g. `{slug}`" if slug else ""
        return f"use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit{tip}"
    return f"it must match {pattern}"
