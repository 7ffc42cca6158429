"""Clips are what they should be, and their pictures have the right colours."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from storyreel.errors import MediaError
from storyreel.film.media import sheet, still
from storyreel.film.media.clip import verify
from storyreel.film.media.cut import Piece, Style, assemble
from storyreel.film.media.seam import first_picture, measure
from storyreel.simulator.picture import Shot, render

SIZE = (320, 180)
PATCHES = [
    (200, 59, 39),
    (12, 200, 90),
    (20, 40, 220),
    (240, 240, 240),
    (16, 16, 16),
    (128, 128, 128),
    (250, 220, 10),
    (90, 10, 110),
]


def patches(size: tuple[int, int] = SIZE) -> Image.Image:
    """Eight flat patches in two rows."""
    picture = Image.new("RGB", size)
    w, h = size[0] // 4, size[1] // 2
    for i, colour in enumerate(PATCHES):
        picture.paste(colour, ((i % 4) * w, (i // 4) * h, (i % 4 + 1) * w, (i // 4 + 1) * h))
    return picture


def worst(picture: Image.Image, size: tuple[int, int] = SIZE) -> int:
    """The largest error of a channel in the middle of a patch."""
    w, h = size[0] // 4, size[1] // 2
    got = [picture.getpixel(((i % 4) * w + w // 2, (i // 4) * h + h // 2)) for i in range(8)]
    return int(np.abs(np.array(got) - np.array(PATCHES)).max())


def shot(
    path: Path,
    prompt: str = "a",
    first: Image.Image | None = None,
    last: Image.Image | None = None,
    **more: object,
) -> Path:
    values: dict[str, object] = {"width": SIZE[0], "height": SIZE[1], "seconds": 1, "label": "x"}
    render(Shot(prompt=prompt, first=first, last=last, **{**values, **more}), path)  # type: ignore[arg-type]
    return path


def test_the_outer_pictures_are_exact(tmp_path: Path) -> None:
    opened = verify(shot(tmp_path / "a.mp4", first=patches(), last=patches().rotate(180)))
    assert worst(opened.first) <= 2
    assert worst(opened.last.rotate(180)) <= 2
    assert (opened.facts.frames, opened.facts.fps, opened.facts.duration_s) == (24, 24.0, 1.0)


def test_ten_links_of_a_chain_do_not_move_the_colours(tmp_path: Path) -> None:
    picture = patches()
    for i in range(10):
        opened = verify(shot(tmp_path / f"{i}.mp4", prompt=str(i), first=picture, last=picture))
        picture = Image.open(io.BytesIO(still.png(opened.last)))
    assert worst(picture) <= 3


def test_an_untagged_hd_clip_is_taken_for_bt709_and_says_so(tmp_path: Path) -> None:
    size = (1280, 720)
    frame = av.VideoFrame.from_ndarray(np.asarray(patches(size)), format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
    )
    planes = frame.to_ndarray()
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(4):
            plain = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            plain.pts = i
            out.mux(stream.encode(plain))
        out.mux(stream.encode(None))
    opened = verify(tmp_path / "a.mp4")
    assert opened.facts.colour_assumed
    assert worst(opened.last, size) <= 3


def damaged() -> dict[str, object]:
    return {
        "empty": lambda data: b"",
        "html": lambda data: b"<html><body>504 Gateway Time-out</body></html>",
        "json": lambda data: b'{"error": "expired"}',
        "half": lambda data: data[: len(data) // 2],
        "one byte short": lambda data: data[:-1],
        "one byte short of what follows": lambda data: (data + b"\0\0\0\x10free" + b"\0" * 8)[:-1],
        "zeroed middle": lambda data: data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2),
    }


@pytest.mark.parametrize("name", damaged())
def test_a_damaged_clip_is_caught(tmp_path: Path, name: str) -> None:
    path = shot(tmp_path / "a.mp4")
    path.write_bytes(damaged()[name](path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(MediaError):
        verify(path)


def packets(path: Path, kind: str) -> list[tuple[int, int]]:
    """(where it lies, bytes) of each packet of a clip's sound or picture."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0] if kind == "sound" else container.streams.video[0]
        return [(p.pos, p.size) for p in container.demux(stream) if p.size and p.pos is not None]


def overwrite(path: Path, where: tuple[int, int]) -> None:
    data = bytearray(path.read_bytes())
    at, size = where
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)


def _of_another_codec(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"yyyy"))


BESIDE = {
    "a sound packet": lambda path: overwrite(path, packets(path, "sound")[20]),
    "every sound packet": lambda path: [overwrite(path, where) for where in packets(path, "sound")],
    "a codec of sound that nobody knows": _of_another_codec,
    "zeros after its end": lambda path: path.write_bytes(path.read_bytes() + bytes(4096)),
    "three zeros after its end": lambda path: path.write_bytes(path.read_bytes() + bytes(3)),
    "garbage after its end": lambda path: path.write_bytes(path.read_bytes() + b"x" * 100),
    "a web page after its end": lambda path: path.write_bytes(
        path.read_bytes() + b"<html>504 Gateway Time-out</html>"
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_a_clip_whose_picture_is_whole_is_used_and_its_damage_told(
    tmp_path: Path, name: str
) -> None:
    path = shot(tmp_path / "a.mp4", sound_s=1)
    assert verify(path).facts.damage == ()
    BESIDE[name](path)
    facts = verify(path).facts
    assert facts.damage and facts.frames == 24
    film = assemble(
        [Piece(path), Piece(shot(tmp_path / "b.mp4", "b", sound_s=1))],
        tmp_path / "film.mp4",
        Style(SIZE),
    )
    assert film.frames == verify(tmp_path / "film.mp4").facts.frames == 48


def test_a_clip_with_a_damaged_picture_is_not_used(tmp_path: Path) -> None:
    path = shot(tmp_path / "a.mp4", sound_s=1)
    overwrite(path, packets(path, "picture")[10])
    with pytest.raises(MediaError):
        verify(path)


def test_a_clip_that_was_taken_away_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"a\.mp4 is not on disk"):
        verify(tmp_path / "a.mp4")


def test_a_picture_that_is_no_mp4_is_caught(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(still.png(patches()))
    with pytest.raises(MediaError, match="not an mp4"):
        verify(tmp_path / "a.mp4")


def test_the_film_has_the_pictures_that_were_computed(tmp_path: Path) -> None:
    one = shot(tmp_path / "1.mp4", "one", first=patches())
    last = verify(one).last
    two = shot(tmp_path / "2.mp4", "two", first=last, sound_s=1)
    wide = shot(tmp_path / "3.mp4", "three", width=180, height=320)
    film = assemble(
        [Piece(one), Piece(two, skip_first=True), Piece(wide)], tmp_path / "film.mp4", Style(SIZE)
    )
    assert film.frames == 24 + 23 + 24
    facts = verify(tmp_path / "film.mp4").facts
    assert (facts.width, facts.height, facts.frames, facts.has_audio) == (320, 180, 71, True)
    with av.open(str(tmp_path / "film.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (
            abs(float(video.duration * video.time_base) - float(audio.duration * audio.time_base))
            < 1 / 24
        )
        assert audio.rate == 48_000 and audio.layout.name == "stereo"
        assert video.codec_context.colorspace == 1


def test_the_same_clips_give_the_same_film(tmp_path: Path) -> None:
    pieces = [Piece(shot(tmp_path / "1.mp4", sound_s=1)), Piece(shot(tmp_path / "2.mp4", "b"))]
    for name in ("x.mp4", "y.mp4"):
        assemble(pieces, tmp_path / name, Style(SIZE))
    assert (tmp_path / "x.mp4").read_bytes() == (tmp_path / "y.mp4").read_bytes()


def test_a_film_of_a_broken_clip_leaves_the_old_film_alone(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"old")
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(MediaError):
        assemble([Piece(tmp_path / "bad.mp4")], tmp_path / "film.mp4", Style(SIZE))
    assert (tmp_path / "film.mp4").read_bytes() == b"old"
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


def test_a_doubled_picture_at_a_seam_is_known_from_two_different_ones(tmp_path: Path) -> None:
    last = verify(shot(tmp_path / "1.mp4", "one")).last
    chained = measure(last, first_picture(shot(tmp_path / "2.mp4", "two", first=last)))
    other = measure(last, first_picture(shot(tmp_path / "3.mp4", "three", first=patches())))
    assert (
        chained.is_same
        and chained.psnr_db > 35
        and chained.ssim > 0.95
        and abs(chained.luma_step) < 1
    )
    assert not other.is_same and other.psnr_db < 20 and other.ssim < chained.ssim


def test_a_step_of_light_and_colour_at_a_seam_is_measured() -> None:
    seam = measure(Image.new("RGB", SIZE, (100, 100, 100)), Image.new("RGB", SIZE, (110, 100, 100)))
    assert (seam.luma_step, seam.colour_step) == (2.13, 10.0)
    assert measure(patches(), patches()) == type(seam)(99.0, 1.0, 0.0, 0.0, True)


def test_the_same_shot_gives_the_same_bytes_and_another_prompt_others(tmp_path: Path) -> None:
    one, two, three = (
        shot(tmp_path / "1.mp4"),
        shot(tmp_path / "2.mp4"),
        shot(tmp_path / "3.mp4", "b"),
    )
    assert one.read_bytes() == two.read_bytes() != three.read_bytes()


@pytest.mark.parametrize(
    ("how", "corner"), [("crop", (200, 59, 39)), ("pad", (0, 0, 0)), ("scale", (200, 59, 39))]
)
def test_a_picture_is_made_to_fit(how: str, corner: tuple[int, int, int]) -> None:
    made = still.fitted(still.png(Image.new("RGB", (400, 400), (200, 59, 39))), (320, 180), how)  # type: ignore[arg-type]
    picture = Image.open(io.BytesIO(made))
    assert picture.size == (320, 180) and picture.getpixel((0, 0)) == corner


def test_the_contact_sheet_shows_every_clip(tmp_path: Path) -> None:
    clips = [
        (f"{i} 守塔人", shot(tmp_path / f"{i}.mp4", str(i)), tmp_path / f"{i}.jpg")
        for i in range(3)
    ]
    picture = Image.open(io.BytesIO(sheet.make(clips, "The lighthouse")))
    assert picture.format == "JPEG" and picture.width > 3 * 256
