"""Request bodies: JSON, or the multipart forms that OpenAI's SDK sends, with nested fields in
either of two notations.
"""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from storyreel.simulator.rules import Refused

MAX_BODY_BYTES = 64 * 2**20
_NESTED = re.compile(r"\[([^\[\]]*)\]")


async def read_body(request: Request, *, with_forms: bool) -> Any:
    """Parse a body. Raise `Refused` if it is too large, of another type or unreadable."""
    kind = request.headers.get("content-type", "")
    if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
        raise Refused("the body is too large", status=413, code="too_large")
    try:
        if with_forms and kind.startswith("multipart/form-data"):
            return await _read_form(request)
        if not kind.startswith("application/json"):
            raise Refused("Content-Type must be application/json")
        return json.loads(await request.body())
    except (ValueError, RecursionError, KeyError) as error:
        raise Refused("the body cannot be read") from error
    except Exception as error:
        if type(error).__name__ in ("MultiPartException", "HTTPException"):
            raise Refused("the form cannot be read") from error
        raise


async def _read_form(request: Request) -> dict[str, Any]:
    """Return the form as the equivalent JSON body, with uploaded files as bytes.

    `a[0][b]=x` and `a=[{"b": "x"}]` both give `{"a": [{"b": "x"}]}`.
    """
    body: dict[str, Any] = {}
    async with request.form(max_files=8, max_fields=200) as form:
        for name, value in form.multi_items():
            keys = [name.partition("[")[0], *_NESTED.findall(name)]
            _put(body, keys, await value.read() if isinstance(value, UploadFile) else _plain(value))
    listed: dict[str, Any] = _listed(body)
    return listed


def _plain(text: str) -> Any:
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _put(body: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        below = body.setdefault(key, {})
        if not isinstance(below, dict):
            return
        body = below
    key = keys[-1] or str(len(body))  # `a[]=x`
    body[key] = value


def _listed(value: Any) -> Any:
    """Turn objects whose keys are all numbers into lists."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(below) for key, below in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
