"""Requests in any dialect of the catalogue, converted to the dialect `lists` of the document."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from storyreel.catalog.dialect import AddTo, At, Dialect, get
from storyreel.catalog.model import Model
from storyreel.simulator.rules import Refused

_MISSING = object()
_ROLES = {"first_frame": "first_frame", "end_frame": "end_frame", "references": None}


def plain(body: Mapping[str, Any], model: Model, dialect: Dialect) -> dict[str, Any]:
    """Return the same request with its pictures in `image_list` and its video in `video_list`.

    Raises:
        Refused: a field is in neither the dialect, the constants nor the model's extras.
    """
    left = copy.deepcopy(dict(body))
    read: dict[str, Any] = {}
    for part in ("model", "prompt", "seconds", "size", "mode"):
        value = _read(left, getattr(dialect, part))
        if value is not _MISSING:
            read[part] = str(value)
    images = [
        image
        for name, role in _ROLES.items()
        for image in _images(left, getattr(dialect, name), role)
    ]
    videos = [one for one, _ in _items(left, dialect.reference_video)]
    for path in (*dialect.constants, *(_below(dialect, name) for name in model.extras)):
        _take(left, path)
    if unknown := sorted(name for name, value in left.items() if value not in ({}, [])):
        raise Refused(f"unknown field {unknown[0]}")
    return {
        **read,
        **({"image_list": images} if images else {}),
        **({"video_list": videos} if videos else {}),
    }


def _below(dialect: Dialect, name: str) -> str:
    return f"{dialect.extras}.{name}" if dialect.extras else name


def _take(body: dict[str, Any], path: str) -> Any:
    """Remove and return the value at a dotted path of the body."""
    above, _, last = path.rpartition(".")
    inner = get(body, above) if above else body
    return inner.pop(last, _MISSING) if isinstance(inner, dict) else _MISSING


def _read(body: dict[str, Any], place: Any) -> Any:
    """Remove and return the value of one part of a request."""
    if not isinstance(place, At):
        return _take(body, place) if place else _MISSING
    for name, sent in (place.set or {}).items():
        fields = sent if isinstance(sent, dict) else {place.at: sent}
        if all(path and get(body, path) == one for path, one in fields.items()):
            for path in fields:
                _take(body, str(path))
            return name
    value = _take(body, place.at) if place.at else _MISSING
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _images(body: dict[str, Any], place: Any, role: str | None) -> Iterator[dict[str, Any]]:
    for _, picture in _items(body, place):
        text = picture.rpartition(";base64,")[2] if picture.startswith("data:") else picture
        yield {"image": text, **({"type": role} if role else {})}


def _items(body: dict[str, Any], place: Any) -> Iterator[tuple[dict[str, str], str]]:
    """Yield ({field of `video_list`: value}, address or base64) for each input of a place."""
    if not isinstance(place, AddTo):
        value = _read(body, place)
        if isinstance(value, str):
            yield {"video_url": value}, value
        return
    entries = get(body, place.add_to)
    for entry in list(entries) if isinstance(entries, list) else []:
        found: dict[str, str] = {}
        if _fits(place.item, entry, found):
            entries.remove(entry)
            names = {
                "$": "video_url",
                "$refer_type": "refer_type",
                "$keep_original_sound": "keep_original_sound",
            }
            yield {names[word]: value for word, value in found.items()}, found["$"]


def _fits(item: Any, entry: Any, found: dict[str, str]) -> bool:
    """Does `entry` match this item? Store the values of its placeholders in `found`."""
    if isinstance(item, str) and item in ("$", "$refer_type", "$keep_original_sound"):
        found[item] = str(entry)
        return isinstance(entry, str)
    if isinstance(item, Mapping):
        same = isinstance(entry, Mapping) and set(item) == set(entry)
        return same and all(_fits(one, entry[name], found) for name, one in item.items())
    if isinstance(item, list):
        same = isinstance(entry, list) and len(item) == len(entry)
        return same and all(
            _fits(one, other, found) for one, other in zip(item, entry, strict=True)
        )
    return bool(item == entry)
