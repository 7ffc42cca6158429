"""Each wrong storyboard gets its fault at its place, with a way to mend it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from storyreel.manifest import Checked, Severity
from tests.conftest import png

Check = Callable[..., Checked]

HEAD = "version: 1\ndefaults: {model: kling-video-o1}\n"
TWO = HEAD + "scenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n"


def errors(checked: Checked) -> list[tuple[int, int, str]]:
    return [(f.line, f.column, f.message) for f in checked.faults if f.severity is Severity.ERROR]


# `▸` marks the place where the fault must be told; it is taken out before the check.
WRONG = {
    'unknown key': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    ▸promt: x\n    prompt: x\n', 'unknown key `promt`; did you mean `prompt`?'),
    'unknown top key': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n▸chian: true\n', 'unknown key `chian`; did you mean `chain`?'),
    'key in flow map': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, ▸secnds: 5}\n', 'unknown key `secnds`'),
    'wrong type': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n    seconds: ▸five\n', 'must be a whole number'),
    'quoted number': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, seconds: ▸"5"}\n', 'is text, not a whole number'),
    'prompt is a number': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: ▸12}\n', 'not text'),
    'seconds not sold': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, seconds: ▸7}\n', 'kling-video-o1 does not sell seconds 7'),
    'size not sold': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, size: ▸640x480}\n', 'does not sell size 640x480'),
    'size no size': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, size: ▸720p}\n', '`size` is `720p`'),
    'mode not sold': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, mode: ▸std}\n', 'does not sell mode std'),
    'mode without modes': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: sora-2, mode: ▸pro}\n', 'sora-2 has no `mode`'),
    'unknown model': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: ▸sora2}\n', 'unknown model `sora2`; did you mean `sora-2`?'),
    'no model': ('version: 1\nscenes:\n  - ▸{id: a, prompt: x}\n', 'has no model'),
    'no prompt': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - ▸{id: a}\n', 'has no `prompt`'),
    'empty prompt': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: ▸" "}\n', '`prompt` is empty'),
    'no id': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - ▸{prompt: x}\n', 'has no `id`'),
    'bad id': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: ▸My Scene, prompt: x}\n', '`id` is `My Scene`'),
    'twice the id': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x}\n  - {id: ▸a, prompt: y}\n', 'used twice (first in line 4)'),
    'key twice': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n    ▸prompt: y\n', '`prompt` is given twice (first in line 5)'),
    'no scenes': ('version: 1\n▸scenes: []\n', 'has no scenes'),
    'scenes missing': ('▸version: 1\n', 'has no scenes'),
    'version 2': ('version: ▸2\nscenes:\n  - {id: a, prompt: x, model: sora-2}\n', '`version` is `2`'),
    'unknown scene': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: {scene: ▸c}\n', 'unknown scene `c`'),
    'unknown keyframe': ("version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: {keyframe: ▸dwn}\nkeyframes: {dawn: 'https://x.example/a.png'}\n", 'did you mean `dawn`?'),
    'frame word': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: {scene: a, frame: ▸middle}\n', '`frame` is `middle`'),
    'previous first': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, first_frame: ▸previous}\n', 'no scene above'),
    'itself': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, first_frame: {scene: ▸a}}\n', 'made from itself'),
    'circle': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, first_frame: {scene: ▸b}}\n  - {id: b, prompt: x, first_frame: {scene: a}}\n', 'a needs b needs a'),
    'end without first': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    end_frame: ▸https://x.example/a.png\n', 'an end frame without a first frame'),
    'first frame of a text-only wish': ("version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: sora-2, end_frame: ▸'https://x.example/a.png'}\n", 'sora-2 takes no end frame'),
    'picture needed': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: ▸kling-v2-1}\n', 'from a picture only'),
    'references not taken': ("version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: sora-2, reference_images: ▸['https://x.example/a.png']}\n", 'takes no reference images'),
    'too many pictures': ("version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    reference_images: ▸['https://x.example/1', 'https://x.example/2', 'https://x.example/3', 'https://x.example/4', 'https://x.example/5']\n", '5 pictures; kling-video-o1 takes 4'),
    'video on the wrong model': ("version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: sora-2, reference_video: ▸{url: 'https://x.example/a.mp4'}}\n", 'takes no reference video'),
    'base video with frames': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: ▸{scene: a}\n    reference_video: {scene: a, refer_type: base}\n', 'cannot be combined with `first_frame`'),
    'video of nothing': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    reference_video: ▸{refer_type: base}\n', 'neither `scene` nor `url`'),
    'video too long': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, model: sora-2, seconds: 12}\n  - {id: b, prompt: y, reference_video: {scene: ▸a}}\n', 'lasts 12 s'),
    'remix with more': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n  - {id: n, remix_of: a, prompt: z, ▸seconds: 5}\n', 'a remix takes no `seconds`'),
    'remix of nothing': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n  - {id: n, remix_of: ▸q, prompt: z}\n', 'unknown scene `q`'),
    'pick too high': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    takes: 2\n    pick: ▸3\n', 'only 2 takes'),
    'no takes': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    takes: ▸0\n', 'must be at least 1'),
    'unknown variable': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: "the ▸${keper} opens"}\nvars: {keeper: k}\n', 'did you mean `${keeper}`?'),
    'variable in a block': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: >\n      one\n      two ▸${q} three\n', 'unknown variable `${q}`'),
    'open variable': ("version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: 'a ▸${b'}\n", '`${` is never closed'),
    'default id': ('version: 1\ndefaults: {model: kling-video-o1, ▸id: z}\nscenes:\n  - {id: a, prompt: x}\n', '`id` cannot be a default'),
    'file scheme': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: ▸file:///etc/passwd\n', '`file:` is not supported'),
    'data scheme': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: ▸data:image/png;base64,AA\n', '`data:` is not supported'),
    'outside': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: ▸../secret.png\n', "leaves the storyboard's folder"),
    'absolute': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: ▸/etc/passwd\n', 'not a path relative'),
    'missing file': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: ▸stills/no.png\n', 'there is no file `stills/no.png`'),
    'missing keyframe file': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    first_frame: {keyframe: d}\nkeyframes: {d: ▸no.png}\n', 'there is no file `no.png`'),
    'budget': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\nbudget: {limit: ▸lots}\n', '`limit` is `lots`'),
    'budget currency': ('version: 1\ndefaults: {model: ▸kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\nbudget: {limit: 5, currency: USD}\n', 'is priced in CNY; the budget is in USD'),
    'policy': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\npolicy: {on_failure: ▸stp}\n', 'did you mean `stop`?'),
    'another shape': ('version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x, size: 1080x1920}\n  - {id: b, prompt: y, model: kling-v2-5-turbo, size: 1280x720, first_frame: ▸previous}\n', 'another shape'),
    'tab': ('version: 1\nscenes:\n▸\t- id: a\n', 'a tab is used for indentation'),
    'unclosed': ('version: 1\nscenes: ▸[\n', 'this `[` is never closed'),
    'empty file': ('▸', 'the storyboard is empty'),
    'a list': ('▸- a\n', 'is a mapping'),
    'two documents': ('version: 1\n▸---\nversion: 1\n', 'a second YAML document'),
    'alias': ('version: ▸*x\n', 'alias without an anchor'),
    'open quote': ('version: 1\nscenes:\n- id: a\n  prompt: ▸"unclosed\n', 'the quote that opens here is never closed'),
    'bad indentation': ('version: 1\nscenes:\n- id: a\n ▸prompt: x\n', 'not indented like its neighbours'),
    'prev': ('version: 1\nscenes:\n- {id: a, prompt: x, model: nope}\n- {id: b, prompt: y, first_frame: ▸prev}\n', 'did you mean `previous`?'),
    'longer name': ('version: 1\nscenes:\n- {id: a, prompt: x, model: ▸kling-v2-5}\n', 'did you mean `kling-v2-5-turbo`?'),
}  # fmt: skip


@pytest.mark.parametrize(("marked", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_fault_is_told_where_it_stands(check: Check, marked: str, message: str) -> None:
    before, _, after = marked.partition("▸")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    found = errors(check(before + after))
    assert any(f[:2] == (line, column) and message in f[2] for f in found), found


@pytest.mark.parametrize(("marked", "message"), WRONG.values(), ids=WRONG.keys())
def test_every_fault_says_how_to_mend_it(check: Check, marked: str, message: str) -> None:
    assert all(len(fault.fix) > 3 for fault in check(marked.replace("▸", "")).faults)


def test_the_sound_storyboard_has_no_fault(check: Check) -> None:
    assert check(TWO).faults == ()


def test_no_fault_hides_another(check: Check) -> None:
    text = (
        "version: 1\nchian: 1\nscenes:\n"
        "  - {id: a, prompt: '${x}', model: sora2, seconds: '5'}\n"
        "  - {id: a, promt: y, first_frame: {scene: zz, frame: mid}, size: 3}\n"
        "  - {id: c, prompt: z, model: kling-video-o1, seconds: 7, mode: std, end_frame: nope.png}\n"
    )
    messages = " | ".join(m for _, _, m in errors(check(text)))
    for part in ("chian", "${x}", "sora2", "`seconds` is text", "used twice", "promt", "zz", "`mid`", "`size`",
                 "no `prompt`", "seconds 7", "mode std", "end frame without", "nope.png"):  # fmt: skip
        assert part in messages, part


def test_a_default_at_fault_is_told_once(check: Check) -> None:
    scenes = "".join(f"  - {{id: s{i}, prompt: x}}\n" for i in range(50))
    text = "version: 1\ndefaults: {model: kling-video-o1, seconds: 7}\nscenes:\n" + scenes
    assert errors(check(text)) == [(2, 44, "kling-video-o1 does not sell seconds 7")]


def test_prompt_length_is_counted_after_composition_in_code_points(check: Check) -> None:
    fits = HEAD + f"style: {{suffix: ab}}\nscenes:\n  - {{id: a, prompt: {'字' * 2496}}}\n"
    assert check(fits).storyboard is not None
    assert "2501 characters" in errors(check(fits.replace("ab", "abc")))[0][2]


def test_a_retired_model_is_a_warning_with_its_date(check: Check) -> None:
    checked = check("version: 1\nscenes:\n  - {id: a, prompt: x, model: sora-2}\n")
    assert checked.storyboard is not None
    assert [f.message for f in checked.faults] == ["sora-2 was announced to end on 2026-09-24"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version: 1\n\xff\xfe", "is not UTF-8"),
        (b"version: 1\nid: a\x00b\n", "control character U+0000"),
        (b"a: " + b"[" * 5000, "nested more than"),
        (b"x: y\n" * 1_200_000, "6.0 MB"),
        (b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((c, c) + (c - 1,) * 9) for c in range(ord("b"), ord("k"))
        ), "unfolds to more than"),
        (b"a: &a [*a]\n", "alias"),
    ],
    ids=["utf8", "nul", "deep", "large", "laughs", "self"],
)  # fmt: skip
def test_hostile_files_end_quickly_in_a_clear_error(
    check: Check, data: bytes, message: str
) -> None:
    started = time.process_time()
    found = errors(check(data))
    assert message in found[0][2] or "contains itself" in found[0][2]
    assert time.process_time() - started < 5


def test_columns_count_characters_not_bytes(check: Check) -> None:
    found = errors(check(HEAD + "scenes:\n  - {id: a, prompt: 守塔人😀, secs: 5}\n"))
    assert (4, 27) in [f[:2] for f in found]


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (b"", "1280x720", "is empty"),
        (b"<html>", "1280x720", "not a picture"),
        (png()[:400], "1280x720", "not a picture"),
        (
            png(640, 360),
            "1280x720",
            "is 640x360; kling-v2-5-turbo at size 1280x720 takes exactly 1280x720",
        ),
    ],
    ids=["empty", "html", "cut off", "size"],
)
def test_picture_files_are_looked_at(check: Check, data: bytes, size: str, message: str) -> None:
    text = f"version: 1\nscenes:\n  - {{id: a, prompt: x, model: kling-v2-5-turbo, size: {size}, first_frame: p.png}}\n"
    assert message in errors(check(text, files={"p.png": data}))[0][2]


def test_a_picture_of_another_size_is_taken_with_fit(check: Check) -> None:
    text = "version: 1\nscenes:\n  - {id: a, prompt: x, model: kling-v2-5-turbo, fit: crop, first_frame: p.png}\n"
    assert check(text, files={"p.png": png(640, 640)}).storyboard is not None


def test_a_link_out_of_the_folder_is_refused(check: Check, tmp_path) -> None:  # type: ignore[no-untyped-def]
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(png())
    (tmp_path / "in.png").symlink_to(outside)
    text = "version: 1\nscenes:\n  - {id: a, prompt: x, model: kling-v2-5-turbo, first_frame: in.png}\n"
    assert "leaves the storyboard's folder" in errors(check(text))[0][2]
