"""`python -m storyreel.flows.server.serving FD INFO_FILE`: serve Prefect until no run uses it.

While `storyreel up` keeps the server, it does not end.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app

LOOK_EVERY_S = 5.0
IDLE_TIMES = 3
NICENESS = 10  # runs, which pay and download, get the CPU before their record


class _Server(uvicorn.Server):
    """Lowers its priority once it serves.

    Start-up is heavy. At a low priority it would take minutes on a busy machine.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # By process group, since Linux applies PRIO_PROCESS to one thread only.
        os.setpriority(os.PRIO_PGRP, 0, NICENESS)


def main(fd: int, info: Path) -> None:
    """Serve on the listening socket `fd`.

    End when three looks in a row, 5 s apart, find no user. `info` is the server's note.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # go on when the terminal closes
    server = _Server(uvicorn.Config(create_app(), log_level="warning"))
    threading.Thread(target=_watch, args=(server, info), daemon=True).start()
    server.run([socket.socket(fileno=fd)])


def _watch(server: uvicorn.Server, info: Path) -> None:
    """End the server when no run holds the lock of its users."""
    idle = 0
    with info.with_suffix(".users").open("a") as lock:
        while idle < IDLE_TIMES:
            time.sleep(LOOK_EVERY_S)
            if _stays(info):
                idle = 0
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                idle = 0
                continue
            fcntl.flock(lock, fcntl.LOCK_UN)
            idle += 1
    server.should_exit = True


def _stays(info: Path) -> bool:
    """Does `storyreel up` keep this server?"""
    try:
        return bool(json.loads(info.read_text()).get("kind") == "up")
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
