"""Jobs out of answers: which job, which state, which link, which reason, wherever a server of the
family puts it. Pure.

Fixed tables, nothing to configure. Sources: Qiniu Cloud's OpenAI-compatible video API, read
2026-11-22; its neighbours in reference/gateways.md 1.1 to 1.11, collected 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storyreel.api import links
from storyreel.api.bodies import clean, loads, text_of, unwrapped
from storyreel.ledger.moments import moment, number

DAY_S = 24 * 3600.0
SEVEN_DAYS_S = 7 * DAY_S
_QINIU = ("qnaigc.com", "sufy.com")


class JobStatus(StrEnum):
    """What a job is doing, in our words."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Will the job's status never change again?"""
        return self is not JobStatus.RUNNING


# The words of ComfyUI's nodes, new-api, goplus/xai, ArcReel, Huawei MaaS and SGLang (gateways.md
# 1.7); `_` for `-` and blanks.
_WORDS = {
    JobStatus.COMPLETED: "completed complete succeeded success succeed successful finished finish "
    "done ready",
    JobStatus.FAILED: "failed fail failure error errored expired timeout timed_out "
    "rejected blocked "
    "moderated content_filtered "
    "terminated deleted",
    JobStatus.CANCELLED: "cancelled canceled aborted cancel",
    JobStatus.RUNNING: "queued queueing pending submitted submitting not_start not_started "
    "preparing "
    "preprocessing created "
    "starting started initializing initialized initialising processing running "
    "generating in_progress in_queue inprogress "
    "downloading uploading throttled scheduled waiting unknown rendering accepted active "
    "postprocessing",
}
_STATUS = {word: status for status, words in _WORDS.items() for word in words.split()}

_IDS = (  # never `request_id`
    "id", "task_id", "taskId", "video_id", "videoId", "job_id", "jobId", "generation_id",
    "generationId",
    "prediction_id", "taskID", "videoID", "jobID", "ID", "Id",
)  # fmt: skip
_STATES = (
    "status", "task_status", "taskStatus", "state", "job_status", "Status", "State", "phase",
    "task_state", "job_state",
    "video_status",
)  # fmt: skip
_PREFIXES = re.compile(r"^((task|job|video|generation|status|state)_)+")  # `TASK_STATUS_SUCCEED`
# Where the job lies in an answer that wraps it: new-api and 302.ai, apimart (a list), DashScope,
# and others alike.
_WRAPPERS = (
    "data",
    "video",
    "task",
    "job",
    "output",
    "result",
    "response",
    "generation",
    "prediction",
    "payload",
    "info",
)
_ITEMS = (
    "videos",
    "tasks",
    "jobs",
    "items",
    "results",
    "generations",
)  # looked into where no other part names a job
# Words that say why a job failed, and that a job which does not fail does not have (gateways.md
# 1.11).
_REASONS = (
    "error", "fail_reason", "failReason", "failure_reason", "failureReason", "failure",
    "failure_message",
    "error_message",
    "errorMessage", "error_msg", "err_msg", "fail_msg",
)  # fmt: skip
# And words that any job may have: a reason only where the job has failed.
_REMARKS = (
    "task_status_msg", "status_message", "status_msg", "base_resp", "detail", "reason",
    "message", "msg",
    "description",
)  # fmt: skip
_CODES = ("error_code", "errorCode", "failureCode", "failure_code", "fail_code")
_ENVELOPES = {
    "ok",
    "success",
    "true",
    "200",
    "0",
    "1",
}  # what a wrapper says of the request, not of the job
_BARE_ID = re.compile(r"(?=.*\d)[\w:-]{8,256}")
_NOTHING = {"", "0", "200", "ok", "success", "succeed", "none", "null", "{}", "[]"}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the API tells it. Times are Unix seconds; `word` is the API's own status.

    `candidates` are the links that a completed answer has where they are several and none is surely
    the clip; `keys` are the names of what the answer has, to be shown where it has no link.
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
    by_content: bool = (
        False  # OpenAI's own shape: the bytes lie at `/content`, and the answer has no link
    )
    is_new_word: bool = False  # `word` stands in no table of ours
    candidates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def parse_job(payload: Any, *, asked: str | None = None, base: str | None = None) -> Job | None:
    """The job in an answer, or None where there is none to be read. Liberal: unknown fields and
    words are no error.

    `asked` is the id of the job that was asked about: an answer that has a state and no id is of
    that one. `base` is the API's address, from which relative links start.
    """
    layer = _job_layer(payload)
    outer = payload if isinstance(payload, dict) else layer
    word = _word(layer)
    name = _id(layer) or (asked if word is not None else None)
    if word is None and (around := _word(outer)) and around.lower() not in _ENVELOPES:
        name, word = (
            asked or name,
            around,
        )  # the state stands outside of the part with the id, which may be the clip's
    if name is None:
        return None
    word = word or ""
    status, is_new_word = _status(word)
    url = _link(layer, outer, base, status)
    if is_new_word:
        status = (
            JobStatus.COMPLETED
            if url
            else JobStatus.FAILED
            if _failed(layer, outer)
            else JobStatus.RUNNING
        )
    candidates: tuple[str, ...] = ()
    if status is JobStatus.COMPLETED and url is None and not links.named_but_malformed(layer):
        found = links.like_videos(payload, base)
        url, candidates = (found[0], ()) if len(found) == 1 else (None, tuple(found))
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
        keys=tuple(
            clean(str(key))[:40] for key in [*outer, *(k for k in layer if k not in outer)][:30]
        ),
    )


def parse_list(payload: Any) -> tuple[list[Job], bool] | None:
    """(jobs, are there more) of a listing, or None where it is none."""
    entries = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(entries, list):
        return None
    return [job for entry in entries if (job := parse_job(entry))], bool(payload.get("has_more"))


def expiry(
    url: str | None,
    expires_at: float | None,
    completed_at: float | None,
    life_s: float = SEVEN_DAYS_S,
) -> float | None:
    """When the result URL dies: its own signature's word, else `expires_at`, else `life_s` after
    completion.

    7 days by Qiniu's document; elsewhere 24 hours are usual (gateways.md 4: evolink, Huawei, Ark).
    """
    signed = links.signed_end(url) if url else None
    if signed or expires_at:
        return signed or expires_at
    return completed_at + life_s if completed_at else None


def error_of(error: Any) -> tuple[str | None, str | None]:
    """(code, message) of an `error` in any form: an object, text, JSON within text, nothing."""
    if isinstance(error, str) and error.lstrip()[:1] == "{":
        error = loads(error) or error
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict):
        code = next((c for key in ("code", "type", "status") if (c := _said(error.get(key)))), None)
        message = next(
            (
                m
                for key in ("message", "msg", "status_msg", "detail")
                if (m := _said(error.get(key)))
            ),
            None,
        )
        inner = error.get("error")
        return (code, message) if message or not inner else error_of(inner)
    return None, _said(error)


# ---- inside


def _layers(
    payload: Any, wrappers: tuple[str, ...] = _WRAPPERS, depth: int = 0
) -> Iterator[Mapping[str, Any]]:
    """The answer and what it wraps, from outside inwards."""
    payload = unwrapped(payload)
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if isinstance(payload, dict):
        yield payload
        for name in wrappers if depth < 3 else ():
            yield from _layers(payload.get(name), wrappers, depth + 1)


def _job_layer(payload: Any) -> Mapping[str, Any]:
    """The part of an answer that is the job: the first with an id and a state, else with an id,
    else with a state.
    """
    found = list(_layers(payload))
    if not any(_id(one) or _word(one) is not None for one in found):
        found = list(_layers(payload, (*_WRAPPERS, *_ITEMS)))
    if not any(_id(one) or _word(one) is not None for one in found):
        return _bare(payload)
    states = [one for one in found if _word(one) is not None]
    if len(states) > 1 and str(_word(states[0])).lower() in _ENVELOPES:
        found.sort(key=lambda one: one is states[0])
    tests = (
        lambda one: _id(one) and _word(one) is not None,
        _id,
        lambda one: _word(one) is not None,
    )
    return next((one for test in tests for one in found if test(one)), {})


def _bare(payload: Any) -> Mapping[str, Any]:
    """The job of `{"code": 0, "data": "…"}`: an answer that says that all is well, and has nothing
    but an id.
    """
    if not isinstance(payload, dict) or str(payload.get("code", "")).lower() not in _ENVELOPES:
        return {}
    found = next((one for key in _WRAPPERS if isinstance(one := payload.get(key), str)), "")
    return {"id": found} if _BARE_ID.fullmatch(found) else {}


def _id(layer: Mapping[str, Any]) -> str | None:
    """The job's id: text before numbers (new-api's rows have a number as `id` beside the real
    `task_id`).
    """
    given = [layer.get(name) for name in _IDS]
    words = (one.strip() for one in given if isinstance(one, str) and one.strip())
    numbers = (
        str(one) for one in given if isinstance(one, int) and not isinstance(one, bool) and one > 0
    )
    found = next(words, None) or next(numbers, None)
    return found if found and len(found) <= 256 and found.isprintable() else None


def _word(layer: Mapping[str, Any]) -> str | None:
    for name in _STATES:
        value = layer.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = _word(value) or _first(value, "name", "value", "code")
        text = text_of(value)
        if text is not None:
            return clean(text)[:60]
    return None


def _status(word: str) -> tuple[JobStatus, bool]:
    """(status, is the word new to us).

    An answer without any word is judged by what else it has, as one with a new word.
    """
    plain = "_".join(word.lower().replace("-", "_").split()).strip("_")
    known = _STATUS.get(plain) or _STATUS.get(_PREFIXES.sub("", plain))
    return known or JobStatus.RUNNING, known is None


def _link(
    layer: Mapping[str, Any], outer: Mapping[str, Any], base: str | None, status: JobStatus
) -> str | None:
    found = links.in_places(layer, base) or (
        links.in_places(outer, base) if outer is not layer else None
    )
    if found:
        return found
    if status is JobStatus.COMPLETED:  # new-api's rows: the link stands where the reason would
        return links.address(layer.get("fail_reason"), base)
    return None


def _failed(layer: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    code, message = _why(layer, outer, JobStatus.RUNNING)
    return bool(code or message) or moment(layer.get("failed_at")) is not None


def _why(
    layer: Mapping[str, Any], outer: Mapping[str, Any], status: JobStatus
) -> tuple[str | None, str | None]:
    """(code, reason) of a failure; (None, None) of a job that has not failed."""
    if status is JobStatus.COMPLETED:
        return None, None
    has_failed = status in (JobStatus.FAILED, JobStatus.CANCELLED)
    code = message = None
    for one in (layer, outer, *_layers(layer)):
        for key in (*_REASONS, *(_REMARKS if has_failed else ())):
            found = error_of(one.get(key))
            code, message = code or found[0], message or found[1]
        for key in _CODES:
            code = code or _said(one.get(key))
    return code, message


def _said(value: Any) -> str | None:
    """What a field says, as text; None where it says that all is well."""
    text = clean(text_of(value) or "")
    return None if text.lower() in _NOTHING else text


def _first(layer: Mapping[str, Any], *names: str) -> Any:
    return next((layer[name] for name in names if layer.get(name) is not None), None)


def _is_qiniu(base: str) -> bool:
    parts = links.split(base)
    return bool(parts and (parts.hostname or "").endswith(_QINIU))
