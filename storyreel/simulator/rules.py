"""Rules of the API, written from its document and not from our checks, so that the two test each
other.

Source: Qiniu Cloud, video generation (OpenAI-compatible), read 2026-11-22.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KLING = ("kling-video-o1", "kling-v2-1", "kling-v2-5-turbo")
MODELS = ("sora-2", *KLING)
KLING_SIZES = ("1920x1080", "1080x1920", "1280x720", "720x1280", "1080x1080", "720x720")
SORA_SIZES = ("1280x720", "720x1280")
PROMPT_MAX = 2500
FIELDS = {
    "model",
    "prompt",
    "input_reference",
    "image_tail",
    "image_list",
    "video_list",
    "seconds",
    "size",
    "mode",
}
MAX_IMAGE_BYTES = 10 * 2**20


class Refused(Exception):
    """A refusal of a request: its HTTP status, code and message."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "invalid_request",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.code, self.headers = message, status, code, headers


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture of a request: its role, and either its address or its bytes."""

    role: str
    url: str | None
    data: bytes | None


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """A request that passed every check that needs no download."""

    model: str
    prompt: str
    seconds: int
    size: str
    mode: str | None
    images: tuple[InputImage, ...]
    video_url: str | None
    video_is_base: bool


def read(body: Any) -> VideoRequest:
    """Parse a request by the document. Raise `Refused` on the first broken rule."""
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object")
    check_fields(body)
    model = body.get("model")
    if model not in MODELS:
        raise Refused(
            f"the price of the model {model} is not set", status=503, code="quota_exceeded_error"
        )
    prompt = read_prompt(body)
    kling = model in KLING
    seconds = choice(body, "seconds", ("5", "10") if kling else ("4", "8", "12"))
    size = choice(body, "size", KLING_SIZES if kling else SORA_SIZES)
    mode = _mode(body, str(model))
    images = referenced(body, str(model)) if model != "kling-video-o1" else listed(body)
    video_url, is_base = video(body, images)
    if model == "kling-v2-1" and not any(i.role == "first_frame" for i in images):
        raise Refused("kling-v2-1 needs input_reference")
    return VideoRequest(
        str(model), prompt, int(seconds), size, mode, tuple(images), video_url, is_base
    )


def check_fields(body: Mapping[str, Any]) -> None:
    """Raise `Refused` on a field that the API does not know."""
    unknown = sorted(set(body) - FIELDS)
    if unknown:
        raise Refused(f"unknown field {unknown[0]}")


def read_lax(body: Any) -> VideoRequest:
    """Parse a request as a server of OpenAI's shape does.

    Unknown fields pass, a number may be JSON's, a picture may be uploaded or an object with its
    URL.

    Raises:
        Refused: it breaks any other rule of the document.
    """
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object or a form")
    known = lenient(body)
    if known["model"] not in MODELS:
        raise Refused(f"unknown model {known['model']}", code="model_not_found")
    if known["model"] not in KLING:
        known.pop("mode", None)
    return read(known)


def lenient(body: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a request in OpenAI's shape to the form of the document."""
    known = {
        name: value for name, value in body.items() if name in FIELDS and value not in (None, "")
    }
    known.setdefault("model", "sora-2")
    for name in ("seconds", "size"):
        if isinstance(known.get(name), int):
            known[name] = str(known[name])
    reference = known.get("input_reference")
    if isinstance(reference, dict):
        known["input_reference"] = reference.get("image_url") or reference.get("url")
    return known


def read_prompt(body: Any, longest: int = PROMPT_MAX) -> str:
    """Return the prompt of a create or a remix. Raises `Refused`."""
    prompt = body.get("prompt") if isinstance(body, dict) else None
    if not isinstance(prompt, str) or not prompt:
        raise Refused("prompt is required")
    if len(prompt) > longest:
        raise Refused(f"prompt is longer than {longest} characters")
    return prompt


def choice(body: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """Return a field's value, one of `allowed`; by default the first. Raises `Refused`."""
    value = body.get(name, allowed[0])
    if not isinstance(value, str):
        raise Refused(f"{name} must be a string")
    if value not in allowed:
        raise Refused(f"{name} {value} is not one of {', '.join(allowed)}")
    return value


def _mode(body: Mapping[str, Any], model: str) -> str | None:
    if model not in KLING:
        if "mode" in body:
            raise Refused("mode is for kling models")
        return None
    mode = body.get("mode", "pro" if model == "kling-video-o1" else "std")
    if mode not in ("std", "pro"):
        raise Refused("mode must be std or pro")
    if model == "kling-video-o1" and mode != "pro":
        raise Refused("kling-video-o1 supports mode pro only")
    return str(mode)


def _http(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise Refused(f"{name} must be a public image URL")
    return value


def referenced(body: Mapping[str, Any], model: str) -> list[InputImage]:
    """Return the pictures of `input_reference` and `image_tail`. Raises `Refused`."""
    if "image_list" in body or "video_list" in body:
        raise Refused("image_list and video_list are for kling-video-o1")
    found = []
    if "input_reference" in body:
        given = body["input_reference"]
        is_upload = isinstance(given, bytes)
        found.append(
            InputImage("first_frame", None, given)
            if is_upload
            else InputImage("first_frame", _http(given, "input_reference"), None)
        )
    if "image_tail" in body:
        if model == "sora-2":
            raise Refused("image_tail is for kling models")
        if not found:
            raise Refused("image_tail needs input_reference")
        found.append(InputImage("end_frame", _http(body["image_tail"], "image_tail"), None))
    return found


def listed(body: Mapping[str, Any], *, most: int = 4) -> list[InputImage]:
    """Return the pictures of `image_list`, at most `most`. Raises `Refused`."""
    if "input_reference" in body or "image_tail" in body:
        raise Refused("kling-video-o1 takes image_list, not input_reference or image_tail")
    entries = body.get("image_list", [])
    if not isinstance(entries, list) or len(entries) > most:
        raise Refused(f"image_list must be a list of at most {most} images")
    found = [_entry(entry) for entry in entries]
    roles = [given.role for given in found]
    if roles.count("first_frame") > 1 or roles.count("end_frame") > 1:
        raise Refused("at most one first_frame and one end_frame")
    if "end_frame" in roles and "first_frame" not in roles:
        raise Refused("an end_frame needs a first_frame")
    if len({given.url is None for given in found}) > 1:
        raise Refused("images must be all URL or all base64")
    return found


def _entry(entry: Any) -> InputImage:
    if (
        not isinstance(entry, dict)
        or set(entry) - {"image", "type"}
        or not isinstance(entry.get("image"), str)
    ):
        raise Refused("an image_list entry has `image` and, if need be, `type`")
    role = entry.get("type", "reference")
    if role not in ("reference", "first_frame", "end_frame") or (
        "type" in entry and role == "reference"
    ):
        raise Refused("type must be first_frame or end_frame")
    text = entry["image"]
    if text.startswith(("http://", "https://")):
        return InputImage(role, text, None)
    if text.startswith("data:"):
        raise Refused("base64 must come without the data: prefix")
    try:
        return InputImage(role, None, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Refused("image is neither a URL nor base64") from error


def video(body: Mapping[str, Any], images: list[InputImage]) -> tuple[str | None, bool]:
    """Return (address, is it the base of an edit) from `video_list`. Raises `Refused`."""
    entries = body.get("video_list", [])
    if not isinstance(entries, list) or len(entries) > 1:
        raise Refused("video_list takes at most one video")
    if not entries:
        return None, False
    entry = entries[0]
    if not isinstance(entry, dict) or set(entry) - {
        "video_url",
        "refer_type",
        "keep_original_sound",
    }:
        raise Refused("a video_list entry has video_url, refer_type and keep_original_sound")
    kind = entry.get("refer_type", "base")
    if kind not in ("feature", "base") or entry.get("keep_original_sound", "no") not in (
        "yes",
        "no",
    ):
        raise Refused("refer_type is feature or base; keep_original_sound is yes or no")
    if kind == "base" and any(given.role != "reference" for given in images):
        raise Refused("a base video cannot be combined with first or end frames")
    return _http(entry.get("video_url"), "video_url"), kind == "base"


def check_image(kind: str, size: tuple[int, int], count: int, wanted: VideoRequest) -> None:
    """Raise `Refused` if a picture breaks a rule. `kind` is Pillow's name of its format, `size`
    (width, height) in pixels, `count` its bytes.
    """
    width, height = size
    if wanted.model == "kling-video-o1":
        if kind not in ("JPEG", "PNG"):
            raise Refused("images must be jpg, jpeg or png")
        if count > MAX_IMAGE_BYTES:
            raise Refused("an image may have 10 MB")
        if min(size) < 300 or max(size) / min(size) > 2.5:
            raise Refused(
                f"image is {width}x{height}: sides of 300 px or more, ratio 1:2.5 to 2.5:1"
            )
    elif f"{width}x{height}" != wanted.size:
        raise Refused(f"image is {width}x{height}, size is {wanted.size}: they must be equal")
