"""The API's JSON: request bodies out of a scene, jobs and errors out of answers.

Source: Qiniu Cloud's OpenAI-compatible video API, read 2026-11-22.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlsplit

from storyreel.catalog import Model
from storyreel.manifest.storyboard import Scene

SEVEN_DAYS_S = 7 * 24 * 3600
_OUT_OF_CREDIT = re.compile(
    r"insufficient[_ ](quota|balance|credit|funds)|balance.{0,20}(insufficient|not enough|exhausted)|arrear|"
    r"(account|resource pack|credit)s?.{0,20}exhausted|余额|欠费|\b110[0-2]\b",
    re.IGNORECASE,
)


class JobStatus(StrEnum):
    """What a job is doing, in our words."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self is not JobStatus.RUNNING


_FINAL = {
    "completed": JobStatus.COMPLETED,
    "complete": JobStatus.COMPLETED,
    "succeeded": JobStatus.COMPLETED,
    "success": JobStatus.COMPLETED,
    "succeed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "failure": JobStatus.FAILED,
    "error": JobStatus.FAILED,
    "expired": JobStatus.FAILED,
    "cancelled": JobStatus.CANCELLED,
    "canceled": JobStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the API tells it. Times are Unix seconds; `word` is the API's own status."""

    id: str
    status: JobStatus
    word: str
    url: str | None = None
    expires_at: float | None = None
    completed_at: float | None = None
    progress: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    created_at: float | None = None
    model: str | None = None
    prompt: str | None = None
    seconds: str | None = None
    by_content: bool = False  # OpenAI's own shape: the bytes lie at `/content`, and no link is told


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


def parse_job(payload: Any) -> Job | None:
    """The job in an answer, or None where there is none to be read. Liberal: unknown fields and words are no error."""
    if isinstance(payload, dict) and "id" not in payload and isinstance(payload.get("data"), dict):
        payload = payload["data"]
    if not isinstance(payload, dict) or not isinstance(payload.get("id"), str) or not payload["id"].strip():
        return None
    word = str(payload.get("status") or "")
    status = _FINAL.get(word.strip().lower().replace("-", "_"), JobStatus.RUNNING)
    code, message = _error_of(payload.get("error"))
    url = _url(payload)
    completed = _number(payload.get("completed_at"))
    if status is JobStatus.FAILED and word.strip().lower() == "expired":
        code = code or "expired"
    return Job(
        id=payload["id"],
        status=status,
        word=word,
        url=url,
        expires_at=expiry(url, _number(payload.get("expires_at")), completed),
        completed_at=completed,
        progress=_number(payload.get("progress")),
        error_code=code,
        error_message=message,
        created_at=_number(payload.get("created_at")),
        model=_text(payload.get("model")),
        prompt=_text(payload.get("prompt")),
        seconds=_text(payload.get("seconds")),
        by_content="task_result" not in payload and "progress" in payload,
    )


def parse_list(payload: Any) -> tuple[list[Job], bool] | None:
    """(jobs, are there more) of a listing, or None where it is none."""
    entries = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(entries, list):
        return None
    return [job for entry in entries if (job := parse_job(entry))], bool(payload.get("has_more"))


def expiry(url: str | None, expires_at: float | None, completed_at: float | None) -> float | None:
    """When the result URL dies: its own `e=`, else `expires_at`, else 7 days after completion."""
    if url:
        signed = parse_qs(urlsplit(url).query).get("e", [])
        if signed and signed[0].isdigit():
            return float(signed[0])
    if expires_at:
        return expires_at
    return completed_at + SEVEN_DAYS_S if completed_at else None


def _url(payload: Mapping[str, Any]) -> str | None:
    result = payload.get("task_result")
    videos = result.get("videos") if isinstance(result, dict) else None
    for video in videos if isinstance(videos, list) else []:
        if isinstance(video, dict) and isinstance(video.get("url"), str) and video["url"].strip():
            return str(video["url"]).strip()
    return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _error_of(error: Any) -> tuple[str | None, str | None]:
    if isinstance(error, dict):
        code, message = error.get("code") or error.get("type"), error.get("message")
        return (str(code) if code else None), (clean(str(message)) if message else None)
    return None, clean(str(error)) if error else None


def parse_error(text: str) -> tuple[str | None, str]:
    """(code, message) of an error body in any of the forms seen: JSON of two kinds, plain text, HTML, nothing."""
    try:
        payload = json.loads(text)
    except ValueError:
        return None, clean(text)
    if isinstance(payload, dict):
        if payload.get("error") is not None:
            code, message = _error_of(payload["error"])
            return code, message or clean(text)
        message = payload.get("message") or payload.get("detail")
        code = payload.get("code")
        return (str(code) if code else None), clean(str(message)) if message else clean(text)
    return None, clean(text)


def clean(text: str) -> str:
    """One line of at most 400 characters, without tags and control characters; what a person can be shown."""
    text = re.sub(r"(?is)<(script|style).*?</\1>", " ", text)
    text = re.sub(r"<[^>]{1,200}>", " ", text) if "<" in text else text
    text = re.sub(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+", r"\1?…", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 400 else text[:399] + "…"


def is_out_of_credit(status: int, code: str | None, message: str) -> bool:
    """Does this refusal mean that the account has no money left?"""
    if status == 402:
        return True
    return status in (400, 403, 429) and bool(_OUT_OF_CREDIT.search(f"{code or ''} {message}"))


def failure_class(code: str | None, message: str | None) -> str:
    """The report's class of a job that the API ended as failed."""
    text = f"{code or ''} {message or ''}".lower()
    if any(word in text for word in ("moderation", "sensitive", "policy", "content_filter", "risk control", "审核")):
        return "moderation"
    if "expired" in text:
        return "expired"
    if any(word in text for word in ("invalid", "unsupported", "bad_request")):
        return "invalid"
    return "transient"
