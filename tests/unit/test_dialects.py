"""Requests as other servers want them: dialects, constants, extras and rules are data."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storyreel.catalog import load as catalog
from storyreel.catalog.load import Catalog
from storyreel.errors import CatalogError
from storyreel.manifest import check
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot
from tests.unit.test_docs import fenced

MODEL = """\
    title: Mine
    dialect: NAME
    prompt_max: 100
    seconds: [5, 10]
    sizes: [1280x720, 720x1280]
    modes: [std, pro]
    defaults: {seconds: 5, size: 1280x720, mode: std}
    text_to_video: {allowed: true, source: me}
    first_frame: {allowed: true, source: me}
    end_frame: {allowed: END, source: me}
    image: {by: [url], exact_size: false, formats: [png], source: me}
    remix: {documented: false, source: me}
"""
BOTH = "first_frame: 'https://x.example/a.png', end_frame: 'https://x.example/b.png'"
Write = Callable[..., Catalog]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def run(dialect: str, *more: str, name: str = "mine", end: str = "true") -> Catalog:
        body = MODEL.replace("NAME", name).replace("END", end) + "".join(
            f"    {line}\n" for line in more
        )
        dialects = (
            "dialects:\n  mine:\n" + textwrap.indent(dialect, "    ") + "\n" if dialect else ""
        )
        path = tmp_path / "mine.yaml"
        path.write_text(
            f"version: 1\nsources: {{me: {{title: me, read: 2026-11-01}}}}\n{dialects}models:\n  m:\n{body}"
        )
        return catalog.load(path)

    return run


def planned(tmp_path: Path, models: Catalog, scene: str) -> Any:
    path = tmp_path / "b.yaml"
    path.write_text(f"version: 1\nscenes:\n  - {{id: a, prompt: x, model: m, {scene}}}\n")
    checked = check(path, models)
    assert checked.storyboard is not None, [str(fault) for fault in checked.faults]
    return plan.make(checked.storyboard, models, Snapshot()).scene("a")


def faults(tmp_path: Path, models: Catalog, scene: str) -> list[str]:
    path = tmp_path / "b.yaml"
    path.write_text(f"version: 1\nscenes:\n  - {{id: a, prompt: x, model: m, {scene}}}\n")
    return [fault.message for fault in check(path, models).faults]


@pytest.mark.parametrize(
    ("dialect", "scene", "body"),
    [
        (
            "seconds: {at: duration, as: int}\nfirst_frame: image\nend_frame: metadata.image_tail\nmode: false\nconstants: {watermark: false, metadata.x.y: 1}",
            BOTH,
            {"model": "m", "prompt": "x", "image": "url", "metadata": {"image_tail": "url", "x": {"y": 1}}, "duration": 5,
             "size": "1280x720", "watermark": False},
        ),
        (
            "size: {set: {1280x720: {aspect_ratio: '16:9', resolution: 720p}, 720x1280: {aspect_ratio: '9:16'}}}\n"
            "first_frame: {add_to: a.list, item: {u: {url: $}, t: first}}\nend_frame: {add_to: a.list, item: [$, last]}",
            BOTH,
            {"model": "m", "prompt": "x", "a": {"list": [{"u": {"url": "url"}, "t": "first"}, ["url", "last"]]},
             "seconds": "5", "aspect_ratio": "16:9", "resolution": "720p", "mode": "std"},
        ),
        (
            "size: {at: size, set: {1280x720: '1280*720'}}\nseconds: {at: n, as: float}\nprompt: text.t\nmodel: false",
            "size: 720x1280", {"text": {"t": "x"}, "n": 5.0, "size": "720x1280", "mode": "std"},
        ),
        ("seconds: {at: seconds, set: {5: short}}", "", {"model": "m", "prompt": "x", "seconds": "short", "size": "1280x720", "mode": "std"}),
    ],
)  # fmt: skip
def test_a_dialect_says_where_each_part_goes(
    tmp_path: Path, write: Write, dialect: str, scene: str, body: dict[str, Any]
) -> None:
    assert planned(tmp_path, write(dialect), scene).request.shown() == body


def test_a_models_constants_go_over_those_of_its_dialect_and_extras_over_both(
    tmp_path: Path, write: Write
) -> None:
    models = write(
        'extras: metadata\nconstants: {a: 1, b: 1, metadata: {seed: 0}}', 'constants: {b: 2}', "extras: [seed]"
    )  # fmt: skip
    body = planned(tmp_path, models, "extras: {seed: 7}").request.shown()
    assert (body["a"], body["b"], body["metadata"]) == (1, 2, {"seed": 7})


def test_the_key_is_that_of_the_body(tmp_path: Path, write: Write) -> None:
    plain = planned(tmp_path, write("", name="reference"), BOTH).key
    assert planned(tmp_path, write("first_frame: input_reference"), BOTH).key == plain, (
        "another name, the same request"
    )
    seen = {plain}
    for dialect, more in (
        ("first_frame: image", ()), ("mode: false", ()), ("constants: {a: 1}", ()), ("constants: {a: 2}", ()),
        ("seconds: {at: seconds, as: int}", ()), ("constants: {a: 1}", ("constants: {a: 3}",)),
    ):  # fmt: skip
        key = planned(tmp_path, write(dialect, *more), BOTH).key
        assert key not in seen, dialect
        seen.add(key)


def test_extras_are_in_the_key_and_only_those_that_the_model_lists_are_taken(
    tmp_path: Path, write: Write
) -> None:
    models = write("", "extras: [negative_prompt, seed]", name="reference")
    keys = {
        planned(tmp_path, models, f"extras: {{{one}}}").key
        for one in ("", "seed: 7", "seed: 8", "negative_prompt: blur")
    }
    assert len(keys) == 4
    assert faults(tmp_path, models, "extras: {sed: 7}") == [
        "m takes no extra `sed`; did you mean `seed`?"
    ]
    assert faults(tmp_path, models, "extras: {seed: .nan}") == [
        "`seed` holds a number that JSON cannot"
    ]
    assert faults(tmp_path, write("", name="reference"), "extras: {seed: 7}") == [
        "m takes no extra `seed`"
    ]


@pytest.mark.parametrize(
    ("rule", "scene", "message"),
    [
        ("needs_mode: pro", BOTH, "m takes an end frame with mode pro only"),
        ("needs_mode: [std, pro]", BOTH, None),
        ("needs_seconds: [10, 15]", BOTH, "m takes an end frame with seconds 10 or 15 only"),
        ("needs_seconds: 10", "seconds: 10, " + BOTH, None),
        ("needs_seconds: 10", "first_frame: 'https://x.example/a.png'", None),
    ],
)
def test_an_input_may_need_a_mode_or_a_length(
    tmp_path: Path, write: Write, rule: str, scene: str, message: str | None
) -> None:
    models = write("", name="reference", end=f"true, {rule}")
    assert faults(tmp_path, models, scene) == ([message] if message else [])


def test_inputs_may_exclude_one_another_or_count_together(tmp_path: Path, write: Write) -> None:
    models = write(
        "", "exclusive: [{of: [first_frame, end_frame], source: me}]",
        "sums: [{of: [first_frame, end_frame], max: 1, source: me}]", name="reference",
    )  # fmt: skip
    assert sorted(faults(tmp_path, models, BOTH), reverse=True) == [
        "m takes only one of first_frame or end_frame",
        "2 of first_frame or end_frame; m takes 1",
    ]
    assert not faults(tmp_path, models, "first_frame: 'https://x.example/a.png'")


@pytest.mark.parametrize(
    ("dialect", "name", "message"),
    [
        ("first_frame: image", "other", "unknown dialect other"),
        ("end_frame: false", "mine", "it takes `end_frame`, and the dialect mine does not send it"),
        ("size: {set: {1280x720: {a: b}}}", "mine", "it sells size 720x1280"),
        ("size: {as: int}", "mine", "give `at`"),
        (
            "first_frame: {add_to: images, item: {url: picture}}",
            "mine",
            "no `\\$` stands in the item",
        ),
        ("first_frame: a..b", "mine", "dialects.mine.first_frame"),
        ("first: image", "mine", "dialects.mine.first"),
        ("seconds: 5", "mine", r"yaml: dialects.mine.seconds.path: [^;]*$"),
        ("mode: true", "mine", r"yaml: dialects.mine.mode.off: [^;]*$"),
    ],
)
def test_a_dialect_that_cannot_be_written_is_refused(
    write: Write, dialect: str, name: str, message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        write(dialect, name=name)


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (f"model: kling-v2-1, mode: pro, {BOTH}", "kling-v2-1 takes an end frame with seconds 10 only"),
        (f"model: kling-v2-1, seconds: 10, mode: std, {BOTH}", "kling-v2-1 takes an end frame with mode pro only"),
        (f"model: kling-v2-1, seconds: 10, mode: pro, {BOTH}", None),
        (f"model: kling-v2-6, mode: std, {BOTH}", "kling-v2-6 takes an end frame with mode pro only"),
        (f"model: kling-v3, seconds: 7, {BOTH}", None),
        ("model: kling-v3, seconds: 16", "kling-v3 does not sell seconds 16"),
        (
            "model: kling-v3-omni, reference_video: {url: 'https://x.example/v.mp4', refer_type: feature}, reference_images: ["
            + ", ".join(f"'https://x.example/{n}.png'" for n in range(5)) + "]",
            "5 of first_frame, end_frame or reference_images; kling-v3-omni takes 4 beside a reference video",
        ),
    ],
)  # fmt: skip
def test_the_rules_of_qinius_newer_pages(tmp_path: Path, scene: str, message: str | None) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(f"version: 1\nscenes:\n  - {{id: a, prompt: x, {scene}}}\n")
    errors = [
        fault.message for fault in check(path, catalog.load()).faults if fault.severity == "error"
    ]
    assert errors == ([message] if message else [])


def test_a_model_beyond_the_document_is_a_warning_and_sends_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(
        "version: 1\nscenes:\n  - {id: a, prompt: x, model: kling-v3, extras: {negative_prompt: blur}}\n"
    )
    checked = check(path, catalog.load())
    assert "kling-v3 is not on the API's own page" in checked.warnings[0].message
    assert checked.storyboard is not None
    body = plan.make(checked.storyboard, catalog.load(), Snapshot()).scene("a").request.shown()
    assert (body["sound"], body["negative_prompt"]) == ("off", "blur")


DOCS = Path(__file__).parents[2] / "docs"
FIRST = "https://x.example/a.png"


@pytest.mark.parametrize(
    ("name", "scene", "body"),
    [
        (
            "kling-v2-5-turbo", f"mode: pro, first_frame: '{FIRST}', end_frame: '{FIRST}', extras: {{cfg_scale: 0.5}}",
            {"image": "url", "metadata": {"image_tail": "url", "cfg_scale": 0.5}, "duration": 5, "size": "1280x720", "mode": "pro"},
        ),
        (
            "google/veo-3.1", f"first_frame: '{FIRST}'",
            {"frame_images": [{"type": "image_url", "image_url": {"url": "url"}, "frame_type": "first_frame"}], "duration": 8,
             "size": "1280x720", "generate_audio": False},
        ),
        (
            "Wan-AI/Wan2.2-I2V-A14B-Diffusers", f"first_frame: '{FIRST}', extras: {{fps: 24, seed: 7}}",
            {"input_reference": "url", "seconds": 5, "size": "832x480", "fps": 24, "seed": 7},
        ),
        ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "seconds: 3", {"seconds": "3", "size": "1280x704"}),
    ],
)  # fmt: skip
def test_the_endpoints_of_the_docs_get_the_bodies_they_read(
    tmp_path: Path, name: str, scene: str, body: dict[str, Any]
) -> None:
    (text,) = [
        one
        for one in fenced((DOCS / "add-an-endpoint.md").read_text("utf-8"), "yaml")
        if f"\n  {name}:" in one
    ]
    (tmp_path / "mine.yaml").write_text(text)
    models = catalog.load(tmp_path / "mine.yaml")
    path = tmp_path / "b.yaml"
    path.write_text(f"version: 1\nscenes:\n  - {{id: a, prompt: x, model: {name}, {scene}}}\n")
    checked = check(path, models)
    assert checked.storyboard is not None, [str(fault) for fault in checked.faults]
    made = plan.make(checked.storyboard, models, Snapshot()).scene("a").request.shown()
    assert made == {"model": name, "prompt": "x", **body}
