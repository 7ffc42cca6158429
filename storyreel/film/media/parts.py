"""What a film is made of, and what comes of it."""

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
    """A clip of the film. `skip_first`: its first picture is the one before it again, so it is left out. `leave_out_last`:
    so many of the clip's own pictures at its end, because the next clip begins before them.

    `name` is what messages call it. `into` is how the film comes into it. `path` None: a slate of `seconds` that shows
    `caption`, on the picture `still` if there is one.
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
        """How messages name it."""
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
        """How many pictures two pieces share in a dissolve."""
        return round(self.transition_s * self.fps)


@dataclass(frozen=True, slots=True)
class Film:
    """What was made: pictures and seconds; `copied` if no picture was encoded again; `spans`, where each piece lies in it;
    `rate` in pictures a second; `notes` on clips that had to be changed or are damaged, each with its piece's name.
    """

    frames: int
    duration_s: float
    copied: bool = False
    spans: tuple[Span, ...] = field(default=(), compare=False)
    rate: Fraction = field(default=Fraction(FPS), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
