"""`storyreel doctor`: check everything that a run needs on this machine. Spend nothing."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from storyreel.catalog import load as catalog
from storyreel.cli import probe
from storyreel.cli.request import catalog_file
from storyreel.errors import CatalogError, StoryreelError, UsageError
from storyreel.workspace import project, settings

Finding = tuple[bool | None, str, str]  # (is it good (None: only a note), finding, fix)


def run(args: argparse.Namespace) -> int:
    """Print a line for each check. Return 1 if one fails."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("Prefect's server", _server_imports),
        ("the disk", _disk),
        ("Prefect's home", _home),
        ("the Prefect server", _server),
        ("this machine's own addresses", _loopback),
        ("the settings", _settings),
    ]
    by_settings: list[tuple[str, Callable[[], Finding]]] = [
        ("the folder of results", _results),
        ("the catalogue", lambda: _catalog(args)),
        ("the ledger", _ledger),
        ("the store for stills", _store),
        ("the API", lambda: _api(args)),
    ]
    good = _checked(checks)
    # Report settings that cannot be read once, and skip the checks that need them.
    if _safely("the settings", _settings)[0]:
        good = _checked(by_settings) and good
    print(
        "not tried: a paid request; whether the API itself can download from the store; "
        "whether there is credit"
    )
    return 0 if good else 1


def _checked(checks: list[tuple[str, Callable[[], Finding]]]) -> bool:
    """Run each check and print its line. Return whether all passed."""
    good = True
    for name, check in checks:
        fine, what, fix = _safely(name, check)
        mark = {True: "ok  ", False: "FAIL", None: "note"}[fine]
        print(f"{mark} {what}", flush=True)
        if fix and fine is not True:
            print(f"       Fix: {fix}", flush=True)
        good = good and fine is not False
    return good


def _safely(name: str, check: Callable[[], Finding]) -> Finding:
    """Run a check. Report an exception as a failed check, so the others still run."""
    try:
        return check()
    except StoryreelError as error:
        return False, f"{name}: {error.message}", error.fix or ""
    except Exception as error:
        return False, f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", ""


def _python() -> Finding:
    return (
        sys.version_info >= (3, 11),
        f"Python {platform.python_version()}",
        "install Python 3.11 or later",
    )


def _packages() -> Finding:
    names = ("prefect", "fastapi", "av", "pillow", "pandas")
    return True, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names), ""


def _server_imports() -> Finding:
    try:
        from prefect.server.api.server import create_app
    except Exception as error:
        return (
            False,
            f"Prefect's server cannot start: {error}",
            "install with -c constraints.txt (make venv does)",
        )
    return callable(create_app), "Prefect's server can be imported", ""


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    fix = (
        "make room: a clip has 5 to 30 MB"
        if free <= 2
        else "change to a folder that you may write, or set --workspace"
    )
    try:
        with tempfile.NamedTemporaryFile(dir="."):
            return free > 2, f"{free:.0f} GB free here", fix
    except OSError as error:
        return None, f"{Path.cwd()} cannot be written: {error.strerror}", fix


def _results() -> Finding:
    """Check that the folder of results, or its nearest existing parent, can be written."""
    runs = project.find(Path.cwd(), settings.read()).runs
    there = next(folder for folder in (runs, *runs.parents) if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            return True, f"results go to {runs}", ""
    except OSError as error:
        is_named = settings.read().workspace is not None
        return (
            False if is_named else None,
            f"{runs} cannot be written: {error.strerror}",
            "set STORYREEL_WORKSPACE to a folder that can be",
        )


def _home() -> Finding:
    from storyreel.flows.server import address

    home = address.home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home):
            return True, f"Prefect's home is {home}", ""
    except OSError as error:
        what = f"Prefect's home {home} cannot be written: {error.strerror}"
        return False, what, "set PREFECT_HOME to a folder that can be"


def _server() -> Finding:
    """Check the Prefect server that a run would use. Start none."""
    from storyreel.flows.server import address, backend, processes

    url = address.named()
    if url is None:
        info = backend.read_info()
        if not processes.is_running(info.get("pid"), backend.SERVING):
            return True, "no Prefect server is named: a run starts one of its own (not tried)", ""
        url = (
            f"http://{address.reached_at(info.get('host', processes.LOOPBACK))}:{info['port']}/api"
        )
    if address.answers(url):
        return True, f"the Prefect server at {url} answers", ""
    return (
        False,
        f"the Prefect server at {url} does not answer",
        f"start it, or {address.forget(url)}",
    )


def _loopback() -> Finding:
    """Check that this machine reaches its own servers: the simulator, Prefect's server, the
    store.
    """
    from storyreel.api.store import LoopbackStore

    with LoopbackStore() as store:
        data = secrets.token_bytes(32)
        if probe.fetch(store.publish(data, "png")) != data:
            return (
                False,
                "the answer of a server on 127.0.0.1 is not what it sent",
                "stop the proxy or filter in front of it, or let 127.0.0.1 pass",
            )
    return True, "a server on 127.0.0.1 is reached directly", ""


def _settings() -> Finding:
    settings.read()
    return True, "the settings of the environment can be read", ""


def _catalog(args: argparse.Namespace) -> Finding:
    file = catalog_file(args) or settings.read().catalog
    return True, f"catalogue: {len(catalog.load(file).models)} models", ""


def _api(args: argparse.Namespace) -> Finding:
    now = settings.read()
    try:
        shape = catalog.load(catalog_file(args) or now.catalog).endpoint
    except CatalogError:  # the check of the catalogue reports it
        shape = None
    return probe.endpoint(now, shape)


def _ledger() -> Finding:
    url = settings.read().database_url
    if not url:
        return True, "ledger: a file in each workspace", ""
    import sqlalchemy

    from storyreel.ledger.gate import Ledger

    try:
        where = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError as error:
        fix = "write it as postgresql://USER:PASSWORD@HOST/DATABASE"
        raise UsageError(
            "STORYREEL_DATABASE_URL is not the address of a database", fix=fix
        ) from error
    Ledger(url).close()
    return True, f"ledger: {where} can be used", ""


def _store() -> Finding:
    """Publish a few bytes, download them as the API would, and delete them."""
    from storyreel.api.store import open_store

    now = settings.read()
    store = open_store(now)
    if store is None:
        return (
            None,
            "store for stills: not set",
            "set STORYREEL_STORE to chain scenes (README, Settings)",
        )
    try:
        data = secrets.token_bytes(32)
        url = store.publish(data, "png")
        try:
            got = probe.fetch(url)
        finally:
            store.withdraw(url)
    finally:
        store.close()
    name = (now.store or "loopback, for the API on this machine").partition("?")[0]
    if got != data:
        what = f"store for stills: {name} takes a picture, but its address does not give it back"
        return (
            False,
            what,
            "correct STORYREEL_STORE: the API must be able to download from it",
        )
    return True, f"store for stills: {name} was written, read and deleted", ""
