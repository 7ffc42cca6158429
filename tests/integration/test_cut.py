"""The film: what is seen and heard at every boundary, counted against what was computed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.cli.main import main
from storyreel.film.media import timeline
from storyreel.film.media.clip import verify
from storyreel.film.media.cut import Film, Piece, Style, assemble
from storyreel.film.media.subtitle import Cue, srt

SIZE = (320, 180)
RATE = 48_000


def clip(
    path: Path,
    colour: tuple[int, int, int],
    *,
    frames: int = 24,
    size: tuple[int, int] = SIZE,
    fps: int = 24,
    sound_s: float | None = None,
    marker: int = 0,
) -> Path:
    """A clip of one colour that begins with `marker` white pictures, and with a beep over them if
    it has sound.
    """
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream(
            "libx264", rate=fps, options={"crf": "12", "preset": "ultrafast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        audio = out.add_stream("aac", rate=RATE, layout="stereo") if sound_s else None
        for i in range(frames):
            picture = Image.new("RGB", size, (255, 255, 255) if i < marker else colour)
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            made = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            made.pts, made.time_base = i, Fraction(1, fps)
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
        if audio and sound_s:
            wave = np.zeros((2, int(sound_s * RATE)), np.float32)
            beep = int(max(1, marker) / fps * RATE)
            wave[:, :beep] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(beep) / RATE)
            for i in range(0, wave.shape[1], 1024):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave[:, i : i + 1024]), format="fltp", layout="stereo"
                )
                block.sample_rate, block.pts, block.time_base = RATE, i, Fraction(1, RATE)
                out.mux(audio.encode(block))
            out.mux(audio.encode(None))
    return path


def pictures(path: Path) -> list[tuple[int, int, int]]:
    """The colour in the middle of every picture of the film."""
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video=0):
            array = frame.to_ndarray(format="rgb24")
            r, g, b = array[array.shape[0] // 2, array.shape[1] // 2]
            found.append((int(r), int(g), int(b)))
        return found


def heard(path: Path) -> NDArray[np.float32]:
    """The film's sound, one channel."""
    with av.open(str(path)) as container:
        return np.concatenate(
            [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        ).astype(np.float32)


def near(one: tuple[int, int, int], other: tuple[int, int, int], by: int = 6) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= by


RED, GREEN, BLUE = (200, 30, 30), (30, 160, 60), (30, 40, 200)


def film(tmp_path: Path, pieces: list[Piece], **style: object) -> tuple[Film, Path]:
    path = tmp_path / "film.mp4"
    return assemble(pieces, path, Style(SIZE, **style)), path  # type: ignore[arg-type]


def test_clips_that_agree_are_copied_and_others_are_encoded(tmp_path: Path) -> None:
    one, two = clip(tmp_path / "1.mp4", RED), clip(tmp_path / "2.mp4", GREEN)
    made, path = film(tmp_path, [Piece(one), Piece(two)])
    assert made == Film(48, 2.0, copied=True)
    assert near(pictures(path)[23], RED) and near(pictures(path)[24], GREEN)
    made, path = film(
        tmp_path, [Piece(one), Piece(clip(tmp_path / "3.mp4", BLUE, size=(180, 320)))]
    )
    assert made == Film(48, 2.0, copied=False) and near(pictures(path)[47], BLUE)


def test_picture_and_sound_stay_together_over_mixed_clips(tmp_path: Path) -> None:
    """White pictures with a beep begin every second; the beep is where the white is, to a frame,
    also after fifty clips.
    """
    kinds = [
        {"sound_s": 1.0},
        {"sound_s": 1.6},
        {},
        {"sound_s": 0.4},
        {"sound_s": 1.0, "fps": 30, "frames": 30},
    ]
    clips = [clip(tmp_path / f"{i}.mp4", GREEN, marker=3, **kind) for i, kind in enumerate(kinds)]  # type: ignore[arg-type]
    made, path = film(tmp_path, [Piece(c) for _ in range(10) for c in clips])
    assert made.frames == 50 * 24
    colours, wave = pictures(path), np.abs(heard(path))
    for second in range(50):
        assert near(colours[second * 24], (255, 255, 255), 12) and not near(
            colours[second * 24 - 1], (255, 255, 255), 60
        )
        loud = np.flatnonzero(wave[max(0, second * RATE - 4000) : second * RATE + 4000] > 0.1)
        if second % 5 == 2:
            assert loud.size == 0
        else:
            assert abs(int(loud[0]) + max(0, second * RATE - 4000) - second * RATE) < RATE / 24


def test_a_dissolve_overlaps_and_a_fade_goes_through_black(tmp_path: Path) -> None:
    one, two, three = (
        clip(tmp_path / f"{i}.mp4", c, sound_s=1) for i, c in enumerate((RED, GREEN, BLUE))
    )
    made, path = film(
        tmp_path,
        [Piece(one), Piece(two, into="dissolve"), Piece(three, into="fade")],
        transition_s=0.5,
    )
    assert made.frames == 24 + 24 - 12 + 24
    colours = pictures(path)
    middle = tuple((a + b) // 2 for a, b in zip(RED, GREEN, strict=True))
    assert near(colours[11], RED) and near(colours[18], middle, 12) and near(colours[24], GREEN)  # type: ignore[arg-type]
    assert (
        sum(colours[35]) < 0.35 * sum(GREEN)
        and sum(colours[36]) < 0.35 * sum(BLUE)
        and near(colours[59], BLUE)
    )
    assert abs(len(heard(path)) - 60 * 2000) <= 1024


def test_a_piece_shorter_than_its_dissolve_does_no_harm(tmp_path: Path) -> None:
    one, two = clip(tmp_path / "1.mp4", RED), clip(tmp_path / "2.mp4", GREEN, frames=5)
    made, path = film(
        tmp_path, [Piece(one), Piece(two, into="dissolve"), Piece(one, into="dissolve")]
    )
    assert len(pictures(path)) == made.frames


def test_a_doubled_picture_is_left_out_with_its_sound(tmp_path: Path) -> None:
    one = clip(tmp_path / "1.mp4", RED, sound_s=1)
    two = clip(tmp_path / "2.mp4", GREEN, sound_s=1, marker=1)
    made, path = film(tmp_path, [Piece(one), Piece(two, skip_first=True)])
    assert made.frames == 47
    assert all(not near(c, (255, 255, 255), 60) for c in pictures(path)[24:])
    assert np.abs(heard(path)[24 * 2000 + 500 :]).max() < 0.1


def test_a_clip_that_is_left_early_ends_there(tmp_path: Path) -> None:
    one, two = (
        clip(tmp_path / "1.mp4", RED, sound_s=1),
        clip(tmp_path / "2.mp4", GREEN, sound_s=1, marker=2),
    )
    made, path = film(tmp_path, [Piece(one, leave_out_last=3), Piece(two)])
    assert made.frames == 21 + 24
    assert near(pictures(path)[20], RED) and near(pictures(path)[21], (255, 255, 255), 12)
    loud = np.flatnonzero(np.abs(heard(path)[20 * 2000 : 24 * 2000]) > 0.1)
    assert abs(int(loud[0]) - 2000) < 2000


def test_a_missing_scene_is_a_card_of_two_seconds(tmp_path: Path) -> None:
    made, path = film(
        tmp_path, [Piece(clip(tmp_path / "1.mp4", RED)), Piece(None, caption="守塔人")]
    )
    assert made.frames == 24 + 48 and near(pictures(path)[30][:3], pictures(path)[40])


def test_soft_subtitles_are_a_track_with_their_times(tmp_path: Path) -> None:
    one = clip(tmp_path / "1.mp4", RED)
    _, path = film(
        tmp_path,
        [Piece(one, caption="Light!"), Piece(one), Piece(one, caption="守塔人")],
        subtitles="soft",
    )
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        found = [
            (float((p.pts or 0) * stream.time_base), bytes(p)[2:].decode())
            for p in container.demux(stream)
            if p.size > 2
        ]
    assert found == [(0.0, "Light!"), (2.0, "守塔人")]


def test_burned_subtitles_are_in_the_picture_and_nowhere_else(tmp_path: Path) -> None:
    one = clip(tmp_path / "1.mp4", RED)
    _, path = film(
        tmp_path, [Piece(one, caption="守塔人 lights the lamp"), Piece(one)], subtitles="burned"
    )
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
    assert frames[12][130:170].max() > 240 and frames[12][130:170].min() < 20
    assert np.abs(frames[12][:100] - np.array(RED)).max() < 10
    assert np.abs(frames[40] - np.array(RED)).max() < 10


def test_music_lies_under_the_film_and_ducks_where_a_clip_is_heard(tmp_path: Path) -> None:
    loud = clip(tmp_path / "1.mp4", RED, frames=48, sound_s=2, marker=48)
    still = clip(tmp_path / "2.mp4", GREEN, frames=96)
    t = np.arange(RATE * 30) / RATE
    with av.open(str(tmp_path / "music.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        wave = (
            (np.stack([np.sin(2 * np.pi * 300 * t)] * 2) * 12000).astype(np.int16).T.reshape(1, -1)
        )
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave), format="s16", layout="stereo"
        )
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    made, path = film(
        tmp_path, [Piece(loud), Piece(still), Piece(still)], music=tmp_path / "music.wav"
    )
    assert abs(len(heard(path)) - made.frames * 2000) <= 1024

    def level(start_s: float, hz: float) -> float:
        part = heard(path)[int(start_s * RATE) : int((start_s + 0.5) * RATE)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        return float(spectrum[round(hz * 0.5)])

    assert level(1.0, 300) < 0.5 * level(5.0, 300), "ducked under the first clip"
    assert level(1.0, 1000) > 10 * level(5.0, 1000)
    assert level(9.4, 300) < 0.5 * level(5.0, 300), "faded out at the end"


def test_subrip_times() -> None:
    assert srt([Cue(0, 1.5, "a\n b"), Cue(3661.25, 3662, "c")]) == (
        "1\n00:00:00,000 --> 00:00:01,500\na\nb\n\n2\n01:01:01,250 --> 01:01:02,000\nc\n"
    )


@pytest.mark.parametrize("into", ["cut", "dissolve"])
def test_the_film_is_readable_whatever_the_boundary(tmp_path: Path, into: str) -> None:
    one, two = (
        clip(tmp_path / "1.mp4", RED, sound_s=1),
        clip(tmp_path / "2.mp4", GREEN, size=(640, 360)),
    )
    made, path = film(tmp_path, [Piece(one), Piece(two, into=into)])  # type: ignore[arg-type]
    facts = verify(path).facts
    assert (facts.frames, facts.has_audio, facts.colour_assumed) == (made.frames, True, False)


def test_a_hundred_mixed_clips_stay_in_step(tmp_path: Path) -> None:
    """Sound and picture of the last clip begin together, within one picture of the film."""
    kinds = [
        clip(tmp_path / "a.mp4", RED, frames=7, fps=24, sound_s=0.31, marker=2),
        clip(tmp_path / "b.mp4", GREEN, frames=9, fps=30),
        clip(tmp_path / "c.mp4", BLUE, frames=8, fps=25, sound_s=0.5, marker=2),
    ]
    last = clip(tmp_path / "z.mp4", RED, frames=24, fps=24, sound_s=1, marker=6)
    made, path = film(tmp_path, [*(Piece(kinds[i % 3]) for i in range(99)), Piece(last)])
    colours = pictures(path)
    assert len(colours) == made.frames
    white = max(i for i, c in enumerate(colours[:-18]) if near(c, (255, 255, 255))) - 5
    loud = np.flatnonzero(np.abs(heard(path)[int((white - 2) / 24 * RATE) :]) > 0.2)[0] + int(
        (white - 2) / 24 * RATE
    )
    assert abs(loud / RATE - white / 24) < 1 / 24


def test_the_picture_may_be_described_to_editors(tmp_path: Path) -> None:
    """What the OpenTimelineIO file says is what the film shows: lengths, trims, dissolves, and
    names.
    """
    import opentimelineio as otio

    one, two = clip(tmp_path / "a.mp4", RED), clip(tmp_path / "b.mp4", GREEN)
    pieces = [
        Piece(one),
        Piece(two, into="dissolve", caption="Night"),
        Piece(one, skip_first=True),
        Piece(None, caption="?"),
    ]
    made, _ = film(tmp_path, pieces)
    text = timeline.describe(["a", "b", "c", "d"], pieces, made, Style(SIZE), "The film", tmp_path)
    edit = otio.adapters.read_from_string(text, "otio_json")
    (track,) = edit.video_tracks()
    assert track.duration().to_frames() == made.frames
    clips = [child for child in track if isinstance(child, otio.schema.Clip)]
    assert [c.name for c in clips] == ["a", "b", "c", "d"]
    assert [c.media_reference.target_url for c in clips[:3]] == ["a.mp4", "b.mp4", "a.mp4"]
    assert [(c.source_range.start_time.to_frames(), c.duration().to_frames()) for c in clips] == [
        (0, 18), (6, 18), (1, 23), (0, 48)
    ]  # fmt: skip
    (dissolve,) = [child for child in track if isinstance(child, otio.schema.Transition)]
    assert dissolve.in_offset.to_frames() + dissolve.out_offset.to_frames() == 12
    assert clips[1].markers[0].name == "Night"
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("kind", "word"),
    [("black", "almost black"), ("still", "stands still"), ("blurred", "blurred"), ("good", None)],
)
def test_an_end_that_is_a_poor_start_is_told(tmp_path: Path, kind: str, word: str | None) -> None:
    draw = np.random.default_rng(1)
    sharp = Image.fromarray(draw.integers(0, 255, (18, 32, 3), np.uint8)).resize(
        (320, 180), Image.Resampling.NEAREST
    )
    with av.open(tmp_path / "clip.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for i in range(24):
            picture = sharp.rotate(0 if kind == "still" else i * 2)
            if kind == "blurred":
                picture = picture.filter(ImageFilter.GaussianBlur(1 + i / 3))
            if kind == "black":
                picture = Image.blend(picture, Image.new("RGB", picture.size), i / 23)
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = i, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    concerns = verify(tmp_path / "clip.mp4").facts.concerns
    assert [word in c for c in concerns] == [True] if word else concerns == ()


def test_an_animatic_has_the_films_rhythm_and_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Path(__file__).parents[2] / "manifests" / "lighthouse.yaml"
    assert main(["plan", str(board), "--animatic", "--workspace", str(tmp_path)]) == 0
    assert "animatic:" in capsys.readouterr().out
    storyboard = manifest.load(board, catalog.load())
    lengths = sum(scene.seconds for scene in storyboard.scenes)
    assert len(pictures(tmp_path / "animatic.mp4")) == lengths * 24
    assert [p.name for p in tmp_path.iterdir()] == ["animatic.mp4"]
