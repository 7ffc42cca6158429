"""Find, start and end the Prefect server behind a run.

A run uses the server that the settings name, or one that is already running, or starts one. A
started server ends with the last run that uses it.

Prefect's own temporary server dies before its recorder has written everything. Ours is a separate
process on Prefect's usual database, so every run and `storyreel up` share one history. Each run
holds a shared lock while it works. The last run ends the server; if that run was killed, a watchdog
in the server does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from storyreel.errors import UsageError, WorkspaceError
from storyreel.flows.server.address import answers, forget, home, named, post, reached_at
from storyreel.flows.server.processes import (
    LOOPBACK,
    end,
    is_alive,
    is_running,
    last_line,
    listen,
    read,
    write_whole,
)
from storyreel.workspace import children

START_WITHIN_S = 120.0
ANSWER_WITHIN_S = 15.0  # a server that somebody else started
SERVING = "storyreel.flows.server.serving"
USUAL_PORT = 4200
FREE_WITHIN_S = 10.0
LOOK_EVERY_S = 1.0
MAX_RESTARTS = 3

SERVER_SETTINGS = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "PT168H",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
CLIENT_SETTINGS = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


@dataclass(slots=True)
class Backend:
    """A server in use by this process.

    `is_ours`: this process started it, or uses one that another run or `storyreel up` started.
    """

    url: str
    is_ours: bool
    _lock: TextIOWrapper | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def wait_until_ready(self) -> None:
        """Return once the server answers. From then until `release`, restart ours if it dies.

        Raises:
            WorkspaceError: it does not answer: ours within 120 s, another within 15 s.
        """
        deadline = time.monotonic() + (START_WITHIN_S if self.is_ours else ANSWER_WITHIN_S)
        while not answers(self.url):
            is_dead = self.is_ours and not is_alive(read_info().get("pid"))
            if is_dead or time.monotonic() > deadline:
                raise self._unanswered()
            time.sleep(0.05)
        if self._lock:
            threading.Thread(target=self._keep_up, daemon=True).start()

    def _unanswered(self) -> WorkspaceError:
        why = last_line(home() / "storyreel-server.log") if self.is_ours else ""
        return WorkspaceError(
            f"the Prefect server at {self.url} does not answer{why}",
            fix="see `storyreel doctor`" if self.is_ours else f"start it, or {forget(self.url)}",
        )

    def _keep_up(self) -> None:
        """Restart our server on the same port if it dies, at most three times.

        Prefect's clients retry meanwhile. If the disk has no room for its log, the run goes on
        without it.
        """
        restarts = 0
        with contextlib.suppress(OSError):
            while restarts < MAX_RESTARTS and not self._over.wait(LOOK_EVERY_S):
                with _starting():
                    info = read_info()
                    if info and not self._over.is_set() and not is_running(info["pid"], SERVING):
                        _spawn(info["kind"], info["port"], info.get("host", LOOPBACK))
                        restarts += 1

    def drain(self, started: Mapping[str, int]) -> bool:
        """Wait until the server has recorded a final state for each task run.

        `started` holds the number of task runs by flow run. Return whether all were recorded within
        20 s and 0.05 s for each of them.
        """
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
        EventsWorker.drain_all(timeout=20)
        task_runs = sum(started.values())
        deadline = time.monotonic() + 20 + task_runs * 0.05
        ended = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
        final = {
            "flow_runs": {"id": {"any_": list(started)}},
            "task_runs": {"state": {"type": {"any_": ended}}},
        }
        while time.monotonic() < deadline:
            try:
                if int(post(f"{self.url}/task_runs/count", final)) >= task_runs:
                    return True
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        return False

    def release(self) -> None:
        """Stop using the server. The last run that uses it ends it."""
        self._over.set()
        if self._lock is None:
            return
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            return
        info = read_info()
        if info.get("kind") == "run" and is_alive(info.get("pid")):
            os.kill(info["pid"], signal.SIGTERM)
            _info_file().unlink(missing_ok=True)
        self._lock.close()
        self._lock = None


def _given() -> Backend | None:
    """Set up Prefect's client. Return the server that the settings name, if they name one."""
    children.spare_loopback()
    os.environ.update({k: v for k, v in CLIENT_SETTINGS.items() if k not in os.environ})
    url = named()
    return Backend(url, is_ours=False) if url else None


def start() -> Backend:
    """Find or start the server, and return at once. Call `wait_until_ready` before you use it."""
    if given := _given():
        return given
    with _starting():
        users = (home() / "storyreel-server.users").open("a")
        fcntl.flock(users, fcntl.LOCK_SH)
        info = read_info()
        if not is_running(info.get("pid"), SERVING):
            # On the old port: runs whose server died still send their requests there.
            info = _spawn("run", info.get("port", 0))
        url = f"http://127.0.0.1:{info['port']}/api"
    os.environ["PREFECT_API_URL"] = url
    return Backend(url, is_ours=True, _lock=users)


def start_permanent(host: str | None = None, port: int | None = None) -> Backend:
    """Return a server that stays until `stop_permanent`.

    It is the one that the settings name, else the one that is running, else a new one at this
    address.

    Raises:
        UsageError: the server is already running, or named, at another address.
    """
    given = _given()
    with _starting():
        info = read_info()
        running = is_running(info.get("pid"), SERVING)
        if given or running:
            _refuse_another_address(given, info, host, port)
        if given:
            return given
        if running:
            write_info(info | {"kind": "up"})  # a run may have started it: it stays now
        else:
            last = info if info.get("kind") == "up" else {}
            info = _spawn(
                "up",
                last.get("port", USUAL_PORT) if port is None else port,
                host or last.get("host") or LOOPBACK,
                must=port is not None,
            )
    os.environ["PREFECT_API_URL"] = (
        f"http://{reached_at(info.get('host', LOOPBACK))}:{info['port']}/api"
    )
    return Backend(os.environ["PREFECT_API_URL"], is_ours=True)


def _refuse_another_address(
    given: Backend | None, info: dict[str, Any], host: str | None, port: int | None
) -> None:
    """Raise `UsageError` if the named or running server is not at this host and port."""
    at_host, at_port = info.get("host", LOOPBACK), info.get("port")
    differs = (port and at_port != port) or (host and at_host != host) or (given and port)
    if differs:
        url = given.url if given else f"{at_host}:{at_port}"
        end_it = forget(given.url) if given else "end it with `storyreel down`"
        raise UsageError(
            f"the Prefect server is at {url} already",
            fix=f"leave --host and --port out, or {end_it} first",
        )


def stop_permanent() -> bool:
    """End the server that `start_permanent` returned; the last run that still uses it ends it.

    Return whether there was one.
    """
    with _starting():
        info = read_info()
        if info.get("kind") != "up" or not is_running(info.get("pid"), SERVING):
            return False
        with (home() / "storyreel-server.users").open("a") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                write_info(info | {"kind": "run"})
                return True
            end(info["pid"])
        _info_file().unlink(missing_ok=True)
        return True


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Hold the lock under which a process decides to start or end a server."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "storyreel-server.start").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        yield


def _spawn(kind: str, port: int, host: str = LOOPBACK, *, must: bool = False) -> dict[str, Any]:
    """Start a server, and return its note: `pid`, `port`, `host` and `kind`.

    The server inherits a socket that already listens, so no other process can take the port. `must`
    refuses any other port.
    """
    environment = SERVER_SETTINGS | children.environment()
    # A server that just ended holds its port until its last thread ends.
    had_it = read_info().get("port") == port
    with (
        listen(port, FREE_WITHIN_S if had_it else 0.0, host, must=must and not had_it) as listening,
        (home() / "storyreel-server.log").open("w") as log,
    ):
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            children.command(SERVING, str(listening.fileno()), str(_info_file())),
            env=environment | _addresses(host, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C must not reach it. A session of its own would void its niceness (sched(7),
            # autogroup).
            process_group=0,
            pass_fds=[listening.fileno()],
        )
    info = {"pid": process.pid, "port": port, "kind": kind, "host": host}
    write_info(info)
    return info


def _addresses(host: str, port: int) -> dict[str, str]:
    """Return the settings that lead the server's services, and its UI's browser, to its API."""
    addresses = {"PREFECT_API_URL": f"http://{reached_at(host)}:{port}/api"}
    # The browser may be on another machine.
    if host in ("0.0.0.0", "::"):
        addresses["PREFECT_SERVER_UI_API_URL"] = "/api"
    return addresses


def _info_file() -> Path:
    return home() / "storyreel-server.json"


def write_info(info: dict[str, Any]) -> None:
    """Write the note of the running server."""
    write_whole(_info_file(), info)


def read_info() -> dict[str, Any]:
    """Read the note of the server on this machine: `pid`, `port`, `host` and `kind`."""
    return read(_info_file())
