"""What a model demands of a scene: modes, lengths, inputs that go together, extras."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from storyreel.catalog.load import Model
from storyreel.manifest.faults import listing, nearest
from storyreel.manifest.storyboard import Scene, UrlImage


class Demand(NamedTuple):
    """A demand that a scene does not meet.

    `place` is the path of what is at fault below the scene's field.
    """

    field: str
    place: tuple[str | int, ...]
    message: str
    fix: str


def unmet(scene: Scene, model: Model) -> Iterator[Demand]:
    """The demands of its model that a scene does not meet."""
    yield from _needs(scene, model)
    yield from _together(scene, model)
    yield from _addresses(scene, model)
    yield from _extras(scene, model)


def count(scene: Scene, role: str) -> int:
    """How many inputs of a role a scene sends."""
    if role == "reference_images":
        return len(scene.references)
    return int(
        scene.video is not None if role == "reference_video" else getattr(scene, role) is not None
    )


def _needs(scene: Scene, model: Model) -> Iterator[Demand]:
    """An input may be taken in some modes, or at some lengths, only."""
    for role in ("first_frame", "end_frame"):
        rule = getattr(model, role)
        if not count(scene, role) or not rule.allowed:
            continue
        for name, value, taken in (
            ("mode", scene.mode, rule.needs_mode),
            ("seconds", scene.seconds, rule.needs_seconds),
        ):
            if taken and value not in taken:
                what = role.replace("_", " ")
                message = (
                    f"{scene.model} takes {'an' if what[0] in 'aeiou' else 'a'} {what} with "
                    f"{name} {listing(taken)} only"
                )
                yield Demand(role, (), message, f"set `{name}: {taken[0]}`, or delete `{role}`")


def _together(scene: Scene, model: Model) -> Iterator[Demand]:
    for rule in model.exclusive:
        given = [role for role in rule.of if count(scene, role)]
        if len(given) > 1:
            yield Demand(
                given[1],
                (),
                f"{scene.model} takes only one of {listing(rule.of)}",
                f"delete `{given[0]}` or `{given[1]}`",
            )
    for total in model.sums:
        number = sum(count(scene, role) for role in total.of)
        applies = total.beside is None or count(scene, total.beside)
        if applies and number > total.max:
            last = next(role for role in reversed(total.of) if count(scene, role))
            beside = f" beside a {total.beside.replace('_', ' ')}" if total.beside else ""
            yield Demand(
                last,
                (),
                f"{number} of {listing(total.of)}; {scene.model} takes {total.max}{beside}",
                f"leave out {number - total.max}",
            )


def _addresses(scene: Scene, model: Model) -> Iterator[Demand]:
    """An address cannot be sent to a model that takes pictures inside the request only."""
    for role, image in scene.images:
        if isinstance(image, UrlImage) and "url" not in model.image.by:
            field, _, number = role.partition(".")
            place = (int(number) - 1,) if number else ()
            message = f"{scene.model} takes no picture by its address"
            yield Demand(field, place, message, "download it, and name the file")


def _extras(scene: Scene, model: Model) -> Iterator[Demand]:
    for name, value in scene.extras.items():
        if name in model.extras:
            if not _is_json(value):
                yield Demand(
                    "extras",
                    (name,),
                    f"`{name}` holds a number that JSON cannot",
                    "write a finite number",
                )
            continue
        guess = nearest(name, model.extras)
        hint = f"; did you mean `{guess}`?" if guess else ""
        if not model.extras:
            fix = (
                f"delete it, or list it under `extras` of {scene.model} in a catalogue of your own"
            )
        else:
            fix = f"write `{guess}`" if guess else f"use {listing(model.extras)}"
        yield Demand("extras", (name,), f"{scene.model} takes no extra `{name}`{hint}", fix)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
