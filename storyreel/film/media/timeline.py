"""The cut as an OpenTimelineIO file for editors: the same clips, trims and transitions."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

import av
import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

from storyreel.film.media.clip import moving
from storyreel.film.media.cut import Film, Piece, Style
from storyreel.film.media.sound import Span

REEL = 8  # letters that an edit decision list has for the name of a reel


def describe(
    names: Sequence[str],
    pieces: Sequence[Piece],
    film: Film,
    style: Style,
    title: str,
    folder: Path,
) -> str:
    """Return the timeline as JSON. `names` are those of the pieces; paths are relative to `folder`,
    the file's own folder.

    A dissolve is cut in its middle, so both clips have the handles that an editor needs. A fade is
    an effect of its two clips: it needs none.
    """
    timeline = otio.schema.Timeline(title)
    timeline.global_start_time = RationalTime(0, float(film.rate))
    shots = [
        _Shot(name, i, piece, span, film, folder)
        for i, (name, piece, span) in enumerate(zip(names, pieces, film.spans, strict=True))
    ]
    picture = otio.schema.Track("picture", kind=otio.schema.TrackKind.Video)
    sound = otio.schema.Track("sound", kind=otio.schema.TrackKind.Audio)
    timeline.tracks.extend([picture, sound] if any(shot.heard for shot in shots) else [picture])
    for shot in shots:
        if shot.span.lead:
            picture.append(shot.dissolve())
            if shot.heard and shots[shot.number - 1].heard:
                sound.append(shot.dissolve())
        picture.append(shot.clip())
        sound.append(shot.clip() if shot.heard else otio.schema.Gap(duration=shot.range().duration))
    if style.music:
        timeline.tracks.append(_music(style, film, folder))
    return str(timeline.to_json_string(indent=1)) + "\n"


class _Shot:
    """Describe one piece on the timeline."""

    def __init__(
        self, name: str, number: int, piece: Piece, span: Span, film: Film, folder: Path
    ) -> None:
        self.name, self.number, self.piece, self.span = name, number, piece, span
        self._rate = film.rate
        self._folder = folder
        after = film.spans[number + 1].lead if number + 1 < len(film.spans) else 0
        self._trimmed, self._cut_off = span.lead // 2, after - after // 2
        self._begin = round(span.begin_s * film.rate)
        seconds, self.heard = _length(piece.path) if piece.path else (Fraction(0), False)
        self._whole = max(round(seconds * film.rate), self._begin + span.count)

    def range(self) -> TimeRange:
        """Return what the film shows of the clip: from the middle of the dissolve into it to
        the middle of the next.
        """
        return self._times(
            self._begin + self._trimmed, self.span.count - self._trimmed - self._cut_off
        )

    def dissolve(self) -> otio.schema.Transition:
        """Describe the dissolve into this piece."""
        before, after = (
            RationalTime(n, float(self._rate))
            for n in (self._trimmed, self.span.lead - self._trimmed)
        )
        return otio.schema.Transition(
            "dissolve", otio.schema.TransitionTypes.SMPTE_Dissolve, before, after
        )

    def clip(self) -> otio.schema.Clip:
        clip = otio.schema.Clip(self.name, self._media(), self.range())
        clip.metadata["cmx_3600"] = {"reel": _reel(self.number, self.name)}
        if self.piece.caption:
            marked = self._times(self._begin + self._trimmed, 0)
            clip.markers.append(otio.schema.Marker(self.piece.caption, marked))
        for name, frames in (
            ("fade in from black", self.span.rise),
            ("fade out to black", self.span.fall),
        ):
            if frames:
                effect = otio.schema.Effect(name, "fade", {"storyreel": {"frames": frames}})
                clip.effects.append(effect)
        return clip

    def _media(self) -> otio.core.MediaReference:
        if self.piece.path is None:
            return otio.schema.MissingReference("no clip yet", self._times(0, self._whole))
        reference = otio.schema.ExternalReference(
            _url(self.piece.path, self._folder), self._times(0, self._whole)
        )
        reference.name = f"{self.name}-{self.piece.path.stem}"
        return reference

    def _times(self, start: int, frames: int) -> TimeRange:
        rate = float(self._rate)
        return TimeRange(RationalTime(start, rate), RationalTime(frames, rate))


def _music(style: Style, film: Film, folder: Path) -> otio.schema.Track:
    assert style.music is not None
    rate = float(film.rate)
    track = otio.schema.Track("music", kind=otio.schema.TrackKind.Audio)
    with av.open(str(style.music), metadata_errors="replace") as container:
        seconds = Fraction(container.duration or 0, av.time_base)
    whole = max(1, int(seconds * film.rate))
    shown = min(whole, film.frames)
    reference = otio.schema.ExternalReference(
        _url(style.music, folder), TimeRange(RationalTime(0, rate), RationalTime(whole, rate))
    )
    reference.name = style.music.stem
    clip = otio.schema.Clip(
        "music", reference, TimeRange(RationalTime(0, rate), RationalTime(shown, rate))
    )
    clip.metadata["storyreel"] = {"gain_db": style.music_gain_db}
    clip.metadata["cmx_3600"] = {"reel": "MUSIC"}
    track.append(clip)
    if shown < film.frames:
        track.append(otio.schema.Gap(duration=RationalTime(film.frames - shown, rate)))
    return track


def _length(path: Path) -> tuple[Fraction, bool]:
    """Return (seconds, has sound) of a clip."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = moving(container)
        seconds = Fraction(video.duration or 0) * (video.time_base or 0)
        return seconds, bool(container.streams.audio)


def _reel(number: int, name: str) -> str:
    """Return a reel's name that no other clip of the film has."""
    return f"{number + 1:03}{re.sub('[^A-Z0-9]', '', name.upper())}"[:REEL]


def _url(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())
