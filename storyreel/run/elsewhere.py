"""What is paid for in other ledgers of a project, under another id, folder or name; and how it is
taken over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from storyreel.errors import StoryreelError
from storyreel.ledger.clip import Clip
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State, Take
from storyreel.plan.make import Elsewhere, ScenePlan
from storyreel.run.session import SIMULATOR
from storyreel.workspace.folder import Workspace, move_whole
from storyreel.workspace.project import Project, older_places, shown

SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Own:
    """A storyboard's own ledger, where nothing is elsewhere."""

    root: Path
    url: str
    project: str | None
    is_there: bool
    is_batch: bool


def search(project: Project, file: Path, storyboard: str, own: Own) -> tuple[Elsewhere, ...]:
    """What the ledgers of this project, and of the places that earlier versions used, hold for
    other names.
    """
    found: list[Elsewhere] = []
    if own.is_there:
        with readable(own.url, own.project) as ledger:
            beside = _located(ledger.others(storyboard), own.root.parent, project.runs)
        if (
            own.project == ""
        ):  # a shared ledger, and no name that tells projects apart: only this file's own
            beside = [one for one in beside if _holds(Path(one.workspace), file)]
        # Rows of a batch run side by side: what another has in flight is its own.
        found += [one for one in beside if one.is_whole or not own.is_batch]
    for folder in _folders(project, file):
        path = folder / "ledger.db"
        if SQLITE + str(path) != own.url and path.exists() and _is_ours(folder, project):
            # A ledger that cannot be read is no reason to end: its own storyboard says so.
            with (
                contextlib.suppress(StoryreelError, OSError),
                readable(SQLITE + str(path)) as ledger,
            ):
                found += _located(ledger.others(""), folder, project.runs)
    return tuple(one for one in found if one.take.endpoint != SIMULATOR)


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes clips over into a workspace and its ledger."""

    storyboard: str
    ledger: Ledger
    workspace: Workspace
    run_id: str

    def take_over(self, scenes: Iterable[ScenePlan]) -> bool:
        """Copy every whole clip that the plan takes from elsewhere, and note it at no price.

        Says whether there was any.
        """
        found = [(s.scene.id, t) for s in scenes for t in s.takes if t.source and t.source.is_whole]
        for scene, one in found:
            assert one.source is not None
            _copy(self, scene, one.source, one.ordinal)
        return bool(found)


def _copy(taker: Taker, scene: str, source: Elsewhere, ordinal: int) -> None:
    take, there = source.take, Workspace(Path(source.workspace))
    ledger, workspace = taker.ledger, taker.workspace
    old = there.root / take.here.path
    number = (
        max((t.take for t in ledger.takes(taker.storyboard) if t.scene == scene), default=0) + 1
    )
    new = workspace.clip(scene, number)
    for still in (there.root / "frames" / take.scene).glob(f"take-{take.take}-*"):
        name = still.name.removeprefix(f"take-{take.take}-")
        _copy_file(still, workspace.root / "frames" / scene / f"take-{number}-{name}")
    _copy_file(old, new)
    clip = replace(take.here, path=workspace.relative(new), mtime_ns=new.stat().st_mtime_ns)
    ledger.imported(take, taker.storyboard, scene, taker.run_id, clip, ordinal)


def _copy_file(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    part = new.with_name(f".{new.name}.part")
    shutil.copyfile(old, part)
    move_whole(part, new)


def _folders(project: Project, file: Path) -> list[Path]:
    """Every folder that may have a ledger of ours, each once."""
    found: list[Path] = []
    for runs in (project.runs, *older_places(file)):
        with contextlib.suppress(OSError):
            found += sorted(path for path in runs.iterdir() if path.is_dir())
    for path in project.named_elsewhere():
        if _holds(path, file):
            found += (
                [path] if (path / "ledger.db").exists() else [path, path.parent]
            )  # a row of a batch
    return list(dict.fromkeys(path.absolute() for path in found))


def _holds(workspace: Path, file: Path) -> bool:
    """Are the results of this storyboard there, or of one that is gone?"""
    owner = Workspace(workspace).owner()
    if owner is None or owner.file is None:
        return False
    there = (workspace / owner.file).resolve()
    return there == file.resolve() or not there.exists()


def _is_ours(folder: Path, project: Project) -> bool:
    """No rehearsal, and no other project's.

    A batch's folder is as its rows are; a project may have had another name.
    """
    if folder.name.endswith(".simulated"):
        return False
    for home in (folder, *sorted(homes(folder).values())):
        if owner := Workspace(home).owner():
            file = (home / owner.file).resolve() if owner.file else None
            same = not owner.project or owner.project == project.name
            return not owner.simulated and (
                same or bool(file and file.is_relative_to(project.folder))
            )
    return False


def _located(takes: list[Take], folder: Path, runs: Path) -> list[Elsewhere]:
    """Each take with the workspace that its clip is in, below `folder` or below `runs`."""
    homes = _homes_of({take.storyboard for take in takes}, folder, runs) if takes else {}
    found = []
    for take in takes:
        home = homes.get(take.storyboard, folder)
        whole = take.state is State.COLLECTED and is_whole(home, take.clip)
        found.append(Elsewhere(take, str(home), shown(home), whole))
    return found


def _homes_of(names: set[str], folder: Path, runs: Path) -> dict[str, Path]:
    known = homes(folder)
    if names - set(known):
        known = homes(runs) | known
    return known


def homes(place: Path) -> dict[str, Path]:
    """The workspaces at a folder and up to two below it (a batch's rows), by the storyboard whose
    results they hold.
    """
    found = {}
    for depth in ("*/*/", "*/", ""):
        for file in place.glob(f"{depth}.storyboard"):
            if not any(part.endswith(".simulated") for part in file.relative_to(place).parts):
                owner = Workspace(file.parent).owner()
                if owner:
                    found[owner.storyboard] = file.parent
    return found


def is_whole(root: Path, clip: Clip | None) -> bool:
    """Is the clip on disk as it was collected? Size and time are looked at first; the hash only
    where the time differs.
    """
    if not clip:
        return False
    path = root / clip.path
    try:
        facts = path.stat()
        if facts.st_size != clip.bytes:
            return False
        if facts.st_mtime_ns == clip.mtime_ns:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == clip.sha256
    except OSError:
        return False


@contextlib.contextmanager
def readable(url: str, project: str | None = None) -> Iterator[Ledger]:
    """Open a ledger only to read it: where its folder cannot be written, a copy of it."""
    path = Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None
    if path is None or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        with contextlib.closing(Ledger(url, project=project)) as ledger:
            yield ledger
        return
    with tempfile.TemporaryDirectory(prefix="storyreel-ledger-") as folder:
        for suffix in ("", "-wal"):
            if (file := path.with_name(path.name + suffix)).exists():
                shutil.copyfile(file, Path(folder) / file.name)
        with contextlib.closing(Ledger(f"{SQLITE}{folder}/{path.name}", project=project)) as ledger:
            yield ledger
