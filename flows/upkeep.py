"""`storyreel up` and `down`: a Prefect server with its UI, the deployments of prefect.yaml and a worker, on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import backend
from storyreel.errors import UsageError, WorkspaceError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

POOL = "storyreel"
WORKER = "worker"
POOL_WITHIN_S = 90.0
ZOMBIES = "storyreel: runs whose process died"


def up(folder: Path, say: Callable[[str], None]) -> str:
    """Bring up what is not up yet; what is stays as it is. Returns the UI's address. `folder` holds prefect.yaml, and is where storyboards lie.

    Raises:
        UsageError: there is no prefect.yaml.
        WorkspaceError: a part of it does not come up.
    """
    if not (folder / "prefect.yaml").is_file():
        raise UsageError(
            f"there is no prefect.yaml in {folder}",
            fix="go to your project's folder, or make one with `storyreel init`",
        )
    server = backend.keep()
    server.wait_until_ready()
    ui = server.url.removesuffix("/api")
    say(f"server       {ui}")
    _worker(folder, server)
    say(f"worker       pool `{POOL}`, log {_log()}")
    say(f"deployments  {', '.join(_deploy(folder, server.url))}")
    _automate()
    return ui


def down() -> list[str]:
    """End the worker and the server that `up` started here; says which were there. Jobs in flight stay in the ledger."""
    info, ended = backend.read_info(), []
    if backend.is_running(info.get("worker"), WORKER):
        backend.end(info["worker"], patience_s=45)  # it first ends the runs that it watches
        ended.append("worker")
    if backend.let_go():
        ended.append("server")
    return ended


def _log() -> Path:
    return backend.home() / "storyreel-worker.log"


def _worker(folder: Path, server: backend.Backend) -> None:
    """Start the worker where none runs. It makes the work pool."""
    info = backend.read_info()
    if not backend.is_running(info.get("worker"), WORKER):
        if server.is_ours:  # at another, another machine's worker may be about to begin it
            _take_up_again()
        command = [
            "worker",
            "start",
            "--pool",
            POOL,
            "--type",
            "process",
            "--name",
            f"storyreel-{socket.gethostname()}",
        ]
        with _log().open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *command],
                cwd=folder,
                env={**os.environ, "PREFECT_API_URL": server.url},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        backend.write_info(info | {"worker": process.pid})
    _wait_for_pool(backend.read_info()["worker"])


def _take_up_again() -> None:
    """Schedule anew what a worker had taken and not started when it ended: nobody would, and it would keep its deployment's turn."""
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

    pending = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])))
    with get_client(sync_client=True) as client:
        ours = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
        for run in client.read_flow_runs(flow_run_filter=pending, work_pool_filter=ours):
            client.set_flow_run_state(run.id, Scheduled(message="the worker ended before it began"), force=True)


def _wait_for_pool(worker: int) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    deadline = time.monotonic() + POOL_WITHIN_S
    with get_client(sync_client=True) as client:
        while True:
            try:
                client.read_work_pool(POOL)
                return
            except ObjectNotFound:
                if time.monotonic() > deadline or not backend.is_running(worker, WORKER):
                    raise WorkspaceError("the worker did not come up", fix=f"see {_log()}") from None
                time.sleep(0.1)


def _deploy(folder: Path, url: str) -> tuple[str, ...]:
    """`prefect deploy --all`, by Prefect's own command; returns the names. What was switched on or off stays so."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        before = client.read_deployments()
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=folder,
        env={**os.environ, "PREFECT_API_URL": url, "PWD": str(folder), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    _leave_switched(before)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise WorkspaceError(f"prefect.yaml cannot be deployed: {' '.join(lines[-5:])}", fix="correct prefect.yaml")
    from ruamel.yaml import YAML

    written = YAML(typ="safe").load((folder / "prefect.yaml").read_text("utf-8"))
    return tuple(str(entry["name"]) for entry in written["deployments"])


def _leave_switched(before: list[DeploymentResponse]) -> None:
    """`prefect deploy` makes deployments and schedules anew, on or off as the file says: leave them as a person, or a budget, switched them."""
    from prefect.client.orchestration import get_client

    known = {one.id: one for one in before}
    with get_client(sync_client=True) as client:
        for now in client.read_deployments():
            was = known.get(now.id, now)
            if was.paused != now.paused:
                (client.pause_deployment if was.paused else client.resume_deployment)(now.id)
            active = {_when(one): one.active for one in was.schedules}
            for one in now.schedules:
                if active.get(_when(one), one.active) != one.active:
                    client.update_deployment_schedule(now.id, one.id, active=active[_when(one)])


def _when(schedule: DeploymentSchedule) -> str:
    """What tells a schedule from others; an interval's beginning is the time of its deployment."""
    return schedule.schedule.model_dump_json(exclude={"anchor_date"})


def _automate() -> None:
    """Runs whose process died without a word are marked crashed, by the heartbeat that Prefect's engine sends."""
    from prefect.automations import AutomationCore, EventTrigger
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import Posture

    ended = {"prefect.flow-run.Completed", "prefect.flow-run.Failed", "prefect.flow-run.Crashed",
             "prefect.flow-run.Cancelled", "prefect.flow-run.Suspended", "prefect.flow-run.Paused"}  # fmt: skip
    wanted = AutomationCore(
        name=ZOMBIES,
        description="No heartbeat for five minutes. What it paid for is in the ledger; the next run takes it up.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ended},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(minutes=5),
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, message="its process died: no heartbeat for five minutes")
        ],
    )
    with get_client(sync_client=True) as client:
        there: list[Any] = client.read_automations_by_name(ZOMBIES)
        if not there:
            client.create_automation(wanted)
