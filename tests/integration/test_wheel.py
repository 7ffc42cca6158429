"""A wheel installs one name, and works beside a project with packages called flows, tasks and
cli.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import setuptools.build_meta as backend, sys; print(backend.build_wheel(sys.argv[1]))"
LOAD = """
import pathlib, sys
from prefect.flows import load_flow_from_entrypoint
from ruamel.yaml import YAML
import storyreel
assert pathlib.Path(storyreel.__file__).is_relative_to(sys.prefix), storyreel.__file__
for deployment in YAML(typ="safe").load(pathlib.Path("prefect.yaml"))["deployments"]:
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    flow.validate_parameters(deployment["parameters"])
    print(deployment["entrypoint"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as pip builds it, in a copy of the sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("storyreel", "flows", "tasks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    return target / built.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own: the wheel unpacked, the dependencies borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(
        sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    borrowed = [path for path in sys.path if path.rstrip("/").endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return folder / "bin" / "python"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose own packages have the names of our folders, and refuse to be imported."""
    for name in ("flows", "tasks", "cli"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            f"raise ImportError('{name} of the project was imported')\n"
        )
    return tmp_path


def test_the_wheel_installs_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"storyreel"}
    packed = {name.removesuffix("/__init__.py") for name in names if name.endswith("/__init__.py")}
    for folder, package in (
        ("storyreel", "storyreel"),
        ("flows", "storyreel/flows"),
        ("tasks", "storyreel/tasks"),
    ):
        for file in (ROOT / folder).rglob("*"):
            inside = f"{package}/{file.relative_to(ROOT / folder).as_posix()}"
            if file.is_file() and "__pycache__" not in file.parts:
                assert inside in names, inside
    assert {
        "storyreel/flows",
        "storyreel/flows/server",
        "storyreel/tasks",
        "storyreel/cli/commands",
    } <= packed


def test_the_wheel_works_beside_a_project_with_the_same_package_names(
    python: Path, project: Path
) -> None:
    environment = {
        **{
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PREFECT_", "PYTHON", "STORYREEL_", "OPENAI_"))
        },
        "PREFECT_HOME": str(project / "prefect-home"),
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(python), *words],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "storyreel", "init")
    run("-m", "storyreel", "validate")
    assert "keeper" in run("-m", "storyreel", "plan")
    (project / "load.py").write_text(
        LOAD
    )  # a script's own folder is first on the path, as with `-m`
    loaded = set(run("load.py").split())
    assert {
        "storyreel.flows.render.render_storyboard",
        "storyreel.flows.batch.render_batch",
    } <= loaded
