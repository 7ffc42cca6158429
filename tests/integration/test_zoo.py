"""Every odd clip gives its exact first and last picture, and takes its right place in the film."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from storyreel.film.media import seam
from storyreel.film.media.clip import to_rgb, verify
from storyreel.film.media.cut import Piece, Style, assemble
from tests.zoo import Odd, colour_error, ffmpeg, make, number_of, rotate

HD = (1280, 720)
ZOO = {
    "plain": Odd(),
    "b-frames": Odd(options={"bf": "3"}),
    "pyramid": Odd(frames=60, options={"bf": "16", "x264-params": "b-pyramid=normal:b-adapt=0"}),
    "open gop": Odd(frames=60, options={"x264-params": "open-gop=1:keyint=12:bframes=3"}),
    "one frame": Odd(frames=1),
    "moov at the end": Odd(movflags=""),
    "fragmented": Odd(movflags="frag_keyframe+empty_moov", options={"g": "8"}),
    "sound 2 s longer": Odd(sound_s=3),
    "sound 60 s longer": Odd(sound_s=61),
    "sound shorter": Odd(sound_s=0.3),
    "sound first": Odd(sound_s=1, sound_first=True),
    "variable rate": Odd(times=tuple(i + i // 4 for i in range(24))),
    "a gap of 3 s": Odd(times=tuple(i if i < 12 else i + 72 for i in range(24))),
    "starts late": Odd(times=tuple(i + 12 for i in range(24)), sound_s=1.5),
    "30 a second": Odd(fps=Fraction(30), frames=30),
    "29.97 a second": Odd(fps=Fraction(30000, 1001), frames=45),
    "23.976 a second": Odd(fps=Fraction(24000, 1001), frames=50),
    "60 a second": Odd(fps=Fraction(60), frames=61),
    "hevc": Odd(codec="libx265"),
    "hevc with b-frames": Odd(codec="libx265", frames=40, options={"x265-params": "log-level=none:bframes=4"}),
    "av1": Odd(codec="libsvtav1"),
    "vp9": Odd(codec="libvpx-vp9"),
    "601": Odd(matrix="601"),
    "601 full": Odd(matrix="601", full=True),
    "601 of HD": Odd(matrix="601", size=HD),
    "709 full": Odd(full=True, size=HD),
    "2020": Odd(matrix="2020", size=HD),
    "untagged HD": Odd(tagged=False, size=HD),
    "untagged SD": Odd(tagged=False, matrix="601"),
    "square": Odd(size=(540, 540)),
    "tall": Odd(size=(360, 640)),
    "no usual size": Odd(size=(364, 204)),
}  # fmt: skip
ASSUMED = {"untagged HD"}


@pytest.fixture(scope="module", params=ZOO)
def animal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    return request.param, make(ZOO[request.param], tmp_path_factory.mktemp("zoo") / "clip.mp4")


def test_first_and_last_picture_are_exact_to_the_frame_and_the_colour(
    animal: tuple[str, Path],
) -> None:
    name, path = animal
    opened = verify(path, tail=2)
    assert (number_of(opened.first), number_of(opened.last)) == (0, ZOO[name].frames - 1)
    assert opened.facts.frames == ZOO[name].frames
    assert max(colour_error(opened.first), colour_error(opened.last)) <= 2
    assert opened.facts.colour_assumed == (name in ASSUMED)
    if ZOO[name].frames > 1:
        assert number_of(opened.before_last(1)) == ZOO[name].frames - 2


def test_it_takes_its_computed_place_in_a_film(animal: tuple[str, Path], tmp_path: Path) -> None:
    """Cut between two others: what comes after it begins on its own first picture, with the right
    colours throughout.
    """
    name, path = animal
    plain = make(Odd(size=ZOO[name].size, frames=12), tmp_path / "plain.mp4")
    film = assemble(
        [Piece(plain), Piece(path), Piece(plain)], tmp_path / "film.mp4", Style(ZOO[name].size)
    )
    middle = film.spans[1]
    places = middle.start, middle.start + middle.count - 1, middle.start + middle.count
    pictures = _pictures(tmp_path / "film.mp4", places)
    begin, end, after = (number_of(picture) for picture in pictures)
    left_out = -(-ZOO[name].fps // 24) - 1  # of a quicker clip not every picture is in the film
    assert begin <= left_out and ZOO[name].frames - 1 - end <= left_out and after == 0
    assert max(colour_error(picture) for picture in pictures) <= 3
    seconds = _probed(tmp_path / "film.mp4")
    assert abs(seconds - film.frames / 24) < 1 / 24


@pytest.mark.parametrize("trim", ["-ss 0.5", "-to 0.75", "-ss 0.25 -to 0.75"])
def test_what_an_edit_list_hides_is_not_seen(tmp_path: Path, trim: str) -> None:
    make(Odd(options={"g": "6", "bf": "0"}), tmp_path / "whole.mp4")
    ffmpeg("-i", tmp_path / "whole.mp4", *trim.split(), "-c", "copy", tmp_path / "cut.mp4")
    opened = verify(tmp_path / "cut.mp4")
    truth = _shown(tmp_path / "cut.mp4", tmp_path)
    assert (number_of(opened.first), number_of(opened.last)) == truth
    film = assemble([Piece(tmp_path / "cut.mp4")] * 2, tmp_path / "film.mp4", Style((320, 180)))
    assert film.frames == 2 * opened.facts.frames


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_is_seen_upright(tmp_path: Path, turn: int) -> None:
    make(Odd(), tmp_path / "flat.mp4")
    rotate(tmp_path / "flat.mp4", turn, tmp_path / "turned.mp4")
    opened = verify(tmp_path / "turned.mp4")
    upright = opened.last.rotate(-turn, expand=True)
    assert (opened.facts.width, opened.facts.height) == ((180, 320) if turn % 180 else (320, 180))
    assert number_of(upright) == 23 and colour_error(upright) <= 2
    assemble(
        [Piece(tmp_path / "turned.mp4")],
        tmp_path / "film.mp4",
        Style((opened.facts.width, opened.facts.height)),
    )
    begin = _pictures(tmp_path / "film.mp4", [0])[0].rotate(-turn, expand=True)
    assert number_of(begin) == 0 and colour_error(begin) <= 3


def test_a_picture_among_the_tracks_is_not_the_clip(tmp_path: Path) -> None:
    make(Odd(sound_s=1), tmp_path / "clip.mp4")
    verify(tmp_path / "clip.mp4").first.save(tmp_path / "cover.png")
    ffmpeg(
        "-i", tmp_path / "cover.png", "-i", tmp_path / "clip.mp4", "-map", 0, "-map", 1, "-c", "copy",
        "-disposition:v:0", "attached_pic", tmp_path / "covered.mp4",
    )  # fmt: skip
    opened = verify(tmp_path / "covered.mp4")
    assert (opened.facts.frames, number_of(opened.last)) == (24, 23)
    assert number_of(seam.first_picture(tmp_path / "covered.mp4")) == 0
    assert (
        assemble([Piece(tmp_path / "covered.mp4")], tmp_path / "film.mp4", Style((320, 180))).frames
        == 24
    )


def test_all_of_them_make_one_film_in_step(tmp_path: Path) -> None:
    """Every size, rate, codec and sound in one film: constant rate, stereo, tagged, and sound as
    long as the picture.
    """
    clips = [make(odd, tmp_path / f"{i}.mp4") for i, odd in enumerate(ZOO.values())]
    film = assemble([Piece(clip) for clip in clips], tmp_path / "film.mp4", Style((320, 180)))
    told = ffmpeg("-i", tmp_path / "film.mp4")
    assert "24 fps" in told and "48000 Hz, stereo" in told and "bt709" in told and "320x180" in told
    with av.open(tmp_path / "film.mp4") as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        lengths = [
            float(s.duration * s.time_base) for s in (picture, sound) if s.duration and s.time_base
        ]
        assert picture.frames == film.frames
    assert abs(lengths[0] - lengths[1]) < 1 / 24


def _pictures(path: Path, wanted: Sequence[int]) -> list[Image.Image]:
    with av.open(path) as container:
        found = {
            i: to_rgb(frame) for i, frame in enumerate(container.decode(video=0)) if i in wanted
        }
    return [found[i] for i in wanted]


def _shown(path: Path, folder: Path) -> tuple[int, int]:
    """The first and last number that another ffmpeg shows."""
    ffmpeg("-i", path, "-fps_mode", "passthrough", folder / "f%04d.png")
    found = [number_of(Image.open(file)) for file in sorted(folder.glob("f*.png"))]
    return found[0], found[-1]


def _probed(path: Path) -> float:
    """Seconds of the film as another ffmpeg says."""
    found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", ffmpeg("-i", path))
    assert found
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
