"""Parts of a film, its style, and the facts of the finished film."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from storyreel.film.media.sound import Span

FPS = 24
Transition = Literal["cut", "fade", "dissolve"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of the film. `skip_first`: leave out its first picture, which repeats the one before
    it. `leave_out_last`: leave out so many pictures at its end, because the next clip starts before
    them.

    `name` is for messages. `into` is the transition into it. A `path` of None is a slate of
    `seconds` that shows `caption`, on the picture `still` if there is one.
    """

    path: Path | None
    skip_first: bool = False
    into: Transition = "cut"
    caption: str | None = None
    leave_out_last: int = 0
    still: Path | None = None
    seconds: float = 2.0
    name: str | None = None

    @property
    def title(self) -> str:
        """Return the name for messages."""
        return self.name or (self.path.name if self.path else "a slate")


@dataclass(frozen=True, slots=True)
class Style:
    """How the film is made. `size` is (width, height) in pixels, both even."""

    size: tuple[int, int]
    fps: int = FPS
    transition_s: float = 0.5
    music: Path | None = None
    music_gain_db: float = -12.0
    subtitles: Literal["none", "soft", "burned"] = "none"

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
