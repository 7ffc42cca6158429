"""The film: the clips one after the other, all made to one size, one rate, one sound.

The picture is written first, which settles how long everything is; then sound and subtitles are laid beside it. Everything
streams: memory does not grow with the length of the film.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image, ImageOps

from storyreel.errors import MediaError
from storyreel.film.media import colour, copying, mix, sound, subtitle
from storyreel.film.media.clip import moving, to_planes
from storyreel.film.media.hearing import RATE
from storyreel.film.media.picture import Reel, planes, stacked

FPS = 24
AUDIO_BITS = 192_000
PEAK_DB = -1.0  # no true peak of the film is above it
LOUD = 0.5  # a sample below it leaves the encoder no way to that
CUE_LATE = 6  # frames after which a burned caption appears
Transition = Literal["cut", "fade", "dissolve"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of the film. `skip_first`: its first picture is the one before it again, so it is left out. `leave_out_last`:
    so many of the clip's own pictures at its end, because the next clip begins before them.

    `name` is what messages call it. `into` is how the film comes into it. `path` None: a slate of `seconds` that shows `caption`, on the picture `still` if
    there is one.
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


@dataclass(frozen=True, slots=True)
class Film:
    """What was made: pictures and seconds; `copied` if no picture was encoded again; `spans`, where each piece lies in it;
    `rate` in pictures a second; `notes` on clips that had to be changed or are damaged, each with its piece's name.
    """

    frames: int
    duration_s: float
    copied: bool = False
    spans: tuple[sound.Span, ...] = field(default=(), compare=False)
    rate: Fraction = field(default=Fraction(FPS), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


def assemble(
    pieces: Sequence[Piece], out: Path, style: Style, *, tell: Callable[[int, int], None] = lambda done, total: None
) -> Film:
    """Write the film to `out` and return what it is: H.264 and AAC, constant rate, BT.709 tags, faststart.

    Clips of another shape get black bars, silent ones silence. Pictures are copied where every clip is what the film must
    be, all agree, and nothing is to be changed; else all are encoded. The same clips and tools give the same bytes. A clip
    that is odd or damaged is in the film as far as it decodes, and `notes` say so. `tell` hears of the pictures encoded,
    and of how many there will be, near enough.

    Raises:
        MediaError: nothing of a clip can be decoded. `out` is left as it was.
    """
    silent = out.with_name(f".{out.name}.picture.part")
    part = out.with_name(f".{out.name}.part")
    notes: list[str] = []
    try:
        plain = _common(pieces, style)
        fps = plain.rate if plain else Fraction(style.fps)
        if plain:
            spans = copying.write([piece.path for piece in pieces if piece.path], plain, silent)
        else:
            spans = _encode(pieces, silent, style, tell, notes)
        frames = spans[-1].start + spans[-1].count
        _expect(silent, frames)
        _finish(silent, spans, pieces, part, style, fps, notes)
        _expect(part, frames)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(out)
        return Film(frames, round(float(frames / fps), 3), plain is not None, tuple(spans), fps, tuple(notes))
    except av.FFmpegError as error:
        raise MediaError(f"the film cannot be cut: {type(error).__name__}: {error.strerror}") from error
    finally:
        silent.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


# ---- the picture


def _common(pieces: Sequence[Piece], style: Style) -> copying.Plain | None:
    """What all clips are, if they may be copied and no picture is to be changed."""
    changed = any(p.path is None or p.skip_first or p.leave_out_last or p.into != "cut" for p in pieces)
    if changed or style.subtitles == "burned":
        return None
    with contextlib.suppress(av.FFmpegError):  # what cannot be read is named where it is decoded
        return copying.common([p.path for p in pieces if p.path], style.size)
    return None


def _seconds(piece: Piece) -> float:
    """How long the piece says it is; nothing is decoded."""
    if piece.path is None:
        return piece.seconds
    with _reading(piece), av.open(str(piece.path), metadata_errors="replace") as container:
        video = moving(container)
        return float((video.duration or 0) * (video.time_base or 0)) or (container.duration or 0) / av.time_base


@contextlib.contextmanager
def _reading(piece: Piece) -> Iterator[None]:
    """Names the piece in whatever its clip raises."""
    try:
        yield
    except av.FFmpegError as error:
        raise MediaError(f"{piece.title} cannot be decoded: {type(error).__name__}: {error.strerror}") from error
    except MediaError as error:
        raise MediaError(f"{piece.title}: {error.message}") from error


def _encode(
    pieces: Sequence[Piece], out: Path, style: Style, tell: Callable[[int, int], None], notes: list[str]
) -> list[sound.Span]:
    """Write the film without sound; returns where each piece lies in it."""
    width, height = style.size
    overlap = round(style.transition_s * style.fps)
    promised = [round(_seconds(piece) * style.fps) for piece in pieces]
    expected = sum(promised) - sum(overlap for piece in pieces[1:] if piece.into == "dissolve")
    spans: list[sound.Span] = []
    with av.open(str(out), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=style.fps, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = colour.BT709
        context.color_range = colour.LIMITED
        context.thread_type = "AUTO"
        total = 0

        def put(frame: av.VideoFrame) -> None:
            nonlocal total
            frame.pts, frame.time_base = total, Fraction(1, style.fps)
            frame.pict_type = 0  # else x264 repeats the source's pattern of I, P and B
            container.mux(stream.encode(frame))
            total += 1
            tell(total, max(total, expected))

        tail: deque[av.VideoFrame] = deque()
        for i, piece in enumerate(pieces):
            leaves: Transition = pieces[i + 1].into if i + 1 < len(pieces) else "cut"
            with _reading(piece):
                span, tail, said = _piece(piece, leaves, tail, total, style, put)
            spans.append(span)
            if abs(span.count + piece.skip_first - promised[i]) > 2 and not piece.leave_out_last:
                said.append(f"its header promises {promised[i]} pictures of the film, it has {span.count}")
            notes += [f"{piece.title}: {note}" for note in said]
        container.mux(stream.encode(None))
    return spans


def _piece(
    piece: Piece,
    leaves: Transition,
    tail: deque[av.VideoFrame],
    start: int,
    style: Style,
    put: Callable[[av.VideoFrame], None],
) -> tuple[sound.Span, deque[av.VideoFrame], list[str]]:
    """Put one piece; returns its place, the pictures that the next one dissolves out of, and what is odd about it."""
    whole = round(style.transition_s * style.fps)
    held = {"cut": 0, "fade": whole // 2, "dissolve": whole}[leaves]
    lead = len(tail) if piece.into == "dissolve" else 0
    rise = whole // 2 if piece.into == "fade" else 0
    write = _caption(piece, style, lead)
    queue: deque[tuple[int, av.VideoFrame]] = deque()
    count = 0
    reel = _reel(piece, style) if piece.path else None
    for frame in reel or _slate(piece, style):
        if tail:
            frame = _blend(tail.popleft(), frame, (count + 1) / (lead + 1))
        elif count < rise:
            frame = _dim(frame, (count + 1) / (rise + 1))
        queue.append((count, frame))
        count += 1
        if len(queue) > held:
            put(write(*queue.popleft()))
    lead -= len(tail)  # a piece shorter than the dissolve into it
    fall = len(queue) if leaves == "fade" else 0
    if leaves == "fade":
        for i in range(fall):
            put(_dim(write(*queue.popleft()), 1 - (i + 1) / (fall + 1)))
    span = sound.Span(piece.path, start, count, reel.begin_s if reel else Fraction(0), lead, len(queue), rise, fall)
    return span, deque(frame for _, frame in queue), reel.notes if reel else []


def _reel(piece: Piece, style: Style) -> Reel:
    assert piece.path is not None
    return Reel(
        piece.path, style.size, Fraction(style.fps), skip_first=piece.skip_first, leave_out_last=piece.leave_out_last
    )


def _caption(piece: Piece, style: Style, lead: int) -> Callable[[int, av.VideoFrame], av.VideoFrame]:
    """What writes the caption into the picture of that number: not while another piece's may still be seen."""
    shows = piece.caption and (piece.still or (piece.path and style.subtitles == "burned"))
    overlay = subtitle.Overlay(piece.caption or "", *style.size) if shows else None
    return lambda number, frame: overlay.over(frame) if overlay and number >= max(CUE_LATE, lead) else frame


def _slate(piece: Piece, style: Style) -> Iterator[av.VideoFrame]:
    """A card with the caption, or a still with the caption on it, for as long as the piece lasts."""
    width, height = style.size
    if piece.still:
        with Image.open(piece.still) as picture:
            shown = to_planes(ImageOps.pad(picture.convert("RGB"), style.size, Image.Resampling.LANCZOS))
    else:
        shown = subtitle.card(piece.caption or "", width, height)
    for _ in range(round(piece.seconds * style.fps)):
        yield av.VideoFrame.from_ndarray(shown, format="yuv420p")


def _blend(one: av.VideoFrame, other: av.VideoFrame, share: float) -> av.VideoFrame:
    """`share` of the second picture over the first; both yuv420p of one size."""
    k = round(share * 256)
    mixed = (
        (below.astype(np.uint16) * (256 - k) + above.astype(np.uint16) * k + 128) >> 8
        for below, above in zip(planes(one), planes(other), strict=True)
    )
    return stacked([plane.astype(np.uint8) for plane in mixed])


def _dim(frame: av.VideoFrame, share: float) -> av.VideoFrame:
    """The picture at `share` of its light; 0 is black."""
    black = (16, 128, 128)
    dark = (zero + (plane.astype(np.float32) - zero) * share for zero, plane in zip(black, planes(frame), strict=True))
    return stacked([np.rint(plane).astype(np.uint8) for plane in dark])


# ---- joining


def _finish(
    silent: Path, spans: Sequence[sound.Span], pieces: Sequence[Piece], out: Path, style: Style, fps: Fraction,
    notes: list[str],
) -> None:  # fmt: skip
    """Lay sound and subtitles beside the finished picture, once more and lower where the encoder lifted a peak too high."""
    ceiling, heard = mix.CEILING_DB, notes
    for _ in range(5):
        loudest = _join(silent, spans, pieces, out, style, fps, ceiling, heard)
        if loudest < LOUD:
            return
        over = sound.true_peak_db(out) - PEAK_DB
        if over <= 0:
            return
        ceiling, heard = ceiling - over - 0.3, []  # what is wrong with a sound was noted the first time


def _join(
    silent: Path, spans: Sequence[sound.Span], pieces: Sequence[Piece], out: Path, style: Style, fps: Fraction,
    ceiling_db: float, notes: list[str],
) -> float:  # fmt: skip
    """Write the film with its sound and subtitles; returns the largest sample, as a share of full scale."""
    loudest = 0.0
    with (
        av.open(str(silent)) as source,
        av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        video = source.streams.video[0]
        stream = container.add_stream_from_template(video)
        audio = container.add_stream("aac", rate=RATE, layout="stereo")
        audio.bit_rate = AUDIO_BITS
        cues = _cues(spans, pieces, fps)
        texts = subtitle.add_track(container, cues) if style.subtitles == "soft" and cues else []
        packets = (p for p in source.demux(video) if p.dts is not None)
        pending = next(packets, None)
        music = sound.Music(style.music, style.music_gain_db) if style.music else None
        for block in sound.blocks(spans, fps, music, ceiling_db, notes, [piece.title for piece in pieces]):
            loudest = max(loudest, float(np.abs(block.to_ndarray()).max()))
            container.mux(audio.encode(block))
            until = Fraction(block.pts or 0, RATE)
            while pending is not None and (pending.dts or 0) * Fraction(pending.time_base or 0) <= until:
                pending.stream = stream
                container.mux(pending)
                pending = next(packets, None)
        container.mux(audio.encode(None))
        while pending is not None:
            pending.stream = stream
            container.mux(pending)
            pending = next(packets, None)
        for packet in texts:
            container.mux(packet)
    return loudest


def _cues(spans: Sequence[sound.Span], pieces: Sequence[Piece], fps: Fraction) -> list[subtitle.Cue]:
    """When each caption is shown: from the middle of the dissolve into its piece to that of the one out of it."""
    return [
        subtitle.Cue(float((s.start + s.lead / 2) / fps), float((s.start + s.count - s.held / 2) / fps), p.caption)
        for s, p in zip(spans, pieces, strict=True)
        if p.caption and p.path
    ]


def _expect(path: Path, frames: int) -> None:
    """Count the pictures that were written; a film that is not what was computed is no film."""
    with av.open(str(path)) as container:
        found = sum(1 for packet in container.demux(video=0) if packet.size)
    if found != frames:
        raise MediaError(f"the film has {found} pictures instead of {frames}")
