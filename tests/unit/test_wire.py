"""Requests as the document wants them."""

from __future__ import annotations

import dataclasses

import pytest

from storyreel.catalog import load as catalog
from storyreel.manifest.storyboard import FileImage, Remix, Scene, SceneImage, UrlImage, Video
from storyreel.plan.inputs import inputs_of
from storyreel.plan.request import VIDEO, Request
from storyreel.simulator import rules

CATALOG = catalog.load()
MODELS = CATALOG.models
IMAGE = UrlImage("https://x.example/p.png")


def scene(model: str, **changes: object) -> Scene:
    defaults = MODELS[model].defaults
    made = Scene(
        id="a", index=0, title=None, prompt="x", fallback_prompt=None, caption=None, model=model, seconds=defaults.seconds,
        size=defaults.size, mode=defaults.mode, first_frame=None, end_frame=None, references=(), video=None, remix=None,
        fit="refuse", takes=1, pick=None, transition=None,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "images", "video", "body"),
    [
        (scene("sora-2"), {}, None, {"model": "sora-2", "prompt": "x", "seconds": "4", "size": "1280x720"}),
        (
            scene("kling-v2-5-turbo", mode="pro"), {"first_frame": "u1", "end_frame": "u2"}, None,
            {"model": "kling-v2-5-turbo", "prompt": "x", "input_reference": "u1", "image_tail": "u2", "seconds": "5",
             "size": "1280x720", "mode": "pro"},
        ),
        (
            scene("kling-video-o1"), {"first_frame": "b1", "end_frame": "b2", "reference_images.1": "b3"}, None,
            {"model": "kling-video-o1", "prompt": "x", "image_list": [{"image": "b1", "type": "first_frame"},
             {"image": "b2", "type": "end_frame"}, {"image": "b3"}], "seconds": "5", "size": "1920x1080", "mode": "pro"},
        ),
        (
            scene("kling-video-o1", video=Video(None, "https://x.example/v.mp4", "base", True)), {}, "https://x.example/v.mp4",
            {"model": "kling-video-o1", "prompt": "x", "video_list": [{"video_url": "https://x.example/v.mp4",
             "refer_type": "base", "keep_original_sound": "yes"}], "seconds": "5", "size": "1920x1080", "mode": "pro"},
        ),
    ],
)  # fmt: skip
def test_bodies_are_to_the_letter(
    made: Scene, images: dict[str, str], video: str | None, body: dict[str, object]
) -> None:
    sent = {**images, **({VIDEO: video} if video else {})}
    assert request(made).body(sent) == body


@pytest.mark.parametrize("model", ["sora-2", "kling-video-o1", "kling-v2-5-turbo"])
def test_the_strict_simulator_takes_what_we_send(model: str) -> None:
    assert rules.read(request(scene(model)).body({})).model == model


def test_a_remix_sends_nothing_but_its_prompt() -> None:
    assert request(scene("sora-2", remix=Remix(None, "v"))).body({}) == {"prompt": "x"}


def test_what_is_shown_is_what_is_sent_with_each_input_by_where_it_is_from() -> None:
    made = request(
        scene(
            "kling-v2-5-turbo",
            first_frame=FileImage("p.png"),
            end_frame=UrlImage("https://x.example/a?k", "a"),
        )
    )
    assert made.shown("<{}>") == made.body(
        {"first_frame": "<file p.png>", "end_frame": "<keyframe a>"}
    )


def request(made: Scene) -> Request:
    return Request(
        made,
        CATALOG.dialect_of(MODELS[made.model]),
        inputs_of(made, {"p.png": "d1", "q.png": "d2"}, {}),
    )


def reaching(made: Scene) -> object:
    """All that the API gets of a scene: the address, the body, and in it the content of each
    picture as it is made to fit.
    """
    one = request(made)
    sent = {role: f"{given.identity} {made.fit}" for role, given in one.inputs.items()}
    return [sent.get("remix_of"), one.body(sent)]


# Another value for each field of a scene. A field that is not listed here fails the test below.
OTHER: dict[str, object] = {
    "id": "b", "index": 7, "title": "t", "prompt": "y", "fallback_prompt": "z", "caption": "c", "model": "kling-v2-1",
    "seconds": 10, "size": "720x1280", "mode": "pro", "first_frame": FileImage("q.png"), "end_frame": FileImage("q.png"),
    "references": (FileImage("q.png"),), "video": Video(None, "https://x.example/w.mp4", "base", False),
    "remix": Remix(None, "v1"), "fit": "crop", "extras": {"seed": 7}, "takes": 3, "pick": 2, "transition": "fade",
    "fallback": (("sora-2", None),),
}  # fmt: skip
FULL = scene(
    "kling-video-o1", first_frame=FileImage("p.png"), end_frame=SceneImage("a", "last"), references=(FileImage("p.png"),),
    video=Video(None, "https://x.example/v.mp4", "base", False),
)  # fmt: skip
PLAIN = scene("kling-v2-5-turbo", first_frame=FileImage("p.png"))
SOLD = {"references": FULL, "video": FULL}  # fields that only some models are sent


def test_another_value_is_known_for_each_field_of_a_scene() -> None:
    assert set(OTHER) == {field.name for field in dataclasses.fields(Scene)}


@pytest.mark.parametrize("field", OTHER)
@pytest.mark.parametrize("start", [PLAIN, FULL])
def test_a_field_is_in_the_key_if_it_reaches_the_api_and_only_then(
    start: Scene, field: str
) -> None:
    start = SOLD.get(field, start)
    changed = dataclasses.replace(start, **{field: OTHER[field]})  # type: ignore[arg-type]
    is_sent = reaching(changed) != reaching(start)
    assert (request(changed).key != request(start).key) is is_sent, field


@pytest.mark.parametrize(
    "video",
    [
        Video(None, "https://x.example/v.mp4", "feature", False),
        Video(None, "https://x.example/v.mp4", "base", True),
    ],
)
def test_how_a_video_is_used_is_in_the_key(video: Video) -> None:
    assert request(dataclasses.replace(FULL, video=video)).key != request(FULL).key
