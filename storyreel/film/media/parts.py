"""Parts of a film, its style, and the facts of the finished film."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from storyreel.film.media.sound import Span

FPS = 24
Transition = Literal["cut", "fade", "dissolve"]
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right", "center"]
Focus = Literal["center", "left", "right", "top", "bottom"]
Fit = Literal["pad", "crop", "blur"]


@dataclass(frozen=True, slots=True)
class Line:
    """A spoken line. It begins `at_s` seconds after its piece; None: after the line before."""

    path: Path
    at_s: float | None = None
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Card:
    """A card: text on a plain colour (`#rrggbb`), with an image above it if there is one."""

    text: str = ""
    image: Path | None = None
    background: str = "#101820"
    color: str = "#ffffff"


@dataclass(frozen=True, slots=True)
class Overlay:
    """A picture over the film. `width` and `margin` are shares of the film's width."""

    path: Path
    at: Corner = "top-right"
    width: float = 0.15
    margin: float = 0.03
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of the film, or what stands in its place.

    A `path` of None is a `card`, the picture `still`, or else a slate that shows `caption`; each of
    `seconds`. `name` is for messages. `into` is the transition into it. The film shows the clip
    from `from_s` to `to_s` seconds (None: its end), at `speed`. Then `skip_first` leaves out the
    first picture, which repeats the one before it, and `leave_out_last` so many pictures at the
    end, because the next clip starts before them. `gain_db` is the level of its own sound; None
    mutes it. `lines` are spoken over it; with `hold` the last picture stands until they end. `zoom`
    is the size of a still at its end, as a share of that at its beginning. `focus` is the part that
    stays where the film crops it.
    """

    path: Path | None
    skip_first: bool = False
    into: Transition = "cut"
    caption: str | None = None
    leave_out_last: int = 0
    still: Path | None = None
    seconds: float = 2.0
    name: str | None = None
    card: Card | None = None
    from_s: float = 0.0
    to_s: float | None = None
    speed: float = 1.0
    gain_db: float | None = 0.0
    lines: tuple[Line, ...] = ()
    hold: bool = False
    zoom: float = 1.0
    overlay: Overlay | None = None
    focus: Focus = "center"

    @property
    def title(self) -> str:
        """Return the name for messages."""
        return self.name or (self.path.name if self.path else "a slate")


@dataclass(frozen=True, slots=True)
class Language:
    """The captions of one language (ISO 639), one a piece; None where a piece has none."""

    code: str
    captions: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """How the film is made. `size` is (width, height) in pixels, both even.

    `fit` says how a clip of another shape fills it. `loudness_lufs` is the film's integrated
    loudness; None leaves it. `label` is written small into a corner.
    """

    size: tuple[int, int]
    fps: int = FPS
    transition_s: float = 0.5
    music: Path | None = None
    music_gain_db: float = -12.0
    subtitles: Literal["none", "soft", "burned"] = "none"
    fit: Fit = "pad"
    loudness_lufs: float | None = None
    overlay: Overlay | None = None
    label: str | None = None
    languages: tuple[Language, ...] = ()

    @property
    def overlap(self) -> int:
        """Return how many pictures two pieces share in a dissolve."""
        return round(self.transition_s * self.fps)


@dataclass(frozen=True, slots=True)
class Film:
    """A finished film: pictures and seconds. `copied`: no picture was encoded again. `spans`
    has each piece's place in the film, `rate` is in pictures a second. `notes` names clips that
    were changed or are damaged.
    """

    frames: int
    duration_s: float
    copied: bool = False
    spans: tuple[Span, ...] = field(default=(), compare=False)
    rate: Fraction = field(default=Fraction(FPS), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
