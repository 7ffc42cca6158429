"""The film is made of pieces: one that is there already is not encoded again, and the film is the
same.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from storyreel.film.media.clip import to_rgb
from storyreel.film.media.cut import Film, Piece, Style, assemble
from tests.zoo import Odd, ffmpeg, make, number_of

SIZE = (320, 180)


def clips(tmp_path: Path, count: int = 5, frames: int = 40) -> list[Path]:
    """Clips that cannot be copied, each with a sound of its own."""
    made = []
    for i in range(count):
        plain = make(
            Odd(frames=frames + i, tagged=False, matrix="601", sound_s=1), tmp_path / f"{i}.mp4"
        )
        made.append(plain)
    return made


def film(
    tmp_path: Path,
    pieces: list[Piece],
    name: str = "film",
    shelf: str | None = "shelf",
    **style: object,
) -> tuple[Film, Path]:
    path = tmp_path / f"{name}.mp4"
    kept = tmp_path / shelf if shelf else None
    return assemble(pieces, path, Style(SIZE, **style), shelf=kept), path  # type: ignore[arg-type]


def encoded(tmp_path: Path) -> dict[str, int]:
    """The pieces on the shelf, and when each was written."""
    return {file.name: file.stat().st_mtime_ns for file in (tmp_path / "shelf").glob("*.mp4")}


@pytest.mark.parametrize("into", ["cut", "fade", "dissolve"])
def test_one_scene_changed_encodes_one_piece_and_its_seam(tmp_path: Path, into: str) -> None:
    paths = clips(tmp_path)
    pieces = [Piece(path, into=into, caption=path.stem) for path in paths]  # type: ignore[arg-type]
    film(tmp_path, pieces, subtitles="burned")
    before = encoded(tmp_path)
    other = make(Odd(frames=33, tagged=False, matrix="601"), tmp_path / "other.mp4")
    pieces[2] = Piece(other, into=into, caption="2")  # type: ignore[arg-type]
    made, path = film(tmp_path, pieces, subtitles="burned")
    after = encoded(tmp_path)
    assert len(after) == 5 == len(before), "what is no longer needed is removed"
    assert len(after.keys() - before.keys()) == (2 if into == "dissolve" else 1)
    fresh, other_path = film(tmp_path, pieces, "fresh", None, subtitles="burned")
    assert made == fresh and made.spans == fresh.spans
    assert path.read_bytes() == other_path.read_bytes(), (
        "the same inputs give the same bytes, kept or not"
    )


def test_what_does_not_change_the_picture_encodes_nothing(tmp_path: Path) -> None:
    paths = clips(tmp_path, 3)
    ffmpeg("-f", "lavfi", "-i", "sine=d=4", tmp_path / "m.wav")
    film(tmp_path, [Piece(path, caption="a") for path in paths], subtitles="soft")
    before = encoded(tmp_path)
    pieces = [Piece(path, caption="b", name=f"scene {path.stem}") for path in paths]
    film(tmp_path, pieces, subtitles="soft", music=tmp_path / "m.wav")
    film(tmp_path, pieces, subtitles="none")
    assert encoded(tmp_path) == before


def test_a_clip_replaced_under_its_name_is_seen(tmp_path: Path) -> None:
    paths = clips(tmp_path, 3)
    film(tmp_path, [Piece(path) for path in paths])
    make(Odd(frames=20, tagged=False, matrix="601"), paths[1])
    made, _ = film(tmp_path, [Piece(path) for path in paths])
    assert made.spans[1].count == 20


def test_a_piece_that_was_damaged_on_the_shelf_is_made_again(tmp_path: Path) -> None:
    pieces = [Piece(path) for path in clips(tmp_path, 3)]
    _, path = film(tmp_path, pieces)
    whole = path.read_bytes()
    one, two, three = sorted((tmp_path / "shelf").glob("*.mp4"))
    one.write_bytes(one.read_bytes()[:-100])
    two.unlink()
    three.with_suffix(".json").write_text("{")
    (tmp_path / "shelf" / ".left.1.part").write_bytes(b"x")
    film(tmp_path, pieces)
    assert path.read_bytes() == whole
    assert not list((tmp_path / "shelf").glob(".*.part"))


@pytest.mark.parametrize("lengths", [(1, 1, 1), (40, 1, 40), (3, 5, 2, 9), (30, 4, 5, 30)])
@pytest.mark.parametrize("into", ["cut", "fade", "dissolve"])
def test_pieces_shorter_than_a_dissolve_are_the_same_from_the_shelf(
    tmp_path: Path, lengths: tuple[int, ...], into: str
) -> None:
    """Every way of changing the film one piece at a time ends at the film that is made at once."""
    paths = [
        make(Odd(frames=n, tagged=False, matrix="601"), tmp_path / f"{i}.mp4")
        for i, n in enumerate(lengths)
    ]
    pieces = [Piece(path, into=into) for path in paths]  # type: ignore[arg-type]
    made, fresh = film(tmp_path, pieces, "fresh", None)
    with av.open(fresh) as container:
        assert sum(1 for _ in container.decode(video=0)) == made.frames
    for i in range(len(pieces)):
        film(
            tmp_path, [*pieces[:i], Piece(paths[0], into=into, leave_out_last=1), *pieces[i + 1 :]]
        )  # type: ignore[arg-type]
        _, path = film(tmp_path, pieces)
        assert path.read_bytes() == fresh.read_bytes()


def test_a_hundred_pieces_have_every_picture_at_its_time(tmp_path: Path) -> None:
    paths = clips(tmp_path, 4, frames=5)
    pieces = [Piece(paths[i % 4]) for i in range(100)]
    made, path = film(tmp_path, pieces)
    assert len(encoded(tmp_path)) == 4, "a clip that comes again is encoded once"
    with av.open(path) as container:
        frames = [
            (frame.pts * frame.time_base, number_of(to_rgb(frame)))
            for frame in container.decode(video=0)
        ]
    numbers = list(itertools.chain.from_iterable(range(5 + i % 4) for i in range(100)))
    assert [number for _, number in frames] == numbers and made.frames == len(numbers)
    assert all(time * 24 == i for i, (time, _) in enumerate(frames))
    assert "Video: h264" in ffmpeg("-i", path, "-f", "null", "-") and "rror" not in ffmpeg(
        "-v", "error", "-i", path, "-f", "null", "-"
    )
