"""Requests as the document wants them; answers as servers really give them."""

from __future__ import annotations

import dataclasses

import pytest

from storyreel import catalog, wire
from storyreel.manifest.storyboard import Remix, Scene, UrlImage, Video
from storyreel.simulator import rules
from storyreel.wire import JobStatus

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


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("initializing", JobStatus.RUNNING), ("queued", JobStatus.RUNNING), ("in_progress", JobStatus.RUNNING),
        ("downloading", JobStatus.RUNNING), ("uploading", JobStatus.RUNNING), ("something new", JobStatus.RUNNING),
        ("completed", JobStatus.COMPLETED), ("Completed", JobStatus.COMPLETED), ("succeeded", JobStatus.COMPLETED),
        ("failed", JobStatus.FAILED), ("expired", JobStatus.FAILED), ("canceled", JobStatus.CANCELLED),
        ("cancelled", JobStatus.CANCELLED), ("", JobStatus.RUNNING),
    ],
)  # fmt: skip
def test_status_words_are_normalised(word: str, status: JobStatus) -> None:
    job = wire.parse_job({"id": "q", "status": word})
    assert job is not None and job.status is status


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"id": ""}, {"id": 5}, {"status": "queued"}])
def test_an_answer_that_names_no_job_is_none(payload: object) -> None:
    assert wire.parse_job(payload) is None


def test_the_link_knows_its_own_end_best() -> None:
    assert wire.expiry("https://h/x.mp4?e=1700&token=a", 5.0, 6.0) == 1700.0
    assert wire.expiry("https://h/x.mp4", 5.0, 6.0) == 5.0
    assert wire.expiry("https://h/x.mp4", None, 6.0) == 6.0 + 7 * 24 * 3600


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"error": {"message": "no", "type": "t", "code": "c"}}', "c", "no"),
        ('{"error": "text", "status": false}', None, "text"),
        ("plain words", None, "plain words"),
        ("<html><head><style>p{}</style></head><body><h1>502 Bad Gateway</h1></body></html>", None, "502 Bad Gateway"),
        ("", None, ""),
        ('{"message": "m", "code": 7}', "7", "m"),
    ],
)
def test_error_bodies_of_every_form_are_read(text: str, code: str | None, message: str) -> None:
    assert wire.parse_error(text) == (code, message)


def test_what_a_person_is_shown_has_no_signature_in_it() -> None:
    assert "token" not in wire.clean("see https://h.example/x.mp4?e=1&token=abc now")


@pytest.mark.parametrize(
    ("status", "message", "out"),
    [(402, "", True), (429, "Account balance not enough", True), (429, "code 1102", True), (429, "slow down", False), (500, "balance not enough", False)],
)  # fmt: skip
def test_an_empty_account_is_told_from_a_rate_limit(status: int, message: str, out: bool) -> None:
    assert wire.is_out_of_credit(status, None, message) is out
