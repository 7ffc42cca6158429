"""Values with several forms. A value of no form, of two forms, or of a mixture is a fault that
lists the forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storyreel.manifest.faults import listing, nearest
from storyreel.manifest.places import Source, YamlPath


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of a value. `texts` describe text forms. `mappings` has each mapping form by
    the key that identifies it, with all its keys. `shown` is how each is written. `instead`
    says what to write for a key of no form.
    """

    texts: tuple[str, ...]
    mappings: Mapping[str, tuple[str, ...]]
    shown: Mapping[str, str]
    instead: Mapping[str, str]

    def all(self) -> str:
        """Return every form, as a list in words."""
        return listing([*self.texts, *self.shown.values()])


IMAGE = Forms(
    texts=("`previous`", "an https:// address", "the path of a file"),
    mappings={"keyframe": ("keyframe",), "scene": ("scene", "frame", "offset_frames")},
    shown={"keyframe": "`{keyframe: name}`", "scene": "`{scene: id, frame: first|last}`"},
    instead={
        "url": "the address by itself, `https://…`",
        "path": "the path by itself",
        "file": "the path by itself",
        "image": "the path or address by itself",
        "previous": "`previous` by itself",
    },
)
VIDEO = Forms(
    texts=(),
    mappings={
        "scene": ("scene", "refer_type", "keep_original_sound"),
        "url": ("url", "refer_type", "keep_original_sound"),
    },
    shown={"scene": "`{scene: id}`", "url": "`{url: https://…}`"},
    instead={},
)
REMIX = Forms(
    texts=("a scene's id",),
    mappings={"video_id": ("video_id",)},
    shown={"video_id": "`{video_id: …}`"},
    instead={"scene": "the scene's id by itself", "id": "`video_id`"},
)
STILL = Forms(
    texts=("an https:// address", "the path of a file"),
    mappings={},
    shown={},
    instead=IMAGE.instead,
)
_FIELDS = {"first_frame": IMAGE, "end_frame": IMAGE, "reference_video": VIDEO, "remix_of": REMIX}


def left_out(path: YamlPath) -> YamlPath:
    """Return the path to remove for a fault at `path`: the whole value if its form depends on
    this key.
    """
    start = 2 if path[:1] == ("scenes",) else 1
    field = path[start] if len(path) > start else None
    held = start + (2 if field == "reference_images" else 1)
    forms = IMAGE if field == "reference_images" else _FIELDS.get(str(field))
    return path[:held] if forms and len(path) == held + 1 and path[held] in forms.mappings else path


def misfits(source: Source, data: Any) -> set[YamlPath]:
    """Note a fault for each value of no form, or of several; return their paths."""
    paths = set()
    for path, forms, value in _values(data):
        if fault := _fault(
            forms, str(path[-1]) if isinstance(path[-1], str) else "this picture", value
        ):
            key, message, fix = fault
            source.error(
                source.at((*path, key), key=True) if key else source.at(path), message, fix
            )
            paths.add(path)
    return paths


def _values(data: Any) -> Iterator[tuple[YamlPath, Forms, Any]]:
    """Yield (path, forms, value) of every value with several forms."""
    scenes = data.get("scenes")
    owners: list[tuple[YamlPath, Any]] = [(("defaults",), data.get("defaults"))]
    owners += [
        (("scenes", i), scene) for i, scene in enumerate(scenes if isinstance(scenes, list) else [])
    ]
    for path, owner in owners:
        if not isinstance(owner, dict):
            continue
        for name, forms in _FIELDS.items():
            if owner.get(name) is not None:
                yield (*path, name), forms, owner[name]
        images = owner.get("reference_images")
        for i, image in enumerate(images if isinstance(images, list) else []):
            yield (*path, "reference_images", i), IMAGE, image
    keyframes = data.get("keyframes")
    for name, value in (keyframes if isinstance(keyframes, dict) else {}).items():
        if isinstance(value, (dict, list)):
            yield ("keyframes", name), STILL, value


def _fault(forms: Forms, name: str, value: Any) -> tuple[str | None, str, str] | None:
    """Return (the key at fault or None, message, fix) for a value of no single form, else None."""
    if isinstance(value, str) and forms.texts:
        return None
    shown = "this picture" if name == "this picture" else f"`{name}`"
    fix = f"write {forms.all()}"
    if not isinstance(value, dict):
        text = str(value).lower() if isinstance(value, bool) else str(value)[:60]
        what = "a list" if isinstance(value, list) else "empty" if value is None else f"`{text}`"
        return None, f"{shown} is {what}; it must be {forms.all()}", "write one of these"
    leads = [key for key in forms.mappings if value.get(key) is not None]
    if len(leads) > 1:
        both = " and ".join(f"`{key}`" for key in leads)
        return (
            None,
            f"{shown} has both {both}",
            f"keep one: {listing(forms.shown[key] for key in leads)}",
        )
    if not leads:
        return _none(forms, shown, value, fix)
    for key in value:
        if key not in forms.mappings[leads[0]] and not (
            key in forms.mappings and value[key] is None
        ):
            return key, *_stranger(forms, leads[0], key)
    return None


def _none(
    forms: Forms, shown: str, value: Mapping[str, Any], fix: str
) -> tuple[str | None, str, str]:
    """Return the fault of a mapping that lacks every key that identifies a form."""
    for key in value:
        if key in forms.instead:
            return (
                key,
                f"{shown} takes no `{key}`",
                f"write {forms.instead[key]}; it may be {forms.all()}",
            )
        guess = nearest(key, [lead for lead in forms.mappings if lead not in value])
        if guess and not any(key in keys for keys in forms.mappings.values()):
            return (
                key,
                f"unknown key `{key}`; did you mean `{guess}`?",
                f"write `{guess}`: {forms.shown[guess]}",
            )
    needed = " nor ".join(f"`{key}`" for key in forms.mappings)
    has = (
        f"has neither {needed}"
        if len(forms.mappings) > 1
        else f"has no {needed}"
        if needed
        else "is a mapping"
    )
    return None, f"{shown} {has}", fix


def _stranger(forms: Forms, lead: str, key: str) -> tuple[str, str]:
    """Return (message, fix) for a key that does not belong to the form of `lead`."""
    owners = [other for other, keys in forms.mappings.items() if key in keys]
    if owners:
        return (
            f"`{key}` goes with `{owners[0]}`, not with `{lead}`",
            f"delete `{key}`, or write {forms.shown[owners[0]]}",
        )
    guess = nearest(key, forms.mappings[lead])
    if guess and guess != lead:
        return (
            f"unknown key `{key}`; did you mean `{guess}`?",
            f"write `{guess}`, or delete the key",
        )
    return f"`{key}` does not go with `{lead}`", f"delete `{key}`; it may be {forms.all()}"
