"""What a person asked for, and what it says once it has been read. Nothing is open yet."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from storyreel import manifest
from storyreel.catalog.load import Catalog
from storyreel.errors import UsageError, WorkspaceError
from storyreel.ledger.gate import NO_CAPS, Ledger
from storyreel.ledger.rows import Caps
from storyreel.manifest.faults import nearest
from storyreel.manifest.storyboard import Storyboard
from storyreel.workspace import project as projects
from storyreel.workspace.folder import Owner, Workspace
from storyreel.workspace.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for: which storyboard, where, how much of it."""

    storyboard: Path
    workspace: Path | None = None
    simulate: bool = False
    speed: float = 60.0
    only: tuple[str, ...] = ()
    start: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    budget: Decimal | None = None
    force: tuple[str, ...] = ()
    accept_differences: bool = (
        False  # go on where the first clip of a model is not what was asked for
    )
    catalog: Path | None = None
    caps: Caps = NO_CAPS
    name: str | None = (
        None  # instead of the storyboard's own id: one storyboard, many films (a batch)
    )
    ledger: Path | None = (
        None  # instead of the workspace's own ledger: shared by the films of a batch
    )
    simulator: str | None = (
        None  # the address of one that is running, for a rehearsal; else it starts its own
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has been read and found sound; nothing is open yet."""

    request: Request
    settings: Settings
    catalog: Catalog
    storyboard: Storyboard
    workspace: Workspace
    warnings: tuple[manifest.Fault, ...]
    project: projects.Project
    note: str = ""  # where the results are, if that is not where one would look
    is_bare: bool = False  # a workspace without its storyboard

    @property
    def ledger_url(self) -> str:
        """A rehearsal has a ledger of its own, whatever the environment says."""
        if self.settings.database_url and not self.request.simulate:
            return self.settings.database_url
        if self.request.ledger:
            return f"sqlite:///{self.request.ledger.absolute()}"
        return f"sqlite:///{self.workspace.ledger_file}"

    @property
    def is_shared(self) -> bool:
        """Do other storyboards use the same ledger?"""
        return bool(
            self.request.ledger or (self.settings.database_url and not self.request.simulate)
        )

    def is_owner(self) -> bool:
        """May the workspace hold this request's results?"""
        try:
            self.workspace.require_owner(self.owner)
        except WorkspaceError:
            return False
        return True

    @property
    def owner(self) -> Owner:
        """Whose results the workspace is to hold."""
        if self.is_bare:
            return self.workspace.owner() or Owner(
                self.storyboard.id, None, self.project.name, False
            )
        file = os.path.relpath(self.request.storyboard.absolute(), self.workspace.root)
        return Owner(self.storyboard.id, file, self.project.name, self.request.simulate)

    @property
    def shared_as(self) -> str | None:
        """The name that tells this project's rows apart; None where the ledger is not shared
        between projects.
        """
        return (
            self.project.name if self.settings.database_url and not self.request.simulate else None
        )

    def open_ledger(self) -> Ledger:
        """The ledger, for writing. Only one that projects share tells them apart."""
        return Ledger(self.ledger_url, project=self.shared_as)

    def has_ledger(self) -> bool:
        """Is there anything to read yet?"""
        return (
            not self.ledger_url.startswith("sqlite:///")
            or Path(self.ledger_url.removeprefix("sqlite:///")).exists()
        )


def require_scene(storyboard: Storyboard, name: str) -> None:
    """Raises `UsageError` where the storyboard has no scene of that id."""
    ids = [scene.id for scene in storyboard.scenes]
    if name not in ids:
        guess = nearest(name, ids)
        hint = f"; did you mean `{guess}`?" if guess else ""
        raise UsageError(f"unknown scene `{name}`{hint}", fix=f"scenes here: {', '.join(ids[:20])}")
