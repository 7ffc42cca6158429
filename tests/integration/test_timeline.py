"""The timeline opens in other programs: at the film's own rate, with sound, each medium under a
name of its own.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest

from storyreel.film.media import timeline
from storyreel.film.media.cut import Film, Piece, Style, assemble
from tests.zoo import Odd, ffmpeg, make

STYLE = Style((320, 180))


def written(tmp_path: Path, *, music_s: int | None = 3) -> tuple[otio.schema.Timeline, Film]:
    """Five pieces of three scenes, all of whose files are called alike; with a dissolve, a fade, a
    slate and a trim.
    """
    clips = []
    for name, sound_s in (("a", 1.0), ("b", 1.0), ("c", None)):
        (tmp_path / "clips" / name).mkdir(parents=True)
        clips.append(make(Odd(sound_s=sound_s), tmp_path / "clips" / name / "take-1.mp4"))
    a, b, c = clips
    music = None
    if music_s:
        music = tmp_path / "the music.wav"
        ffmpeg("-f", "lavfi", "-i", f"sine=d={music_s}", music)
    pieces = [
        Piece(a, caption="Hi", leave_out_last=2), Piece(b, into="dissolve"), Piece(c, into="fade"), Piece(None, caption="?"),
        Piece(a, skip_first=True),
    ]  # fmt: skip
    style = Style((320, 180), music=music)
    made = assemble(pieces, tmp_path / "film.mp4", style)
    text = timeline.describe(["a", "b", "c", "d", "e"], pieces, made, style, "The film", tmp_path)
    return otio.adapters.read_from_string(text, "otio_json"), made


@pytest.mark.parametrize("music_s", [None, 3, 30])
def test_every_track_is_as_long_as_the_film_and_no_clip_longer_than_its_medium(
    tmp_path: Path, music_s: int | None
) -> None:
    edit, made = written(tmp_path, music_s=music_s)
    assert [track.duration().to_frames() for track in edit.tracks] == [made.frames] * (
        3 if music_s else 2
    )
    for clip in edit.find_clips():
        whole, shown = clip.media_reference.available_range, clip.source_range
        assert (
            whole.start_time <= shown.start_time
            and shown.end_time_exclusive() <= whole.end_time_exclusive()
        )
        assert shown.duration.rate == 24
    for track in edit.tracks:
        for transition in track.find_children(otio.schema.Transition):
            assert transition.transition_type == otio.schema.TransitionTypes.SMPTE_Dissolve


def test_each_medium_has_a_name_and_a_reel_of_its_own(tmp_path: Path) -> None:
    edit, _ = written(tmp_path)
    clips = list(edit.video_tracks()[0].find_clips())
    named = [clip.media_reference.name for clip in clips]
    assert named == ["a-take-1", "b-take-1", "c-take-1", "no clip yet", "e-take-1"]
    reels = [clip.metadata["cmx_3600"]["reel"] for clip in clips]
    assert len(set(reels)) == 5 and all(len(reel) <= 8 for reel in reels)
    urls = [
        clip.media_reference.target_url
        for clip in edit.find_clips()
        if hasattr(clip.media_reference, "target_url")
    ]
    assert urls[0] == "clips/a/take-1.mp4" and urls[-1] == "the%20music.wav"


@pytest.mark.parametrize("fps", ["30000/1001", "24000/1001", "25", "24"])
def test_the_rate_is_the_films_whatever_its_length(tmp_path: Path, fps: str) -> None:
    rate = Fraction(fps)
    one = make(Odd(fps=rate, frames=37), tmp_path / "1.mp4")
    made = assemble([Piece(one)], tmp_path / "film.mp4", STYLE)
    edit = otio.adapters.read_from_string(
        timeline.describe(["a"], [Piece(one)], made, STYLE, "x", tmp_path), "otio_json"
    )
    assert edit.duration().rate == float(made.rate) == float(rate)


@pytest.mark.parametrize("adapter", ["fcp_xml", "fcpx_xml", "svg", "cmx_3600"])
def test_other_programs_formats_are_written_from_it(tmp_path: Path, adapter: str) -> None:
    if adapter not in otio.adapters.available_adapter_names():
        pytest.skip("the adapter is not installed")
    edit, made = written(tmp_path)
    text = otio.adapters.write_to_string(edit, adapter)
    assert len(text) > 500
    if adapter == "fcp_xml":
        back = otio.adapters.read_from_string(text, adapter)
        assert [track.duration().to_frames() for track in back.tracks][:2] == [made.frames] * 2
    if adapter == "fcpx_xml":
        assert 'hasAudio="1"' in text
