"""The command line as a person uses it, with a real Prefect server and a live simulator as
the API.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import png
from tests.server import Live, live

# of the pictures, 324 px high at least: a 720p clip costs a second of CPU, and the film of four of
# them five
SCALE = 0.2
KEY = "sk-test-7f3a9c2e-never-to-be-seen"


def bare() -> dict[str, str]:
    """This environment without whatever would steer a command."""
    return {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("OPENAI_", "STORYREEL_", "PREFECT_"))
    }


MIGRATE = """\
import asyncio
from prefect.server.database import provide_database_interface

async def migrate():
    database = provide_database_interface()
    await database.create_db()
    await (await database.engine()).dispose()

asyncio.run(migrate())
"""


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Make a folder Prefect's home. Its database is a copy of one that was migrated once for all
    workers of this session, which takes 7 s of CPU. test_up.py starts from an empty home.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "migrated"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            subprocess.run(
                [sys.executable, "-c", MIGRATE],
                env={**bare(), "PREFECT_HOME": str(shared)},
                check=True,
            )
            (shared / "done").touch()

    def copy(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        shutil.copy(shared / "prefect.db", folder)
        return folder

    return copy


@pytest.fixture(scope="session")
def prefect_home(
    tmp_path_factory: pytest.TempPathFactory, new_home: Callable[[Path], Path]
) -> Iterator[Path]:
    """One Prefect server for all tests: a process of its own, as a first run would have
    started it.
    """
    home = new_home(tmp_path_factory.mktemp("prefect"))
    code = (
        "import sys\nfrom storyreel.flows.server import backend\nb = "
        "backend.start()\nb.wait_until_ready()\n"
        "print('ready', flush=True)\nsys.stdin.read()\nb.release()"
    )
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as keeper:
        assert keeper.stdout is not None and keeper.stdout.readline().strip() == "ready"
        yield home
        keeper.communicate()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path / "api", scale=SCALE) as server:
        yield server


@dataclass
class Project:
    """A folder with a storyboard, and the command to use it with."""

    folder: Path
    home: Path
    api: Live
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, text: str, **files: bytes) -> None:
        (self.folder / "board.yaml").write_text(text)
        for name, data in files.items():
            (self.folder / f"{name}.png").write_bytes(data)

    def storyreel(
        self,
        *arguments: str,
        code: int | None = 0,
        largest_file: int | None = None,
        typed: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; `largest_file` in bytes stands for a disk that is full beyond it, `typed`
        for a person at a terminal.
        """

        def limited() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        keyboard, terminal = pty.openpty()
        if typed is not None:
            os.write(keyboard, typed.encode())
        environment = {
            **bare(),
            "PREFECT_HOME": str(self.home),
            "OPENAI_BASE_URL": self.api.url,
            "OPENAI_API_KEY": KEY,
            "STORYREEL_TIME_SCALE": "0.001",
            "STORYREEL_SIMULATOR_SCALE": str(SCALE),
            **self.environment,
        }
        try:
            done = subprocess.run(
                [sys.executable, "-m", "storyreel", *arguments],
                cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
                stdin=subprocess.DEVNULL if typed is None else terminal, preexec_fn=limited,
            )  # fmt: skip
        finally:
            os.close(keyboard)
            os.close(terminal)
        if code is not None:
            assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def run(self, *arguments: str, code: int | None = 0) -> dict[str, Any]:
        """`storyreel run board.yaml --yes …`; returns the report."""
        self.storyreel("run", "board.yaml", "--yes", *arguments, code=code)
        return self.report()

    @property
    def workspace(self) -> Path:
        return self.folder / "runs" / "board"

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.workspace / "report" / "report.json").read_text())
        return found


@pytest.fixture
def project(tmp_path: Path, prefect_home: Path, api: Live) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder, prefect_home, api)
    made.write(BOARD, dawn=png(1280, 720, (200, 59, 39)), dusk=png(1280, 720, (20, 40, 220)))
    return made


BOARD = """\
version: 1
defaults: {model: kling-v2-5-turbo, seconds: 5, size: 1280x720, mode: pro}
keyframes: {dawn: dawn.png, dusk: dusk.png}
scenes:
  - {id: one, prompt: scene one, first_frame: {keyframe: dawn}, end_frame: {keyframe: dusk}}
  - {id: two, prompt: scene two, first_frame: previous}
  - {id: three, prompt: scene three, first_frame: {scene: two}}
  - {id: alone, prompt: scene alone, model: kling-video-o1, size: 1920x1080}
"""
