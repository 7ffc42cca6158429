"""Request bodies out of scenes.

Source: Qiniu Cloud's OpenAI-compatible video API, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storyreel.catalog.load import Model
from storyreel.manifest.storyboard import Scene


def create_body(scene: Scene, model: Model, images: Mapping[str, str], video_url: str | None = None) -> dict[str, Any]:
    """The JSON of `POST /videos`. `images` maps a role (`first_frame`, `reference_images.1`, …) to a URL or base64.

    Every parameter is sent: the documented defaults contradict each other.
    """
    body: dict[str, Any] = {"model": scene.model, "prompt": scene.prompt}
    if model.dialect == "reference":
        if "first_frame" in images:
            body["input_reference"] = images["first_frame"]
        if "end_frame" in images:
            body["image_tail"] = images["end_frame"]
    else:
        listed = [{"image": value} if "." in role else {"image": value, "type": role} for role, value in images.items()]
        if listed:
            body["image_list"] = listed
        if scene.video and video_url:
            body["video_list"] = [
                {
                    "video_url": video_url,
                    "refer_type": scene.video.refer_type,
                    "keep_original_sound": "yes" if scene.video.keep_sound else "no",
                }
            ]
    body["seconds"] = str(scene.seconds)
    body["size"] = scene.size
    if scene.mode:
        body["mode"] = scene.mode
    return body


def remix_body(prompt: str) -> dict[str, Any]:
    """The JSON of `POST /videos/{id}/remix`."""
    return {"prompt": prompt}
