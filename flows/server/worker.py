"""Start the worker of each project on this machine, and end it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storyreel.errors import WorkspaceError
from storyreel.flows.server import address, processes
from storyreel.flows.server.backend import Backend
from storyreel.flows.server.project import Project

WORKER = "worker"
POOL_WITHIN_S = 90.0
END_WITHIN_S = 45.0  # a worker first ends the runs that it watches


def log_file() -> Path:
    """Return the log that all workers of this machine append to."""
    return address.home() / "storyreel-worker.log"


def running() -> dict[str, dict[str, Any]]:
    """Return the live workers by project: `pid`, `folder`, `url`, `limit`."""
    noted = processes.read(_workers_file())
    return {
        name: worker
        for name, worker in noted.items()
        if processes.is_running(worker["pid"], WORKER)
    }


def end(workers: dict[str, dict[str, Any]], name: str) -> None:
    """End a project's worker, and take it out of `workers`."""
    processes.end(workers.pop(name)["pid"], patience_s=END_WITHIN_S)


def note(workers: dict[str, dict[str, Any]]) -> None:
    """Write down the workers that are running."""
    processes.write_whole(_workers_file(), workers)


def start(project: Project, server: Backend, limit: int | None) -> None:
    """Start the project's worker if none runs, and return once its work pool exists.

    Restart one that uses another server or another limit. The worker creates the work pool, and its
    runs inherit this process's environment.

    Raises:
        WorkspaceError: the work pool does not exist after 90 s, or the worker died.
    """
    workers = running()
    now = workers.get(project.name)
    if now and (now["url"] != server.url or (limit is not None and now["limit"] != limit)):
        end(workers, project.name)
        now = None
    if now is None:
        # On another server, a worker of another machine may be about to start these runs.
        if server.is_ours:
            _reschedule_pending(project.pool)
        now = {"folder": str(project.folder), "url": server.url, "limit": limit}
        now["pid"] = _spawn(project, server.url, limit)
        note(workers | {project.name: now})
    _wait_for_pool(project.pool, now["pid"])


def _workers_file() -> Path:
    return address.home() / "storyreel-workers.json"


def _spawn(project: Project, url: str, limit: int | None) -> int:
    """Start the worker's process, and return its id."""
    name = f"storyreel-{project.name}-{socket.gethostname()}"
    command = ["worker", "start", "--pool", project.pool, "--type", "process", "--name", name]
    command += ["--limit", str(limit)] if limit else []
    log_file().parent.mkdir(parents=True, exist_ok=True)
    with log_file().open("a") as log:
        log.write(
            f"---- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: worker of `{project.name}` "
            f"in {project.folder}\n"
        )
        log.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *command],
            cwd=project.folder,
            env={**os.environ, "PREFECT_API_URL": url},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return process.pid


def _reschedule_pending(pool: str) -> None:
    """Reschedule the runs that a dead worker left PENDING.

    They would never start, and would hold their deployment's slot.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Scheduled

    pending = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
    )
    with get_client(sync_client=True) as client:
        ours = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
        for run in client.read_flow_runs(flow_run_filter=pending, work_pool_filter=ours):
            client.set_flow_run_state(
                run.id, Scheduled(message="the worker ended before it began"), force=True
            )


def _wait_for_pool(pool: str, worker: int) -> None:
    """Return once the work pool exists, which the worker with this process id creates."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    deadline = time.monotonic() + POOL_WITHIN_S
    with get_client(sync_client=True) as client:
        while True:
            try:
                client.read_work_pool(pool)
                return
            except ObjectNotFound:
                if time.monotonic() > deadline or not processes.is_running(worker, WORKER):
                    raise WorkspaceError(
                        "the worker did not start", fix=f"see {log_file()}"
                    ) from None
                time.sleep(0.1)
