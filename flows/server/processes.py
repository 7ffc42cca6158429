"""Our processes on this machine: their ports, their notes of what is running, and their end."""

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
    """Send SIGTERM to a process, and SIGKILL if it does not end within `patience_s`."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)


def listen(
    port: int, patience_s: float = 0.0, host: str = LOOPBACK, *, must: bool = False
) -> socket.socket:
    """Return a socket that listens on this port.

    If another process still has the port after `patience_s`, listen on any other port; `must`
    refuses that. Lingering connections of a server that just ended do not occupy the port.

    Raises:
        UsageError: the address is unusable, or `must` is set and the port is taken.
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
    """Is this process running? A child of ours that has ended is not."""
    if not pid:
        return False
    try:
        # An ended child of ours stays a zombie until this call.
        reaped, _ = os.waitpid(pid, os.WNOHANG)
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
    """Is this process alive, and does its command contain `word`?

    Another process may have got its id since.
    """
    if not pid or not is_alive(pid):
        return False
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc").exists()


def write_whole(path: Path, info: dict[str, Any]) -> None:
    """Write a note of what is running. Readers see the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(info))
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Return the note in this file; empty if there is none, or it cannot be read."""
    try:
        note = json.loads(path.read_text())
        return note if isinstance(note, dict) else {}
    except (OSError, ValueError):
        return {}


def last_line(path: Path) -> str:
    """Return a colon and the last line of a log; empty if there is none."""
    try:
        lines = path.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return f": {lines[-1]}" if lines else ""
