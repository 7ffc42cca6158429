"""Encode the film's pictures piece by piece, and keep each piece under what it consists of.

So a change of one scene encodes one piece.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from storyreel.errors import MediaError
from storyreel.film.media import colour, subtitle
from storyreel.film.media.clip import moving, to_planes
from storyreel.film.media.parts import Piece, Style, Transition
from storyreel.film.media.picture import Reel, planes, stacked
from storyreel.film.media.pieces import Encoded, Shelf
from storyreel.film.media.sound import Span

CUE_LATE = 6  # frames after which a burned caption appears
SHORT = 3  # a piece of fewer dissolves than this may show the piece before the one before it
Tail = deque[av.VideoFrame]
Put = Callable[[av.VideoFrame], None]


class Bench:
    """Encodes the pieces of one film, or reads them from the shelf."""

    def __init__(
        self, pieces: Sequence[Piece], style: Style, shelf: Shelf, tell: Callable[[int, int], None]
    ) -> None:
        self._pieces, self._style, self._shelf, self._tell = pieces, style, shelf, tell
        self._promised = [round(_seconds(piece) * style.fps) for piece in pieces]
        dissolves = sum(piece.into == "dissolve" for piece in pieces[1:])
        self._expected = sum(self._promised) - style.overlap * dissolves
        self._total = 0
        # of the piece of that number, as it was just encoded
        self._tail: tuple[int, Tail] | None = None

    def run(self, notes: list[str]) -> tuple[list[Path], list[Span]]:
        """Encode the pieces that are missing on the shelf. Return their files in order, and
        each piece's span.
        """
        paths: list[Path] = []
        spans: list[Span] = []
        for i, piece in enumerate(self._pieces):
            with _reading(piece):
                key = self._shelf.key(self._made_of(i), self._style)
                encoded = self._shelf.find(key)
                if encoded is None:
                    encoded = self._shelf.keep(key, self._encode(i, self._shelf.part(key)))
                else:
                    self._advance(encoded.put)
            spans.append(encoded.span(piece.path, self._total - encoded.put))
            if encoded.put:
                paths.append(self._shelf.file(key))
            notes += [
                f"{piece.title}: {note}"
                for note in [*encoded.notes, *self._short(i, encoded.count)]
            ]
        return paths, spans

    def _advance(self, count: int) -> None:
        self._total += count
        self._tell(self._total, max(self._total, self._expected))

    def _short(self, i: int, count: int) -> list[str]:
        piece, promised = self._pieces[i], self._promised[i]
        if piece.leave_out_last or abs(count + piece.skip_first - promised) <= 2:
            return []
        return [f"its header promises {promised} pictures of the film, it has {count}"]

    def _leaves(self, i: int) -> Transition:
        return self._pieces[i + 1].into if i + 1 < len(self._pieces) else "cut"

    def _before(self, i: int) -> int | None:
        """Return the piece whose end this one dissolves from; None for none."""
        return i - 1 if i and self._pieces[i].into == "dissolve" else None

    def _made_of(self, i: int) -> list[object]:
        """Return everything that decides a piece's pictures, besides the style."""
        found: list[object] = [self._pieces[i], self._leaves(i)]
        before = self._before(i)
        while before is not None:
            found.append(self._pieces[before])
            is_short = self._promised[before] < SHORT * self._style.overlap
            before = self._before(before) if is_short else None
        return found

    def _encode(self, i: int, out: Path) -> Encoded:
        style, count = self._style, 0
        with av.open(str(out), "w", format="mp4") as container:
            stream = container.add_stream(
                "libx264", rate=style.fps, options={"crf": "18", "preset": "veryfast"}
            )
            stream.width, stream.height, stream.pix_fmt = *style.size, "yuv420p"
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = colour.BT709
            context.color_range = colour.LIMITED
            context.thread_type = "AUTO"

            def put(frame: av.VideoFrame) -> None:
                nonlocal count
                frame.pts, frame.time_base = count, Fraction(1, style.fps)
                frame.pict_type = 0  # else x264 repeats the source's pattern of I, P and B
                container.mux(stream.encode(frame))
                count += 1
                self._advance(1)

            made, tail = self._put(i, put)
            if count:
                container.mux(stream.encode(None))
        self._tail = (i, tail)
        return made

    def _put(self, i: int, put: Put) -> tuple[Encoded, Tail]:
        before = self._before(i)
        tail = deque[av.VideoFrame]() if before is None else self._tail_of(before)
        return _piece(self._pieces[i], self._leaves(i), tail, self._style, put)

    def _tail_of(self, i: int) -> Tail:
        """Return the pictures that the next piece dissolves from. Decode them again if the
        piece was on the shelf.
        """
        if self._tail and self._tail[0] == i:
            return self._tail[1]
        with _reading(self._pieces[i]):
            is_short = self._promised[i] < SHORT * self._style.overlap
            before = self._before(i) if is_short else None
            tail = deque[av.VideoFrame]() if before is None else self._tail_of(before)
            return _piece(self._pieces[i], self._leaves(i), tail, self._style, lambda frame: None)[
                1
            ]


def _seconds(piece: Piece) -> float:
    """Read how long the piece is from its header; decode nothing."""
    if piece.path is None:
        return piece.seconds
    with _reading(piece), av.open(str(piece.path), metadata_errors="replace") as container:
        video = moving(container)
        return (
            float((video.duration or 0) * (video.time_base or 0))
            or (container.duration or 0) / av.time_base
        )


@contextlib.contextmanager
def _reading(piece: Piece) -> Iterator[None]:
    """Add the piece's name to the errors of its clip."""
    try:
        yield
    except av.FFmpegError as error:
        raise MediaError(
            f"{piece.title} cannot be decoded: {type(error).__name__}: {error.strerror}"
        ) from error
    except MediaError as error:
        raise MediaError(f"{piece.title}: {error.message}") from error


def _piece(
    piece: Piece,
    leaves: Transition,
    tail: Tail,
    style: Style,
    put: Put,
) -> tuple[Encoded, Tail]:
    """Encode one piece. Return its facts, and the pictures that the next one dissolves from."""
    whole, tail = style.overlap, deque(tail)
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
    begin_s, notes = (reel.begin_s, reel.notes) if reel else (Fraction(0), [])
    encoded = Encoded(
        count, count - len(queue), begin_s, lead, len(queue), rise, fall, tuple(notes)
    )
    return encoded, deque(frame for _, frame in queue)


def _reel(piece: Piece, style: Style) -> Reel:
    assert piece.path is not None
    return Reel(
        piece.path,
        style.size,
        Fraction(style.fps),
        skip_first=piece.skip_first,
        leave_out_last=piece.leave_out_last,
    )


def _caption(
    piece: Piece, style: Style, lead: int
) -> Callable[[int, av.VideoFrame], av.VideoFrame]:
    """Return the writer of the caption for that picture; None while another caption may be
    visible.
    """
    shows = piece.caption and (piece.still or (piece.path and style.subtitles == "burned"))
    overlay = subtitle.Overlay(piece.caption or "", *style.size) if shows else None
    return lambda number, frame: (
        overlay.over(frame) if overlay and number >= max(CUE_LATE, lead) else frame
    )


def _slate(piece: Piece, style: Style) -> Iterator[av.VideoFrame]:
    """Yield a card with the caption, or a still with the caption on it, for the piece's length."""
    width, height = style.size
    if piece.still:
        with Image.open(piece.still) as picture:
            shown = to_planes(
                ImageOps.pad(picture.convert("RGB"), style.size, Image.Resampling.LANCZOS)
            )
    else:
        shown = subtitle.card(piece.caption or "", width, height)
    for _ in range(round(piece.seconds * style.fps)):
        yield av.VideoFrame.from_ndarray(shown, format="yuv420p")


def _blend(one: av.VideoFrame, other: av.VideoFrame, share: float) -> av.VideoFrame:
    """Blend `share` of the second picture over the first; both are yuv420p of one size."""
    k = round(share * 256)
    mixed = (
        (below.astype(np.uint16) * (256 - k) + above.astype(np.uint16) * k + 128) >> 8
        for below, above in zip(planes(one), planes(other), strict=True)
    )
    return stacked([plane.astype(np.uint8) for plane in mixed])


def _dim(frame: av.VideoFrame, share: float) -> av.VideoFrame:
    """Return the picture at `share` of its light; 0 is black."""
    black = (16, 128, 128)
    dark = (
        zero + (plane.astype(np.float32) - zero) * share
        for zero, plane in zip(black, planes(frame), strict=True)
    )
    return stacked([np.rint(plane).astype(np.uint8) for plane in dark])
