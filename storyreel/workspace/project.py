"""Where a storyboard's results are: in its project, from any current folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storyreel.errors import UsageError
from storyreel.workspace.settings import Settings

FILE = "prefect.yaml"
RUNS = "runs"
# in the folder of runs: workspaces that were named elsewhere, a relative path a line
KNOWN = ".workspaces"


@dataclass(frozen=True, slots=True)
class Project:
    """The nearest folder at or above a storyboard that holds a prefect.yaml, else the storyboard's
    own.

    `name` is STORYREEL_PROJECT, else the `name` in prefect.yaml, else empty. `runs` holds one
    workspace for each storyboard.
    """

    folder: Path
    name: str
    runs: Path

    def named_elsewhere(self) -> Iterator[Path]:
        """Yield the workspaces outside `runs` that --workspace named."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in (self.runs / KNOWN).read_text("utf-8").splitlines():
                yield Path(os.path.normpath(self.runs / line))

    def remember(self, workspace: Path) -> None:
        """Record a workspace outside `runs`, so that later commands find what is paid for in it."""
        if workspace.is_relative_to(self.runs) or workspace in self.named_elsewhere():
            return
        with contextlib.suppress(OSError):
            self.runs.mkdir(parents=True, exist_ok=True)
            with (self.runs / KNOWN).open("a", encoding="utf-8") as file:
                file.write(os.path.relpath(workspace, self.runs) + "\n")


def find(place: Path, settings: Settings) -> Project:
    """Find the project of a storyboard, or of the folder `place`.

    Raises:
        UsageError: STORYREEL_WORKSPACE is no folder's path.
    """
    own = (place if place.is_dir() else place.parent).resolve()
    folder = next((f for f in (own, *own.parents) if (f / FILE).is_file()), own)
    return Project(
        folder, settings.project or _name(folder / FILE), _runs(folder, settings.workspace)
    )


def older_places(storyboard: Path) -> list[Path]:
    """List the folders in which earlier versions put workspaces: `runs` in the current folder."""
    own = storyboard.parent.resolve()
    return [above / RUNS for above in dict.fromkeys((Path.cwd(), own, *own.parents))]


def shown(path: Path) -> str:
    """Return a path for people: relative if it is below the current folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _runs(folder: Path, setting: str | None) -> Path:
    if setting is None:
        return folder / RUNS
    if "://" in setting:
        raise UsageError(
            f"STORYREEL_WORKSPACE: {setting.partition('://')[0]}:// is not a folder",
            fix="name a folder: each storyboard's results go into one of its own in it",
        )
    return Path(os.path.normpath(folder / Path(setting).expanduser()))


def _name(file: Path) -> str:
    """Read the `name` of a prefect.yaml; empty if there is none, or it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        written = YAML(typ="safe").load(file.read_bytes())
    except (OSError, YAMLError, ValueError):
        return ""
    name = written.get("name") if isinstance(written, dict) else None
    return str(name).strip()[:128] if name is not None else ""
