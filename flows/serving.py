"""`python -m flows.serving PORT USERS_LOCK`: a Prefect server that ends when no run uses it any more."""

from __future__ import annotations

import fcntl
import sys
import threading
import time
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app

LOOK_EVERY_S = 5.0
IDLE_TIMES = 3


def main(port: int, users: Path) -> None:
    """Serve on 127.0.0.1. Found without a user three times in a row, 5 s apart, it ends."""
    server = uvicorn.Server(uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="warning"))
    threading.Thread(target=_watch, args=(server, users), daemon=True).start()
    server.run()


def _watch(server: uvicorn.Server, users: Path) -> None:
    idle = 0
    with users.open("a") as lock:
        while idle < IDLE_TIMES:
            time.sleep(LOOK_EVERY_S)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                idle = 0
                continue
            fcntl.flock(lock, fcntl.LOCK_UN)
            idle += 1
    server.should_exit = True


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
