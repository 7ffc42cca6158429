"""Jobs, parsed from the answers of every server of the family: id, status, link, reason. Pure.

The tables are fixed: there is nothing to configure. Sources: Qiniu Cloud's OpenAI-compatible video
API, read 2026-11-22; other servers in reference/gateways.md 1.1 to 1.11, collected 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storyreel.api import layers, links, reasons
from storyreel.api.bodies import clean, text_of
from storyreel.api.layers import first
from storyreel.ledger.moments import moment, number

DAY_S = 24 * 3600.0
SEVEN_DAYS_S = 7 * DAY_S
_QINIU = ("qnaigc.com", "sufy.com")


class JobStatus(StrEnum):
    """The status of a job, in our words."""

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

_PREFIXES = re.compile(r"^((task|job|video|generation|status|state)_)+")  # `TASK_STATUS_SUCCEED`


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the API describes it. Times are Unix seconds; `word` is the API's own status.

    `candidates` are the links of a completed job, if several could be its clip. `keys` are the
    names of the answer's fields, for the message about an answer without a link.
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
    by_content: bool = False  # OpenAI's shape: no link, the bytes are at `/content`
    is_new_word: bool = False  # `word` stands in no table of ours
    candidates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def parse_job(payload: Any, *, asked: str | None = None, base: str | None = None) -> Job | None:
    """Return the job in an answer, or None. Unknown fields and words are no error.

    `asked` is the id of the job that a GET was about: it is the id of an answer that has a state
    and no id. `base` is the API's address, at which relative links start.
    """
    layer = layers.job_layer(payload)
    outer = payload if isinstance(payload, dict) else layer
    name, word = _name_and_word(layer, outer, asked)
    if name is None:
        return None
    status, is_new_word = _status(word)
    url = _link(layer, outer, base, status)
    if is_new_word:
        status = _status_by_content(layer, outer, url)
    url, candidates = _clip_links(payload, layer, base, status, url)
    code, message = _reason(layer, outer, status)
    completed = moment(first(layer, "completed_at", "completedAt", "finished_at", "updated_at"))
    life = SEVEN_DAYS_S if base is None or _is_qiniu(base) else DAY_S
    return Job(
        id=name,
        status=status,
        word=word,
        url=url,
        expires_at=expiry(url, moment(first(layer, "expires_at", "expiresAt")), completed, life),
        completed_at=completed,
        progress=number(layer.get("progress")),
        error_code=code or ("expired" if word.strip().lower() == "expired" else None),
        error_message=message,
        created_at=moment(first(layer, "created_at", "createdAt", "created", "submit_time")),
        model=text_of(layer.get("model")),
        prompt=text_of(layer.get("prompt")),
        seconds=text_of(layer.get("seconds")),
        size=text_of(layer.get("size")),
        by_content="task_result" not in layer and "progress" in layer and not candidates,
        is_new_word=is_new_word,
        candidates=candidates,
        keys=_keys(layer, outer),
    )


def parse_list(payload: Any) -> tuple[list[Job], bool] | None:
    """Return (jobs, are there more) of a listing; None if the answer is no listing."""
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
    """Return the Unix time at which the result URL expires.

    Read it from its signature, else from `expires_at`, else add `life_s` to the completion: 7 days
    by Qiniu's document; elsewhere 24 hours are usual (gateways.md 4: evolink, Huawei, Ark).
    """
    signed = links.signed_end(url) if url else None
    if signed or expires_at:
        return signed or expires_at
    return completed_at + life_s if completed_at else None


# ---- inside


def _name_and_word(
    layer: Mapping[str, Any], outer: Mapping[str, Any], asked: str | None
) -> tuple[str | None, str]:
    """Return the job's id, and the API's word for its state, empty if there is none."""
    word = layers.state_word(layer)
    name = layers.job_id(layer) or (asked if word is not None else None)
    if word is not None:
        return name, word
    around = layers.state_word(outer)
    if around and around.lower() not in layers.ALL_IS_WELL:
        return asked or name, around  # the id beside no state may be the clip's
    return name, ""


def _status(word: str) -> tuple[JobStatus, bool]:
    """Return (status, is the word in no table of ours). No word counts as a new one."""
    plain = "_".join(word.lower().replace("-", "_").split()).strip("_")
    known = _STATUS.get(plain) or _STATUS.get(_PREFIXES.sub("", plain))
    return known or JobStatus.RUNNING, known is None


def _status_by_content(
    layer: Mapping[str, Any], outer: Mapping[str, Any], url: str | None
) -> JobStatus:
    """Return the status of a job with a new word: completed with a link, failed with a reason."""
    if url:
        return JobStatus.COMPLETED
    return JobStatus.FAILED if _failed(layer, outer) else JobStatus.RUNNING


def _clip_links(
    payload: Any, layer: Mapping[str, Any], base: str | None, status: JobStatus, url: str | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return (link, candidates) of a job. Search the whole answer of a completed job without a
    link.
    """
    if status is not JobStatus.COMPLETED or url or links.named_but_malformed(layer):
        return url, ()
    found = links.like_videos(payload, base)
    return (found[0], ()) if len(found) == 1 else (None, tuple(found))


def _keys(layer: Mapping[str, Any], outer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of at most 30 fields of an answer, safe to show."""
    names = [*outer, *(key for key in layer if key not in outer)]
    return tuple(clean(str(key))[:40] for key in names[:30])


def _link(
    layer: Mapping[str, Any], outer: Mapping[str, Any], base: str | None, status: JobStatus
) -> str | None:
    found = links.in_places(layer, base) or (
        links.in_places(outer, base) if outer is not layer else None
    )
    if found:
        return found
    if status is JobStatus.COMPLETED:  # new-api's rows: the link is in the reason's field
        return links.address(layer.get("fail_reason"), base)
    return None


def _reason(
    layer: Mapping[str, Any], outer: Mapping[str, Any], status: JobStatus
) -> tuple[str | None, str | None]:
    """Return (code, message) of a failure; (None, None) for a job that has not failed."""
    if status is JobStatus.COMPLETED:
        return None, None
    has_failed = status in (JobStatus.FAILED, JobStatus.CANCELLED)
    return reasons.reason(layer, outer, has_failed=has_failed)


def _failed(layer: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    code, message = _reason(layer, outer, JobStatus.RUNNING)
    return bool(code or message) or moment(layer.get("failed_at")) is not None


def _is_qiniu(base: str) -> bool:
    parts = links.split(base)
    return bool(parts and (parts.hostname or "").endswith(_QINIU))
