"""The Prefect server behind a run: the one that is named, the one that is up, or one started for as
long as it is needed.

Prefect's own temporary server dies before its recorder has written everything down. Ours is a
process of its own on Prefect's usual database, so that every run and `storyreel up` see one
history. Runs share it: each holds a shared lock while it works, and the last one out ends it; a
watchdog in the server does so if that run was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storyreel.errors import UsageError, WorkspaceError
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
from storyreel.workspace.settings import is_loopback

START_WITHIN_S = 120.0
SERVING = "storyreel.flows.server.serving"
USUAL_PORT = 4200
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
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


def home() -> Path:
    """Prefect's home: its database lies there, whoever starts the server."""
    return Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()


def named() -> str | None:
    """The server that the environment or Prefect's active profile names."""
    if os.environ.get("PREFECT_API_URL"):
        return os.environ["PREFECT_API_URL"]
    if not (home() / "profiles.toml").exists():
        return None
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() or None


@dataclass(slots=True)
class Backend:
    """A server in use by this process.

    `is_ours`: we started it, or joined one that a run started.
    """

    url: str
    is_ours: bool
    _lock: TextIOWrapper | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def wait_until_ready(self) -> None:
        """Return once the server answers. From then on until `release` one that we started is
        started again if it dies.

        Raises:
            WorkspaceError: it does not, within two minutes.
        """
        deadline = time.monotonic() + (START_WITHIN_S if self.is_ours else 15)
        while not answers(self.url):
            if time.monotonic() > deadline or (
                self.is_ours and not is_alive(read_info().get("pid"))
            ):
                why = last_line(home() / "storyreel-server.log") if self.is_ours else ""
                raise WorkspaceError(
                    f"the Prefect server at {self.url} does not answer{why}",
                    fix="see `storyreel doctor`"
                    if self.is_ours
                    else f"start it, or {forget(self.url)}",
                )
            time.sleep(0.05)
        if self._lock:
            threading.Thread(target=self._keep_up, daemon=True).start()

    def _keep_up(self) -> None:
        """Restart our server on the same port if it dies, at most three times.

        Prefect's clients retry meanwhile.
        """
        restarts = 0
        with contextlib.suppress(OSError):  # no room for its log: the run goes on without it
            while restarts < MAX_RESTARTS and not self._over.wait(LOOK_EVERY_S):
                with _starting():
                    info = read_info()
                    if info and not self._over.is_set() and not is_running(info["pid"], SERVING):
                        _spawn(info["kind"], info["port"], info.get("host", LOOPBACK))
                        restarts += 1

    def drain(self, started: Mapping[str, int]) -> bool:
        """Wait until the server has written down a final state for each task run: so many were
        started by flow run. Says whether it has.
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
                if int(_post(f"{self.url}/task_runs/count", final)) >= task_runs:
                    return True
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        return False

    def release(self) -> None:
        """Let go of the server; the last run to do so ends it."""
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
    """The server that is named, if one is.

    Prefect's client is set up for it, or for the one that is started instead.
    """
    children.spare_loopback()
    os.environ.update({k: v for k, v in CLIENT_SETTINGS.items() if k not in os.environ})
    url = named()
    return Backend(url, is_ours=False) if url else None


def start() -> Backend:
    """Find or start the server, and return at once: it comes up while the caller does something
    useful.
    """
    if given := _given():
        return given
    with _starting():
        users = (home() / "storyreel-server.users").open("a")
        fcntl.flock(users, fcntl.LOCK_SH)
        info = read_info()
        if not is_running(info.get("pid"), SERVING):
            info = _spawn("run", info.get("port", 0))  # where a run that has lost it asks for it
        url = f"http://127.0.0.1:{info['port']}/api"
    os.environ["PREFECT_API_URL"] = url
    return Backend(url, is_ours=True, _lock=users)


def start_permanent(host: str | None = None, port: int | None = None) -> Backend:
    """The server that stays until `stop_permanent`: the named one, the one that is up already, or
    one started for it at this address.

    Raises:
        UsageError: it is up, or named, at another address.
    """
    given = _given()
    with _starting():
        info = read_info()
        running = is_running(info.get("pid"), SERVING)
        there = (
            given.url
            if given
            else f"{info.get('host', LOOPBACK)}:{info['port']}"
            if running
            else None
        )
        if there and (
            (port and info.get("port") != port)
            or (host and info.get("host", LOOPBACK) != host)
            or (given and port)
        ):
            raise UsageError(
                f"the Prefect server is at {there} already",
                fix=f"leave --host and --port out, or {_stop_first(given)} first",
            )
        if given:
            return given
        if running:
            write_info(info | {"kind": "up"})  # one that a run started: it stays now
        else:
            usual = info["port"] if info.get("kind") == "up" else USUAL_PORT
            host = host or (info.get("host") if info.get("kind") == "up" else None)
            info = _spawn(
                "up", usual if port is None else port, host or LOOPBACK, must=port is not None
            )
    os.environ["PREFECT_API_URL"] = (
        f"http://{reached_at(info.get('host', LOOPBACK))}:{info['port']}/api"
    )
    return Backend(os.environ["PREFECT_API_URL"], is_ours=True)


def reached_at(host: str) -> str:
    """Where this machine reaches a server that listens on `host`."""
    if host in ("0.0.0.0", "::", ""):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def _stop_first(given: Backend | None) -> str:
    return forget(given.url) if given else "end it with `storyreel down`"


def forget(url: str) -> str:
    """The command by which this server is named no more: by the environment, or by Prefect's active
    profile.
    """
    if os.environ.get("PREFECT_API_URL") or not (home() / "profiles.toml").exists():
        return "unset PREFECT_API_URL"
    from prefect.context import get_settings_context

    return (
        "`prefect config unset PREFECT_API_URL` (profile "
        f"`{get_settings_context().profile.name}` names {url})"
    )


def stop_permanent() -> bool:
    """End the server that `start_permanent` started, or leave that to the runs that still use it.

    Says whether there was one.
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
    """Held while it is decided whether a server must be started or ended."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "storyreel-server.start").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        yield


def _spawn(kind: str, port: int, host: str = LOOPBACK, *, must: bool = False) -> dict[str, Any]:
    """Start a server.

    It is given a socket that listens already, so nothing else can take the port meanwhile.
    """
    environment = SERVER_SETTINGS | children.environment()
    before = read_info()
    had_it = before.get("port") == port  # and may hold it until its last thread has ended
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
            # Ctrl-C is not for it; in a session of its own its niceness would not count (sched(7),
            # autogroup)
            process_group=0,
            pass_fds=[listening.fileno()],
        )
    info = {"pid": process.pid, "port": port, "kind": kind, "host": host}
    write_info(info)
    return info


def _addresses(host: str, port: int) -> dict[str, str]:
    """Where its own services, and the browser that shows its UI, reach the server."""
    addresses = {"PREFECT_API_URL": f"http://{reached_at(host)}:{port}/api"}
    if host in ("0.0.0.0", "::"):  # the browser may be on another machine
        addresses["PREFECT_SERVER_UI_API_URL"] = "/api"
    return addresses


def _info_file() -> Path:
    return home() / "storyreel-server.json"


def write_info(info: dict[str, Any]) -> None:
    """Note the server that is running."""
    write_whole(_info_file(), info)


def read_info() -> dict[str, Any]:
    """The server that is running here: `pid`, `port`, `host` and `kind`."""
    return read(_info_file())


def _open(request: str | urllib.request.Request, timeout_s: float) -> Any:
    """Ask a server of this machine directly, another as the environment says."""
    url = request if isinstance(request, str) else request.full_url
    if is_loopback(urlsplit(url).hostname or ""):
        return _direct.open(request, timeout=timeout_s)
    return urllib.request.urlopen(request, timeout=timeout_s)


def answers(url: str) -> bool:
    """Does a Prefect server answer there?"""
    try:
        with _open(f"{url}/health", 5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _post(url: str, body: dict[str, Any]) -> str:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _open(request, 10) as answer:
        text: str = answer.read().decode()
        return text
