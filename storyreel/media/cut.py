"""The film: the clips one after the other, all made to one size, one rate, one sound.

The picture is written first, which settles how long everything is; then sound and subtitles are laid beside it. Everything
streams: memory does not grow with the length of the film.
"""

from __future__ import annotations

import itertools
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
from storyreel.media import sound, subtitle
from storyreel.media.clip import HD_HEIGHT_PX, UNTAGGED, moving, to_planes

FPS = 24
BT709 = 1
LIMITED = 1
CUE_LATE = 6  # frames after which a burned caption appears
_SCALE = "force_original_aspect_ratio=decrease:flags=bicubic+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv"
Transition = Literal["cut", "fade", "dissolve"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of the film. `skip_first`: its first picture is the one before it again, so it is left out. `leave_out_last`:
    so many pictures at its end, because the next clip begins before them.

    `into` is how the film comes into it. `path` None: a slate of `seconds` that shows `caption`, on the picture `still` if
    there is one.
    """

    path: Path | None
    skip_first: bool = False
    into: Transition = "cut"
    caption: str | None = None
    leave_out_last: int = 0
    still: Path | None = None
    seconds: float = 2.0


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
    """What was made: pictures and seconds; `copied` if no picture was encoded again; `spans`, where each piece lies in it."""

    frames: int
    duration_s: float
    copied: bool = False
    spans: tuple[sound.Span, ...] = field(default=(), compare=False)


def assemble(
    pieces: Sequence[Piece], out: Path, style: Style, *, tell: Callable[[int, int], None] = lambda done, total: None
) -> Film:
    """Write the film to `out` and return what it is: H.264 and AAC, constant rate, BT.709 tags, faststart.

    Clips of another shape get black bars, silent ones silence. Pictures are copied where every clip agrees and nothing
    is to be changed, else all are encoded. The same clips and tools give the same bytes. How many pictures each piece has
    is computed first, from its times alone, and must come true. `tell` hears of the pictures encoded, and of how many.

    Raises:
        MediaError: a clip cannot be read, or the film does not have the pictures it should. `out` is left as it was.
    """
    silent = out.with_name(f".{out.name}.picture.part")
    part = out.with_name(f".{out.name}.part")
    try:
        copied = _can_copy(pieces, style)
        fps = _own_rate(pieces) if copied else Fraction(style.fps)
        counts = [_count(piece, fps) for piece in pieces]
        spans = _copy(pieces, silent) if copied else _encode(pieces, silent, style, counts, tell)
        _compare(pieces, counts, spans)
        frames = spans[-1].start + spans[-1].count
        _expect(silent, frames)
        _join(silent, spans, pieces, part, style, fps)
        _expect(part, frames)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(out)
        return Film(frames, round(float(frames / fps), 3), copied, tuple(spans))
    except av.FFmpegError as error:
        raise MediaError(f"the film cannot be cut: {type(error).__name__}: {error.strerror}") from error
    finally:
        silent.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


# ---- the picture


def _count(piece: Piece, fps: Fraction) -> int:
    """How many pictures the piece will have in a film of that rate: from the times of its packets, nothing decoded."""
    if piece.path is None:
        return round(piece.seconds * fps)
    with av.open(str(piece.path), metadata_errors="replace") as container:
        video = moving(container)
        base = Fraction(video.time_base or 1)
        ends = [
            packet.pts + (packet.duration or 0)
            for packet in container.demux(video)
            if packet.pts is not None and packet.size and not packet.is_discard
        ]
    if not ends:
        raise MediaError(f"{piece.path.name} has no pictures")
    # A packet lasts until the next one is decoded, which need not be the next one shown: the track knows better.
    end = min(max(ends), (video.start_time or 0) + video.duration) if video.duration else max(ends)
    return max(1, round(end * base * fps)) - piece.leave_out_last - piece.skip_first


def _compare(pieces: Sequence[Piece], counts: Sequence[int], spans: Sequence[sound.Span]) -> None:
    """Raises `MediaError` where a piece came out with other than its computed pictures."""
    for piece, count, span in zip(pieces, counts, spans, strict=True):
        if span.count != count:
            name = piece.path.name if piece.path else "a slate"
            raise MediaError(f"{name} has {span.count} pictures in the film, {count} were computed")


def _encode(
    pieces: Sequence[Piece], out: Path, style: Style, counts: Sequence[int], tell: Callable[[int, int], None]
) -> list[sound.Span]:
    """Write the film without sound; returns where each piece lies in it."""
    width, height = style.size
    overlap = round(style.transition_s * style.fps)
    expected = sum(counts) - sum(overlap for piece in pieces[1:] if piece.into == "dissolve")
    spans: list[sound.Span] = []
    with av.open(str(out), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=style.fps, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        context.thread_type = "AUTO"
        total = 0

        def put(frame: av.VideoFrame) -> None:
            nonlocal total
            frame.pts, frame.time_base = total, Fraction(1, style.fps)
            frame.pict_type = 0  # else x264 repeats the source's pattern of I, P and B
            container.mux(stream.encode(frame))
            total += 1
            tell(total, expected)

        tail: deque[av.VideoFrame] = deque()
        for i, piece in enumerate(pieces):
            leaves: Transition = pieces[i + 1].into if i + 1 < len(pieces) else "cut"
            span, tail = _piece(piece, leaves, tail, total, style, put)
            spans.append(span)
        container.mux(stream.encode(None))
    return spans


def _piece(
    piece: Piece,
    leaves: Transition,
    tail: deque[av.VideoFrame],
    start: int,
    style: Style,
    put: Callable[[av.VideoFrame], None],
) -> tuple[sound.Span, deque[av.VideoFrame]]:
    """Put one piece; returns its place and the pictures that the next one dissolves out of."""
    whole = round(style.transition_s * style.fps)
    held = {"cut": 0, "fade": whole // 2, "dissolve": whole}[leaves]
    lead = len(tail) if piece.into == "dissolve" else 0
    rise = whole // 2 if piece.into == "fade" else 0
    shows = piece.caption and (piece.still or (piece.path and style.subtitles == "burned"))
    overlay = subtitle.Overlay(piece.caption or "", *style.size) if shows else None
    queue: deque[av.VideoFrame] = deque()
    count = 0
    pictures = _pictures(piece.path, *style.size, style.fps) if piece.path else _slate(piece, style)
    for i, frame in enumerate(_but_last(pictures, piece.leave_out_last)):
        if i == 0 and piece.skip_first:
            continue
        if overlay and count >= CUE_LATE:
            frame = overlay.over(frame)
        if tail:
            frame = _blend(tail.popleft(), frame, (count + 1) / (lead + 1))
        elif count < rise:
            frame = _dim(frame, (count + 1) / (rise + 1))
        queue.append(frame)
        count += 1
        if len(queue) > held:
            put(queue.popleft())
    lead -= len(tail)  # a piece shorter than the dissolve into it
    fall = len(queue) if leaves == "fade" else 0
    if leaves == "fade":
        for i in range(fall):
            put(_dim(queue.popleft(), 1 - (i + 1) / (fall + 1)))
    skip = 1 if piece.skip_first else 0
    return sound.Span(piece.path, start, count, skip, lead, len(queue), rise, fall), queue


def _pictures(path: Path, width: int, height: int, fps: int) -> Iterator[av.VideoFrame]:
    """The clip's pictures at one size and rate: yuv420p, BT.709, limited, upright, with bars where the shape differs."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = moving(container)
        video.thread_type = "AUTO"
        graph: av.filter.Graph | None = None
        for frame in container.decode(video):
            if graph is None:
                graph = _graph(video, frame, width, height, fps)
            graph.push(frame)
            yield from _pull(graph)
        if graph is None:
            raise MediaError(f"{path.name} has no pictures")
        graph.push(None)
        yield from _pull(graph)


def _graph(video: av.VideoStream, frame: av.VideoFrame, width: int, height: int, fps: int) -> av.filter.Graph:
    graph = av.filter.Graph()
    steps = [graph.add_buffer(template=video)]
    if frame.colorspace == UNTAGGED and frame.height >= HD_HEIGHT_PX:
        steps.append(graph.add("setparams", "colorspace=bt709:color_primaries=bt709:color_trc=bt709"))
    turn = {90: "cclock", 270: "clock", -90: "clock"}.get(frame.rotation)
    if turn:
        steps.append(graph.add("transpose", turn))
    elif frame.rotation in (180, -180):
        steps += [graph.add("hflip"), graph.add("vflip")]
    steps += [
        graph.add("fps", f"{fps}:start_time=0"),
        graph.add("scale", f"{width}:{height}:{_SCALE}"),
        graph.add("pad", f"{width}:{height}:-1:-1"),
        graph.add("setsar", "1"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ]
    for one, next_one in itertools.pairwise(steps):
        one.link_to(next_one)
    graph.configure()
    return graph


def _pull(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, av.VideoFrame):
            yield frame


def _but_last(pictures: Iterator[av.VideoFrame], count: int) -> Iterator[av.VideoFrame]:
    """All but the last `count` pictures."""
    waiting: deque[av.VideoFrame] = deque()
    for frame in pictures:
        waiting.append(frame)
        if len(waiting) > count:
            yield waiting.popleft()


def _slate(piece: Piece, style: Style) -> Iterator[av.VideoFrame]:
    """A card with the caption, or a still with the caption on it, for as long as the piece lasts."""
    width, height = style.size
    if piece.still:
        with Image.open(piece.still) as picture:
            planes = to_planes(ImageOps.pad(picture.convert("RGB"), style.size, Image.Resampling.LANCZOS))
    else:
        planes = subtitle.card(piece.caption or "", width, height)
    for _ in range(round(piece.seconds * style.fps)):
        yield av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _blend(one: av.VideoFrame, other: av.VideoFrame, share: float) -> av.VideoFrame:
    """`share` of the second picture over the first; both yuv420p of one size."""
    k = round(share * 256)
    mixed = (one.to_ndarray().astype(np.uint16) * (256 - k) + other.to_ndarray().astype(np.uint16) * k + 128) >> 8
    return av.VideoFrame.from_ndarray(mixed.astype(np.uint8), format="yuv420p")


def _dim(frame: av.VideoFrame, share: float) -> av.VideoFrame:
    """The picture at `share` of its light; 0 is black."""
    planes = frame.to_ndarray().astype(np.float32)
    height = frame.height
    planes[:height] = 16 + (planes[:height] - 16) * share
    planes[height:] = 128 + (planes[height:] - 128) * share
    return av.VideoFrame.from_ndarray(np.rint(planes).astype(np.uint8), format="yuv420p")


# ---- copying


def _can_copy(pieces: Sequence[Piece], style: Style) -> bool:
    """Do all clips agree in everything a decoder is told, and is no picture to be changed?"""
    if (
        any(p.path is None or p.skip_first or p.leave_out_last or p.into != "cut" for p in pieces)
        or style.subtitles == "burned"
    ):
        return False
    return len({_told(p.path) for p in pieces if p.path}) == 1


def _told(path: Path) -> tuple[object, ...]:
    with av.open(str(path), metadata_errors="replace") as container:
        video = moving(container)
        context = video.codec_context
        whole = Fraction(1) / (video.average_rate or 1) / (video.time_base or 1)
        plain = context.name == "h264" and whole.denominator == 1 and not video.start_time
        extra = bytes(context.extradata or b"") if plain else os.urandom(8)
        delay = next(container.demux(video)).dts  # a clip of one picture has none, and its packets would come too soon
        return context.name, context.width, context.height, video.average_rate, video.time_base, extra, delay


def _copy(pieces: Sequence[Piece], out: Path) -> list[sound.Span]:
    """Write the clips' own packets one after the other."""
    spans: list[sound.Span] = []
    with av.open(str(out), "w", format="mp4") as container:
        stream: av.VideoStream | None = None
        total = 0
        for piece in pieces:
            assert piece.path is not None
            with av.open(str(piece.path), metadata_errors="replace") as source:
                video = moving(source)
                if stream is None:
                    stream = container.add_stream_from_template(video)
                ticks = int(Fraction(1) / (video.average_rate or 1) / (video.time_base or 1))
                count = 0
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts = (packet.pts or 0) + total * ticks
                    packet.dts += total * ticks
                    packet.stream = stream
                    container.mux(packet)
                    count += 1
            spans.append(sound.Span(piece.path, total, count, 0, 0, 0, 0, 0))
            total += count
    return spans


def _own_rate(pieces: Sequence[Piece]) -> Fraction:
    """The rate of clips that all agree."""
    with av.open(str(pieces[0].path)) as container:
        return Fraction(moving(container).average_rate or FPS)


# ---- joining


def _join(
    silent: Path, spans: Sequence[sound.Span], pieces: Sequence[Piece], out: Path, style: Style, fps: Fraction
) -> None:
    """Lay sound and subtitles beside the finished picture."""
    with (
        av.open(str(silent)) as source,
        av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        video = source.streams.video[0]
        stream = container.add_stream_from_template(video)
        audio = container.add_stream("aac", rate=sound.RATE, layout="stereo")
        cues = [
            subtitle.Cue(float((s.start + s.lead / 2) / fps), float((s.start + s.count - s.held / 2) / fps), p.caption)
            for s, p in zip(spans, pieces, strict=True)
            if p.caption and p.path
        ]
        texts = subtitle.add_track(container, cues) if style.subtitles == "soft" and cues else None
        packets = (p for p in source.demux(video) if p.dts is not None)
        pending = next(packets, None)
        for block in sound.blocks(spans, fps, style.music, style.music_gain_db):
            container.mux(audio.encode(block))
            until = Fraction(block.pts or 0, sound.RATE)
            while pending is not None and (pending.dts or 0) * Fraction(pending.time_base or 0) <= until:
                pending.stream = stream
                container.mux(pending)
                pending = next(packets, None)
        container.mux(audio.encode(None))
        while pending is not None:
            pending.stream = stream
            container.mux(pending)
            pending = next(packets, None)
        for packet in texts or ():
            container.mux(packet)


def _expect(path: Path, frames: int) -> None:
    """Count the pictures that were written; a film that is not what was computed is no film."""
    with av.open(str(path)) as container:
        found = sum(1 for packet in container.demux(video=0) if packet.size)
    if found != frames:
        raise MediaError(f"the film has {found} pictures instead of {frames}")
