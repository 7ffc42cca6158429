"""The simulator's own OpenAPI description, served at `/openapi.json`."""

from __future__ import annotations

from typing import Any

from storyreel import __version__
from storyreel.simulator import rules

_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_NUMBER: dict[str, Any] = {"type": "integer"}
_MAYBE_NUMBER: dict[str, Any] = {"type": ["integer", "null"]}
_RUNNING = ["initializing", "queued", "in_progress", "downloading", "uploading"]


def document(profile: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of a profile, `strict` or `lax`."""
    schemas = {
        "Error": _error(),
        "Video": _strict_video() if profile == "strict" else _lax_video(),
        "Create": _create(),
    }
    paths: dict[str, Any] = {
        "/v1/videos": {
            "post": _operation("create", body=_body("Create"), refusals=(400, 402, 413, 429, 503))
        },
        "/v1/videos/{id}": {"get": _operation("retrieve", by_id=True, refusals=(404,))},
        "/v1/videos/{id}/remix": {
            "post": _operation(
                "remix", by_id=True, body=_body("Remix"), refusals=(400, 402, 404, 413, 429)
            )
        },
    }
    schemas["Remix"] = {
        "type": "object",
        "required": ["prompt"],
        "properties": {"prompt": _prompt()},
    }
    if profile == "strict":
        schemas["Remix"]["additionalProperties"] = False
    else:
        schemas |= {"List": _list(), "Deleted": _deleted()}
        paths["/v1/videos"]["get"] = _operation(
            "list", answer="List", query=_page(), refusals=(400, 404)
        )
        paths["/v1/videos/{id}"]["delete"] = _operation(
            "delete", answer="Deleted", by_id=True, refusals=(404, 409)
        )
        paths["/v1/videos/{id}/content"] = {"get": _content()}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Storyreel's simulator, {profile} profile", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _content() -> dict[str, Any]:
    operation = _operation(
        "content", by_id=True, refusals=(400, 404), query=[_query("variant", _TEXT)]
    )
    operation["responses"]["200"] = {
        "description": "the bytes",
        "content": {"video/mp4": {}, "image/jpeg": {}},
    }
    return operation


def _ref(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": _ref(name)}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _page() -> list[dict[str, Any]]:
    order = {"type": "string", "enum": ["asc", "desc"]}
    return [
        _query("limit", {"type": "integer", "minimum": 0, "maximum": 100}),
        _query("order", order),
        _query("after", _TEXT),
    ]


def _operation(
    name: str,
    *,
    answer: str = "Video",
    by_id: bool = False,
    body: dict[str, Any] | None = None,
    query: list[dict[str, Any]] | None = None,
    refusals: tuple[int, ...] = (),
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "responses": {
            "200": {"description": "done", "content": _ref(answer)},
            **{
                str(status): {"description": "refused", "content": _ref("Error")}
                for status in (401, *refusals)
            },
        },
    }
    parameters = [
        *([{"name": "id", "in": "path", "required": True, "schema": _TEXT}] if by_id else []),
        *(query or []),
    ]
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _prompt() -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": rules.PROMPT_MAX}


def _create() -> dict[str, Any]:
    sizes = sorted({*rules.KLING_SIZES, *rules.SORA_SIZES})
    return {
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            "model": {"type": "string", "enum": list(rules.MODELS)},
            "prompt": _prompt(),
            "seconds": {"type": "string", "enum": ["4", "5", "8", "10", "12"]},
            "size": {"type": "string", "enum": sizes},
            "mode": {"type": "string", "enum": ["std", "pro"]},
            "input_reference": _TEXT,
            "image_tail": _TEXT,
            "image_list": {"type": "array", "maxItems": 4, "items": {"type": "object"}},
            "video_list": {"type": "array", "maxItems": 1, "items": {"type": "object"}},
        },
    }


def _strict_video() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": _TEXT,
        "object": {"const": "video"},
        "model": {"type": "string", "enum": list(rules.MODELS)},
        "mode": _TEXT,
        "status": {"type": "string", "enum": [*_RUNNING, "completed", "failed"]},
        "created_at": _NUMBER,
        "updated_at": _NUMBER,
        "completed_at": _NUMBER,
        "expires_at": _NUMBER,
        "seconds": _TEXT,
        "size": _TEXT,
        "remixed_from_video_id": _TEXT,
        "task_result": {
            "type": "object",
            "required": ["videos"],
            "properties": {"videos": {"type": "array"}},
        },
        "error": {"type": "object"},
    }
    needed = ["id", "object", "model", "status", "created_at", "updated_at", "seconds", "size"]
    return {
        "type": "object",
        "required": needed,
        "properties": properties,
        "additionalProperties": False,
    }


def _lax_video() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": _TEXT,
        "object": {"const": "video"},
        "model": _TEXT,
        "status": {"type": "string", "enum": ["queued", "in_progress", "completed", "failed"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created_at": _NUMBER,
        "completed_at": _MAYBE_NUMBER,
        "expires_at": _MAYBE_NUMBER,
        "prompt": _MAYBE_TEXT,
        "seconds": _TEXT,
        "size": _TEXT,
        "remixed_from_video_id": _MAYBE_TEXT,
        "error": {"type": ["object", "null"]},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _list() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Video"}},
        "has_more": {"type": "boolean"},
        "first_id": _MAYBE_TEXT,
        "last_id": _MAYBE_TEXT,
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _deleted() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": _TEXT,
        "object": {"const": "video.deleted"},
        "deleted": {"const": True},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _error() -> dict[str, Any]:
    inner = {
        "type": "object",
        "required": ["message"],
        "properties": {"message": _TEXT, "type": _TEXT, "code": _TEXT},
    }
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}
