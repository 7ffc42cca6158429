"""What the catalogue says of a model: its limits, its prices, how long it takes, until when it lives.

The sentence under each field is its description in the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

T = TypeVar("T")
# YAML has lists, strings and numbers only; what is in a list stays strict.
Several = Annotated[tuple[T, ...], Strict(False)]
Amount = Annotated[Decimal, Strict(False)]
Day = Annotated[date, Strict(False)]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]


class Entry(BaseModel):
    """A mapping of the catalogue: strict types, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Source(Entry):
    """Where a figure was read, and when."""

    title: str
    """Whose page or contract it is."""
    read: Day
    """The day on which it was read."""


class Capability(Entry):
    """Whether a kind of input is taken."""

    allowed: bool
    """Can it be sent?"""
    needs_first: bool = False
    """An end frame is taken only beside a first frame."""
    honoured_in: Several[str] | None = None
    """The modes that honour it. The others accept it and ignore it: a warning."""
    beyond: str | None = None
    """The source whose stricter rule this entry goes past. Using it is a warning."""
    source: str
    """Where this is said."""
    note: str | None = None
    """A remark for people."""


class ImageRule(Entry):
    """What a picture must be."""

    by: Several[Literal["url", "base64"]]
    """How a picture is sent: by its public address, inside the request, or either way."""
    exact_size: bool
    """Must it have exactly the scene's `size`?"""
    formats: Several[Literal["jpeg", "png", "webp"]]
    """The file formats that are taken."""
    max_bytes: int | None = None
    """The largest file, in bytes."""
    min_px: int | None = None
    """The shortest side, in pixels."""
    max_ratio: float | None = None
    """Long side over short side, at most."""
    source: str
    """Where this is said."""


class ImageCount(Entry):
    """How many reference pictures are taken."""

    max: int
    """The most in one request; first and end frame count too."""
    source: str
    """Where this is said."""


class VideoRule(Entry):
    """What a reference video must be."""

    allowed: bool
    """Can it be sent?"""
    containers: Several[str]
    """The file formats that are taken."""
    min_s: float
    """The shortest, in seconds."""
    max_s: float
    """The longest, in seconds."""
    min_px: int
    """The shortest side, in pixels."""
    max_px: int
    """The longest side, in pixels."""
    min_fps: float
    """The lowest rate, in pictures a second."""
    max_fps: float
    """The highest rate, in pictures a second."""
    max_bytes: int
    """The largest file, in bytes."""
    source: str
    """Where this is said."""


class Remix(Entry):
    """Whether a finished video can be made again with another prompt."""

    documented: bool
    """Does the API's page describe it for this model?"""
    source: str
    """Where this is said."""


class Price(Entry):
    """A list price. The most specific entry that fits a request applies."""

    per_second: Amount
    """For one second of output; a string such as "0.10" keeps every digit."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    """ISO 4217, e.g. CNY or USD."""
    mode: str | None = None
    """Applies to this mode only; left out: to all."""
    with_video: bool = False
    """Applies only where a reference video is sent."""
    source: str
    """Where this is said."""
    note: str | None = None
    """A remark for people."""


class Wait(Entry):
    """How long a clip typically takes, from the request until it is finished."""

    seconds: int
    """The length of the clip that was waited for."""
    low_s: float
    """The shortest typical wait, in seconds."""
    high_s: float
    """The longest typical wait, in seconds."""
    source: str
    """Where this is said."""


class Life(Entry):
    """An announced end."""

    ends: Day
    """The day on which the model was announced to end."""
    successor: str | None = None
    """The model to use instead."""
    source: str
    """Where this is said."""
    note: str | None = None
    """A remark for people."""


class Defaults(Entry):
    """What a scene gets that does not choose."""

    seconds: int
    """One of the model's `seconds`."""
    size: Size
    """One of the model's `sizes`."""
    mode: str | None = None
    """One of the model's `modes`."""


class PriceRange(NamedTuple):
    """What clips may cost. Equal ends: the price is exact."""

    low: Decimal
    high: Decimal
    currency: str

    def times(self, count: int) -> PriceRange:
        """The price of `count` such clips."""
        return PriceRange(self.low * count, self.high * count, self.currency)


class Model(Entry):
    """One model."""

    title: str
    """Its name for people."""
    dialect: Literal["reference", "lists"]
    """Which fields carry its pictures: `input_reference` and `image_tail`, or `image_list` and `video_list`."""
    prompt_max: int
    """The longest prompt, in code points."""
    seconds: Several[int]
    """The lengths that it sells."""
    sizes: Several[Size]
    """The sizes that it sells, width x height in pixels."""
    modes: Several[str] = ()
    """The modes that it sells; none: it has no `mode`."""
    output: dict[str, int] = Field(default_factory=dict)
    """The short side of the clip in pixels, by mode. A mode that is left out makes clips of `size`."""
    defaults: Defaults
    """Length, size and mode of a scene that does not choose."""
    text_to_video: Capability
    """A prompt without any picture or video."""
    first_frame: Capability
    """A picture on which the clip begins."""
    end_frame: Capability
    """A picture on which the clip ends."""
    reference_images: ImageCount | None = None
    """Pictures of people, things or places; left out: none are taken."""
    reference_video: VideoRule | None = None
    """A video to follow or to edit; left out: none is taken."""
    image: ImageRule
    """What each picture must be."""
    remix: Remix
    """Making a finished video again with another prompt."""
    sound: bool = False
    """Do its clips have sound?"""
    prices: Several[Price] = ()
    """List prices; none: a budget cannot be kept with this model."""
    waits: Several[Wait] = ()
    """Typical waits by length."""
    deadline_s: float = 3600
    """A job that takes longer is given up, in seconds."""
    life: Life | None = None
    """Its announced end, if there is one."""

    @model_validator(mode="after")
    def _defaults_are_sold(self) -> Model:
        d = self.defaults
        if d.seconds not in self.seconds or d.size not in self.sizes or (d.mode or "") not in (self.modes or ("",)):
            raise ValueError("defaults must be among seconds, sizes and modes")
        return self

    def price(self, seconds: int, mode: str | None, *, with_video: bool = False) -> PriceRange | None:
        """The estimate for one clip, or None where no price is known."""
        fits = [p for p in self.prices if p.mode in (None, mode) and p.with_video <= with_video]
        if not fits:
            return None
        best = max(fits, key=lambda p: (p.with_video, p.mode is not None))
        same = [p.per_second for p in fits if (p.with_video, p.mode) == (best.with_video, best.mode)]
        return PriceRange(min(same) * seconds, max(same) * seconds, best.currency)

    def wait(self, seconds: int) -> tuple[float, float]:
        """The typical (low, high) wait in seconds; scaled from the nearest known length where this one is not listed."""
        if not self.waits:
            return 120.0, 600.0
        near = min(self.waits, key=lambda w: abs(w.seconds - seconds))
        scale = seconds / near.seconds
        return near.low_s * scale, near.high_s * scale

    def output_size(self, size: str, mode: str | None) -> tuple[int, int]:
        """(width, height) in pixels of the clip this model makes."""
        width, height = parse_size(size)
        short = self.output.get(mode or "")
        if short is None:
            return width, height
        if width == height:
            return short, short
        long = round(short * max(width, height) / min(width, height))
        return (long, short) if width > height else (short, long)


class Catalog(Entry):
    """All models by id."""

    version: Literal[1]
    """The version of this format."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """The pages and contracts that the entries name."""
    models: dict[str, Model]
    """The models by the id that the API knows."""

    @model_validator(mode="after")
    def _sources_exist(self) -> Catalog:
        missing = {name for name in _named_sources(self.models) if name not in self.sources}
        if missing:
            raise ValueError(f"unknown source {', '.join(sorted(missing))}; name it under `sources`")
        return self


def _named_sources(models: dict[str, Model]) -> Iterator[str]:
    for model in models.values():
        for value in model.model_dump().values():
            for entry in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(entry, dict) and "source" in entry:
                    yield str(entry["source"])


def parse_size(size: str) -> tuple[int, int]:
    """(width, height) in pixels of a string like `1280x720`."""
    width, _, height = size.partition("x")
    return int(width), int(height)
