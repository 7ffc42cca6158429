"""The cut as an OpenTimelineIO file, for editors: the same clips, trims and transitions, to go on from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

from storyreel.media.cut import Film, Piece, Style


def describe(names: Sequence[str], pieces: Sequence[Piece], film: Film, style: Style, title: str, folder: Path) -> str:
    """The timeline as JSON. `names` are those of the pieces; paths are relative to `folder`, where the file will lie.

    A dissolve is cut in its middle, so that both clips have the handles that an editor needs.
    """
    rate = film.frames / film.duration_s if film.duration_s else float(style.fps)
    rate = round(rate, 3)

    def time(frames: float) -> RationalTime:
        return RationalTime(frames, rate)

    timeline = otio.schema.Timeline(title)
    timeline.global_start_time = time(0)
    picture = otio.schema.Track("picture", kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(picture)
    fade = round(style.transition_s * style.fps) // 2
    for i, (name, piece, span) in enumerate(zip(names, pieces, film.spans, strict=True)):
        after = film.spans[i + 1].lead if i + 1 < len(film.spans) else 0
        trimmed, cut_off = span.lead // 2, after - after // 2
        if span.lead:
            picture.append(
                otio.schema.Transition(
                    "dissolve", otio.schema.TransitionTypes.SMPTE_Dissolve, time(trimmed), time(span.lead - trimmed)
                )
            )
        elif i and piece.into == "fade":
            picture.append(
                otio.schema.Transition("fade through black", otio.schema.TransitionTypes.Custom, time(fade), time(fade))
            )
        clip = otio.schema.Clip(
            name,
            _media(piece, span.count, rate, folder),
            TimeRange(time(round(span.begin_s * film.rate) + trimmed), time(span.count - trimmed - cut_off)),
        )
        if piece.caption:
            clip.markers.append(
                otio.schema.Marker(piece.caption, TimeRange(time(round(span.begin_s * film.rate) + trimmed), time(0)))
            )
        picture.append(clip)
    if style.music:
        sound = otio.schema.Track("music", kind=otio.schema.TrackKind.Audio)
        reference = otio.schema.ExternalReference(os.path.relpath(style.music, folder))
        sound.append(otio.schema.Clip("music", reference, TimeRange(time(0), time(film.frames))))
        timeline.tracks.append(sound)
    return str(timeline.to_json_string(indent=1)) + "\n"


def _media(piece: Piece, count: int, rate: float, folder: Path) -> otio.core.MediaReference:
    if piece.path is None:
        return otio.schema.MissingReference("no clip yet")
    whole = piece.skip_first + count + piece.leave_out_last
    return otio.schema.ExternalReference(
        os.path.relpath(piece.path, folder), TimeRange(RationalTime(0, rate), RationalTime(whole, rate))
    )
