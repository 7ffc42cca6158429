"""Where Prefect's server is, and whether it answers."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storyreel.flows.server.processes import LOOPBACK
from storyreel.workspace.settings import is_loopback

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def home() -> Path:
    """Return Prefect's home, the folder of its database."""
    return Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()


def named() -> str | None:
    """Return the server's URL that the environment or Prefect's active profile names, if any."""
    if os.environ.get("PREFECT_API_URL"):
        return os.environ["PREFECT_API_URL"]
    if not (home() / "profiles.toml").exists():
        return None
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() or None


def forget(url: str) -> str:
    """Return the command after which neither environment nor profile names this server."""
    if os.environ.get("PREFECT_API_URL") or not (home() / "profiles.toml").exists():
        return "unset PREFECT_API_URL"
    from prefect.context import get_settings_context

    return (
        "`prefect config unset PREFECT_API_URL` (profile "
        f"`{get_settings_context().profile.name}` names {url})"
    )


def reached_at(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on `host`."""
    if host in ("0.0.0.0", "::", ""):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def _open(request: str | urllib.request.Request, timeout_s: float) -> Any:
    """Open a URL: on this machine directly, elsewhere through the environment's proxy."""
    url = request if isinstance(request, str) else request.full_url
    if is_loopback(urlsplit(url).hostname or ""):
        return _direct.open(request, timeout=timeout_s)
    return urllib.request.urlopen(request, timeout=timeout_s)


def answers(url: str) -> bool:
    """Does a Prefect server answer at this URL, within 5 s?"""
    try:
        with _open(f"{url}/health", 5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def post(url: str, body: dict[str, Any]) -> str:
    """Send JSON to a server. Return the text of its answer."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _open(request, 10) as answer:
        text: str = answer.read().decode()
        return text
