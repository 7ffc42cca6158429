"""Imports run only downwards, and a help text loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Which room imports which. A room imports only what is named here; errors may be imported by all.
ROOMS = {
    "workspace": set(),
    "catalog": set(),
    "manifest": {"catalog", "film"},
    "ledger": set(),
    "plan": {"catalog", "ledger", "manifest"},
    "api": {"catalog", "ledger", "manifest", "workspace"},
    "film": {"catalog", "ledger", "manifest", "workspace"},
    "report": {"catalog", "film", "ledger", "manifest", "plan", "workspace"},
    "simulator": {"catalog", "film", "workspace"},
    "run": {"api", "catalog", "film", "ledger", "manifest", "plan", "report", "simulator", "workspace"},
    "cli": {
        "api", "catalog", "film", "flows", "ledger", "manifest", "plan", "report", "run", "simulator", "workspace",
    },
}  # fmt: skip
PURE = (
    "errors", "catalog/load", "catalog/model", "catalog/catalog", "catalog/dialect", "plan/make", "plan/money", "plan/model", "plan/request",
    "plan/identity", "plan/inputs", "plan/takes", "plan/reason", "plan/forecast", "plan/snapshot",
    "ledger/rows", "ledger/clip", "ledger/moments", "report/model", "report/outcome", "report/build", "report/money", "report/advice",
    "api/encoding", "api/polling", "api/matching", "api/bodies", "api/links", "api/answers", "api/refusals", "api/verdict",
    "api/error_bodies", "api/exceptions", "api/layers", "api/reasons",
    "run/comparison", "manifest/prompt", "manifest/faults", "manifest/document", "manifest/storyboard",
    "manifest/resolve", "manifest/draft", "manifest/texts", "manifest/references", "manifest/places", "manifest/nodes",
    "manifest/syntax", "manifest/rules", "manifest/shape",
)  # fmt: skip
IO = {
    "storyreel.workspace", "storyreel.api.client", "storyreel.api.download", "storyreel.api.part", "storyreel.api.store",
    "storyreel.ledger.gate", "storyreel.ledger.engine", "storyreel.ledger.tables", "storyreel.film", "storyreel.run.session", "storyreel.simulator", "storyreel.report.writers",
    "httpx", "sqlalchemy", "av", "PIL",
}  # fmt: skip
KNOW_HTTPX = {
    "storyreel/api/client.py", "storyreel/api/download.py", "storyreel/api/webhook.py", "storyreel/simulator/material.py",
    "storyreel/cli/conduct.py", "storyreel/cli/probe.py",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """The full names of everything a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_its_docstring_says(room: str) -> None:
    for path in (ROOT / "storyreel" / room).rglob("*.py"):
        parts = [name.split(".") for name in imports(path)]
        found = {part[1] for part in parts if part[0] == "storyreel" and len(part) > 1}
        assert found - {room, "errors", "__version__"} <= ROOMS[room], path


def test_every_package_is_a_room() -> None:
    packages = {path.parent.name for path in (ROOT / "storyreel").glob("*/__init__.py")}
    assert packages == set(ROOMS) and len(packages) + 1 <= 12, "a dozen doors, errors among them"


def test_only_flows_and_tasks_know_prefect() -> None:
    for path in (ROOT / "storyreel").rglob("*.py"):
        if path.relative_to(ROOT).parts[1] != "cli":
            assert "prefect" not in {name.partition(".")[0] for name in imports(path)}, path
    for folder, forbidden in (
        ("tasks", ("storyreel.flows", "storyreel.cli")),
        ("flows", ("storyreel.cli",)),
    ):
        for path in (ROOT / folder).rglob("*.py"):
            assert not {name for name in imports(path) if name.startswith(forbidden)}, path


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_input_or_output(module: str) -> None:
    found = imports(ROOT / "storyreel" / f"{module}.py")
    assert not [name for name in found if any(name == io or name.startswith(io + ".") for io in IO)]


def test_only_client_simulator_and_webhook_know_httpx() -> None:
    for path in (ROOT / "storyreel").rglob("*.py"):
        if path.relative_to(ROOT).as_posix() not in KNOW_HTTPX:
            assert not {n for n in imports(path) if n.partition(".")[0] in ("httpx", "requests")}, (
                path
            )


def test_only_submission_pays() -> None:
    """`create` and `remix` of the client are called in one module, behind the ledger's gate."""
    for path in [
        path for folder in ("storyreel", "tasks", "flows") for path in (ROOT / folder).rglob("*.py")
    ]:
        if path.relative_to(ROOT).as_posix() == "storyreel/run/submission.py":
            continue
        text = path.read_text("utf-8")
        assert "client.create(" not in text and "client.remix(" not in text, path


def test_no_file_in_flows_bears_a_packages_name() -> None:
    """Prefect puts flows/ first on sys.path: a file named like a package would hide it."""
    packages = {name.lower() for name in metadata.packages_distributions()} | set(
        sys.stdlib_module_names
    )
    for path in (ROOT / "flows").glob("*.py"):
        assert path.stem == "__init__" or path.stem not in packages, path


HEAVY = (
    "prefect",
    "pandas",
    "av",
    "PIL",
    "numpy",
    "sqlalchemy",
    "httpx",
    "pydantic",
    "rich",
    "ruamel",
)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom storyreel.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr.strip() == "[]"


def test_validate_and_plan_import_no_prefect() -> None:
    code = (
        "import sys\nfrom storyreel.cli.main import main\n"
        "main(['validate', 'manifests/lighthouse.yaml'])\nmain(['plan', "
        "'manifests/lighthouse.yaml', '--workspace', '/nowhere'])\n"
        "sys.exit('prefect' in sys.modules or 'pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=True)
