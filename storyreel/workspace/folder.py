"""A storyboard's folder of results: the path of each file, and atomic writes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storyreel.errors import RunLocked, WorkspaceError


@dataclass(frozen=True, slots=True)
class Owner:
    """The storyboard whose results a workspace holds. None: an earlier version did not record it.

    `file` is the storyboard's path, relative to the workspace. `simulated`: the results are a
    rehearsal's.
    """

    storyboard: str
    file: str | None = None
    project: str | None = None
    simulated: bool | None = None

    def as_json(self) -> str:
        """Return the owner as JSON."""
        return json.dumps(
            {name: getattr(self, name) for name in self.__slots__}, ensure_ascii=False
        )


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder `root`, e.g. `runs/lighthouse`."""

    root: Path

    @property
    def ledger_file(self) -> Path:
        """Return the path of the ledger, if it is a file here."""
        return self.root / "ledger.db"

    @property
    def film(self) -> Path:
        """Return the path of the film."""
        return self.root / "final.mp4"

    @property
    def timeline(self) -> Path:
        """Return the path of the film's timeline for editors."""
        return self.root / "final.otio"

    @property
    def pieces(self) -> Path:
        """Return the folder of the film's encoded pieces, kept for the next cut."""
        return self.root / "pieces"

    @property
    def animatic(self) -> Path:
        """Return the path of the animatic."""
        return self.root / "animatic.mp4"

    @property
    def sheet(self) -> Path:
        """Return the path of the contact sheet."""
        return self.root / "contact-sheet.jpg"

    @property
    def report_folder(self) -> Path:
        """Return the folder of the report's files."""
        return self.root / "report"

    @property
    def owner_file(self) -> Path:
        """Return the file that names the storyboard of these results; a ledger elsewhere does
        not.
        """
        return self.root / ".storyboard"

    def owner(self) -> Owner | None:
        """Read the recorded owner of the results; None if there are no results."""
        try:
            text = self.owner_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text and not self.ledger_file.exists():
            return None
        try:
            record = json.loads(text)
            return Owner(*(record.get(name) for name in Owner.__slots__))
        except (
            ValueError,
            AttributeError,
        ):  # plain text: the storyboard's id, from an earlier version
            return Owner(text, simulated=self._was_rehearsed())

    def _was_rehearsed(self) -> bool | None:
        """Are these the files of a rehearsal? None if they do not record it."""
        if (self.root / ".simulator").exists():
            return True
        try:
            return bool(json.loads((self.report_folder / "report.json").read_bytes())["simulated"])
        except (OSError, ValueError, KeyError, TypeError):
            return False if self.ledger_file.exists() else None

    def require_owner(self, mine: Owner) -> None:
        """Raise `WorkspaceError` if the folder holds another storyboard's results, or mixes
        rehearsal and paid runs.
        """
        holder = self.owner()
        if holder is None:
            return
        if holder.simulated is not None and holder.simulated != mine.simulated:
            kind = "a rehearsal" if holder.simulated else "paid runs"
            raise WorkspaceError(
                f"the workspace {self.root} holds the results of {kind}; rehearsals and "
                "paid runs never share one",
                fix="leave --workspace out, or name another",
            )
        if holder.file is None:
            if holder.storyboard and holder.storyboard != mine.storyboard:
                raise self._belongs_to(f"storyboard `{holder.storyboard}`")
        elif not self._is_same(holder.file, mine.file) and (self.root / holder.file).exists():
            raise self._belongs_to(f"another storyboard, {(self.root / holder.file).resolve()}")

    def _is_same(self, file: str, other: str | None) -> bool:
        return other is not None and (self.root / file).resolve() == (self.root / other).resolve()

    def _belongs_to(self, whose: str) -> WorkspaceError:
        return WorkspaceError(
            f"the workspace {self.root} holds the results of {whose}",
            fix="give one of the two another `id:`, or name another --workspace",
        )

    def clip(self, scene: str, take: int) -> Path:
        """Return the path of a take's clip."""
        return self.root / "clips" / scene / f"take-{take}.mp4"

    def damaged(self, clip: Path) -> Path:
        """Return the path of a clip that is paid for and cannot be used."""
        return clip.with_name(f"{clip.stem}.damaged{clip.suffix}")

    def frame(self, scene: str, take: int, name: str) -> Path:
        """Return the path of a still; `name` is `first`, `last` or `last-3`."""
        return self.root / "frames" / scene / f"take-{take}-{name}.png"

    def strip(self, clip: Path) -> Path:
        """Return the path of a clip's small pictures, for report and contact sheet. `clip` may
        have an old name.
        """
        return self.root / "frames" / clip.parent.name / f"{clip.stem}-strip.jpg"

    def relative(self, path: Path) -> str:
        """Return the path as reports show it: relative to the workspace, with `/`."""
        return path.relative_to(self.root).as_posix()

    def prepare(self, owner: Owner | None = None) -> None:
        """Make the folder and record its owner. Raise `WorkspaceError` if it cannot be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
            if owner and owner != self.owner():
                write_whole(self.owner_file, owner.as_json().encode())
        except OSError as error:
            raise WorkspaceError(
                f"the workspace {self.root} cannot be written: {error.strerror}",
                fix="make it writable; what is paid for is in it",
            ) from error

    def sweep(self) -> None:
        """Delete the unfinished files of a killed run. Call it only while holding the lock."""
        for part in self.root.rglob(".*.part"):
            part.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace for one run. The lock ends with its process.

        Raises:
            RunLocked: another run holds it.
        """
        self.prepare()
        with (self.root / ".lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise WorkspaceError(
                        f"the workspace {self.root} cannot be locked: {error.strerror}"
                    ) from error
                lock.seek(0)
                holder = lock.read(100).strip() or "unknown"
                raise RunLocked(
                    f"another run (process {holder}) works in {self.root}",
                    fix="wait for it to end, or name another --workspace",
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def write_whole(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file, from one piece or many. Readers see the old file or the new one, never a
    part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            out.writelines([data] if isinstance(data, bytes) else data)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def move_whole(part: Path, path: Path) -> None:
    """Move a finished file to its place. The file and the move are on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
