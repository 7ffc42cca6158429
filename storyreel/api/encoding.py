"""Encode a request: the header of the key, the path, the bytes of the body."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from storyreel.catalog.dialect import Auth, Endpoint

_DATA_URI = re.compile(r"data:([\w.+-]+/([\w.+-]+));base64,")


def authorization(auth: Auth, key: str | None) -> dict[str, str]:
    """Return the header that carries the key; empty without a key."""
    return {auth.header: f"{auth.scheme} {key}".strip()} if key else {}


def path_of(template: str, job_id: str) -> str:
    """Put a job's id into a path of the endpoint."""
    return template.replace("{id}", quote(job_id, safe=""))


def encode(body: Mapping[str, Any], endpoint: Endpoint) -> tuple[str, bytes]:
    """Return (Content-Type, bytes) of a body, as JSON or as a form."""
    if endpoint.body == "json":
        return "application/json", json.dumps(body, ensure_ascii=False).encode()
    return _form(body, uuid.uuid4().hex)


def _form(body: Mapping[str, Any], boundary: str) -> tuple[str, bytes]:
    """Encode a multipart form (RFC 7578). A data URI becomes a file; a mapping or a list, JSON."""
    parts = [_part(name, one) for name, value in body.items() for one in _values(value)]
    text = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return f"multipart/form-data; boundary={boundary}", text + b"--%s--\r\n" % boundary.encode()


def _values(value: Any) -> Iterator[Any]:
    """Yield each file of a list by itself, any other value as it is."""
    if isinstance(value, list) and value and all(_file(one) for one in value):
        yield from value
    else:
        yield value


def _part(name: str, value: Any) -> bytes:
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = f'Content-Disposition: form-data; name="{quoted}"'
    if (file := _file(value)) is not None:
        kind, ending, data = file
        return (
            f'{head}; filename="{quoted}.{ending}"\r\nContent-Type: {kind}\r\n\r\n'.encode() + data
        )
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{head}\r\n\r\n{text}".encode()


def _file(value: Any) -> tuple[str, str, bytes] | None:
    """Return (media type, suffix, bytes) of a data URI; None if the value is not one."""
    found = _DATA_URI.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        return found[1], found[2], base64.b64decode(value[found.end() :], validate=True)
    except binascii.Error:
        return None
