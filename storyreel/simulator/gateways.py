"""Gateways: the other servers of the family as data, each with the answers in which it differs. Pure.

Source: a survey of gateways, collected 2026-11-24. A text `$name` in a template stands for a value:
id, number (an id that is a number), model, prompt, status, progress, seconds, size, created,
created_ms, completed, completed_ms, iso, url (signed), path (the same without its host), content
(an address of the API, which needs the key), code, message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its HTTP status (None: as in the document) and its body."""

    status: int | None
    body: Any


_ERROR = {"error": {"message": "$message", "type": "$code", "code": "$code"}}
_WORDS = {
    "queued": "queued",
    "running": "in_progress",
    "completed": "completed",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """One kind of server. It reads requests as `lax` does, but for the fields in `ignores`.

    `created`, `running`, `completed` and `failed` are the bodies that describe a job.
    `first_asked` answers the first GETs for a job, `early_content` the first for its bytes.
    `too_many`, `no_credit` and `moderated` answer requests refused for these reasons, `refused`
    those refused for any other. `at_once`: the answer to the POST has the finished clip.
    """

    title: str
    created: Any
    running: Any
    completed: Any
    failed: Any
    words: Mapping[str, str] = field(default_factory=lambda: _WORDS)
    ids: str = "text"  # or `number`
    created_status: int = 200
    failed_status: int = 200
    first_asked: tuple[Reply, ...] = ()
    early_content: tuple[Reply, ...] = ()
    has_content: bool = False
    at_once: bool = False
    ignores: tuple[str, ...] = ()  # of seconds, size, first_frame, end_frame
    too_many: Reply = Reply(429, _ERROR)
    no_credit: Reply = Reply(402, _ERROR)
    moderated: Reply | None = None  # None: the job is accepted, then fails
    refused: Reply = Reply(None, _ERROR)


_SATURATED = "当前分组上游负载已饱和，请稍后再试"
_NOT_EXIST = {"code": "task_not_exist", "message": "task_not_exist", "data": None}
_VIDEO = {
    "id": "$id",
    "object": "video",
    "model": "$model",
    "status": "$status",
    "progress": "$progress",
    "seconds": "$seconds",
}
_VIDEO |= {"size": "$size", "created_at": "$created"}
_VIDEO_MS = _VIDEO | {
    "task_id": "$id",
    "created_at": "$created_ms",
    "completed_at": "$completed_ms",
}
_FAILED = _VIDEO | {"error": {"code": "$code", "message": "$message"}}
_KLING = {
    "task_id": "$id",
    "task_status": "$status",
    "created_at": "$created_ms",
    "updated_at": "$completed_ms",
}
_DASH = {"task_id": "$id", "task_status": "$status"}
_ROW = {
    "task_id": "$id",
    "platform": "50",
    "status": "$status",
    "progress": "$progress%",
    "submit_time": "$created",
}


def _row(**more: Any) -> dict[str, Any]:
    return {"code": "success", "message": "", "data": {"id": "$number", **_ROW, **more}}


GATEWAYS: dict[str, Gateway] = {
    "newapi-kling": Gateway(
        "new-api's Kling channel: times in ms, the link in metadata.url, unknown at first, seconds and pictures ignored",
        _VIDEO_MS, _VIDEO_MS, _VIDEO_MS | {"metadata": {"url": "$url"}}, _FAILED | {"task_id": "$id"},
        first_asked=(Reply(400, _NOT_EXIST),), ignores=("seconds", "first_frame", "end_frame"),
        too_many=Reply(400, {"code": "task_failed", "message": "parallel task over resource pack limit", "data": None}),
        no_credit=Reply(403, {"error": {"message": "用户额度不足, 剩余额度: ＄0.00", "type": "new_api_error", "code": "insufficient_user_quota"}}),
    ),
    "newapi": Gateway(
        "new-api's task rows: a wrapper, two ids, the link in fail_reason; no credit and overload in the same words",
        {"task_id": "$id"}, _row(), _row(fail_reason="$url"), _row(fail_reason="$message"),
        words={"queued": "NOT_START", "running": "IN_PROGRESS", "completed": "SUCCESS", "failed": "FAILURE"},
        too_many=Reply(429, {"error": {"message": _SATURATED, "type": "new_api_error", "code": ""}}),
        no_credit=Reply(429, {"error": {"message": _SATURATED, "type": "insufficient_quota", "code": "insufficient_user_quota"}}),
        moderated=Reply(403, {"error": {"message": "$message", "type": "new_api_error", "code": "content_policy_violation"}}),
    ),
    "tuzi": Gateway(
        "resellers: video_url, times in ms as text, percent signs",
        _VIDEO | {"created_at": "$created_ms"}, _VIDEO | {"progress": "$progress%"},
        _VIDEO | {"video_url": "$url", "completed_at": "$completed_ms"}, _VIDEO | {"error": "$message", "failed_at": "$completed_ms"},
    ),
    "openrouter": Gateway(
        "OpenRouter: 202, links that need the key, an error that is a text",
        {"id": "$id", "polling_url": "$content", "status": "$status"}, {"id": "$id", "status": "$status"},
        {"id": "$id", "status": "$status", "unsigned_urls": ["$content"]}, {"id": "$id", "status": "$status", "error": "$message"},
        words=_WORDS | {"queued": "pending"}, created_status=202, has_content=True,
    ),
    "vllm-omni": Gateway(
        "vLLM-Omni, a server of your own: the bytes at /content, HTTP 500 for a failed job",
        _VIDEO, _VIDEO, _VIDEO, _FAILED, failed_status=500, has_content=True,
        refused=Reply(None, {"detail": "$message"}),
    ),
    "late-content": Gateway(
        "new-api's proxy: completed seconds before its bytes can be downloaded, once as 200 with JSON",
        _VIDEO, _VIDEO, _VIDEO, _FAILED, has_content=True,
        early_content=(
            Reply(400, {"error": {"message": "Task is not completed yet, current status: NOT_START"}}),
            Reply(502, {"error": {"message": "bad gateway"}}), Reply(200, {"error": {"message": "Task is not completed yet"}}),
        ),
    ),
    "localai": Gateway(
        "LocalAI: the finished clip in the answer to the POST, and no GET for a job",
        {"created": "$created", "id": "$id", "data": [{"url": "$url"}]}, None, None, None, at_once=True,
    ),
    "kling": Gateway(
        "Kling's own shape: a wrapper, errors inside 200, moderation by number",
        {"code": 0, "message": "SUCCEED", "request_id": "r", "data": _KLING}, {"code": 0, "data": _KLING},
        {"code": 0, "data": _KLING | {"task_result": {"videos": [{"id": "1", "url": "$url", "duration": "$seconds"}]}}},
        {"code": 0, "data": _KLING | {"task_status_msg": "$message"}},
        words={"queued": "submitted", "running": "processing", "completed": "succeed", "failed": "failed"},
        too_many=Reply(200, {"code": 1303, "message": "parallel task over resource pack limit", "request_id": "r"}),
        no_credit=Reply(200, {"code": 1102, "message": "Account balance not enough", "request_id": "r"}),
        moderated=Reply(200, {"code": 1301, "message": "$message", "request_id": "r"}),
        refused=Reply(200, {"code": 1201, "message": "$message", "request_id": "r"}),
    ),
    "minimax": Gateway(
        "MiniMax's shape: base_resp in every answer, an empty task_id with each refusal",
        {"task_id": "$id", "base_resp": {"status_code": 0, "status_msg": "success"}},
        {"task_id": "$id", "status": "$status", "base_resp": {"status_code": 0, "status_msg": "success"}},
        {"task_id": "$id", "status": "$status", "file": {"download_url": "$url"}}, {"task_id": "$id", "status": "$status", "reason": "$message"},
        words={"queued": "Queueing", "running": "Processing", "completed": "Success", "failed": "Fail"},
        too_many=Reply(200, {"task_id": "", "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
        no_credit=Reply(200, {"task_id": "", "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        moderated=Reply(200, {"task_id": "", "base_resp": {"status_code": 1026, "status_msg": "$message"}}),
        refused=Reply(200, {"task_id": "", "base_resp": {"status_code": 2013, "status_msg": "$message"}}),
    ),
    "dashscope": Gateway(
        "DashScope: the job in `output`, capitals, Arrearage",
        {"request_id": "r", "output": _DASH}, {"request_id": "r", "output": _DASH},
        {"request_id": "r", "output": _DASH | {"video_url": "$url", "end_time": "$iso"}},
        {"request_id": "r", "output": _DASH | {"code": "$code", "message": "$message"}},
        words={"queued": "PENDING", "running": "RUNNING", "completed": "SUCCEEDED", "failed": "FAILED"},
        no_credit=Reply(400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}),
        moderated=Reply(400, {"code": "DataInspectionFailed", "message": "$message"}),
        refused=Reply(None, {"code": "InvalidParameter", "message": "$message", "request_id": "r"}),
    ),
    "runway": Gateway(
        "Runway's and Replicate's shape: output is a list, ISO times, failure and failureCode",
        {"id": "$id", "status": "$status", "createdAt": "$iso"}, {"id": "$id", "status": "$status", "createdAt": "$iso"},
        {"id": "$id", "status": "$status", "createdAt": "$iso", "output": ["$url"]},
        {"id": "$id", "status": "$status", "failure": "$message", "failureCode": "$code"},
        words={"queued": "THROTTLED", "running": "RUNNING", "completed": "SUCCEEDED", "failed": "FAILED"},
    ),
    "number-ids": Gateway(
        "ids that are numbers, unusual status words, links without a host",
        {"code": 200, "data": {"id": "$number"}}, {"code": 200, "data": {"id": "$number", "state": "$status"}},
        {"code": 200, "data": {"id": "$number", "state": "$status", "result": {"videos": ["$path"]}}},
        {"code": 200, "data": {"id": "$number", "state": "$status", "err_msg": "$message"}},
        words={"queued": "waiting in line", "running": "baking", "completed": "finished", "failed": "fail"}, ids="number",
    ),
    "ignores-fields": Gateway(
        "accepts and bills `seconds` and `size`, but renders its default",
        _VIDEO, _VIDEO, _VIDEO | {"url": "$url"}, _FAILED, ignores=("seconds", "size"),
    ),
}  # fmt: skip


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Replace each `$name` of a template by its value. `$progress%` gives a text."""
    if isinstance(template, dict):
        return {key: fill(inner, values) for key, inner in template.items()}
    if isinstance(template, list):
        return [fill(inner, values) for inner in template]
    if not isinstance(template, str) or not template.startswith("$"):
        return template
    if template.endswith("%"):
        return f"{values[template[1:-1]]}%"
    return values[template[1:]]
