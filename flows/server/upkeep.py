"""`storyreel up` and `down`: a Prefect server with its UI, the deployments of prefect.yaml and a
worker, on this machine.
"""

from __future__ import annotations

import contextlib
import copy
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from storyreel.errors import UsageError, WorkspaceError
from storyreel.flows.server import address, backend, processes
from storyreel.manifest.document import slug

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

POOL = "storyreel"
WORKER = "worker"
POOL_WITHIN_S = 90.0
ZOMBIES = "storyreel: runs whose process died"


@dataclass(frozen=True, slots=True)
class Project:
    """What is brought up together: a folder, and the name by which its deployments, work pool and
    worker are its own.
    """

    folder: Path
    name: str
    written: dict[str, Any]  # its prefect.yaml

    @property
    def pool(self) -> str:
        """The project's work pool."""
        return POOL if self.name == POOL else f"{POOL}-{self.name}"

    def deployment(self, name: str) -> str:
        """The name on the server of what prefect.yaml calls `name`."""
        return (
            name if name == self.name or name.startswith(f"{self.name}-") else f"{self.name}-{name}"
        )

    def _entrypoint(self, written: str) -> str:
        """A flow of ours by its name; `flows.render…` was its name in earlier versions, and is a
        user's own beside such a folder.
        """
        is_old = written.startswith("flows.") and not (self.folder / "flows").is_dir()
        return f"storyreel.{written}" if is_old else written

    def as_deployed(self) -> dict[str, Any]:
        """prefect.yaml with the project's own names in it.

        A work pool of another name is the user's, and stays.
        """
        made = copy.deepcopy(self.written)
        for entry in made.get("deployments") or ():
            entry["name"] = self.deployment(str(entry["name"]))
            entry["entrypoint"] = self._entrypoint(str(entry.get("entrypoint", "")))
            pool = entry.get("work_pool") or {}
            if pool.get("name", POOL) == POOL:
                entry["work_pool"] = {**pool, "name": self.pool}
        return made


def project_in(folder: Path) -> Project:
    """The project whose prefect.yaml lies in `folder`; its name is STORYREEL_PROJECT, or `name`
    there, or the folder's.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    path = folder / "prefect.yaml"
    if not path.is_file():
        raise UsageError(
            f"there is no prefect.yaml in {folder}",
            fix="go to your project's folder, or make one with `storyreel init`",
        )
    try:
        written = YAML(typ="safe").load(path.read_text("utf-8"))
        entries = [str(entry["name"]) for entry in written["deployments"]]
    except (YAMLError, OSError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise UsageError(
            f"prefect.yaml cannot be read: {_one_line(error)}", fix=f"correct {path}"
        ) from error
    if not entries:
        raise UsageError("prefect.yaml has no deployments", fix=f"add one to {path}")
    name = os.environ.get("STORYREEL_PROJECT") or written.get("name") or folder.name
    return Project(folder, slug(str(name)) or "project", written)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def up(
    folder: Path,
    say: Callable[[str], None],
    *,
    host: str | None = None,
    port: int | None = None,
    limit: int | None = None,
) -> str:
    """Bring up what is not up yet; what is stays as it is. Returns the UI's address. `folder` holds
    prefect.yaml, and is where storyboards lie; `host` and `port` are the server's, `limit` is how
    many runs the worker executes at once.

    Raises:
        UsageError: there is no prefect.yaml; the server is up at another address; another folder's
        project has this name.
        WorkspaceError: a part of it does not come up.
    """
    project = project_in(folder)
    server = backend.start_permanent(host, port)
    server.wait_until_ready()
    ui = server.url.removesuffix("/api")
    say(f"server       {ui}")
    _refuse_a_namesake(project)
    _worker(project, server, limit)
    say(f"worker       pool `{project.pool}`, log {_log()}")
    say(f"deployments  {', '.join(_deploy(project, server.url))}")
    _automate()
    return ui


def down(folder: Path) -> list[str]:
    """End the worker of the project in `folder`, or every worker where there is no project, and the
    server with the last of them. Says which were there. Jobs in flight stay in the ledger.
    """
    workers, ended = _running(), []
    mine = {project_in(folder).name} if (folder / "prefect.yaml").is_file() else set(workers)
    for name in mine & set(workers):
        processes.end(
            workers.pop(name)["pid"], patience_s=45
        )  # it first ends the runs that it watches
        ended.append(f"worker of `{name}`")
    processes.write_whole(_workers_file(), workers)
    if not workers and backend.stop_permanent():
        ended.append("server")
    return ended


def _log() -> Path:
    return address.home() / "storyreel-worker.log"


def _workers_file() -> Path:
    return address.home() / "storyreel-workers.json"


def _running() -> dict[str, dict[str, Any]]:
    """The workers that are alive, by project: `pid`, `folder`, `url`, `limit`."""
    found = processes.read(_workers_file())
    return {name: one for name, one in found.items() if processes.is_running(one["pid"], WORKER)}


def _refuse_a_namesake(project: Project) -> None:
    """Two projects of one name would take each other's deployments. One that was moved is still the
    same.

    Raises:
        UsageError: the project of another folder has this name.
    """
    from prefect.client.orchestration import get_client

    names = {entry["name"] for entry in project.as_deployed()["deployments"]}
    with get_client(sync_client=True) as client:
        places = {_place(one) for one in client.read_deployments() if one.name in names}
    for place in places - {None, project.folder}:
        assert place is not None
        with contextlib.suppress(UsageError):
            if project_in(place).name == project.name:
                raise _Namesake(project.name, place)


class _Namesake(WorkspaceError):
    def __init__(self, name: str, place: Path) -> None:
        super().__init__(
            f"the project in {place} is called `{name}`, too: each would replace the "
            "other's deployments",
            fix="change `name` in prefect.yaml, or set STORYREEL_PROJECT",
        )


def _place(deployment: DeploymentResponse) -> Path | None:
    """The folder in which its runs work, where it says so."""
    for step in deployment.pull_steps or ():
        for name, options in step.items():
            if name.endswith("set_working_directory"):
                return Path(str(options.get("directory")))
    return None


def _worker(project: Project, server: backend.Backend, limit: int | None) -> None:
    """Start the project's worker where none runs.

    It makes the work pool, and its runs have this process's environment.
    """
    workers = _running()
    now = workers.get(project.name)
    wanted = {"folder": str(project.folder), "url": server.url, "limit": limit}
    if now and (now["url"] != server.url or (limit is not None and now["limit"] != limit)):
        processes.end(now["pid"], patience_s=45)
        now = None
    if now is None:
        if server.is_ours:  # at another, another machine's worker may be about to begin it
            _take_up_again(project.pool)
        workers[project.name] = wanted | {"pid": _start_worker(project, server.url, limit)}
        processes.write_whole(_workers_file(), workers)
    _wait_for_pool(project.pool, workers[project.name]["pid"])


def _start_worker(project: Project, url: str, limit: int | None) -> int:
    name = f"storyreel-{project.name}-{socket.gethostname()}"
    command = ["worker", "start", "--pool", project.pool, "--type", "process", "--name", name]
    command += ["--limit", str(limit)] if limit else []
    _log().parent.mkdir(parents=True, exist_ok=True)
    with _log().open("a") as log:
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


def _take_up_again(pool: str) -> None:
    """Schedule again what a worker had taken and not started when it ended: nobody would, and it
    would keep its deployment's turn.
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
                        "the worker did not come up", fix=f"see {_log()}"
                    ) from None
                time.sleep(0.1)


def _deploy(project: Project, url: str) -> tuple[str, ...]:
    """`prefect deploy --all`, by Prefect's own command; returns the names.

    What was switched on or off stays so.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        before = client.read_deployments()
    made = project.as_deployed()
    with tempfile.TemporaryDirectory(prefix="storyreel-") as folder:
        file = Path(folder) / "prefect.yaml"
        YAML(typ="safe").dump(made, file)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "prefect",
                "--no-prompt",
                "deploy",
                "--all",
                "--prefect-file",
                str(file),
            ],
            cwd=project.folder,
            env={
                **os.environ,
                "PREFECT_API_URL": url,
                "PWD": str(project.folder),
                "COLUMNS": "200",
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    _leave_switched(before)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise WorkspaceError(
            f"prefect.yaml cannot be deployed: {' '.join(lines[-5:])}", fix="correct prefect.yaml"
        )
    return tuple(str(entry["name"]) for entry in made["deployments"])


def _leave_switched(before: list[DeploymentResponse]) -> None:
    """`prefect deploy` makes deployments and schedules again, on or off as the file says: leave
    them as a person, or a budget, switched them.
    """
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
    """Runs whose process died without a word are marked crashed, by the heartbeat that Prefect's
    engine sends.
    """
    from prefect.automations import AutomationCore, EventTrigger
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import Posture

    ended = {
        "prefect.flow-run.Completed",
        "prefect.flow-run.Failed",
        "prefect.flow-run.Crashed",
        "prefect.flow-run.Cancelled",
        "prefect.flow-run.Suspended",
        "prefect.flow-run.Paused",
    }
    wanted = AutomationCore(
        name=ZOMBIES,
        description="No heartbeat for five minutes. What it paid for is in the ledger; "
        "the next run "
        "takes it up.",
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
            ChangeFlowRunState(
                state=StateType.CRASHED, message="its process died: no heartbeat for five minutes"
            )
        ],
    )
    with get_client(sync_client=True) as client:
        there: list[Any] = client.read_automations_by_name(ZOMBIES)
        if not there:
            client.create_automation(wanted)
