"""Find the job in an answer: the part that describes it, its id and its word for the state. Pure.

Source: reference/gateways.md 1.1 to 1.11, collected 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from storyreel.api.bodies import clean, text_of, unwrapped

# Keys of the job's id, the surest first. `request_id` is never one.
_IDS = (
    "id", "task_id", "taskId", "video_id", "videoId", "job_id", "jobId", "generation_id",
    "generationId",
    "prediction_id", "taskID", "videoID", "jobID", "ID", "Id",
)  # fmt: skip
# Keys of the job's state, the surest first.
_STATES = (
    "status", "task_status", "taskStatus", "state", "job_status", "Status", "State", "phase",
    "task_state", "job_state",
    "video_status",
)  # fmt: skip
# Keys that wrap the job: new-api and 302.ai, apimart (a list), DashScope and others.
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
# Keys of lists, searched only if no other part names a job.
_ITEMS = (
    "videos",
    "tasks",
    "jobs",
    "items",
    "results",
    "generations",
)
# Words of a wrapper that accept the request. They say nothing of the job.
ALL_IS_WELL = {
    "ok",
    "success",
    "true",
    "200",
    "0",
    "1",
}
_BARE_ID = re.compile(r"(?=.*\d)[\w:-]{8,256}")


def layers(
    payload: Any, wrappers: tuple[str, ...] = _WRAPPERS, depth: int = 0
) -> Iterator[Mapping[str, Any]]:
    """Yield the answer, then the objects that it wraps, from the outside in."""
    payload = unwrapped(payload)
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if isinstance(payload, dict):
        yield payload
        for name in wrappers if depth < 3 else ():
            yield from layers(payload.get(name), wrappers, depth + 1)


def job_layer(payload: Any) -> Mapping[str, Any]:
    """Return the part of an answer that is the job; empty if there is none.

    It is the first part with an id and a state, else with an id, else with a state.
    """
    found = list(layers(payload))
    if not any(job_id(one) or state_word(one) is not None for one in found):
        found = list(layers(payload, (*_WRAPPERS, *_ITEMS)))
    if not any(job_id(one) or state_word(one) is not None for one in found):
        return _bare(payload)
    states = [one for one in found if state_word(one) is not None]
    if len(states) > 1 and str(state_word(states[0])).lower() in ALL_IS_WELL:
        found.sort(key=lambda one: one is states[0])
    tests = (
        lambda one: job_id(one) and state_word(one) is not None,
        job_id,
        lambda one: state_word(one) is not None,
    )
    return next((one for test in tests for one in found if test(one)), {})


def _bare(payload: Any) -> Mapping[str, Any]:
    """Return the job of `{"code": 0, "data": "…"}`: an answer of success that has only an id."""
    if not isinstance(payload, dict) or str(payload.get("code", "")).lower() not in ALL_IS_WELL:
        return {}
    found = next((one for key in _WRAPPERS if isinstance(one := payload.get(key), str)), "")
    return {"id": found} if _BARE_ID.fullmatch(found) else {}


def job_id(layer: Mapping[str, Any]) -> str | None:
    """Return the job's id, or None. Prefer text to a number.

    new-api's rows have a number as `id` beside the real `task_id`.
    """
    given = [layer.get(name) for name in _IDS]
    words = (one.strip() for one in given if isinstance(one, str) and one.strip())
    numbers = (
        str(one) for one in given if isinstance(one, int) and not isinstance(one, bool) and one > 0
    )
    found = next(words, None) or next(numbers, None)
    return found if found and len(found) <= 256 and found.isprintable() else None


def state_word(layer: Mapping[str, Any]) -> str | None:
    """Return the API's own word for the job's state, or None."""
    for name in _STATES:
        value = layer.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = state_word(value) or first(value, "name", "value", "code")
        text = text_of(value)
        if text is not None:
            return clean(text)[:60]
    return None


def first(layer: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these fields that is not None."""
    return next((layer[name] for name in names if layer.get(name) is not None), None)
