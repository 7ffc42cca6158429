"""A clip is compared with what was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from storyreel.manifest.storyboard import Remix, UrlImage, Video
from storyreel.run.comparison import echoed, ignored
from tests.clips import clip
from tests.unit.test_wire import scene

PICTURE = UrlImage("https://x.example/p.png")
CLIP = {"duration_s": 5.04}


@pytest.mark.parametrize(
    ("facts", "changes", "fields"),
    [
        (CLIP, {}, []), (CLIP | {"duration_s": 5.6}, {}, []), (CLIP | {"duration_s": 10.04}, {}, ["seconds"]),
        (CLIP | {"duration_s": 4.0}, {}, ["seconds"]), (CLIP | {"width": 1920, "height": 1080}, {}, []),
        (CLIP | {"width": 720, "height": 1280}, {}, ["size"]), (CLIP | {"width": 720, "height": 720}, {}, ["size"]),
        (CLIP | {"width": 720, "height": 1280, "duration_s": 8.0}, {}, ["seconds", "size"]),
        # a picture gives the clip its shape
        (CLIP | {"width": 720, "height": 1280}, {"first_frame": PICTURE}, []),
        # of another length than its own words say
        (CLIP | {"duration_s": 8.0}, {"remix": Remix(None, "v")}, []),
        (CLIP | {"duration_s": 8.0}, {"video": Video(None, "https://x.example/v.mp4", "base", True)}, []),
    ],
)  # fmt: skip
def test_what_the_endpoint_ignored_is_named(
    facts: dict[str, Any], changes: dict[str, Any], fields: list[str]
) -> None:
    made = scene("kling-v2-5-turbo", **{"size": "1280x720", "seconds": 5, **changes})
    assert [words.partition("`: ")[0][1:] for words in ignored(made, clip(**facts))] == fields


@pytest.mark.parametrize(
    ("seconds", "size", "fields"),
    [
        ("5", "1280x720", []), ("5.0", "1280*720", []), ("5s", "720p", []), (None, None, []), ("auto", "", []),
        ("10", None, ["seconds"]), ("4", "720x1280", ["seconds", "size"]), ("5", "1:1", ["size"]), ("5", "16:9", []),
        ("NaN", "0x0", ["size"]), ("9" * 400, "x", []), ("5", "1920x1080", []),
    ],
)  # fmt: skip
def test_what_the_answer_names_otherwise_is_said(
    seconds: str | None, size: str | None, fields: list[str]
) -> None:
    made = scene("kling-v2-5-turbo", size="1280x720", seconds=5)
    assert [words.partition("`: ")[0][1:] for words in echoed(made, seconds, size)] == fields
    assert (
        echoed(
            scene("kling-v2-5-turbo", size="1280x720", seconds=5, remix=Remix(None, "v")),
            seconds,
            size,
        )
        == []
    )
