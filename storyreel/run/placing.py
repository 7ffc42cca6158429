"""Reads a request, and finds the workspace of its results."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

from storyreel import manifest
from storyreel.catalog import load as catalogs
from storyreel.catalog.load import Catalog
from storyreel.errors import StoryboardError, UsageError
from storyreel.manifest.storyboard import Storyboard
from storyreel.run import elsewhere
from storyreel.run.request import Prepared, Request, require_scene
from storyreel.workspace import project as projects
from storyreel.workspace.folder import Workspace
from storyreel.workspace.settings import Settings
from storyreel.workspace.settings import read as read_settings


def prepare(request: Request) -> Prepared:
    """Read settings, catalogue and storyboard. Writes nothing.

    Raises:
        UsageError: and its kin, for whatever is wrong.
    """
    settings = read_settings()
    catalog = catalogs.load(request.catalog or settings.catalog)
    checked = manifest.check(request.storyboard, catalog, request.variables)
    if checked.storyboard is None:
        raise StoryboardError(list(checked.faults))
    storyboard = checked.storyboard
    if request.name:
        storyboard = dataclasses.replace(storyboard, id=request.name)
    project = projects.find(request.storyboard, settings)
    prepared = _placed(request, settings, catalog, storyboard, checked.warnings, project)
    for name in (*request.only, *request.force, *([request.start] if request.start else [])):
        require_scene(prepared.storyboard, name)
    return prepared


def _placed(
    request: Request,
    settings: Settings,
    catalog: Catalog,
    storyboard: Storyboard,
    warnings: tuple[manifest.Fault, ...],
    project: projects.Project,
) -> Prepared:
    """Find the workspace: the one that was named, that of the project, or one from an earlier
    version.

    Raises:
        WorkspaceError: it holds the results of another storyboard, or of another world.
    """
    folder = f"{storyboard.id}.simulated" if request.simulate else storyboard.id
    root = Path(os.path.normpath((request.workspace or project.runs / folder).absolute()))
    prepared = Prepared(request, settings, catalog, storyboard, Workspace(root), warnings, project)
    if (
        request.workspace is None
        and settings.workspace is None
        and prepared.workspace.owner() is None
    ):
        for runs in projects.older_places(request.storyboard):
            older = dataclasses.replace(prepared, workspace=Workspace(runs / folder))
            if older.workspace.owner() and older.is_owner():
                note = (
                    f"results are in {projects.shown(runs / folder)}, from an earlier version; "
                    f"move that folder to {projects.shown(root)} to keep all in the project"
                )
                return dataclasses.replace(older, note=note)
    prepared.workspace.require_owner(prepared.owner)
    _require_project(prepared)
    return prepared


def _require_project(prepared: Prepared) -> None:
    """Refuse a renamed project on a shared ledger.

    Its rows are found by its name: under another one they would be paid for again.
    """
    there = _named_otherwise(prepared) if prepared.settings.database_url else None
    if there:
        raise UsageError(
            "this storyboard's takes are in the shared ledger under the project "
            f"`{there}`, not `{prepared.project.name}`",
            fix=f"export STORYREEL_PROJECT={shlex.quote(there)}, or put that name back into "
            "prefect.yaml",
        )


def _named_otherwise(prepared: Prepared) -> str | None:
    """The other name under which this project's folder has results: of the storyboard, else of one
    beside it.
    """
    own, project = prepared.workspace.owner(), prepared.project
    if own and own.project:
        return own.project if own.project != project.name else None
    names = []
    for home in elsewhere.homes(project.runs).values():
        owner = Workspace(home).owner()
        file = (home / owner.file).resolve() if owner and owner.file else None
        if (
            owner
            and owner.project
            and file
            and projects.find(file, prepared.settings).folder == project.folder
        ):
            names.append(owner.project)
    return None if not names or project.name in names else names[0]
