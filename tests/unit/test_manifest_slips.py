"""Slips of the hand that YAML or JSON would let pass, or that have a likely meaning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.errors import UsageError
from storyreel.manifest import Checked, Severity
from tests.conftest import png

Check = Callable[..., Checked]


def errors(checked: Checked) -> list[tuple[int, int, str]]:
    return [(f.line, f.column, f.message) for f in checked.faults if f.severity is Severity.ERROR]


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        (
            "prompt: our logo on a #ff6600 background",
            27,
            "`#ff6600 background` is a comment in YAML, so `prompt` is only",
        ),
        ("prompt: our logo  #1", 23, "`prompt` is only `our logo`"),
        ("prompt: a harbour # at dawn", 23, "`# at dawn` is a comment"),
        ("prompt: our\n      logo #ff6600", 12, "`prompt` is only `our logo`"),
        ("prompt: x\n    caption: #1 in town", 14, "`caption` is empty"),
        ("prompt: x\n    fallback_prompt: a #b", 24, "`fallback_prompt` is only `a`"),
        ("prompt: x\n    title: the #1", 16, "`title` is only `the`"),
    ],
)
def test_a_comment_behind_an_unquoted_text_is_a_warning_at_its_place(
    check: Check, line: str, column: int, words: str
) -> None:
    found = check(
        f"version: 1\nscenes:\n  - id: a\n    model: kling-video-o1\n    {line}\n"
    ).warnings
    (warning,) = [f for f in found if "comment" in f.message]
    assert words in warning.message and warning.column == column and "quotes" in warning.fix


def test_a_comment_in_vars_style_and_flow_mappings_is_a_warning_too(check: Check) -> None:
    text = (
        "version: 1\ntitle: film #2\nvars:\n  hue: orange #ff6600\nstyle:\n  suffix: "
        "soft #light\nscenes:\n"
        "  - {id: a, model: kling-video-o1, prompt: waves #ff\n    , caption: '${hue}'}\n"
    )
    found = [(f.line, f.column) for f in check(text).warnings]
    assert found == [(2, 13), (4, 15), (6, 16), (8, 50)]


@pytest.mark.parametrize(
    "line",
    [
        'prompt: "our logo on a #ff6600 background" # quoted',
        "prompt: 'our logo on a #ff6600 background' #quoted",
        "prompt: waves at dawn  # two spaces and one: a comment, and no doubt about it",
        "prompt: |  # folded\n      waves #1",
        "prompt: waves#1",
        "prompt: waves\n    seconds: 5 #five",
        "prompt: waves\n    # by itself",
    ],
)
def test_what_is_clearly_a_comment_is_no_warning(check: Check, line: str) -> None:
    assert (
        check(f"version: 1\nscenes:\n  - id: a\n    model: kling-video-o1\n    {line}\n").faults
        == ()
    )


def test_an_emoji_that_json_wrote_as_two_halves_is_one_character(check: Check) -> None:
    text = json.dumps(
        {
            "version": 1,
            "vars": {"\U0001f600": "\U0001f3ac\U0001f3ac"},
            "scenes": [
                {"id": "a", "model": "kling-video-o1", "prompt": "x \U0001f600 ${\U0001f600}"}
            ],
        }
    )
    board = check(text, name="board.json").storyboard
    assert board is not None and board.scenes[0].prompt == "x \U0001f600 \U0001f3ac\U0001f3ac"


def test_half_a_character_is_a_fault_at_its_place(check: Check) -> None:
    text = (
        '{"version": 1, "scenes": [\n{"id": "a", "prompt": "\\ud83d\\ude00 \\ud83d", '
        '"no\\udc00te": "x"}]}'
    )
    found = [
        (line, column)
        for line, column, message in errors(check(text))
        if "half a character" in message
    ]
    assert found == [(2, 37), (2, 49)]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("first_frame: {keyframe: k, scene: a}", "`first_frame` has both `keyframe` and `scene`"),
        ("first_frame: {}", "`first_frame` has neither `keyframe` nor `scene`"),
        ("first_frame: {frame: last}", "has neither `keyframe` nor `scene`"),
        ("first_frame: {url: 'https://a.b/c.png'}", "`first_frame` takes no `url`"),
        (
            "first_frame: {keyframe: k, frame: last}",
            "`frame` goes with `scene`, not with `keyframe`",
        ),
        ("first_frame: {scene: a, url: x}", "`url` does not go with `scene`"),
        ("first_frame: {scene: a, fram: last}", "unknown key `fram`; did you mean `frame`?"),
        ("first_frame: {keyfram: k}", "unknown key `keyfram`; did you mean `keyframe`?"),
        (
            "first_frame: [previous]",
            "`first_frame` is a list; it must be `previous`, an https:// address, the path",
        ),
        ("end_frame: 5", "`end_frame` is `5`; it must be `previous`"),
        (
            "reference_images: [{keyframe: k, scene: a}]",
            "this picture has both `keyframe` and `scene`",
        ),
        ("reference_images: [null]", "this picture is empty; it must be `previous`"),
        (
            "reference_video: a",
            "`reference_video` is `a`; it must be `{scene: id}` or `{url: https://…}`",
        ),
        (
            "reference_video: {scene: a, url: 'https://a.b/c.mp4'}",
            "`reference_video` has both `scene` and `url`",
        ),
        ("reference_video: {}", "`reference_video` has neither `scene` nor `url`"),
        ("remix_of: {scene: a}", "`remix_of` takes no `scene`"),
        ("remix_of: {video_id: q, scene: a}", "`scene` does not go with `video_id`"),
        ("remix_of: [a]", "`remix_of` is a list; it must be a scene's id or `{video_id: …}`"),
    ],
)
def test_a_value_of_no_form_or_of_two_is_one_fault_that_names_the_forms(
    check: Check, field: str, words: str
) -> None:
    text = (
        "version: 1\ndefaults: {model: kling-video-o1}\nkeyframes: {k: "
        "'https://a.b/c.png'}\nscenes:\n"
        f"  - {{id: a, prompt: x, first_frame: {{keyframe: k}}}}\n  - {{id: b, prompt: x, "
        f"{field}}}\n"
    )
    (fault,) = errors(check(text))
    assert words in fault[2] and fault[0] == 6


def test_a_keyframe_written_as_a_mapping_is_told_what_it_may_be(check: Check) -> None:
    text = (
        "version: 1\nkeyframes: {k: {file: a.png}}\nscenes: [{id: a, prompt: x, model: "
        "kling-video-o1}]\n"
    )
    (fault,) = check(text).faults
    assert "`k` takes no `file`" in fault.message and "the path by itself" in fault.fix


@pytest.mark.parametrize(
    "written", ["stills/dawn.jpg", "stills/dwan.png", "dawn.png", "Stills/Dawn.png", "stills/dawn"]
)
def test_a_picture_that_is_not_there_gets_a_guess(check: Check, written: str) -> None:
    text = (
        f"version: 1\nscenes: [{{id: a, prompt: x, model: kling-video-o1, first_frame: "
        f"{written}}}]\n"
    )
    (fault,) = errors(check(text, files={"stills/dawn.png": png(1280, 720)}))
    assert f"there is no file `{written}`; did you mean `stills/dawn.png`?" in fault[2]


def test_a_storyboard_that_is_not_there_gets_a_guess(check: Check, tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text("version: 1\n")
    with pytest.raises(
        UsageError, match=r"there is no file .*bord\.yaml; did you mean .*board\.yaml\?"
    ):
        manifest.check(tmp_path / "bord.yaml", catalog.load())


def test_a_pick_beyond_one_take_says_what_to_do(check: Check) -> None:
    (fault,) = check(
        "version: 1\nscenes: [{id: a, prompt: x, model: kling-video-o1, pick: 2}]\n"
    ).faults
    assert fault.fix == "delete `pick`, or set `takes: 2`"
