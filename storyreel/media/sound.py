"""The film's sound: each clip's own, silence where it has none, and music under it all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
BLOCK = 1024
MUSIC_END_S = 2.0
Sound = NDArray[np.float32]  # shape (2, n): stereo, -1 to 1


@dataclass(frozen=True, slots=True)
class Span:
    """Where a piece lies in the film, in frames.

    It begins at `begin_s` of its clip; `lead` frames overlap with the piece before (a dissolve), `held` with the one
    after; over `rise` it comes out of black, over `fall` it goes into black.
    """

    path: Path | None
    start: int
    count: int
    begin_s: Fraction = Fraction(0)
    lead: int = 0
    held: int = 0
    rise: int = 0
    fall: int = 0


def blocks(spans: Sequence[Span], fps: Fraction, music: Path | None, gain_db: float) -> Iterator[av.AudioFrame]:
    """The whole sound as stereo frames of 1,024 samples, with their times."""
    total = _samples(spans[-1].start + spans[-1].count, fps)
    main = _film(spans, fps)
    mixed = _ducked(main, _music(music, gain_db, total)) if music else main
    at, carry = 0, np.zeros((2, 0), np.float32)
    for part in itertools.chain(mixed, [None]):
        carry = carry if part is None else np.concatenate([carry, part], axis=1)
        whole = carry.shape[1] if part is None else carry.shape[1] // BLOCK * BLOCK
        for i in range(0, whole, BLOCK):
            block = carry[:, i : min(i + BLOCK, whole)][:, : max(0, total - at)]
            if block.shape[1]:
                yield _frame(block, at)
                at += block.shape[1]
        carry = carry[:, whole:]


def _samples(frames: int, fps: Fraction) -> int:
    return int(frames * RATE / fps)


def _film(spans: Sequence[Span], fps: Fraction) -> Iterator[Sound]:
    """The clips' own sound, piece by piece; over a dissolve the two are crossfaded."""
    held = np.zeros((2, 0), np.float32)
    for span in spans:
        begin, end = _samples(span.start, fps), _samples(span.start + span.count, fps)
        heard = _clip(span.path, end - begin, round(span.begin_s * RATE)) if span.path else None
        wave = np.zeros((2, end - begin), np.float32) if heard is None else heard
        rise, fall = _samples(span.rise, fps), _samples(span.fall, fps)
        if rise:
            wave[:, :rise] *= np.linspace(0, 1, rise, dtype=np.float32)
        if fall:
            wave[:, -fall:] *= np.linspace(1, 0, fall, dtype=np.float32)
        lead = min(held.shape[1], wave.shape[1])
        if lead:
            ramp = np.linspace(0, 1, lead, dtype=np.float32)
            wave[:, :lead] = wave[:, :lead] * ramp + held[:, :lead] * (1 - ramp)
        keep = _samples(span.held, fps)
        held = wave[:, wave.shape[1] - keep :].copy() if keep else np.zeros((2, 0), np.float32)
        yield wave[:, : wave.shape[1] - keep]


def _clip(path: Path, samples: int, skip: int) -> Sound | None:
    """Exactly `samples` of the clip's first sound track after leaving out `skip`; None where it has none."""
    wave = np.zeros((2, samples), np.float32)
    with av.open(str(path), metadata_errors="replace") as container:
        if not container.streams.audio:
            return None
        at: int | None = None
        for block, time in _decoded(container):
            at = round(time * RATE) - skip if at is None else at
            first, last = max(at, 0), min(at + block.shape[1], samples)
            if last > first:
                wave[:, first:last] = block[:, first - at : last - at]
            at += block.shape[1]
            if at >= samples:
                break
    return wave


def _decoded(container: av.container.InputContainer) -> Iterator[tuple[Sound, float]]:
    """(block, its time in seconds) of the first sound track, stereo at 48 kHz."""
    stream = container.streams.audio[0]
    resampler = av.AudioResampler("fltp", "stereo", RATE)
    for frame in itertools.chain(container.decode(stream), [None]):
        for made in resampler.resample(frame):
            yield made.to_ndarray().astype(np.float32), float((made.pts or 0) * (made.time_base or 0))


def _music(path: Path, gain_db: float, total: int) -> Iterator[Sound]:
    """The music at -16 LUFS plus `gain_db`, exactly `total` samples: cut with a fade, or followed by silence."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="fltp", layout="stereo", sample_rate=RATE, time_base=Fraction(1, RATE))
    steps = [
        source,
        graph.add("loudnorm", "I=-16:TP=-1.5:LRA=11"),
        graph.add("aresample", str(RATE)),
        graph.add("volume", f"{gain_db}dB"),
        graph.add("aformat", f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={RATE}"),
        graph.add("abuffersink"),
    ]
    for one, other in itertools.pairwise(steps):
        one.link_to(other)
    graph.configure()
    end = int(MUSIC_END_S * RATE)
    at = 0
    with av.open(str(path), metadata_errors="replace") as container:
        pushed = 0
        for block, _ in itertools.chain(_decoded(container), [(None, 0.0)]):
            graph.push(None if block is None else _frame(block, pushed))
            pushed += 0 if block is None else block.shape[1]
            for made in _drained(graph):
                made = made[:, : total - at].copy()
                fade = np.clip((total - np.arange(at, at + made.shape[1])) / end, 0, 1).astype(np.float32)
                at += made.shape[1]
                if made.shape[1]:
                    yield made * fade
            if at >= total:
                return
    while at < total:
        silence = min(RATE, total - at)
        yield np.zeros((2, silence), np.float32)
        at += silence


def _ducked(main: Iterator[Sound], music: Iterator[Sound]) -> Iterator[Sound]:
    """Music under the film's own sound, quieter wherever that is heard."""
    graph = av.filter.Graph()
    options: dict[str, Any] = {
        "format": "fltp", "layout": "stereo", "sample_rate": RATE, "time_base": Fraction(1, RATE)
    }  # fmt: skip
    film, under = graph.add_abuffer(name="film", **options), graph.add_abuffer(name="music", **options)
    split = graph.add("asplit", "2")
    duck = graph.add("sidechaincompress", "threshold=0.03:ratio=8:attack=20:release=400")
    mix = graph.add("amix", "inputs=2:duration=first:normalize=0")
    limit = graph.add("alimiter", "limit=0.95:latency=1")
    shape = graph.add("aformat", f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={RATE}")
    sink = graph.add("abuffersink")
    film.link_to(split)
    split.link_to(mix, 0, 0)
    split.link_to(duck, 1, 1)
    under.link_to(duck, 0, 0)
    duck.link_to(mix, 0, 1)
    mix.link_to(limit)
    limit.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    at, carry = 0, np.zeros((2, 0), np.float32)
    for wave in main:
        while carry.shape[1] < wave.shape[1]:
            more = next(music, None)
            carry = np.concatenate([carry, np.zeros_like(wave) if more is None else more], axis=1)
        for i in range(0, wave.shape[1], 4096):
            size = min(4096, wave.shape[1] - i)
            film.push(_frame(wave[:, i : i + size], at))
            under.push(_frame(carry[:, i : i + size], at))
            at += size
            yield from _drained(graph)
        carry = carry[:, wave.shape[1] :]
    film.push(None)
    under.push(None)
    yield from _drained(graph)


def _drained(graph: av.filter.Graph) -> Iterator[Sound]:
    while True:
        try:
            made = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield made.to_ndarray().astype(np.float32)


def _frame(wave: Sound, at: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave, dtype=np.float32), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
    return frame
