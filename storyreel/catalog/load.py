"""The models: what each can do, what it costs, how long it takes, until when it lives. Data, read from YAML."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from storyreel.errors import CatalogError

Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]
_PACKAGED = Path(__file__).with_name("catalog.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where a figure was read, and when."""

    title: str
    read: date


class Capability(_Strict):
    """Whether a kind of input is taken. `beyond` names the source whose stricter rule this entry goes past."""

    allowed: bool
    needs_first: bool = False
    honoured_in: tuple[str, ...] | None = Field(None, description="modes that honour it; elsewhere ignored silently")
    beyond: str | None = None
    source: str
    note: str | None = None


class ImageRule(_Strict):
    """What a picture must be. Pixels, bytes; `max_ratio` is long side over short side."""

    by: tuple[Literal["url", "base64"], ...]
    exact_size: bool
    formats: tuple[Literal["jpeg", "png", "webp"], ...]
    max_bytes: int | None = None
    min_px: int | None = None
    max_ratio: float | None = None
    source: str


class ImageCount(_Strict):
    max: int
    source: str


class VideoRule(_Strict):
    """What a reference video must be."""

    allowed: bool
    containers: tuple[str, ...]
    min_s: float
    max_s: float
    min_px: int
    max_px: int
    min_fps: float
    max_fps: float
    max_bytes: int
    source: str


class Remix(_Strict):
    documented: bool
    source: str


class Price(_Strict):
    """A list price per second of output. The most specific entry that fits a request applies."""

    per_second: Decimal
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    mode: str | None = None
    with_video: bool = False
    source: str
    note: str | None = None


class Wait(_Strict):
    """How long a clip of `seconds` typically takes, from submit to finished."""

    seconds: int
    low_s: float
    high_s: float
    source: str


class Life(_Strict):
    """An announced end."""

    ends: date
    successor: str | None = None
    source: str
    note: str | None = None


class Defaults(_Strict):
    seconds: int
    size: Size
    mode: str | None = None


class Model(_Strict):
    """One model. `dialect` says which fields carry its pictures (see `plan.request`)."""

    title: str
    dialect: Literal["reference", "lists"]
    prompt_max: int = Field(description="code points")
    seconds: tuple[int, ...]
    sizes: tuple[Size, ...]
    modes: tuple[str, ...] = ()
    output: dict[str, int] = Field(default_factory=dict, description="mode -> short side in pixels; absent: as `size`")
    defaults: Defaults
    text_to_video: Capability
    first_frame: Capability
    end_frame: Capability
    reference_images: ImageCount | None = None
    reference_video: VideoRule | None = None
    image: ImageRule
    remix: Remix
    sound: bool = False
    prices: tuple[Price, ...] = ()
    waits: tuple[Wait, ...] = ()
    deadline_s: float = 3600
    life: Life | None = None

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


class PriceRange(NamedTuple):
    """What one clip may cost. Equal ends: the price is exact."""

    low: Decimal
    high: Decimal
    currency: str

    def times(self, count: int) -> PriceRange:
        """The price of `count` clips."""
        return PriceRange(self.low * count, self.high * count, self.currency)


class Catalog(_Strict):
    """All models by id."""

    version: Literal[1]
    sources: dict[str, Source] = Field(default_factory=dict)
    models: dict[str, Model]

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


def load(extra: Path | None = None) -> Catalog:
    """Return the packaged catalogue, with the models of `extra` added or replaced.

    Raises:
        CatalogError: the file is missing, is not YAML, or breaks the schema.
    """
    packaged = _packaged()
    if extra is None:
        return packaged
    mine = _parse(extra, known_sources={name: s.model_dump() for name, s in packaged.sources.items()})
    return packaged.model_copy(
        update={"models": {**packaged.models, **mine.models}, "sources": {**packaged.sources, **mine.sources}}
    )


@cache
def _packaged() -> Catalog:
    return _parse(_PACKAGED, known_sources={})


def _parse(path: Path, known_sources: dict[str, Any]) -> Catalog:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe").load(path.read_bytes())
    except OSError as error:
        raise CatalogError(
            f"cannot read the catalogue {path}: {error.strerror}", fix="correct STORYREEL_CATALOG or --catalog"
        ) from error
    except YAMLError as error:
        raise CatalogError(f"{path}: not YAML: {error}", fix="mend the line it names") from error
    if not isinstance(data, dict):
        raise CatalogError(
            f"{path}: a catalogue is a mapping with `version` and `models`", fix="see docs/add-a-model.md"
        )
    data["sources"] = {**known_sources, **(data.get("sources") or {})}
    try:
        return Catalog.model_validate(data)
    except ValidationError as error:
        lines = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise CatalogError(f"{path}: {lines}", fix="see docs/add-a-model.md for the schema") from error
