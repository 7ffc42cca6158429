"""Deploy a project's flows to Prefect's server, and mark dead runs there as crashed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from storyreel.errors import UsageError, WorkspaceError
from storyreel.flows.server.project import Project, project_in

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.events.schemas.automations import EventTrigger

ZOMBIES = "storyreel: runs whose process died"
_ENDINGS = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused")


def refuse_a_namesake(project: Project) -> None:
    """Refuse a project whose name another folder's project has on the server.

    Each would replace the other's deployments. A project whose folder moved is still the same.

    Raises:
        WorkspaceError: the project of another folder has this name.
    """
    from prefect.client.orchestration import get_client

    names = {entry["name"] for entry in project.as_deployed()["deployments"]}
    with get_client(sync_client=True) as client:
        same_name = [found for found in client.read_deployments() if found.name in names]
    folders = {folder for found in same_name if (folder := _folder_of(found))}
    for folder in folders - {project.folder}:
        # A folder without a project is the place from which this one was moved.
        with contextlib.suppress(UsageError):
            if project_in(folder).name == project.name:
                raise _Namesake(project.name, folder)


class _Namesake(WorkspaceError):
    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(
            f"the project in {folder} is called `{name}`, too: each would replace the "
            "other's deployments",
            fix="change `name` in prefect.yaml, or set STORYREEL_PROJECT",
        )


def _folder_of(deployment: DeploymentResponse) -> Path | None:
    """Return the working directory of a deployment's runs; None if it sets none."""
    for step in deployment.pull_steps or ():
        for name, options in step.items():
            if name.endswith("set_working_directory"):
                return Path(str(options.get("directory")))
    return None


def deploy(project: Project, url: str) -> tuple[str, ...]:
    """Deploy all flows of prefect.yaml, and return the names of the deployments.

    Deployments and schedules that are switched on or off stay so.

    Raises:
        WorkspaceError: Prefect refuses prefect.yaml.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        before = client.read_deployments()
    deployed = project.as_deployed()
    with tempfile.TemporaryDirectory(prefix="storyreel-") as folder:
        file = Path(folder) / "prefect.yaml"
        YAML(typ="safe").dump(deployed, file)
        done = _prefect_deploy(file, project.folder, url)
    _restore_switches(before)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise WorkspaceError(
            f"prefect.yaml cannot be deployed: {' '.join(lines[-5:])}", fix="correct prefect.yaml"
        )
    return tuple(str(entry["name"]) for entry in deployed["deployments"])


def _prefect_deploy(file: Path, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run `prefect deploy --all` with this prefect.yaml, in the project's folder."""
    command = ["--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    environment = {
        "PREFECT_API_URL": url,
        "PWD": str(folder),
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "prefect", *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _restore_switches(before: list[DeploymentResponse]) -> None:
    """Switch deployments and schedules on or off as they were before.

    `prefect deploy` creates them again, switched as prefect.yaml says. A person, or a budget, may
    have switched them since.
    """
    from prefect.client.orchestration import get_client

    by_id = {deployment.id: deployment for deployment in before}
    with get_client(sync_client=True) as client:
        for now in client.read_deployments():
            was = by_id.get(now.id, now)
            if was.paused != now.paused:
                (client.pause_deployment if was.paused else client.resume_deployment)(now.id)
            active = {_when(schedule): schedule.active for schedule in was.schedules}
            for schedule in now.schedules:
                was_active = active.get(_when(schedule), schedule.active)
                if was_active != schedule.active:
                    client.update_deployment_schedule(now.id, schedule.id, active=was_active)


def _when(schedule: DeploymentSchedule) -> str:
    """Return the times of a schedule, as text that is equal for equal schedules.

    The anchor date is left out: without one in prefect.yaml, it is the time of the deployment.
    """
    return schedule.schedule.model_dump_json(exclude={"anchor_date"})


def mark_dead_runs() -> None:
    """Create the automation that marks a run as crashed when its process dies.

    It waits for the heartbeat that Prefect's engine sends.
    """
    from prefect.automations import AutomationCore
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState

    automation = AutomationCore(
        name=ZOMBIES,
        description="No heartbeat for five minutes. What it paid for is in the ledger; "
        "the next run takes it up.",
        trigger=_no_heartbeat(),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="its process died: no heartbeat for five minutes"
            )
        ],
    )
    with get_client(sync_client=True) as client:
        if not client.read_automations_by_name(ZOMBIES):
            client.create_automation(automation)


def _no_heartbeat() -> EventTrigger:
    """Return the trigger: after a heartbeat, neither another nor an ending within five minutes."""
    from prefect.automations import EventTrigger
    from prefect.events.schemas.automations import Posture

    heartbeat = "prefect.flow-run.heartbeat"
    return EventTrigger(
        after={heartbeat},
        expect={heartbeat, *(f"prefect.flow-run.{ending}" for ending in _ENDINGS)},
        match={"prefect.resource.id": ["prefect.flow-run.*"]},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(minutes=5),
    )
