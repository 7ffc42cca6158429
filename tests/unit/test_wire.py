"""Requests as the document wants them."""

from __future__ import annotations

import dataclasses

import pytest

from storyreel.api import wire
from storyreel.catalog import load as catalog
from storyreel.manifest.storyboard import Remix, Scene, UrlImage, Video
from storyreel.simulator import rules

MODELS = catalog.load().models
IMAGE = UrlImage("https://x.example/p.png", "url")


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
    assert wire.create_body(made, MODELS[made.model], images, video) == body


@pytest.mark.parametrize("model", ["sora-2", "kling-video-o1", "kling-v2-5-turbo"])
def test_the_strict_simulator_takes_what_we_send(model: str) -> None:
    body = wire.create_body(scene(model), MODELS[model], {})
    assert rules.read(body).model == model


def test_a_remix_sends_nothing_but_its_prompt() -> None:
    assert wire.remix_body(scene("sora-2", remix=Remix(None, "v")).prompt) == {"prompt": "x"}
