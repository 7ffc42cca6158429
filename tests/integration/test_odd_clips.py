"""Whatever decodes is in the film, as it should be seen, and the film is what it promises, whatever
its clips are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from storyreel.film.media.clip import to_rgb, verify
from storyreel.film.media.cut import Film, Piece, Style, assemble
from tests.zoo import Odd, colour_error, ffmpeg, make, number_of, rotate

SIZE = (320, 180)
TEST = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=24:d=2")
H264 = (
    "-c:v",
    "libx264",
    "-pix_fmt",
    "yuv420p",
    "-color_primaries",
    "bt709",
    "-color_trc",
    "bt709",
    "-colorspace",
    "bt709",
)


def film(
    tmp_path: Path, *pieces: Piece, size: tuple[int, int] = SIZE, **style: object
) -> tuple[Film, Path]:
    path = tmp_path / "film.mp4"
    return assemble(pieces, path, Style(size, **style)), path  # type: ignore[arg-type]


def trimmed(folder: Path) -> Path:
    """Cut out of the middle without a new encode: an edit list hides what the decoder still
    needs.
    """
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=24:d=4", *H264, "-g", 250, folder / "whole.mp4"
    )
    ffmpeg("-ss", 0.75, "-i", folder / "whole.mp4", "-c", "copy", folder / "odd.mp4")
    return folder / "odd.mp4"


def late(folder: Path) -> Path:
    make(Odd(), folder / "a.mp4")
    ffmpeg(
        "-itsoffset",
        0.5,
        "-i",
        folder / "a.mp4",
        "-f",
        "lavfi",
        "-i",
        "sine=d=1.5",
        "-c:v",
        "copy",
        "-shortest",
        folder / "odd.mp4",
    )
    return folder / "odd.mp4"


def resized(folder: Path) -> Path:
    """Its size changes within the clip: two sample descriptions."""
    for name, size in (("a", "320x180"), ("b", "640x360")):
        ffmpeg(
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=s={size}:r=24:d=1",
            *H264,
            "-bsf:v",
            "h264_mp4toannexb",
            folder / f"{name}.ts",
        )
    (folder / "both.ts").write_bytes(
        (folder / "a.ts").read_bytes() + (folder / "b.ts").read_bytes()
    )
    ffmpeg("-i", folder / "both.ts", "-c", "copy", folder / "odd.mp4")
    return folder / "odd.mp4"


def coded(*options: object) -> Callable[[Path], Path]:
    def written(folder: Path) -> Path:
        told = ffmpeg(*TEST, *options, folder / "odd.mp4")
        assert (folder / "odd.mp4").exists() and (folder / "odd.mp4").stat().st_size > 300, told
        return folder / "odd.mp4"

    return written


ODD: dict[str, Callable[[Path], Path]] = {
    "trimmed": trimmed,
    "late": late,
    "its size changes": resized,
    "fragmented": coded(*H264, "-movflags", "frag_keyframe+empty_moov"),
    "no edit list": coded(*H264, "-bf", 3, "-use_editlist", 0),
    "HEVC of 10 bits": coded("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
    "VP9": coded("-c:v", "libvpx-vp9", "-deadline", "realtime"),
    "MPEG-4": coded("-c:v", "mpeg4"),
    "Motion JPEG": coded("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    "ProRes": coded("-c:v", "prores_ks", "-f", "mov"),
    "4:4:4": coded("-c:v", "libx264", "-pix_fmt", "yuv444p"),
    "variable rate": coded("-vf", "select='not(mod(n,5))+not(mod(n,3))'", "-fps_mode", "vfr", *H264),
    "full range": coded("-c:v", "libx264", "-pix_fmt", "yuvj420p"),
    "odd size": coded("-vf", "scale=319:179", "-c:v", "libx264", "-pix_fmt", "yuv444p"),
    "interlaced": coded("-vf", "interlace", *H264, "-flags", "+ilme+ildct"),
    "wide pixels": coded("-vf", "scale=240:180,setsar=4/3", *H264),
    "held last picture": coded("-vf", "select='lt(n,20)+eq(n,47)'", "-fps_mode", "vfr", *H264),
    "60 a second": coded("-r", 60, *H264),
    "one picture": coded("-frames:v", 1, *H264),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("how", ["alone", "twice", "among others"])
def test_every_clip_that_decodes_gives_a_film_of_its_kind(
    tmp_path: Path, name: str, how: str
) -> None:
    odd = Piece(ODD[name](tmp_path), name="odd")
    plain = Piece(coded(*H264)(tmp_path / "..") if how == "among others" else odd.path)
    made, path = film(
        tmp_path, *{"alone": [odd], "twice": [odd, odd], "among others": [plain, odd, plain]}[how]
    )
    _is_what_is_promised(path, made)


def _is_what_is_promised(path: Path, made: Film) -> None:
    """H.264 4:2:0 BT.709 at a constant rate, upright and square, with sound as long as the picture,
    to other eyes too.
    """
    told = ffmpeg("-i", path)
    assert re.search(r"Video: h264 \(\w+\).*yuv420p\(tv, bt709.*320x180", told), told
    assert "SAR 1:1" in told or "SAR" not in told
    assert "displaymatrix" not in told
    with av.open(path) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        times = [frame.pts * picture.time_base for frame in container.decode(picture)]
        assert times == [Fraction(i) / made.rate for i in range(made.frames)]
        assert (
            abs(picture.duration * picture.time_base - sound.duration * sound.time_base)
            < 1 / made.rate
        )


def test_random_clocks_give_films_whose_pictures_are_as_many_as_are_said(tmp_path: Path) -> None:
    rng = random.Random(7)
    for i in range(24):
        folder = tmp_path / str(i)
        folder.mkdir()
        rate, keep = rng.choice([5, 8, 12.5, 24, 25, 30, 48, 60]), rng.choice([0.2, 0.4, 1])
        coded_ = (
            "-fps_mode",
            "vfr",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-bf",
            rng.choice([0, 3]),
            "-pix_fmt",
            "yuv420p",
        )
        ffmpeg(
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=s=64x48:r={rate}:d=2",
            "-vf",
            f"select='lt(random({i}),{keep})+not(n)'",
            *coded_,
            folder / "w.mp4",
        )
        ffmpeg(
            "-ss",
            rng.choice([0, 0.3, 0.7]),
            "-i",
            folder / "w.mp4",
            "-t",
            rng.choice([0.4, 1, 9]),
            "-c",
            "copy",
            folder / "odd.mp4",
        )
        for pieces in ([0], [0, 0]):
            made, path = film(folder, *(Piece(folder / "odd.mp4") for _ in pieces), size=(64, 48))
            with av.open(path) as container:
                assert sum(1 for _ in container.decode(video=0)) == made.frames


def test_a_clip_of_which_a_part_cannot_be_decoded_is_in_the_film_and_named(tmp_path: Path) -> None:
    one = make(Odd(frames=48, options={"g": "8"}), tmp_path / "1.mp4")
    data = bytearray(one.read_bytes())
    start = data.index(b"mdat")
    middle = start + (len(data) - start) // 2
    data[middle : middle + 1500] = bytes(1500)
    one.write_bytes(bytes(data))
    made, _ = film(
        tmp_path,
        Piece(one, name="harbour", into="cut"),
        Piece(make(Odd(size=(640, 360)), tmp_path / "2.mp4")),
    )
    assert made.frames > 60
    assert any("harbour" in note for note in made.notes)


def test_a_clip_of_which_nothing_can_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    with pytest.raises(Exception, match="harbour"):
        film(tmp_path, Piece(tmp_path / "bad.mp4", name="harbour"))


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("alone", [True, False])
def test_a_turned_clip_is_upright_in_the_film_beside_the_same_one_unturned(
    tmp_path: Path, turn: int, alone: bool
) -> None:
    make(Odd(), tmp_path / "flat.mp4")
    rotate(tmp_path / "flat.mp4", turn, tmp_path / "turned.mp4")
    pieces = [
        Piece(tmp_path / "turned.mp4", name="t"),
        *([] if alone else [Piece(tmp_path / "flat.mp4")]),
    ]
    made, path = film(tmp_path, *pieces)
    ffmpeg("-i", tmp_path / "turned.mp4", "-frames:v", 1, tmp_path / "truth.png")
    truth = Image.open(tmp_path / "truth.png").convert("RGB")
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    shown = to_rgb(frames[0])
    scale = min(SIZE[0] / truth.width, SIZE[1] / truth.height)
    small = truth.resize(
        (round(truth.width * scale / 2) * 2, round(truth.height * scale / 2) * 2),
        Image.Resampling.BICUBIC,
    )
    left, top = (SIZE[0] - small.width) // 2, (SIZE[1] - small.height) // 2
    seen = np.asarray(shown.crop((left, top, left + small.width, top + small.height))).astype(int)
    assert np.abs(seen - np.asarray(small)).mean() < 4
    assert any("turned upright" in note for note in made.notes)
    if not alone:
        assert number_of(to_rgb(frames[24])) == 0


@pytest.mark.parametrize("shape", ["4/3", "3/4", "64/45"])
def test_pixels_that_are_not_square_are_made_so_in_film_and_still(
    tmp_path: Path, shape: str
) -> None:
    """A circle stays round, and fills what it should."""
    width = round(320 / Fraction(shape) / 2) * 2
    grey = ("-f", "lavfi", "-i", "color=c=gray:s=320x180:r=24:d=1")
    ffmpeg(
        *grey,
        "-vf",
        f"drawbox=x=80:y=10:w=160:h=160:color=red:t=fill,scale={width}:180,setsar={shape}",
        *H264,
        tmp_path / "odd.mp4",
    )
    opened = verify(tmp_path / "odd.mp4")
    assert abs(opened.facts.width - 320) <= 2 and opened.facts.height == 180
    made, path = film(tmp_path, Piece(tmp_path / "odd.mp4", name="x"))
    with av.open(path) as container:
        shown = np.asarray(to_rgb(next(container.decode(video=0)))).astype(int)
    still = np.asarray(opened.first).astype(int)
    for picture in (shown, still):
        red = (picture[..., 0] > 180) & (picture[..., 1] < 60)
        across, down = int(red[90].sum()), int(red[:, 160].sum())
        assert abs(across - 160) <= 6 and abs(down - 160) <= 4
        assert picture[90, 4:10].max() > 30 and picture[90, -10:-4].max() > 30, (
            "no bars at the sides"
        )
    assert any("square" in note for note in made.notes)


PATCHES = ((200, 59, 39), (128, 128, 128), (245, 245, 245), (30, 140, 80))


@pytest.mark.parametrize(
    ("kind", "filters", "tags", "close"),
    [
        ("PQ", "zscale=tin=709:t=linear:npl=203,zscale=p=2020:t=smpte2084:m=2020_ncl:r=limited:npl=203,format=yuv420p10le", "bt2020:smpte2084:bt2020nc", 10),
        ("HLG", "zscale=tin=709:t=linear:npl=203,zscale=p=2020:t=arib-std-b67:m=2020_ncl:r=limited:npl=203,format=yuv420p10le", "bt2020:arib-std-b67:bt2020nc", 30),
        ("P3", "zscale=pin=709:p=smpte432:m=709:r=limited,format=yuv420p", "smpte432:bt709:bt709", 5),
    ],
)  # fmt: skip
def test_hdr_and_wide_colours_come_down_to_bt709_in_film_and_still(
    tmp_path: Path, kind: str, filters: str, tags: str, close: int
) -> None:
    boxes = ",".join(
        f"drawbox=x={80 * i}:y=0:w=80:h=180:color=0x{r:02x}{g:02x}{b:02x}:t=fill"
        for i, (r, g, b) in enumerate(PATCHES)
    )
    primaries, transfer, matrix = tags.split(":")
    codec = (
        ("libx265", "-x265-params", "log-level=none")
        if "10le" in filters
        else ("libx264", "-crf", "4")
    )
    ffmpeg(
        "-f", "lavfi", "-i", f"color=c=black:s=320x180:r=24:d=0.5,format=gbrp,{boxes}", "-vf",
        f"setparams=color_primaries=bt709:color_trc=bt709:colorspace=gbr,{filters}", "-c:v", *codec,
        "-color_primaries", primaries, "-color_trc", transfer, "-colorspace", matrix, tmp_path / "odd.mp4",
    )  # fmt: skip
    made, path = film(tmp_path, Piece(tmp_path / "odd.mp4", name="x"))
    with av.open(path) as container:
        shown = to_rgb(next(container.decode(video=0)))
    for picture in (shown, verify(tmp_path / "odd.mp4").last):
        got = [picture.getpixel((40 + 80 * i, 90)) for i in range(4)]
        assert np.abs(np.array(got) - np.array(PATCHES)).max() <= close, got
    assert any(kind in note for note in made.notes)


@pytest.mark.parametrize("size", [(854, 480), (1366, 768), (426, 240), (322, 180)])
def test_a_size_that_is_no_multiple_of_4_is_kept_sharp(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """Not scaled, no line of black: the first pictures are the clip's own, after a dissolve, with a
    caption later.
    """
    clip = make(Odd(size=size), tmp_path / "1.mp4")
    made, path = film(
        tmp_path,
        Piece(clip),
        Piece(clip, into="dissolve", caption="Now"),
        size=size,
        subtitles="burned",
    )
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    with av.open(clip) as container:
        own = to_rgb(next(container.decode(video=0)))
    shown = to_rgb(frames[0])
    assert shown.size == size and colour_error(shown) <= 3
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(own)).mean() < 1.5
    assert number_of(to_rgb(frames[-1])) == 23 and made.frames == 36


def test_a_first_picture_delayed_by_its_encoder_is_not_frozen(tmp_path: Path) -> None:
    make(Odd(sound_s=1, options={"bf": "3"}), tmp_path / "a.mp4")
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-use_editlist", 0, tmp_path / "late.mp4")
    one, late_ = tmp_path / "a.mp4", Piece(tmp_path / "late.mp4", skip_first=True)
    made, path = film(tmp_path, Piece(one), late_, Piece(one))
    with av.open(path) as container:
        numbers = [number_of(to_rgb(frame)) for frame in container.decode(video=0)]
    assert numbers == [*range(24), *range(1, 24), *range(24)]
    assert made.frames == 71


@pytest.mark.parametrize("rate", [24, 30, 60])
@pytest.mark.parametrize("into", ["cut", "dissolve", "fade"])
def test_pictures_left_out_at_the_end_are_the_clips_own_whatever_the_seam(
    tmp_path: Path, rate: int, into: str
) -> None:
    one = make(Odd(fps=Fraction(rate), frames=2 * rate), tmp_path / "1.mp4")
    two = make(Odd(), tmp_path / "2.mp4")
    left = rate // 2
    made, path = film(
        tmp_path, Piece(one, leave_out_last=left), Piece(two, into=into), transition_s=0.25
    )  # type: ignore[arg-type]
    first = made.spans[0]
    assert first.count == 36
    with av.open(path) as container:
        frames = [to_rgb(frame) for frame in container.decode(video=0)]
    seen = [
        number_of(frame) for frame in frames[: first.start + first.count - first.held - first.fall]
    ]
    assert max(seen) <= 2 * rate - left - 1
    if into == "cut":
        assert 2 * rate - left - 1 - seen[-1] <= rate // 24 and number_of(frames[36]) == 0


def test_a_piece_of_which_nothing_would_be_left_keeps_a_picture(tmp_path: Path) -> None:
    one = make(Odd(frames=4), tmp_path / "1.mp4")
    made, _ = film(
        tmp_path,
        Piece(one, leave_out_last=9),
        Piece(one, skip_first=True, leave_out_last=4),
        Piece(one),
    )
    assert [span.count for span in made.spans] == [1, 1, 4]


def test_captions_of_two_scenes_are_never_over_each_other(tmp_path: Path) -> None:
    one = make(Odd(), tmp_path / "1.mp4")
    _, path = film(
        tmp_path,
        Piece(one, caption="First"),
        Piece(one, into="dissolve", caption="Then"),
        subtitles="burned",
    )
    _, bare = (
        assemble([Piece(one), Piece(one, into="dissolve")], tmp_path / "bare.mp4", Style(SIZE)),
        tmp_path / "bare.mp4",
    )
    with av.open(path) as a, av.open(bare) as b:
        both = zip(a.decode(video=0), b.decode(video=0), strict=True)
        different = [
            np.abs(x.to_ndarray().astype(int) - y.to_ndarray()).max() > 60 for x, y in both
        ]
    assert not any(different[12:24]) and any(different[6:12]) and any(different[24:])
