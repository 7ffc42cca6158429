"""What is heard: in step whatever breaks, as loud as it was, never over full scale, judged by
another meter.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.film.media.cut import Film, Piece, Style, assemble
from storyreel.film.media.hearing import Ear
from tests.zoo import Odd, ffmpeg, make

SIZE = (320, 180)
RATE = 48_000
PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=24:d=4")


def film(tmp_path: Path, *pieces: Piece, **style: object) -> tuple[Film, Path]:
    path = tmp_path / "film.mp4"
    return assemble(pieces, path, Style(SIZE, **style)), path  # type: ignore[arg-type]


def clip(path: Path, sound: str, *options: object) -> Path:
    told = ffmpeg(
        *PICTURE,
        "-f",
        "lavfi",
        "-i",
        sound,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-shortest",
        *options,
        path,
    )
    assert path.exists(), told
    return path


def heard(path: Path) -> NDArray[np.float32]:
    return np.concatenate([block for block, _ in Ear(path).blocks()], axis=1)


def level_db(wave: NDArray[np.float32], begin_s: float, end_s: float) -> float:
    part = wave[:, int(begin_s * RATE) : int(end_s * RATE)]
    return float(20 * np.log10(np.sqrt(np.square(part).mean()) + 1e-9))


def metered(path: Path) -> tuple[float, float]:
    """(LUFS, true peak in dB) as another ffmpeg measures it."""
    told = ffmpeg(
        "-nostats", "-i", path, "-map", "0:a", "-af", "ebur128=peak=true", "-f", "null", "-"
    )
    return float(re.findall(r"I:\s+(\S+) LUFS", told)[-1]), float(
        re.findall(r"Peak:\s+(\S+) dBFS", told)[-1]
    )


LOUD = {
    "a square wave": "aevalsrc='sgn(sin(2*PI*440*t))':s=48000:d=4",
    "noise": "aevalsrc='2*random(0)-1':s=48000:d=4",
    "a tone beyond full scale": "aevalsrc='1.5*sin(2*PI*300*t)':s=48000:d=4",
    "clicks": "aevalsrc='if(lt(mod(t,0.1),0.0005),1,0.01*sin(900*t))':s=48000:d=4",
}


@pytest.mark.parametrize("music", [False, True])
@pytest.mark.parametrize("name", LOUD)
def test_no_true_peak_is_above_minus_one(tmp_path: Path, name: str, music: bool) -> None:
    one = clip(tmp_path / "1.mp4", LOUD[name], "-c:a", "pcm_s16le", "-f", "mov")
    if music:
        ffmpeg("-f", "lavfi", "-i", LOUD["noise"], tmp_path / "m.wav")
    _, path = film(
        tmp_path,
        Piece(one),
        **({"music": tmp_path / "m.wav", "music_gain_db": 6.0} if music else {}),
    )
    assert metered(path)[1] <= -1.0


@pytest.mark.parametrize("gain_db", [None, -60.0])
def test_a_clips_own_level_stays_with_music_or_without(
    tmp_path: Path, gain_db: float | None
) -> None:
    one = clip(
        tmp_path / "1.mp4",
        "aevalsrc='0.5*sin(2*PI*440*t)':s=48000:d=4",
        "-c:a",
        "aac",
        "-b:a",
        "192k",
    )
    ffmpeg("-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*220*t):s=48000:d=4", tmp_path / "m.wav")
    music = {} if gain_db is None else {"music": tmp_path / "m.wav", "music_gain_db": gain_db}
    _, path = film(tmp_path, Piece(one), **music)
    assert abs(level_db(heard(path), 1, 3) - level_db(heard(one), 1, 3)) < 0.15


def test_a_soft_opening_of_the_music_stays_soft(tmp_path: Path) -> None:
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "aevalsrc='(if(lt(t,10),0.0158,0.5))*sin(2*PI*440*t)':s=48000:d=24",
        tmp_path / "m.wav",
    )
    one = make(Odd(frames=240), tmp_path / "1.mp4")
    _, path = film(tmp_path, Piece(one), Piece(one), music=tmp_path / "m.wav", music_gain_db=0.0)
    wave = heard(path)
    assert 29 < level_db(wave, 12, 17) - level_db(wave, 2, 9) < 31
    assert abs(metered(path)[0] + 16) < 0.7


def test_a_hole_in_the_sound_is_silence_and_what_follows_is_in_step(tmp_path: Path) -> None:
    clip(
        tmp_path / "1.mp4",
        "aevalsrc='if(lt(mod(t,1),0.05),0.7*sin(2*PI*1000*t),0)':s=48000:d=4",
        "-c:a",
        "aac",
    )
    ffmpeg(
        "-i",
        tmp_path / "1.mp4",
        "-map",
        0,
        "-c",
        "copy",
        "-bsf:a",
        "noise=drop='gt(n,60)*lt(n,84)'",
        tmp_path / "h.mp4",
    )
    _, path = film(tmp_path, Piece(tmp_path / "h.mp4"))
    loud = np.abs(heard(path)[0]) > 0.2
    for second in (0, 1, 2, 3):
        begin = np.flatnonzero(loud[max(0, second * RATE - 4000) : second * RATE + 4000])[0] + max(
            0, second * RATE - 4000
        )
        assert abs(int(begin) - second * RATE) < 0.01 * RATE


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_rates_and_layouts_are_heard_at_their_time_and_level(
    tmp_path: Path, rate: int, layout: str
) -> None:
    source = f"aevalsrc='if(lt(t,1),0,0.5*sin(2*PI*440*t))':s={rate}:d=4,aformat=channel_layouts={layout}"
    one = clip(tmp_path / "1.mp4", source, "-c:a", "pcm_s16le", "-f", "mov")
    _, path = film(tmp_path, Piece(one))
    wave = heard(path)
    begin = np.flatnonzero(np.abs(wave[0]) > 0.05)[0]
    assert abs(int(begin) - RATE) < 0.01 * RATE
    assert (
        -20 < level_db(wave, 2, 3) < -3
        and abs(level_db(wave[:1], 2, 3) - level_db(wave[1:], 2, 3)) < 0.5
    )
    assert wave.shape[1] / RATE == pytest.approx(4, abs=0.03)


def test_a_damaged_packet_of_sound_is_silent_and_named(tmp_path: Path) -> None:
    clip(tmp_path / "1.mp4", "sine=d=4", "-c:a", "aac")
    ffmpeg(
        "-i",
        tmp_path / "1.mp4",
        "-map",
        0,
        "-c",
        "copy",
        "-bsf:a",
        "noise=amount='if(eq(n,100),1,0)'",
        tmp_path / "d.mp4",
    )
    made, path = film(tmp_path, Piece(tmp_path / "d.mp4", name="harbour"))
    assert made.frames == 96
    wave = heard(path)
    assert level_db(wave, 0.2, 1.8) > -30 and level_db(wave, 3, 3.8) > -30


def test_a_hard_cut_of_sound_does_not_click(tmp_path: Path) -> None:
    one = clip(tmp_path / "1.mp4", "aevalsrc='0.4*sin(2*PI*217.3*t+1)':s=48000:d=4", "-c:a", "aac")
    _, path = film(tmp_path, Piece(one), Piece(one))
    wave = heard(path)[0]
    seam = wave[4 * RATE - 1024 : 4 * RATE + 1024]
    high = np.abs(np.fft.rfft(seam * np.hanning(2048)))[200:].max()
    low = np.abs(np.fft.rfft(wave[2 * RATE : 2 * RATE + 2048] * np.hanning(2048))).max()
    assert 20 * np.log10(high / low) < -55


def test_a_dissolve_of_two_noises_is_equally_loud(tmp_path: Path) -> None:
    one = clip(tmp_path / "1.mp4", "anoisesrc=d=4:a=0.2:seed=1", "-c:a", "aac")
    two = clip(tmp_path / "2.mp4", "anoisesrc=d=4:a=0.2:seed=2", "-c:a", "aac")
    _, path = film(tmp_path, Piece(one), Piece(two, into="dissolve"), transition_s=1.0)
    wave = heard(path)
    assert abs(level_db(wave, 3.4, 3.6) - level_db(wave, 1, 2)) < 1


def test_music_with_a_bad_part_plays_and_is_named(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=8", tmp_path / "m.mp3")
    data = (tmp_path / "m.mp3").read_bytes()
    middle = len(data) // 2
    (tmp_path / "m.mp3").write_bytes(
        data[:middle] + b"\xff" * 900 + data[middle + 900 :] + bytes(4096)
    )
    one = make(Odd(frames=144), tmp_path / "1.mp4")
    _, path = film(tmp_path, Piece(one), music=tmp_path / "m.mp3", music_gain_db=0.0)
    assert level_db(heard(path), 0.5, 2) > -30


def test_music_that_ends_before_the_film_is_said(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=2", tmp_path / "m.wav")
    made, _ = film(
        tmp_path, Piece(make(Odd(frames=144), tmp_path / "1.mp4")), music=tmp_path / "m.wav"
    )
    assert any("m.wav" in note and "4.0 s before" in note for note in made.notes)


def written(path: Path, kind: str) -> None:
    sources = {
        "picture": ("testsrc2", "-frames:v", 1, "-f", "image2"),
        "silent video": ("testsrc2=d=1", "-f", "mp4"),
    }
    if kind in sources:
        source, *rest = sources[kind]
        ffmpeg("-f", "lavfi", "-i", source, *rest, path)
    else:
        path.write_bytes({"empty": b"", "text": b"no music at all\n" * 50}[kind])


@pytest.mark.parametrize("kind", ["picture", "silent video", "empty", "text"])
def test_music_that_is_no_sound_is_an_error_at_its_place(tmp_path: Path, kind: str) -> None:
    model = next(iter(catalog.load().models))
    written(tmp_path / "m.mp3", kind)
    (tmp_path / "b.yaml").write_text(
        f"version: 1\ndefaults: {{model: {model}}}\nscenes: [{{id: a, prompt: "
        f"b}}]\ncut:\n  music: {{file: m.mp3}}\n"
    )
    found = [
        f
        for f in manifest.check(tmp_path / "b.yaml", catalog.load()).faults
        if "m.mp3" in f.message
    ]
    assert [(f.line, f.column) for f in found] == [(5, 17)]
    ffmpeg("-f", "lavfi", "-i", "sine=d=2", tmp_path / "m.mp3")
    assert not [
        f
        for f in manifest.check(tmp_path / "b.yaml", catalog.load()).faults
        if "m.mp3" in f.message
    ]


@pytest.mark.parametrize("second", [False, True])
def test_sound_that_no_decoder_knows_is_silent_and_named_unless_another_track_is_known(
    tmp_path: Path, second: bool
) -> None:
    more = ("-map", 0, "-map", 1, "-map", 1, "-c:a:0", "libopus", "-c:a:1", "aac")
    one = clip(tmp_path / "1.mp4", "sine=d=4", *(more if second else ("-c:a", "libopus")))
    one.write_bytes(one.read_bytes().replace(b"Opus", b"apac").replace(b"dOps", b"xxxx"))
    made, path = film(tmp_path, Piece(one, name="scene x"))
    assert made.frames == 96
    if second:
        assert level_db(heard(path), 1, 3) > -40
    else:
        assert level_db(heard(path), 1, 3) < -80
        assert any("scene x: its sound" in note for note in made.notes)
