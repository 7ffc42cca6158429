"""Request bodies as OpenAI's own SDK sends them: multipart forms with nested fields in either of
two notations.
"""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

_NESTED = re.compile(r"\[([^\[\]]*)\]")


async def read_form(request: Request) -> dict[str, Any]:
    """The form as the JSON body would have been: `a[0][b]=x` and `a=[{"b": "x"}]` both give `{"a":
    [{"b": "x"}]}`.

    Uploaded files come out as bytes.
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
    """Turn what is numbered into lists."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(below) for key, below in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
