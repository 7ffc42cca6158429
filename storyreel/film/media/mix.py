"""Levels: measure loudness, lower music under the film's own sound, limit peaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from storyreel.film.media.hearing import RATE, Sound

CEILING_DB = -2.0  # what AAC adds to a peak is mostly less than the last decibel before -1
_OVERSAMPLED = 4 * RATE
_STEREO = f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={RATE}"
_CHUNK = 4096
_SILENT_LUFS = -70.0


def loudness(sound: Iterable[Sound]) -> tuple[float, float]:
    """Measure (integrated loudness in LUFS, true peak as a share of full scale) by EBU R128;
    -70 for silence.
    """
    graph = av.filter.Graph()
    graph.link_nodes(
        _source(graph), graph.add("ebur128", "metadata=1:peak=true"), graph.add("abuffersink")
    )
    graph.configure()
    lufs, peak, at = _SILENT_LUFS, 0.0, 0
    for block in sound:
        graph.push(frame_of(block, at))
        at += block.shape[1]
        for made in _pulled(graph):
            said = made.metadata
            lufs = float(said.get("lavfi.r128.I", lufs))
            peak = max(peak, float(said.get("lavfi.r128.true_peak", 0)))
    return (lufs if lufs > _SILENT_LUFS else _SILENT_LUFS), peak


def ducked(main: Iterator[Sound], music: Iterator[Sound]) -> Iterator[Sound]:
    """Mix music under the film's own sound, lower while that is audible. The film's own level
    stays.
    """
    graph = av.filter.Graph()
    film, under = _source(graph, "film"), _source(graph, "music")
    split = graph.add("asplit", "2")
    duck = graph.add("sidechaincompress", "threshold=0.03:ratio=8:attack=20:release=400")
    mix = graph.add("amix", "inputs=2:duration=first:normalize=0")
    shape, sink = graph.add("aformat", _STEREO), graph.add("abuffersink")
    film.link_to(split)
    split.link_to(mix, 0, 0)
    split.link_to(duck, 1, 1)
    under.link_to(duck, 0, 0)
    duck.link_to(mix, 0, 1)
    mix.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    at, carry = 0, np.zeros((2, 0), np.float32)
    for wave in main:
        while carry.shape[1] < wave.shape[1]:
            more = next(music, None)
            carry = np.concatenate([carry, np.zeros_like(wave) if more is None else more], axis=1)
        for part, below in zip(_chunks(wave), _chunks(carry[:, : wave.shape[1]]), strict=True):
            film.push(frame_of(part, at))
            under.push(frame_of(below, at))
            at += part.shape[1]
            yield from _drained(graph)
        carry = carry[:, wave.shape[1] :]
    film.push(None)
    under.push(None)
    yield from _drained(graph)


def limited(sound: Iterator[Sound], ceiling_db: float) -> Iterator[Sound]:
    """Limit the true peak of the sound to `ceiling_db`; leave quieter sound as it is."""
    graph = av.filter.Graph()
    limit = 10 ** (ceiling_db / 20)
    graph.link_nodes(
        _source(graph),
        graph.add("aresample", str(_OVERSAMPLED)),
        graph.add("alimiter", f"limit={limit:.6f}:level=false:latency=1:attack=5:release=50"),
        graph.add("aresample", str(RATE)),
        graph.add("aformat", _STEREO),
        graph.add("abuffersink"),
    ).configure()
    at = 0
    for wave in sound:
        for part in _chunks(wave):
            graph.push(frame_of(part, at))
            at += part.shape[1]
            yield from _drained(graph)
    graph.push(None)
    yield from _drained(graph)


def frame_of(wave: Sound, at: int) -> av.AudioFrame:
    """Return the samples as a frame that begins at sample `at`."""
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(wave, dtype=np.float32), format="fltp", layout="stereo"
    )
    frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
    return frame


def _source(graph: av.filter.Graph, name: str | None = None) -> Any:
    return graph.add_abuffer(
        format="fltp", layout="stereo", sample_rate=RATE, time_base=Fraction(1, RATE), name=name
    )


def _chunks(wave: Sound) -> Iterator[Sound]:
    for i in range(0, wave.shape[1], _CHUNK):
        yield wave[:, i : i + _CHUNK]


def _drained(graph: av.filter.Graph) -> Iterator[Sound]:
    for made in _pulled(graph):
        yield made.to_ndarray().astype(np.float32)


def _pulled(graph: av.filter.Graph) -> Iterator[av.AudioFrame]:
    while True:
        try:
            mixed = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(mixed, av.AudioFrame):
            yield mixed
