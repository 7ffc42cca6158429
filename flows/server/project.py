"""A project that `storyreel up` starts: its folder, its prefect.yaml, its name."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from storyreel.errors import UsageError
from storyreel.manifest.document import slug

POOL = "storyreel"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder, and the name that its deployments, work pool and worker carry on the server.

    `written` is the content of its prefect.yaml.
    """

    folder: Path
    name: str
    written: dict[str, Any]

    @property
    def pool(self) -> str:
        """Return the name of the project's work pool."""
        return POOL if self.name == POOL else f"{POOL}-{self.name}"

    def deployment(self, name: str) -> str:
        """Return the server's name of the deployment that prefect.yaml calls `name`."""
        if name == self.name or name.startswith(f"{self.name}-"):
            return name
        return f"{self.name}-{name}"

    def _entrypoint(self, written: str) -> str:
        """Return the module path of a flow.

        Earlier versions named our flows `flows.render…`. Beside a folder `flows/`, such a name is
        the user's own flow.
        """
        is_old = written.startswith("flows.") and not (self.folder / "flows").is_dir()
        return f"storyreel.{written}" if is_old else written

    def as_deployed(self) -> dict[str, Any]:
        """Return prefect.yaml with the project's own names in it.

        A work pool of another name belongs to the user, and stays.
        """
        deployed = copy.deepcopy(self.written)
        for entry in deployed.get("deployments") or ():
            entry["name"] = self.deployment(str(entry["name"]))
            entry["entrypoint"] = self._entrypoint(str(entry.get("entrypoint", "")))
            pool = entry.get("work_pool") or {}
            if pool.get("name", POOL) == POOL:
                entry["work_pool"] = {**pool, "name": self.pool}
        return deployed


def project_in(folder: Path) -> Project:
    """Read the project whose prefect.yaml is in `folder`.

    Its name is STORYREEL_PROJECT, else `name` in prefect.yaml, else the folder's name.

    Raises:
        UsageError: there is no prefect.yaml, or it cannot be read.
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
