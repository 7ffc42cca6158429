"""`python -m storyreel.flows.server.serving FD INFO_FILE`: a Prefect server that ends when no run
uses it any more, unless it is to stay.
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
NICENESS = 10  # what waits, downloads and pays goes before what only writes it down


class _Server(uvicorn.Server):
    """Steps back once it serves.

    To come up is no small work: behind all others it would take minutes on a busy machine.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        os.setpriority(
            os.PRIO_PGRP, 0, NICENESS
        )  # of every thread: by process it would be of one, in Linux


def main(fd: int, info: Path) -> None:
    """Serve on the socket that listens there, as a process group of its own. Found without a user
    three times in a row, 5 s apart, it ends; not while `storyreel up` keeps it.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes is not our end
    server = _Server(uvicorn.Config(create_app(), log_level="warning"))
    threading.Thread(target=_watch, args=(server, info), daemon=True).start()
    server.run([socket.socket(fileno=fd)])


def _watch(server: uvicorn.Server, info: Path) -> None:
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
    try:
        return bool(json.loads(info.read_text()).get("kind") == "up")
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
