"""Finds the ledgers that `rescue` may work on: of a storyboard, a workspace, or a folder of
workspaces.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from storyreel.catalog import load as catalogs
from storyreel.errors import UsageError
from storyreel.manifest.document import Cut, Policy
from storyreel.manifest.storyboard import Storyboard
from storyreel.run import elsewhere
from storyreel.run.placing import prepare
from storyreel.run.request import Prepared, Request
from storyreel.workspace import project as projects
from storyreel.workspace.folder import Workspace
from storyreel.workspace.settings import Settings
from storyreel.workspace.settings import read as read_settings


def prepare_rescue(request: Request) -> list[Prepared]:
    """What `rescue` may be given: a storyboard, a workspace, or a folder of workspaces. A workspace
    needs no storyboard, so that a clip can be fetched whose storyboard has errors, or is gone.
    Rehearsals are left out.

    With a shared ledger all of this project's storyboards in it are found, also where this machine
    has no folder of theirs.

    Raises:
        UsageError: there is nothing of that name, or the storyboard has errors.
    """
    place = request.storyboard
    settings = read_settings()
    if place.suffix or place.is_file():
        return [prepare(request)]
    project = projects.find(place if place.is_dir() else Path.cwd(), settings)
    found = (
        _in_database(request, settings, project)
        if settings.database_url
        else _in_files(request, settings, project)
    )
    if not found:
        raise UsageError(
            f"no ledger is in {place}",
            fix="name a storyboard, a workspace, or the folder of your runs",
        )
    return found


def runs_here() -> list[Path]:
    """The folder of workspaces of the project that the current folder is in, and `runs` in the
    current folder.
    """
    here = projects.find(Path.cwd(), read_settings()).runs
    older = Path.cwd() / projects.RUNS
    return [here, older] if older != here and older.is_dir() else [here]


def _in_database(request: Request, settings: Settings, project: projects.Project) -> list[Prepared]:
    with elsewhere.readable(settings.database_url or "", project.name) as ledger:
        names = ledger.storyboards()
    place = request.storyboard
    homes = elsewhere.homes(project.runs) | (elsewhere.homes(place) if place.is_dir() else {})
    if place.is_dir() and Workspace(place).owner():  # one workspace: only what belongs into it
        names = [
            name
            for name in names
            if homes.get(name, project.runs).is_relative_to(place) or name == place.name
        ]
    return [
        _bare(request, settings, project, name, homes.get(name, project.runs / name))
        for name in names
    ]


def _in_files(request: Request, settings: Settings, project: projects.Project) -> list[Prepared]:
    place = request.storyboard
    found = []
    for file in (
        [place / "ledger.db"]
        if (place / "ledger.db").exists()
        else sorted(place.glob("*/ledger.db"))
    ):
        if file.parent.suffix == ".simulated":
            continue
        with elsewhere.readable(f"sqlite:///{file.absolute()}") as ledger:
            homes = elsewhere.homes(file.parent)
            for name in ledger.storyboards():
                root = homes.get(name, file.parent)
                shared = file if file.parent != root else None
                found.append(
                    _bare(
                        dataclasses.replace(request, ledger=shared), settings, project, name, root
                    )
                )
    return found


def _bare(
    request: Request, settings: Settings, project: projects.Project, name: str, root: Path
) -> Prepared:
    """A workspace without its storyboard."""
    catalog = catalogs.load(request.catalog or settings.catalog)
    storyboard = Storyboard(name, name, root / "storyboard.yaml", (), None, Policy(), Cut())
    return Prepared(
        request,
        settings,
        catalog,
        storyboard,
        Workspace(root.absolute()),
        (),
        project,
        is_bare=True,
    )
