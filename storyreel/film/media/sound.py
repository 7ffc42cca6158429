"""The film's sound: each clip's own, silence if it has none, and music under all of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from storyreel.film.media import mix, music
from storyreel.film.media.hearing import RATE, Ear, Sound

BLOCK = 1024
EDGE_S = 0.005  # a hard cut fades so long at both sides: no click


@dataclass(frozen=True, slots=True)
class Span:
    """A piece's place in the film, in frames.

    It begins at `begin_s` of its clip. `lead` frames overlap with the piece before (a dissolve),
    `held` with the one after. It fades in from black over `rise` and out over `fall`.
    """

    path: Path | None
    start: int
    count: int
    begin_s: Fraction = Fraction(0)
    lead: int = 0
    held: int = 0
    rise: int = 0
    fall: int = 0


@dataclass(frozen=True, slots=True)
class Music:
    """The music's file, and its level: `gain_db` from -16 LUFS."""

    path: Path
    gain_db: float


def blocks(
    spans: Sequence[Span],
    fps: Fraction,
    under: Music | None,
    ceiling_db: float | None,
    notes: list[str],
    names: Sequence[str],
) -> Iterator[av.AudioFrame]:
    """Yield the whole sound as stereo frames of 1,024 samples, with their times. Keep its true peak
    below `ceiling_db`.

    `names` are those of the pieces. What is wrong with a sound is added to `notes`.
    """
    total = _samples(spans[-1].start + spans[-1].count, fps)
    mixed: Iterator[Sound] = _film(spans, fps, notes, names)
    if under:
        mixed = mix.ducked(mixed, music.blocks(under.path, under.gain_db, total, notes))
    at, carry = 0, np.zeros((2, 0), np.float32)
    if ceiling_db is not None:
        mixed = mix.limited(mixed, ceiling_db)
    for part in itertools.chain(mixed, [None]):
        if part is None:
            carry = np.concatenate(
                [carry, np.zeros((2, max(0, total - at - carry.shape[1])), np.float32)], axis=1
            )
        else:
            carry = np.concatenate([carry, part], axis=1)
        whole = carry.shape[1] if part is None else carry.shape[1] // BLOCK * BLOCK
        for i in range(0, whole, BLOCK):
            block = carry[:, i : min(i + BLOCK, whole)][:, : max(0, total - at)]
            if block.shape[1]:
                yield mix.frame_of(block, at)
                at += block.shape[1]
        carry = carry[:, whole:]


def true_peak_db(path: Path) -> float:
    """Measure the true peak of a finished film's sound, in dB of full scale."""
    _, peak = mix.loudness(block for block, _ in Ear(path).blocks())
    return 20 * float(np.log10(max(peak, 1e-6)))


def _samples(frames: int, fps: Fraction) -> int:
    return int(frames * RATE / fps)


def _film(
    spans: Sequence[Span], fps: Fraction, notes: list[str], names: Sequence[str]
) -> Iterator[Sound]:
    """Yield the clips' own sound, piece by piece. Crossfade it over a dissolve, equally loud
    throughout.
    """
    held = np.zeros((2, 0), np.float32)
    for span, name in zip(spans, names, strict=True):
        begin, end = _samples(span.start, fps), _samples(span.start + span.count, fps)
        wave = np.zeros((2, end - begin), np.float32)
        if span.path:
            notes += [
                f"{name}: {note}" for note in _fill(wave, span.path, round(span.begin_s * RATE))
            ]
        edge = min(round(EDGE_S * RATE), wave.shape[1] // 2)
        rise = max(_samples(span.rise, fps), 0 if span.lead else edge)
        fall = max(_samples(span.fall, fps), 0 if span.held else edge)
        wave[:, :rise] *= _ramp(rise)[: wave.shape[1]]  # a piece may be shorter than its fade
        fall = min(fall, wave.shape[1])
        wave[:, wave.shape[1] - fall :] *= _ramp(fall)[::-1]
        lead = min(held.shape[1], wave.shape[1])
        if lead:
            turn = np.linspace(0, np.pi / 2, lead, dtype=np.float32)
            wave[:, :lead] = wave[:, :lead] * np.sin(turn) + held[:, :lead] * np.cos(turn)
        keep = _samples(span.held, fps)
        held = wave[:, wave.shape[1] - keep :].copy() if keep else np.zeros((2, 0), np.float32)
        yield wave[:, : wave.shape[1] - keep]


def _ramp(samples: int) -> NDArray[np.float32]:
    """Return a ramp from silence to full, without a corner at either end."""
    ramp: NDArray[np.float32] = np.sin(np.linspace(0, np.pi / 2, samples, dtype=np.float32)) ** 2
    return ramp


def _fill(wave: Sound, path: Path, skip: int) -> list[str]:
    """Fill `wave` with the clip's sound from sample `skip`; leave silence without sound. Return
    what is damaged.
    """
    ear, samples, heard = Ear(path), wave.shape[1], False
    try:
        for block, place in ear.blocks():
            heard, at = True, place - skip
            first, last = max(at, 0), min(at + block.shape[1], samples)
            if last > first:
                wave[:, first:last] = block[:, first - at : last - at]
            if at >= samples:
                break
    except av.FFmpegError:
        ear.damaged += 1
    if ear.tracks and not heard:
        return ["its sound cannot be decoded: silent"]
    return (
        [f"{ear.damaged} places of its sound cannot be decoded: silent there"]
        if ear.damaged
        else []
    )
