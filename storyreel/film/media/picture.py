"""A clip's pictures as the film shows them: one size and rate, upright, square pixels,
progressive, BT.709.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

from storyreel.errors import MediaError
from storyreel.film.media import colour
from storyreel.film.media.clip import moving, pixel_shape

LATE_S = Fraction(1, 5)  # a picture that begins later than this after the sound is late on purpose
INTERLACED = "interlaced: its two fields were made one picture"
BLACK = (16, 128, 128)
Plane = NDArray[np.uint8]


class Timed(NamedTuple):
    """A decoded picture, and the second of the clip at which it is shown."""

    start: Fraction
    end: Fraction
    frame: av.VideoFrame


class Reel:
    """The pictures of one clip, from its first or second one to the last or an earlier one.

    After the first picture was taken, `begin_s` is the second of the clip at which it is shown;
    after the last, `notes` says what had to be changed about the clip, or is wrong with it.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: Fraction,
        *,
        skip_first: bool = False,
        leave_out_last: int = 0,
    ) -> None:
        self.path = path
        self.begin_s = Fraction(0)
        self._canvas = Canvas(size)
        self._fps = fps
        self._skip_first = skip_first
        self._leave_out_last = leave_out_last
        self._damaged = 0
        self._uneven = False

    @property
    def notes(self) -> list[str]:
        """Return notes on what was changed, or is damaged."""
        notes = list(self._canvas.notes)
        if self._uneven:
            notes.append("its rate varies: shown at an even one")
        if self._damaged:
            notes.append(f"{self._damaged} places of it cannot be decoded: left out")
        return notes

    def __iter__(self) -> Iterator[av.VideoFrame]:
        with av.open(str(self.path), metadata_errors="replace") as container:
            video = moving(container)
            video.thread_type = "AUTO"
            shape = pixel_shape(video)
            start = Fraction(container.start_time or 0, av.time_base)
            frames = self._timed(container, video)
            shown = made = None
            for frame in even(
                self._from(_but_last(frames, self._leave_out_last), start), self._fps
            ):
                if made is None or frame is not shown:
                    made, shown = self._canvas.lay(frame, shape), frame
                yield made
            if made is None:
                raise MediaError(f"{self.path.name} has no pictures")

    def _from(self, frames: Iterator[Timed], start: Fraction) -> Iterator[Timed]:
        """Yield the pictures by the film's clock, which begins with the first picture shown."""
        one = next(frames, None)
        if one is None:
            return
        self.begin_s = one.start if one.start - start < LATE_S else start
        if self._skip_first:
            other = next(frames, None)
            if other is not None:
                one = other
                self.begin_s = one.start
        yield Timed(one.start - self.begin_s, one.end - self.begin_s, one.frame)
        for start, end, frame in frames:
            yield Timed(start - self.begin_s, end - self.begin_s, frame)

    def _timed(
        self, container: av.container.InputContainer, video: av.VideoStream
    ) -> Iterator[Timed]:
        step = 1 / Fraction(video.average_rate or 24)
        limit: Fraction | None = None
        if video.duration and video.time_base:
            limit = ((video.start_time or 0) + video.duration) * video.time_base
        last, gap = None, None
        for frame in _progressive(self._decoded(container, video), self._canvas.notes):
            base = Fraction(frame.time_base or video.time_base or 1)
            start = Fraction(0) if last is None else last + step
            if frame.pts is not None:
                start = frame.pts * base
            end = start + (frame.duration * base if frame.duration else step)
            if limit is not None and limit > start:
                end = min(end, limit)
            if last is not None:
                self._uneven |= gap is not None and abs(start - last - gap) > gap / 4
                gap = start - last
            last = start
            yield Timed(start, end, frame)

    def _decoded(
        self, container: av.container.InputContainer, video: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        """Yield all frames that can be decoded; count and skip the others."""
        packets = container.demux(video)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None
                self._damaged += 1
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self._damaged += 1


def even(frames: Iterator[Timed], fps: Fraction) -> Iterator[av.VideoFrame]:
    """Yield one picture for each tick of a clock of `fps`: the nearest in time, at most half a
    tick early.
    """
    tick, finish = 0, Fraction(0)
    held: tuple[Fraction, av.VideoFrame] | None = None
    for start, end, frame in frames:
        place = start * fps
        before, shown = held or (place, frame)
        while (2 * tick < place + before and held) or place - tick > Fraction(1, 2):
            yield shown
            tick += 1
        held, finish = (place, frame), max(finish, end * fps)
    while held and tick < max(1, round(finish)):
        yield held[1]
        tick += 1


class Canvas:
    """Lays pictures on one size: yuv420p, BT.709, limited. Another shape gets black bars, one
    or two pixels too many are cut off.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.notes: list[str] = []
        self._reformatter = VideoReformatter()
        self._seen: tuple[int, int] | None = None

    def lay(self, frame: av.VideoFrame, shape: Fraction) -> av.VideoFrame:
        """Return the picture on the canvas; `shape` is the width of its pixels over their
        height.
        """
        turn = round(frame.rotation / 90) % 4
        self._note(frame, shape, turn)
        size = self.size[::-1] if turn % 2 else self.size
        width, height = fitted((round(frame.width * shape), frame.height), size)
        picture = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range="MPEG",
            **colour.options(frame),
        )
        if turn == 0 and (picture.width, picture.height) == self.size:
            return picture
        return stacked(
            [
                _place(np.rot90(plane, turn), at, self.size)
                for at, plane in enumerate(planes(picture))
            ]
        )

    def _note(self, frame: av.VideoFrame, shape: Fraction, turn: int) -> None:
        beyond = colour.beyond(frame)
        size = (frame.width, frame.height)
        changed = self._seen not in (None, size)
        self._seen = size
        said = {
            f"{beyond} brought down to BT.709": beyond,
            f"pixels of {shape.numerator}:{shape.denominator} made square": shape != 1,
            f"turned upright by {360 - 90 * turn if turn > 1 else 90} degrees": turn,
            "its size changes within the clip": changed,
        }
        self.notes += [text for text, holds in said.items() if holds and text not in self.notes]


def fitted(own: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the size that a picture of `own` takes inside `size`, at most two pixels beyond it."""
    if all(0 <= mine - wanted < 2 for mine, wanted in zip(own, size, strict=True)):
        return own
    share = min(Fraction(wanted, mine) for mine, wanted in zip(own, size, strict=True))
    width, height = (max(2, round(mine * share / 2) * 2) for mine in own)
    return tuple(w if w - m <= 2 else m for w, m in zip(size, (width, height), strict=True))  # type: ignore[return-value]


def planes(frame: av.VideoFrame) -> list[Plane]:
    """Return the three planes of a yuv420p picture, shapes (height, width) and twice half of
    that, rounded up.
    """
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]  # type: ignore[call-overload]
        for plane in frame.planes
    ]


def stacked(parts: list[Plane]) -> av.VideoFrame:
    """Build a yuv420p picture from its three planes; both its sides are even."""
    height, width = parts[0].shape
    flat = np.concatenate([np.ascontiguousarray(part).reshape(-1) for part in parts])
    return av.VideoFrame.from_ndarray(flat.reshape(height * 3 // 2, width), format="yuv420p")


def _place(plane: Plane, at: int, size: tuple[int, int]) -> Plane:
    """Put the plane in the middle of the canvas's plane; `at` 0 is luma."""
    width, height = size if at == 0 else (size[0] // 2, size[1] // 2)
    plane = plane[:height, :width]
    if plane.shape == (height, width):
        return plane
    out = np.full((height, width), BLACK[at], np.uint8)
    per = 2 if at == 0 else 1  # both offsets are even in luma
    top, left = (
        ((height - plane.shape[0]) // (2 * per)) * per,
        ((width - plane.shape[1]) // (2 * per)) * per,
    )
    out[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
    return out


def _but_last(frames: Iterator[Timed], count: int) -> Iterator[Timed]:
    """Yield all but the last `count` pictures, and always the first one."""
    waiting: deque[Timed] = deque()
    first = True
    for frame in frames:
        waiting.append(frame)
        if len(waiting) > count:
            first = False
            start, end, picture = waiting.popleft()
            yield Timed(start, min(end, waiting[0].start) if waiting else end, picture)
    if first and waiting:
        yield waiting[0]


def _progressive(frames: Iterator[av.VideoFrame], notes: list[str]) -> Iterator[av.VideoFrame]:
    """Merge the two fields of each interlaced picture."""
    graph: av.filter.Graph | None = None
    kind = None
    for frame in frames:
        if graph is not None and kind != (frame.width, frame.height, frame.format.name):
            graph.push(None)
            yield from _pulled(graph)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, kind = _deinterlacer(frame), (frame.width, frame.height, frame.format.name)
            if INTERLACED not in notes:
                notes.append(INTERLACED)
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _deinterlacer(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    )
    graph.configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, av.VideoFrame):
            yield frame
