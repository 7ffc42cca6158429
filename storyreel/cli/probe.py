"""Network checks of `doctor`: download from an address as a run does, and request a job that
cannot exist.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storyreel.api import encoding
from storyreel.catalog.dialect import Endpoint
from storyreel.workspace.settings import Settings, is_loopback

if TYPE_CHECKING:
    import httpx

NO_JOB = "storyreel-doctor"
TIMEOUT_S = 20.0
MOST_BYTES = 1_000_000
ADDRESS = "check OPENAI_BASE_URL: it ends in /v1 at most servers of the family"
_OF_A_ROUTE = re.compile(r"\b(route|path|url|endpoint|page|method|handler)\b", re.IGNORECASE)
_OF_A_JOB = re.compile(
    rf"\b(video|job|task|generation|id)s?\b|{NO_JOB}|不存在|任务|视频", re.IGNORECASE
)

Finding = tuple[bool | None, str, str]


def fetch(url: str) -> bytes | None:
    """Return the bytes at this address, or None. Use a proxy only for other machines."""
    import httpx

    try:
        with httpx.Client(
            trust_env=not is_loopback(urlsplit(url).hostname or ""), timeout=TIMEOUT_S
        ) as client:
            answer = client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return None
    return answer.content if answer.status_code == 200 else None


def endpoint(now: Settings, shape: Endpoint | None = None) -> Finding:
    """Request a job that cannot exist. Only the API's own answer that it does not exist proves
    address and key.
    """
    import httpx

    if now.api_key is None:
        return (
            None,
            f"OPENAI_API_KEY is not set: only rehearsals run ({now.endpoint} was not checked)",
            "export OPENAI_API_KEY=…",
        )
    parts = urlsplit(now.base_url)
    if parts.fragment or re.search(r"\s", now.base_url):
        return (
            False,
            f"OPENAI_BASE_URL={now.base_url} is not the address of an API",
            "remove `#…` and spaces",
        )
    shape = shape or Endpoint()
    key = encoding.authorization(shape.auth, now.api_key.get_secret_value())
    headers = {**key, "Accept": "application/json"}
    path = encoding.path_of(shape.paths.get, NO_JOB)
    try:
        with httpx.Client(trust_env=not now.is_local, timeout=TIMEOUT_S, headers=headers) as client:
            answer = client.get(now.base_url + path)
            other = (
                client.get(f"{now.base_url}/{NO_JOB}/{NO_JOB}")
                if answer.status_code in (400, 404)
                else None
            )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ImportError) as error:
        what = (
            f"{now.endpoint} cannot be reached{_by_proxy(now)}: "
            f"{str(error) or type(error).__name__}"
        )
        return False, what, "check OPENAI_BASE_URL, the network, and any proxy"
    fault = _fault(now, answer, other)
    return fault or (True, f"{now.endpoint} answers as the API does, and accepts the key", "")


def _by_proxy(now: Settings) -> str:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    named = [] if now.is_local else [name for name in names if os.environ.get(name)]
    return f" (through the proxy of {named[0]})" if named else ""


def _fault(now: Settings, answer: httpx.Response, other: httpx.Response | None) -> Finding | None:
    """Return why this answer is not the API's, or None if it is."""
    said = _said(answer)
    status, quoted = answer.status_code, f": {said}" if said else ""
    if answer.is_redirect:
        place = urlsplit(answer.headers.get("location", ""))
        to = f"{place.scheme}://{place.netloc}{place.path}".removesuffix(f"/videos/{NO_JOB}")
        return False, f"{now.endpoint} redirects to {to}", f"export OPENAI_BASE_URL={to}"
    if status in (401, 403):
        return False, f"{now.endpoint} refuses the key ({status}){quoted}", "check OPENAI_API_KEY"
    if status == 407:
        return (
            False,
            f"the proxy before {now.endpoint} needs a password",
            "put it into the proxy's address",
        )
    if status == 429:
        return None, f"{now.endpoint} limits requests ({status}){quoted}", "try again in a minute"
    if status >= 500:
        return (
            False,
            f"{now.endpoint} has trouble ({status}){quoted}",
            "try again later, and check any proxy",
        )
    if said is None:
        return (
            False,
            f"{now.endpoint} answers {status}, but not as the API: {_kind(answer)}",
            ADDRESS,
        )
    if not _knows_no_job(said, answer, other):
        return (
            False,
            f"{now.endpoint} answers {status}{quoted}: that is no word about a job",
            ADDRESS,
        )
    return None


def _said(answer: httpx.Response) -> str | None:
    """Return the error's code and message if the answer is JSON with one."""
    try:
        found: Any = json.loads(answer.content[:MOST_BYTES])
    except (ValueError, RecursionError):
        return None
    error = (
        found.get("error", found.get("message", found.get("detail")))
        if isinstance(found, dict)
        else None
    )
    if isinstance(error, dict):
        error = " ".join(str(error[name]) for name in ("code", "message") if error.get(name))
    return " ".join(error.split())[:200] if isinstance(error, str) and error.strip() else None


def _knows_no_job(said: str, answer: httpx.Response, other: httpx.Response | None) -> bool:
    """Is the error about a job? If its text does not decide, compare with another address that
    cannot exist.
    """
    if _OF_A_ROUTE.search(said):
        return False
    if _OF_A_JOB.search(said):
        return True
    return other is not None and (other.status_code, _said(other)) != (answer.status_code, said)


def _kind(answer: httpx.Response) -> str:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    return kind or "an answer without a type"
