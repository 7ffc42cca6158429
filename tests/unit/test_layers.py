"""Imports run only downwards, and a help text loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "storyreel": {"prefect", "tasks", "flows", "cli"},
    "tasks": {"flows", "cli"},
    "flows": {"cli"},
}
PURE = ("errors", "catalog", "plan", "wire", "polling", "report", "ledger_rows", "matching", "moments", "bodies", "links", "answers", "refusals", "verdict", "comparison",
        "manifest/prompt", "manifest/faults",
        "manifest/document", "manifest/storyboard", "manifest/resolve", "manifest/rules", "manifest/shape")  # fmt: skip
IO = {
    "storyreel.settings", "storyreel.client", "storyreel.download", "storyreel.part", "storyreel.ledger", "storyreel.media", "storyreel.store", "storyreel.session",
    "storyreel.workers", "storyreel.workspace", "storyreel.simulator", "storyreel.writers", "httpx", "sqlalchemy", "av", "PIL",
}  # fmt: skip
KNOW_HTTPX = {"storyreel/client.py", "storyreel/download.py", "storyreel/simulator/app.py", "storyreel/webhook.py"}


def imports(path: Path) -> set[str]:
    """The full names of everything a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_only_downwards(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        tops = {name.partition(".")[0] for name in imports(path)}
        assert not tops & FORBIDDEN[package], path


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_input_or_output(module: str) -> None:
    found = imports(ROOT / "storyreel" / f"{module}.py")
    assert not [name for name in found if any(name == io or name.startswith(io + ".") for io in IO)]


def test_only_client_simulator_and_webhook_know_httpx() -> None:
    for path in (ROOT / "storyreel").rglob("*.py"):
        if path.relative_to(ROOT).as_posix() not in KNOW_HTTPX:
            assert not {n for n in imports(path) if n.partition(".")[0] in ("httpx", "requests")}, path


def test_only_submission_pays() -> None:
    """`create` and `remix` of the client are called in one module, behind the ledger's gate."""
    for path in [*(ROOT / "storyreel").rglob("*.py"), *(ROOT / "tasks").rglob("*.py"), *(ROOT / "flows").rglob("*.py"),
                 *(ROOT / "cli").rglob("*.py")]:  # fmt: skip
        if path.relative_to(ROOT).as_posix() == "storyreel/submission.py":
            continue
        text = path.read_text("utf-8")
        assert "client.create(" not in text and "client.remix(" not in text, path


def test_no_file_in_flows_bears_a_packages_name() -> None:
    """Prefect puts flows/ first on sys.path: a file named like a package would hide it."""
    packages = {name.lower() for name in metadata.packages_distributions()} | set(sys.stdlib_module_names)
    for path in (ROOT / "flows").glob("*.py"):
        assert path.stem == "__init__" or path.stem not in packages, path


HEAVY = ("prefect", "pandas", "av", "PIL", "numpy", "sqlalchemy", "httpx", "pydantic", "rich", "ruamel")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"


def test_validate_and_plan_import_no_prefect() -> None:
    code = (
        "import sys\nfrom cli.main import main\n"
        "main(['validate', 'manifests/lighthouse.yaml'])\nmain(['plan', 'manifests/lighthouse.yaml', '--workspace', '/nowhere'])\n"
        "sys.exit('prefect' in sys.modules or 'pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=True)
