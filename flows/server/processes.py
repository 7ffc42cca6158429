"""Processes of ours on this machine: their ports, their notes of what is running, and their end."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from storyreel.errors import UsageError

LOOPBACK = "127.0.0.1"


def end(pid: int, patience_s: float = 20.0) -> None:
    """Send SIGTERM to a process of ours, and SIGKILL where it does not end in time."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)


def listen(
    port: int, patience_s: float = 0.0, host: str = LOOPBACK, *, must: bool = False
) -> socket.socket:
    """A socket that listens on this port, or on any other where it stays taken and is no `must`.
    Connections of a server that has just ended do not take it.

    Raises:
        UsageError: it cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            if must or not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
                raise UsageError(
                    f"{host} port {port}: {error}", fix="choose another with --host and --port"
                ) from error
            if time.monotonic() >= deadline:
                return socket.create_server((host, 0), family=family)
            time.sleep(0.05)


def is_alive(pid: int | None) -> bool:
    """Does this process run?"""
    if not pid:
        return False
    try:
        reaped, _ = os.waitpid(
            pid, os.WNOHANG
        )  # our own child, if it has ended, is a zombie until asked about
        if reaped == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_running(pid: int | None, word: str) -> bool:
    """Is this process alive, and still the one whose command has that word: not another that got
    its number later?
    """
    if not pid or not is_alive(pid):
        return False
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc").exists()


def write_whole(path: Path, info: dict[str, Any]) -> None:
    """Note what is running; whole or not at all, for others read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(info))
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The note in this file; an empty one where there is none, or it cannot be read."""
    try:
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def last_line(path: Path) -> str:
    """The last line of a log, behind a colon; nothing where there is none."""
    try:
        lines = path.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return f": {lines[-1]}" if lines else ""
