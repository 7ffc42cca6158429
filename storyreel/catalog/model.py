"""Models: limits, prices, waits, and the announced end."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from storyreel.catalog.entry import Amount, Day, Entry, Several, Size

Role = Literal["first_frame", "end_frame", "reference_images", "reference_video"]


def _listed(value: Any) -> Any:
    """Return a single value as a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


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
    needs_mode: Annotated[Several[str], BeforeValidator(_listed)] = ()
    """The modes that it is taken in; none: in all."""
    needs_seconds: Annotated[Several[int], BeforeValidator(_listed)] = ()
    """The lengths that it is taken at; none: at all."""
    beyond: str | None = None
    """The source whose stricter rule this entry goes past. Using it is a warning."""
    source: str
    """Where this is said."""
    note: str | None = None
    """A remark for people."""


class Sum(Entry):
    """How many inputs are taken together."""

    of: Several[Role]
    """The kinds of input that are counted."""
    max: int
    """The most in one request."""
    beside: Role | None = None
    """Applies only where this input is sent, too."""
    source: str
    """Where this is said."""


class Exclusive(Entry):
    """Inputs of which one request takes only one kind."""

    of: Several[Role]
    """The kinds of input."""
    source: str
    """Where this is said."""


class ImageRule(Entry):
    """What a picture must be."""

    by: Several[Literal["url", "base64", "data_uri", "file"]]
    """How a picture is sent: by its public address, or inside the request."""
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
        """Return the price of `count` such clips."""
        return PriceRange(self.low * count, self.high * count, self.currency)


class Model(Entry):
    """One model."""

    title: str
    """Its name for people."""
    dialect: str
    """How its requests are written: a name under `dialects`."""
    beyond: str | None = None
    """The source that does not have this model. Using it is a warning."""
    constants: dict[str, JsonValue] = Field(default_factory=dict)
    """Sent with every request, by dotted path, over those of its dialect."""
    extras: Several[str] = ()
    """The fields that the `extras` of a scene may set."""
    prompt_max: int
    """The longest prompt, in code points."""
    seconds: Several[int]
    """The lengths that it sells."""
    sizes: Several[Size]
    """The sizes that it sells, width x height in pixels."""
    modes: Several[str] = ()
    """The modes that it sells; none: it has no `mode`."""
    output: dict[str, int] = Field(default_factory=dict)
    """The short side of the clip in pixels, by mode; left out: as `size`."""
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
    exclusive: Several[Exclusive] = ()
    """Inputs that are not taken together."""
    sums: Several[Sum] = ()
    """Inputs that are counted together."""
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
        if (
            d.seconds not in self.seconds
            or d.size not in self.sizes
            or (d.mode or "") not in (self.modes or ("",))
        ):
            raise ValueError("defaults must be among seconds, sizes and modes")
        return self

    def price(
        self, seconds: int, mode: str | None, *, with_video: bool = False
    ) -> PriceRange | None:
        """Return the estimate for one clip; None if no price is known."""
        fits = [p for p in self.prices if p.mode in (None, mode) and p.with_video <= with_video]
        if not fits:
            return None
        best = max(fits, key=lambda p: (p.with_video, p.mode is not None))
        same = [
            p.per_second for p in fits if (p.with_video, p.mode) == (best.with_video, best.mode)
        ]
        return PriceRange(min(same) * seconds, max(same) * seconds, best.currency)

    def wait(self, seconds: int) -> tuple[float, float]:
        """Return the typical (low, high) wait in seconds.

        Scale it from the nearest listed length if this one is not listed.
        """
        if not self.waits:
            return 120.0, 600.0
        near = min(self.waits, key=lambda w: abs(w.seconds - seconds))
        scale = seconds / near.seconds
        return near.low_s * scale, near.high_s * scale

    def output_size(self, size: str, mode: str | None) -> tuple[int, int]:
        """Return (width, height) in pixels of the clip that this model makes."""
        width, height = parse_size(size)
        short = self.output.get(mode or "")
        if short is None:
            return width, height
        if width == height:
            return short, short
        long = round(short * max(width, height) / min(width, height))
        return (long, short) if width > height else (short, long)


def parse_size(size: str) -> tuple[int, int]:
    """Return (width, height) in pixels of a string like `1280x720`."""
    width, _, height = size.partition("x")
    return int(width), int(height)
