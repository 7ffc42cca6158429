"""Requests for the models of a catalogue, checked by the document or by the catalogue's entry.

The rules of the document (`rules`) hold for its own models, unless a catalogue of the user changes
them. They are written from the document alone, so that they and our checks test each other. The
entry of the catalogue holds for every other model.
"""

from __future__ import annotations

from typing import Any

from storyreel.catalog import load as catalogs
from storyreel.catalog.load import Catalog, Model
from storyreel.simulator import dialects, rules
from storyreel.simulator.rules import InputImage, Refused, VideoRequest

SAME_REQUESTS = {
    "title",
    "prices",
    "waits",
    "deadline_s",
    "life",
}  # fields that change no request


def is_documented(name: str, catalog: Catalog) -> bool:
    """Is this a model of the document, with the packaged entry?"""
    packaged = catalogs.load().models.get(name)
    if name not in rules.MODELS or packaged is None or name not in catalog.models:
        return False
    mine = catalog.models[name]
    return mine.model_dump(exclude=SAME_REQUESTS) == packaged.model_dump(exclude=SAME_REQUESTS)


def read(body: Any, catalog: Catalog, *, lax: bool = False) -> VideoRequest:
    """Parse a request for any model of the catalogue.

    Raises:
        Refused: it breaks a rule; the message names the first.
    """
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object" + (" or a form" if lax else ""))
    name = str(body.get("model") or ("sora-2" if lax else ""))
    if name not in catalog.models or is_documented(name, catalog):
        return rules.read_lax(body) if lax else rules.read(body)
    model = catalog.models[name]
    is_usual = model.dialect in ("reference", "lists") and not model.constants and not model.extras
    if not is_usual:
        body = dialects.plain(body, model, catalog.dialect_of(model))
    return _by_entry(
        rules.lenient(body) if lax else body,
        name,
        model,
        is_listed=not is_usual or model.dialect == "lists",
    )


def _by_entry(body: dict[str, Any], name: str, model: Model, *, is_listed: bool) -> VideoRequest:
    rules.check_fields(body)
    prompt = rules.read_prompt(body, model.prompt_max)
    seconds = rules.choice(
        body, "seconds", _first(str(model.defaults.seconds), map(str, model.seconds))
    )
    size = rules.choice(body, "size", _first(model.defaults.size, model.sizes))
    mode = None
    if model.modes:
        mode = rules.choice(
            body, "mode", _first(model.defaults.mode or model.modes[0], model.modes)
        )
    elif "mode" in body:
        raise Refused(f"{name} has no modes")
    images = rules.listed(body, most=_most(model)) if is_listed else rules.referenced(body, name)
    video_url, is_base = rules.video(body, images)
    _check_inputs(name, model, images, video_url, is_listed=is_listed)
    _check_needs(images, model, int(seconds), mode)
    return VideoRequest(name, prompt, int(seconds), size, mode, tuple(images), video_url, is_base)


def _first(default: str, others: Any) -> tuple[str, ...]:
    """Return all words once, the default first."""
    return tuple(dict.fromkeys((default, *others)))


def _check_needs(images: list[InputImage], model: Model, seconds: int, mode: str | None) -> None:
    for role in {given.role for given in images} - {"reference"}:
        rule = getattr(model, role)
        if rule.needs_mode and mode not in rule.needs_mode:
            raise Refused(f"mode {mode} is not supported with {role}")
        if rule.needs_seconds and seconds not in rule.needs_seconds:
            raise Refused(f"seconds {seconds} is not supported with {role}")


def _most(model: Model) -> int:
    """Return how many pictures one request may have."""
    return max(2, model.reference_images.max if model.reference_images else 0)


def _check_inputs(
    name: str, model: Model, images: list[InputImage], video_url: str | None, *, is_listed: bool
) -> None:
    roles = [given.role for given in images]
    takes = {
        "first_frame": model.first_frame.allowed,
        "end_frame": model.end_frame.allowed,
        "reference": model.reference_images is not None,
    }
    for role in roles:
        if not takes[role]:
            raise Refused(f"{name} takes no {role}")
    if model.reference_images and roles.count("reference") > model.reference_images.max:
        raise Refused(f"{name} takes at most {model.reference_images.max} pictures for reference")
    if video_url and not (model.reference_video and model.reference_video.allowed):
        raise Refused(f"{name} takes no video")
    if not images and not video_url and not model.text_to_video.allowed:
        raise Refused(f"{name} needs a first frame")
    if any(given.url is None for given in images) and set(model.image.by) == {"url"} and is_listed:
        raise Refused(f"{name} takes pictures by their address only")


def check_image(
    kind: str, size: tuple[int, int], count: int, wanted: VideoRequest, catalog: Catalog
) -> None:
    """Raise `Refused` if a picture breaks a rule. `kind` is Pillow's name of its format, `size`
    (width, height) in pixels, `count` its bytes.
    """
    if is_documented(wanted.model, catalog):
        rules.check_image(kind, size, count, wanted)
        return
    rule = catalog.models[wanted.model].image
    shape = f"{size[0]}x{size[1]}"
    if kind.lower() not in rule.formats:
        raise Refused(f"images must be {', '.join(rule.formats)}")
    if rule.max_bytes and count > rule.max_bytes:
        raise Refused(f"an image may have {rule.max_bytes} bytes")
    if rule.min_px and min(size) < rule.min_px:
        raise Refused(f"image is {shape}: sides of {rule.min_px} px or more")
    if rule.max_ratio and max(size) / min(size) > rule.max_ratio:
        raise Refused(f"image is {shape}: its sides may be 1 to {rule.max_ratio}")
    if rule.exact_size and shape != wanted.size:
        raise Refused(f"image is {shape}, size is {wanted.size}: they must be equal")
