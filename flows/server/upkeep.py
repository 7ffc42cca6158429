"""`storyreel up` and `down`: Prefect's server with its UI, the deployments of prefect.yaml and a
worker, on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from storyreel.flows.server import backend, deployments, worker
from storyreel.flows.server.project import project_in


def up(
    folder: Path,
    say: Callable[[str], None],
    *,
    host: str | None = None,
    port: int | None = None,
    limit: int | None = None,
) -> str:
    """Start each part that is not running yet. Return the UI's address.

    `folder` holds prefect.yaml and the storyboards. `host` and `port` are the server's. `limit` is
    how many runs the worker executes at once.

    Raises:
        UsageError: there is no prefect.yaml, or the server is running at another address.
        WorkspaceError: a part does not start, or another folder's project has this name.
    """
    project = project_in(folder)
    server = backend.start_permanent(host, port)
    server.wait_until_ready()
    ui = server.url.removesuffix("/api")
    say(f"server       {ui}")
    deployments.refuse_a_namesake(project)
    worker.start(project, server, limit)
    say(f"worker       pool `{project.pool}`, log {worker.log_file()}")
    say(f"deployments  {', '.join(deployments.deploy(project, server.url))}")
    deployments.mark_dead_runs()
    return ui


def down(folder: Path) -> list[str]:
    """End the worker of the project in `folder`, and with the last worker the server.

    Without a prefect.yaml in `folder`, end every worker. Return what was ended, in words. Jobs in
    flight stay in the ledger.
    """
    workers, ended = worker.running(), []
    mine = {project_in(folder).name} if (folder / "prefect.yaml").is_file() else set(workers)
    for name in mine & set(workers):
        worker.end(workers, name)
        ended.append(f"worker of `{name}`")
    worker.note(workers)
    if not workers and backend.stop_permanent():
        ended.append("server")
    return ended
