"""The film: join the clips in one size, one rate and one sound.

Write the picture first, which fixes every length; then add sound and subtitles. Everything streams:
memory does not grow with the length of the film.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from storyreel.errors import MediaError
from storyreel.film.media import copying, mix, sound, subtitle
from storyreel.film.media.encode import Bench
from storyreel.film.media.hearing import RATE
from storyreel.film.media.parts import FPS, Film, Piece, Style, Transition
from storyreel.film.media.pieces import Shelf

__all__ = ["FPS", "Film", "Piece", "Style", "Transition", "assemble"]
AUDIO_BITS = 192_000
PEAK_DB = -1.0  # the limit of every true peak of the film
LOUD = 0.5  # with no sample above it, the encoder cannot exceed the limit


def assemble(
    pieces: Sequence[Piece],
    out: Path,
    style: Style,
    *,
    shelf: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Film:
    """Write the film to `out` and return its facts: H.264 and AAC, constant rate, BT.709,
    faststart.

    Clips of another shape get black bars, silent ones silence. Pictures are copied if all clips
    agree and nothing changes; else all are encoded. The same clips and tools give the same bytes. A
    damaged clip is in the film as far as it decodes, and `notes` say so. `tell` receives (pictures
    encoded, pictures in total, nearly). The folder `shelf` keeps the encoded pieces for the next
    film; pieces that this film does not use are removed.

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
            spans = copying.write([piece.path for piece in pieces if piece.path], silent)
        else:
            with _shelf(shelf, silent) as kept:
                paths, spans = Bench(pieces, style, kept, tell).run(notes)
                copying.write(paths, silent)
                kept.clear()
        frames = spans[-1].start + spans[-1].count
        _expect(silent, frames)
        _finish(silent, spans, pieces, part, style, fps, notes)
        _expect(part, frames)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(out)
        return Film(
            frames,
            round(float(frames / fps), 3),
            plain is not None,
            tuple(spans),
            fps,
            tuple(notes),
        )
    except av.FFmpegError as error:
        raise MediaError(
            f"the film cannot be cut: {type(error).__name__}: {error.strerror}"
        ) from error
    finally:
        silent.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


# ---- the picture


def _common(pieces: Sequence[Piece], style: Style) -> copying.Plain | None:
    """Return the facts that all clips share if they may be copied unchanged; else None."""
    changed = any(
        p.path is None or p.skip_first or p.leave_out_last or p.into != "cut" for p in pieces
    )
    if changed or style.subtitles == "burned":
        return None
    with contextlib.suppress(av.FFmpegError):  # the decoder reports what cannot be read
        return copying.common([p.path for p in pieces if p.path], style.size)
    return None


@contextlib.contextmanager
def _shelf(folder: Path | None, beside: Path) -> Iterator[Shelf]:
    """Open the shelf in `folder`, or a temporary one."""
    if folder is not None:
        yield Shelf(folder)
        return
    with tempfile.TemporaryDirectory(prefix=f"{beside.name}.", dir=beside.parent) as passing:
        yield Shelf(Path(passing))


# ---- joining


def _finish(
    silent: Path,
    spans: Sequence[sound.Span],
    pieces: Sequence[Piece],
    out: Path,
    style: Style,
    fps: Fraction,
    notes: list[str],
) -> None:
    """Add sound and subtitles to the picture. Repeat with limited peaks if the sound is too
    loud.
    """
    ceiling: float | None = None
    heard = notes
    for _ in range(6):
        loudest = _join(silent, spans, pieces, out, style, fps, ceiling, heard)
        over = sound.true_peak_db(out) - PEAK_DB if loudest >= LOUD else 0.0
        if over <= 0:
            return
        ceiling = mix.CEILING_DB if ceiling is None else ceiling - over - 0.3
        heard = []  # the first pass noted what is wrong with a sound


def _join(
    silent: Path,
    spans: Sequence[sound.Span],
    pieces: Sequence[Piece],
    out: Path,
    style: Style,
    fps: Fraction,
    ceiling_db: float | None,
    notes: list[str],
) -> float:
    """Write the film with its sound and subtitles. Return the largest sample as a share of full
    scale.
    """
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
        for block in sound.blocks(
            spans, fps, music, ceiling_db, notes, [piece.title for piece in pieces]
        ):
            loudest = max(loudest, float(np.abs(block.to_ndarray()).max()))
            container.mux(audio.encode(block))
            until = Fraction(block.pts or 0, RATE)
            while (
                pending is not None
                and (pending.dts or 0) * Fraction(pending.time_base or 0) <= until
            ):
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


def _cues(
    spans: Sequence[sound.Span], pieces: Sequence[Piece], fps: Fraction
) -> list[subtitle.Cue]:
    """Time each caption: from the middle of the dissolve into its piece to the middle of the
    next one.
    """
    return [
        subtitle.Cue(
            float((s.start + s.lead / 2) / fps),
            float((s.start + s.count - s.held / 2) / fps),
            p.caption,
        )
        for s, p in zip(spans, pieces, strict=True)
        if p.caption and p.path
    ]


def _expect(path: Path, frames: int) -> None:
    """Count the pictures in the file. Raise `MediaError` if the count differs."""
    with av.open(str(path)) as container:
        count = sum(1 for packet in container.demux(video=0) if packet.size)
    if count != frames:
        raise MediaError(f"the film has {count} pictures instead of {frames}")
