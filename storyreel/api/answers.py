"""Read jobs from answers: id, status, link and reason, in every place where servers of the family
put them. Pure.

Fixed tables, nothing to configure. Sources: Qiniu Cloud's OpenAI-compatible video API, read
2026-11-22; its neighbours in reference/gateways.md 1.1 to 1.11, collected 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storyreel.api import links
from storyreel.api.bodies import clean, loads, text_of
from storyreel.ledger.moments import moment, number

DAY_S = 24 * 3600.0
SEVEN_DAYS_S = 7 * DAY_S
_QINIU = ("qnaigc.com", "sufy.com")


class JobStatus(StrEnum):
    """The state of a job, in our words."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Will the job's status never change again?"""
        return self is not JobStatus.RUNNING


# The words of ComfyUI's nodes, new-api, goplus/xai, ArcReel, Huawei MaaS and SGLang (gateways.md 1.7); `_` for `-` and blanks.
_WORDS = {
    JobStatus.COMPLETED: "completed complete succeeded success succeed successful finished finish done ready",
    JobStatus.FAILED: "failed fail failure error errored expired timeout timed_out rejected blocked moderated content_filtered "
    "terminated deleted",
    JobStatus.CANCELLED: "cancelled canceled aborted cancel",
    JobStatus.RUNNING: "queued queueing pending submitted submitting not_start not_started preparing preprocessing created "
    "starting started initializing initialized initialising processing running generating in_progress in_queue inprogress "
    "downloading uploading throttled scheduled waiting unknown rendering accepted active postprocessing",
}
_STATUS = {word: status for status, words in _WORDS.items() for word in words.split()}

_IDS = ("id", "task_id", "taskId", "video_id", "videoId", "job_id", "jobId", "generation_id")  # never `request_id`
_STATES = ("status", "task_status", "taskStatus", "state", "job_status")
# Fields of an answer that wrap the job: new-api and 302.ai, apimart (a list), DashScope and others.
_WRAPPERS = ("data", "video", "task", "job", "output", "result", "response", "generation")
# Fields that only a failed job has: they give the reason (gateways.md 1.11).
_REASONS = (
    "error", "fail_reason", "failReason", "failure_reason", "failureReason", "failure", "failure_message", "error_message",
    "errorMessage", "error_msg", "err_msg", "fail_msg",
)  # fmt: skip
# Fields that any job may have: a reason only if the job has failed.
_REMARKS = (
    "task_status_msg", "status_message", "status_msg", "base_resp", "detail", "reason", "message", "msg", "description",
)  # fmt: skip
_CODES = ("error_code", "errorCode", "failureCode", "failure_code", "fail_code")
_ENVELOPES = {"ok", "success", "true", "200", "0", "1"}  # words of a wrapper about the request, not the job
_NOTHING = {"", "0", "200", "ok", "success", "succeed", "none", "null", "{}", "[]"}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the API reports it. Times are Unix seconds; `word` is the API's own status.

    `candidates` are the links of a completed answer with several links, none of which is surely the
    clip. `keys` are the names of the answer's fields, for a message about a missing link.
    """

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
    size: str | None = None
    by_content: bool = False  # OpenAI's own shape: the bytes are at `/content`, and the answer has no link
    is_new_word: bool = False  # `word` is in no table of ours
    candidates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def parse_job(payload: Any, *, asked: str | None = None, base: str | None = None) -> Job | None:
    """Return the job in an answer, or None if there is none. Unknown fields and words are no error.

    `asked` is the id of the job that the request was about: an answer with a state and no id is
    that job's. `base` is the API's address, from which relative links start.
    """
    layer = _job_layer(payload)
    name = _id(layer) or (asked if _word(layer) is not None else None)
    if name is None:
        return None
    outer = payload if isinstance(payload, dict) else layer
    word = _word(layer) or ""
    status, is_new_word = _status(word, layer)
    url = _link(layer, outer, base)
    if is_new_word:
        status = JobStatus.COMPLETED if url else JobStatus.FAILED if _failed(layer, outer) else JobStatus.RUNNING
    candidates: tuple[str, ...] = ()
    if status is JobStatus.COMPLETED and url is None and not links.named_but_malformed(layer):
        videos = links.like_videos(payload, base)
        url, candidates = (videos[0], ()) if len(videos) == 1 else (None, tuple(videos))
    code, message = _why(layer, outer, status)
    if word.strip().lower() == "expired":
        code = code or "expired"
    completed = moment(_first(layer, "completed_at", "completedAt", "finished_at", "updated_at"))
    life = SEVEN_DAYS_S if base is None or _is_qiniu(base) else DAY_S
    return Job(
        id=name,
        status=status,
        word=word,
        url=url,
        expires_at=expiry(url, moment(_first(layer, "expires_at", "expiresAt")), completed, life),
        completed_at=completed,
        progress=number(layer.get("progress")),
        error_code=code,
        error_message=message,
        created_at=moment(_first(layer, "created_at", "createdAt", "created", "submit_time")),
        model=text_of(layer.get("model")),
        prompt=text_of(layer.get("prompt")),
        seconds=text_of(layer.get("seconds")),
        size=text_of(layer.get("size")),
        by_content="task_result" not in layer and "progress" in layer and not candidates,
        is_new_word=is_new_word,
        candidates=candidates,
        keys=tuple(clean(str(key))[:40] for key in [*outer, *(k for k in layer if k not in outer)][:30]),
    )


def parse_list(payload: Any) -> tuple[list[Job], bool] | None:
    """Return (jobs, has more) of a listing, or None if it is none."""
    entries = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(entries, list):
        return None
    return [job for entry in entries if (job := parse_job(entry))], bool(payload.get("has_more"))


def expiry(
    url: str | None, expires_at: float | None, completed_at: float | None, life_s: float = SEVEN_DAYS_S
) -> float | None:
    """Return when the result URL expires: by its own signature, else `expires_at`, else `life_s`
    after completion.

    7 days by Qiniu's document; elsewhere 24 hours are usual (gateways.md 4: evolink, Huawei, Ark).
    """
    signed = links.signed_end(url) if url else None
    if signed or expires_at:
        return signed or expires_at
    return completed_at + life_s if completed_at else None


def error_of(error: Any) -> tuple[str | None, str | None]:
    """Return (code, message) of an `error` in any form: an object, text, JSON within text,
    nothing.
    """
    if isinstance(error, str) and error.lstrip()[:1] == "{":
        error = loads(error) or error
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict):
        code = next((c for key in ("code", "type", "status") if (c := _said(error.get(key)))), None)
        message = next((m for key in ("message", "msg", "status_msg", "detail") if (m := _said(error.get(key)))), None)
        inner = error.get("error")
        return (code, message) if message or not inner else error_of(inner)
    return None, _said(error)


# ---- inside


def _layers(payload: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield the answer and the objects that it wraps, from outside inwards."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if isinstance(payload, dict):
        yield payload
        for name in _WRAPPERS if depth < 3 else ():
            yield from _layers(payload.get(name), depth + 1)


def _job_layer(payload: Any) -> Mapping[str, Any]:
    """Return the part of an answer that is the job: the first with id and state, else with id,
    else with state.
    """
    layers = list(_layers(payload))
    states = [layer for layer in layers if _word(layer) is not None]
    if len(states) > 1 and str(_word(states[0])).lower() in _ENVELOPES:
        layers.sort(key=lambda layer: layer is states[0])
    tests = (
        lambda layer: _id(layer) and _word(layer) is not None,
        _id,
        lambda layer: _word(layer) is not None,
    )
    return next((layer for test in tests for layer in layers if test(layer)), {})


def _id(layer: Mapping[str, Any]) -> str | None:
    """Return the job's id: text before numbers (new-api's rows have a number as `id` beside the
    real `task_id`).
    """
    ids = [layer.get(name) for name in _IDS]
    words = (value.strip() for value in ids if isinstance(value, str) and value.strip())
    numbers = (str(value) for value in ids if isinstance(value, int) and not isinstance(value, bool) and value > 0)
    job_id = next(words, None) or next(numbers, None)
    return job_id if job_id and len(job_id) <= 256 and job_id.isprintable() else None


def _word(layer: Mapping[str, Any]) -> str | None:
    for name in _STATES:
        value = layer.get(name)
        if isinstance(value, dict):
            value = _word(value) or _first(value, "name", "value", "code")
        text = text_of(value)
        if text is not None:
            return clean(text)[:60]
    return None


def _status(word: str, layer: Mapping[str, Any]) -> tuple[JobStatus, bool]:
    """Return (status, is the word new to us). An answer without a word counts as one with a new
    word.
    """
    status = _STATUS.get("_".join(word.lower().replace("-", "_").split()).strip("_"))
    return status or JobStatus.RUNNING, status is None


def _link(layer: Mapping[str, Any], outer: Mapping[str, Any], base: str | None) -> str | None:
    link = links.in_places(layer, base) or (links.in_places(outer, base) if outer is not layer else None)
    if link:
        return link
    word = _word(layer) or ""
    if _status(word, layer)[0] is JobStatus.COMPLETED:  # new-api's rows: the link is in place of the reason
        return links.address(layer.get("fail_reason"), base)
    return None


def _failed(layer: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    code, message = _why(layer, outer, JobStatus.RUNNING)
    return bool(code or message) or moment(layer.get("failed_at")) is not None


def _why(layer: Mapping[str, Any], outer: Mapping[str, Any], status: JobStatus) -> tuple[str | None, str | None]:
    """Return (code, reason) of a failure; (None, None) for a job that has not failed."""
    if status is JobStatus.COMPLETED:
        return None, None
    has_failed = status in (JobStatus.FAILED, JobStatus.CANCELLED)
    code = message = None
    for part in (layer, outer, *_layers(layer)):
        for key in (*_REASONS, *(_REMARKS if has_failed else ())):
            error = error_of(part.get(key))
            code, message = code or error[0], message or error[1]
        for key in _CODES:
            code = code or _said(part.get(key))
    return code, message


def _said(value: Any) -> str | None:
    """Return a field as text; None if it reports success."""
    text = clean(text_of(value) or "")
    return None if text.lower() in _NOTHING else text


def _first(layer: Mapping[str, Any], *names: str) -> Any:
    return next((layer[name] for name in names if layer.get(name) is not None), None)


def _is_qiniu(base: str) -> bool:
    parts = links.split(base)
    return bool(parts and (parts.hostname or "").endswith(_QINIU))
