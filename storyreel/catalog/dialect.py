"""Dialects and endpoints: the field of each part of a request, and the address of the request.

The defaults are those of the dialect `reference`: Qiniu Cloud's OpenAI-compatible video API, read
2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, model_validator

from storyreel.catalog.entry import Entry

PICTURE = "$"
Path = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*$")]
Scalar = str | int | float | bool
_CASTS = {"int": int, "str": str, "float": float}


def _by_text(value: Any) -> Any:
    """Return a mapping with text as keys: YAML reads `5:` as a number."""
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else value


class At(Entry):
    """One value, in a field of its own."""

    at: Path | None = None
    """The field, a dotted path in the body."""
    as_: Literal["int", "str", "float"] | None = Field(None, alias="as")
    """The type that it is sent as."""
    set: Annotated[dict[str, Scalar | dict[str, JsonValue]] | None, BeforeValidator(_by_text)] = (
        None
    )
    """What is sent for each value: another value, or a mapping of fields."""

    @model_validator(mode="after")
    def _goes_somewhere(self) -> At:
        if self.at is None and not (
            self.set and all(isinstance(one, dict) for one in self.set.values())
        ):
            raise ValueError(
                "give `at`, the field that it goes to, or in `set` a mapping of fields "
                "for each value"
            )
        return self

    def write(self, body: dict[str, Any], value: Any) -> None:
        """Put `value` into `body`."""
        chosen = (self.set or {}).get(str(value), value)
        if isinstance(chosen, dict):
            put_all(body, chosen)
        elif self.at is not None:
            put(body, self.at, _CASTS[self.as_](chosen) if self.as_ else chosen)

    def takes(self, value: Any) -> bool:
        """Can this value be sent?"""
        return self.at is not None or str(value) in (self.set or {})


class AddTo(Entry):
    """An item of a list."""

    add_to: Path
    """The list, a dotted path in the body."""
    item: JsonValue
    """The item; `$` in it is the picture's address or base64."""

    def write(self, body: dict[str, Any], value: str, words: Mapping[str, str]) -> None:
        """Add the item for a picture's address or base64. `words` are the other placeholders."""
        item = _filled(self.item, {PICTURE: value, **words})
        put(body, self.add_to, [*(get(body, self.add_to) or []), item])


def _kind(value: Any) -> str:
    """Return the form of a place, so that errors name this form only."""
    if isinstance(value, dict):
        return "item" if "add_to" in value or "item" in value else "field"
    if isinstance(value, At | AddTo):
        return "field" if isinstance(value, At) else "item"
    return "off" if isinstance(value, bool) else "path"


_Path = Annotated[Path, Tag("path")]
_Off = Annotated[Literal[False], Tag("off")]
_At = Annotated[At, Tag("field")]
Place = Annotated[_Path | _Off | _At, Discriminator(_kind)]
Input = Annotated[_Path | _Off | _At | Annotated[AddTo, Tag("item")], Discriminator(_kind)]


class Dialect(Entry):
    """Where each part of a request goes in the JSON body. `false`: it is not sent."""

    model: Place = "model"
    """The model's id."""
    prompt: Place = "prompt"
    """The prompt."""
    first_frame: Input = "input_reference"
    """The picture on which the clip begins."""
    end_frame: Input = "image_tail"
    """The picture on which the clip ends."""
    references: Input = False
    """Each reference picture."""
    reference_video: Input = False
    """The reference video. `$refer_type` and `$keep_original_sound` in an item are the scene's."""
    seconds: Place = At.model_validate({"at": "seconds", "as": "str"})
    """The length in seconds."""
    size: Place = "size"
    """The size, width x height in pixels."""
    mode: Place = "mode"
    """The mode, where the model has modes."""
    extras: Path | None = None
    """The mapping that the `extras` of a scene go into; left out: the body itself."""
    constants: dict[str, JsonValue] = Field(default_factory=dict)
    """Sent with every request, by dotted path. A model's own go over them."""

    def place(self, role: str) -> Input:
        """Return the place of an input; `reference_images.2` is one of the references."""
        if role.startswith("reference_images"):
            return self.references
        found: Input = getattr(self, role)
        return found

    def write(self, body: dict[str, Any], part: str, value: Any) -> None:
        """Put a part that is not an input into the body."""
        _write(body, getattr(self, part), value)

    def write_input(
        self, body: dict[str, Any], role: str, value: str, words: Mapping[str, str]
    ) -> None:
        """Put the address or base64 of a picture or a video into the body."""
        place = self.place(role)
        if isinstance(place, AddTo):
            place.write(body, value, words)
        else:
            _write(body, place, value)


def _write(body: dict[str, Any], place: Place, value: Any) -> None:
    if isinstance(place, At):
        place.write(body, value)
    elif place:
        put(body, place, value)


class Auth(Entry):
    """How the key is sent."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "Authorization"
    """The header that carries it."""
    scheme: str = "Bearer"
    """The word before the key; empty: none."""


class Paths(Entry):
    """Where requests go, below OPENAI_BASE_URL."""

    create: Annotated[str, Field(pattern="^/")] = "/videos"
    """POST: start a job."""
    get: Annotated[str, Field(pattern=r"^/.*\{id\}")] = "/videos/{id}"
    """GET: a job's state."""
    content: Annotated[str, Field(pattern=r"^/.*\{id\}")] = "/videos/{id}/content"
    """GET: a finished clip."""
    remix: Annotated[str, Field(pattern=r"^/.*\{id\}")] = "/videos/{id}/remix"
    """POST: make a finished video again with another prompt."""


class Endpoint(Entry):
    """What is peculiar to a server beside its dialect."""

    auth: Auth = Field(Auth(), description="The header of the key; left out: a bearer token.")
    body: Literal["json", "multipart"] = "json"
    """How a body is encoded."""
    paths: Paths = Field(Paths(), description="The addresses; left out: those of OpenAI.")


def get(body: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None if there is none."""
    found: Any = body
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Write a value at a dotted path. Merge a mapping into an existing one."""
    *above, last = path.split(".")
    for name in above:
        inner = body.get(name)
        if not isinstance(inner, dict):
            inner = body[name] = {}
        body = inner
    if isinstance(value, Mapping):
        if not isinstance(body.get(last), dict):
            body[last] = {}
        put_all(body[last], value)
    else:
        body[last] = value


def put_all(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Write each of `fields`, named by a dotted path."""
    for path, value in fields.items():
        put(body, path, value)


def _filled(item: Any, words: Mapping[str, str]) -> Any:
    """Return a copy of a template with its placeholders replaced."""
    if isinstance(item, str):
        return words.get(item, item)
    if isinstance(item, Mapping):
        return {name: _filled(one, words) for name, one in item.items()}
    return [_filled(one, words) for one in item] if isinstance(item, list) else item
