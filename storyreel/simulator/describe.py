"""A job in the API's words: as its document writes it, or as OpenAI's published schema does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from storyreel.film.media import thumbnail
from storyreel.simulator.jobs import RESULT_LIFE_S, Jobs, SimJob

_SECRET = "simulator"


def strict(jobs: Jobs, job: SimJob, base: str, *, new: bool) -> dict[str, Any]:
    """By the API's document: absent where there is nothing to say, the result as a signed link. `base` ends in a slash."""
    status = "queued" if new else jobs.status(job)
    created = int(job.created_at)
    told: dict[str, Any] = {"id": job.id, "object": "video", "model": job.model}
    if job.mode:
        told["mode"] = job.mode
    if job.remixed_from:
        told["remixed_from_video_id"] = job.remixed_from
    told |= {"status": status, "created_at": created, "updated_at": created if new else int(jobs.now())}
    told |= {"seconds": str(job.seconds), "size": job.size}
    done = int(job.created_at + job.takes_s)
    if status == "completed":
        expires = done + RESULT_LIFE_S if "expire" not in job.flags else 1
        told |= {"completed_at": done, "expires_at": done + RESULT_LIFE_S}
        if "no_url" not in job.flags:
            url = f"{base}files/{quote(job.id)}.mp4?e={expires}&token={token(job.id, str(expires))}"
            told["task_result"] = {"videos": [{"id": f"{job.id}-1", "url": url, "duration": str(job.seconds)}]}
    if status == "failed":
        told |= {"completed_at": done, "error": job.fails}
    return told


def lax(jobs: Jobs, job: SimJob) -> dict[str, Any]:
    """By OpenAI's schema: four statuses, thirteen fields that are always there, no link."""
    word = jobs.status(job)
    is_final = word in ("completed", "failed")
    done = int(job.created_at + job.takes_s)
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": word if is_final or word == "queued" else "queued" if word == "initializing" else "in_progress",
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


def token(job_id: str, expires: str) -> str:
    """The signature of a result link."""
    return "simulator:" + hashlib.sha256(f"{_SECRET}{job_id}{expires}".encode()).hexdigest()[:24]


def picture(clip: Path, variant: str) -> bytes:
    """The clip's `thumbnail` or `spritesheet` as JPEG."""
    return thumbnail.beside(thumbnail.triple(clip)[: 1 if variant == "thumbnail" else 3], 80)
