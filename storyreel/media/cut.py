"""The film: the clips one after the other, all made to one size, one rate, one sound.

Everything streams: memory does not grow with the length of the film.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from storyreel.errors import MediaError
from storyreel.media.clip import HD_HEIGHT_PX, UNTAGGED

FPS = 24
RATE = 48_000
BLOCK = 1024
BT709 = 1
LIMITED = 1
_SCALE = "force_original_aspect_ratio=decrease:flags=bicubic+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv"
Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of the film. `skip_first`: its first picture is the one before it again, so it is left out."""

    path: Path
    skip_first: bool = False


@dataclass(frozen=True, slots=True)
class Film:
    """What was made: pictures and seconds."""

    frames: int
    duration_s: float


def assemble(
    pieces: Sequence[Piece],
    out: Path,
    *,
    size: tuple[int, int],
    fps: int = FPS,
    tell: Callable[[int], None] = lambda frames: None,
) -> Film:
    """Write the film to `out` and return what it is. `size` is (width, height) in pixels, both even.

    Clips of another shape get black bars, silent ones silence. H.264 and AAC, BT.709 tags, faststart.

    Raises:
        MediaError: a clip cannot be read, or the film does not have the pictures it should. `out` is left as it was.
    """
    part = out.with_name(f".{out.name}.part")
    try:
        frames = _write(pieces, part, size, fps, tell)
        _expect(part, frames)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(out)
        return Film(frames, round(frames / fps, 3))
    except av.FFmpegError as error:
        raise MediaError(f"the film cannot be cut: {type(error).__name__}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _write(pieces: Sequence[Piece], part: Path, size: tuple[int, int], fps: int, tell: Callable[[int], None]) -> int:
    width, height = size
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        picture = out.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        context = picture.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        context.thread_type = "AUTO"
        sound = out.add_stream("aac", rate=RATE, layout="stereo")
        track = _Track(out, sound)
        total = 0
        for piece in pieces:
            count = 0
            for i, frame in enumerate(_pictures(piece.path, width, height, fps)):
                if i == 0 and piece.skip_first:
                    continue
                frame.pts, frame.time_base = total, Fraction(1, fps)
                frame.pict_type = 0  # else x264 repeats the source's pattern of I, P and B
                out.mux(picture.encode(frame))
                total += 1
                count += 1
                tell(total)
            track.add(piece.path, count * RATE // fps, skip=RATE // fps if piece.skip_first else 0)
        out.mux(picture.encode(None))
        track.close()
    return total


def _pictures(path: Path, width: int, height: int, fps: int) -> Iterator[av.VideoFrame]:
    """The clip's pictures at one size and rate: yuv420p, BT.709, limited, upright, with bars where the shape differs."""
    with av.open(str(path), metadata_errors="replace") as container:
        video = next(s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
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


class _Track:
    """The film's sound, encoded block by block; what does not fill a block is carried over."""

    def __init__(self, out: av.container.OutputContainer, stream: av.AudioStream) -> None:
        self._out = out
        self._stream = stream
        self._carry: Sound = np.zeros((2, 0), np.float32)
        self._at = 0

    def add(self, path: Path, samples: int, *, skip: int) -> None:
        """Append exactly `samples` of the clip's sound, after leaving out `skip`; silence where it has none."""
        left = samples
        for block in _sound(path):
            if skip >= block.shape[1]:
                skip -= block.shape[1]
                continue
            block, skip = block[:, skip:], 0
            block = block[:, :left]
            left -= block.shape[1]
            self._feed(block)
            if not left:
                return
        while left:
            silence = min(left, RATE)
            self._feed(np.zeros((2, silence), np.float32))
            left -= silence

    def close(self) -> None:
        self._encode(self._carry)
        self._out.mux(self._stream.encode(None))

    def _feed(self, block: Sound) -> None:
        joined = np.concatenate([self._carry, block], axis=1)
        whole = joined.shape[1] // BLOCK * BLOCK
        self._carry = joined[:, whole:]
        self._encode(joined[:, :whole])

    def _encode(self, block: Sound) -> None:
        for i in range(0, block.shape[1], BLOCK):
            part = np.ascontiguousarray(block[:, i : i + BLOCK])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
            self._at += part.shape[1]
            self._out.mux(self._stream.encode(frame))


def _sound(path: Path) -> Iterator[Sound]:
    """The clip's first sound track as stereo float blocks of shape (2, n), from the time at which its picture starts."""
    with av.open(str(path), metadata_errors="replace") as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", "stereo", RATE)
        position: int | None = None
        for frame in _frames(container, stream):
            for made in resampler.resample(frame):
                block: Sound = made.to_ndarray().astype(np.float32)
                if position is None:
                    position = round(float((made.pts or 0) * (made.time_base or 0)) * RATE)
                    if position > 0:
                        yield np.zeros((2, position), np.float32)
                    elif position < 0:
                        block = block[:, -position:]
                yield block


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame | None]:
    yield from container.decode(stream)
    yield None  # flushes the resampler


def _expect(path: Path, frames: int) -> None:
    """Count the pictures that were written; a film that is not what was computed is no film."""
    with av.open(str(path)) as container:
        found = sum(1 for packet in container.demux(video=0) if packet.size)
    if found != frames:
        raise MediaError(f"the film has {found} pictures instead of {frames}")
