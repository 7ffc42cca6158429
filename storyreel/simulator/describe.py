"""Bodies that describe a job or a refusal: in the form of Qiniu's document, of OpenAI's published
schema, or of a gateway.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse

from storyreel.film.media import thumbnail
from storyreel.simulator.gateways import Gateway, Reply, fill
from storyreel.simulator.jobs import RESULT_LIFE_S, Jobs, SimJob
from storyreel.simulator.rules import Refused

_SECRET = "simulator"
MODERATED = "moderation-test"  # a prompt with this word is blocked
BLOCKED = "Your request was blocked by our moderation system."
BLOCKED_CODE = "moderation_blocked"


def strict(jobs: Jobs, job: SimJob, base: str, *, new: bool) -> dict[str, Any]:
    """Describe a job in the form of Qiniu's document: no empty fields, the result as a signed link.

    `base` ends in a slash.
    """
    status = "queued" if new else jobs.status(job)
    created = int(job.created_at)
    fields: dict[str, Any] = {"id": job.id, "object": "video", "model": job.model}
    if job.mode:
        fields["mode"] = job.mode
    if job.remixed_from:
        fields["remixed_from_video_id"] = job.remixed_from
    fields |= {
        "status": status,
        "created_at": created,
        "updated_at": created if new else int(jobs.now()),
    }
    fields |= {"seconds": str(job.seconds), "size": job.size}
    done = int(job.created_at + job.takes_s)
    if status == "completed":
        expires = done + RESULT_LIFE_S if "expire" not in job.flags else 1
        fields |= {"completed_at": done, "expires_at": done + RESULT_LIFE_S}
        if "no_url" not in job.flags:
            url = base + signed_path(job, expires)
            fields["task_result"] = {
                "videos": [{"id": f"{job.id}-1", "url": url, "duration": str(job.seconds)}]
            }
    if status == "failed":
        fields |= {"completed_at": done, "error": job.fails}
    return fields


def lax(jobs: Jobs, job: SimJob) -> dict[str, Any]:
    """Describe a job by OpenAI's schema: four statuses, thirteen fields always, no link."""
    word = jobs.status(job)
    is_final = word in ("completed", "failed")
    done = int(job.created_at + job.takes_s)
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": word
        if is_final or word == "queued"
        else "queued"
        if word == "initializing"
        else "in_progress",
        "progress": jobs.progress(job),
        "created_at": int(job.created_at),
        "completed_at": done if is_final else None,
        "expires_at": done + RESULT_LIFE_S if word == "completed" else None,
        "prompt": job.prompt,
        "seconds": str(job.seconds),
        "size": job.size,
        "remixed_from_video_id": job.remixed_from,
        "error": job.fails if word == "failed" else None,
    }


def gateway(kind: Gateway, jobs: Jobs, job: SimJob, base: str, *, new: bool) -> Any:
    """Describe a job in the form of a gateway. `base` ends in a slash."""
    word = "queued" if new else jobs.status(job)
    stage = (
        "queued"
        if word in ("queued", "initializing")
        else word
        if word in ("completed", "failed")
        else "running"
    )
    template = {"completed": kind.completed, "failed": kind.failed}.get(stage, kind.running)
    values = _values(jobs, job, base) | {"status": kind.words[stage]}
    return fill(kind.created if new else template, values)


def _values(jobs: Jobs, job: SimJob, base: str) -> dict[str, Any]:
    done = job.created_at + job.takes_s
    path = signed_path(job, int(done) + RESULT_LIFE_S if "expire" not in job.flags else 1)
    fails = job.fails or {"code": "", "message": ""}
    return {
        "id": job.id,
        "number": int(job.id) if job.id.isdigit() else int(job.created_at * 1000),
        "model": job.model,
        "prompt": job.prompt,
        "progress": jobs.progress(job),
        "seconds": str(job.seconds),
        "size": job.size,
        "created": int(job.created_at),
        "created_ms": int(job.created_at * 1000),
        "completed": int(done),
        "completed_ms": int(done * 1000),
        "iso": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
        "url": base + path if "no_url" not in job.flags else None,
        "path": f"/{path}" if "no_url" not in job.flags else None,
        "content": f"{base}v1/videos/{quote(job.id)}/content",
    } | fails


def refusal(kind: Gateway | None, error: Refused) -> JSONResponse:
    """Return the answer to a refused request: the API's error body, or that of the gateway."""
    reasons: dict[str, Reply | None] = {}
    if kind is not None:
        reasons = {
            "rate_limit_exceeded": kind.too_many,
            "insufficient_quota": kind.no_credit,
            BLOCKED_CODE: kind.moderated,
        }
    reply = reasons.get(error.code) or (kind.refused if kind and error.status == 400 else None)
    values = {"message": error.message, "code": error.code}
    if reply is None:
        body = {"error": {"message": error.message, "type": error.code, "code": error.code}}
        return JSONResponse(body, error.status, headers=error.headers)
    return JSONResponse(
        fill(reply.body, values), reply.status or error.status, headers=error.headers
    )


def signed_path(job: SimJob, expires: int) -> str:
    """Return the signed path of a job's clip, without a leading slash."""
    return f"files/{quote(job.id)}.mp4?e={expires}&token={token(job.id, str(expires))}"


def token(job_id: str, expires: str) -> str:
    """Return the signature of a result link."""
    return "simulator:" + hashlib.sha256(f"{_SECRET}{job_id}{expires}".encode()).hexdigest()[:24]


def picture(clip: Path, variant: str) -> bytes:
    """Return the clip's `thumbnail` or `spritesheet` as JPEG."""
    return thumbnail.beside(thumbnail.triple(clip)[: 1 if variant == "thumbnail" else 3], 80)
