"""What the constructs of the language mean."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from storyreel.manifest import Checked, Storyboard
from storyreel.manifest.prompt import compose, replace
from storyreel.manifest.storyboard import FileImage, SceneImage, UrlImage
from tests.conftest import png

Check = Callable[..., Checked]


def sound(checked: Checked) -> Storyboard:
    assert checked.storyboard is not None, [str(f) for f in checked.faults]
    return checked.storyboard


CONTRACT = """\
# yaml-language-server: $schema=schema.json
version: 1
id: lighthouse
title: The lighthouse
description: free text, never sent to the API
defaults:
  model: kling-v2-5-turbo
  seconds: 5
  size: 1280x720
  mode: pro
vars: {keeper: an old keeper in a yellow coat}
style: {prefix: "", suffix: "cinematic, soft light"}
keyframes:
  dawn: stills/dawn.png
  storm: https://example.com/storm.png
chain: false
budget: {limit: 40, currency: CNY}
policy:
  on_failure: continue
  on_ambiguous: hold
  on_upstream_change: rerun
scenes:
  - id: door
    prompt: "${keeper} opens the door"
    first_frame: {keyframe: dawn}
    end_frame: {keyframe: storm}
  - id: stairs
    prompt: he climbs the stairs
    first_frame: previous
  - id: lamp
    prompt: the lamp turns on
    first_frame: {scene: stairs, frame: last}
    takes: 3
    pick: 2
  - id: rain
    model: kling-video-o1
    prompt: add rain
    reference_video: {scene: lamp, refer_type: base, keep_original_sound: true}
  - id: crowd
    model: kling-video-o1
    prompt: the harbour, the same people
    reference_images: [{keyframe: dawn}, https://example.com/people.jpg]
  - id: night
    remix_of: door
    prompt: the same at night
    caption: Night falls
cut:
  enabled: true
  transition: cut
  transition_s: 0.5
  music: {file: score.mp3, gain_db: -12}
  subtitles: soft
"""


def music() -> bytes:
    """A tenth of a second of silence, as a file of sound."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return out.getvalue()


@pytest.fixture
def contract(check: Check) -> Storyboard:
    return sound(check(CONTRACT, files={"stills/dawn.png": png(), "score.mp3": music()}))


def test_the_example_of_the_contract_is_sound(contract: Storyboard) -> None:
    door, stairs, lamp, rain, crowd, night = contract.scenes
    assert door.prompt == "an old keeper in a yellow coat opens the door, cinematic, soft light"
    assert door.first_frame == FileImage("stills/dawn.png", "dawn")
    assert door.end_frame == UrlImage("https://example.com/storm.png", "storm")
    assert stairs.first_frame == SceneImage("door", "last")
    assert (lamp.takes, lamp.pick) == (3, 2)
    assert rain.video is not None and (rain.video.scene, rain.video.keep_sound) == ("lamp", True)
    assert [image.label for image in crowd.references] == ["keyframe dawn", "url"]
    assert night.remix is not None and (night.model, night.seconds, night.mode) == (
        "kling-v2-5-turbo",
        5,
        "pro",
    )


def test_scenes_come_after_what_they_are_made_from(contract: Storyboard) -> None:
    order = [scene.id for scene in contract.ordered()]
    assert all(order.index(u) < order.index(s.id) for s in contract.scenes for u in s.upstream)


def test_a_scene_may_refer_to_one_below_it(check: Check) -> None:
    board = sound(
        check(
            "version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n"
            "  - {id: a, prompt: x, first_frame: {scene: b}}\n  - {id: b, prompt: y}\n"
        )
    )
    assert [scene.id for scene in board.ordered()] == ["b", "a"]


def test_chain_starts_each_scene_from_the_one_above_unless_it_says_otherwise(check: Check) -> None:
    board = sound(
        check(
            "version: 1\nchain: true\ndefaults: {model: kling-video-o1}\nscenes:\n"
            "  - {id: a, prompt: x}\n  - {id: b, prompt: y}\n  - {id: c, prompt: z, "
            "first_frame: null}\n"
            "  - {id: d, prompt: z, first_frame: 'https://x.example/p.png'}\n"
        )
    )
    assert [s.first_frame for s in board.scenes] == [
        None, SceneImage("a", "last"), None, UrlImage("https://x.example/p.png")
    ]  # fmt: skip


def test_a_remix_of_a_remix_inherits_from_the_first(check: Check) -> None:
    board = sound(
        check(
            "version: 1\nscenes:\n  - {id: c, prompt: z, remix_of: b}\n  - {id: b, "
            "prompt: y, remix_of: a}\n"
            "  - {id: a, prompt: x, model: sora-2, seconds: 8}\n"
        )
    )
    assert [(s.id, s.model, s.seconds) for s in board.scenes] == [
        ("c", "sora-2", 8),
        ("b", "sora-2", 8),
        ("a", "sora-2", 8),
    ]


def test_a_foreign_video_can_be_remixed(check: Check) -> None:
    board = sound(
        check("version: 1\nscenes:\n  - {id: a, prompt: x, remix_of: {video_id: qvideo-1}}\n")
    )
    assert board.scenes[0].remix is not None and board.scenes[0].remix.video_id == "qvideo-1"


def test_style_none_leaves_the_prompt_alone(check: Check) -> None:
    board = sound(
        check(
            "version: 1\nstyle: {prefix: p, suffix: s}\nscenes:\n  - {id: a, prompt: x, "
            "style: none, model: kling-video-o1}\n"
        )
    )
    assert board.scenes[0].prompt == "x"


def test_variables_from_outside_win(check: Check) -> None:
    text = (
        "version: 1\nvars: {who: a cat}\nscenes:\n  - {id: a, prompt: 'see ${who}', model: "
        "kling-video-o1}\n"
    )
    assert sound(check(text, who="a dog")).scenes[0].prompt == "see a dog"


def test_a_variable_from_outside_that_nothing_uses_is_an_error(check: Check) -> None:
    text = (
        "version: 1\nvars: {who: a cat}\nscenes:\n  - {id: a, prompt: 'see ${who}', model: "
        "kling-video-o1}\n"
    )
    (fault,) = check(text, hwo="a dog").faults
    assert "did you mean `who`?" in fault.message


def test_the_id_is_the_files_name_where_none_is_given(check: Check) -> None:
    text = "version: 1\nscenes:\n  - {id: a, prompt: x, model: kling-video-o1}\n"
    assert sound(check(text, name="My_Film 2.yaml")).id == "my-film-2"


def test_merge_keys_and_anchors_work(check: Check) -> None:
    text = (
        "version: 1\nscenes:\n  - &a {id: a, prompt: x, model: kling-video-o1, seconds: "
        "10}\n  - {<<: *a, id: b, prompt: y}\n"
    )
    assert [(s.id, s.seconds) for s in sound(check(text)).scenes] == [("a", 10), ("b", 10)]


@pytest.mark.parametrize(
    ("text", "made"),
    [("$$5", "$5"), ("${a}${a}", "11"), ("$a {a}", "$a {a}"), ("$${a}", "${a}"), ("${b}", "${a}")],
)
def test_variables_are_replaced_once(text: str, made: str) -> None:
    assert replace(text, {"a": "1", "b": "${a}"}) == made


def test_parts_of_a_prompt_are_joined_by_what_reads_well() -> None:
    assert compose("wide shot", "he runs", "dusk") == "wide shot, he runs, dusk"
    assert compose("", "他跑。", "黄昏") == "他跑。 黄昏"
    assert compose("", "x", "") == "x"


def test_every_example_storyboard_is_sound(check: Check) -> None:
    from storyreel import manifest
    from storyreel.catalog import load as catalog

    examples = sorted((Path(__file__).parents[2] / "manifests").glob("*.yaml"))
    assert examples
    for path in examples:
        checked = manifest.check(path, catalog.load())
        assert checked.storyboard is not None, [str(f) for f in checked.faults]
