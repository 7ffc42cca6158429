"""`storyreel doctor`: is everything fit to run?"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Iterator

from cli.request import catalog_file
from storyreel import catalog, settings
from storyreel.errors import ApiError, KeyRefused, NotFound, RequestRefused, StoryreelError


def run(args: argparse.Namespace) -> int:
    """Print one line a check; 1 if one of them fails. Spends nothing."""
    good = True
    for fine, what, fix in _checks(args):
        mark = {True: "ok  ", False: "FAIL", None: "note"}[fine]
        print(f"{mark} {what}")
        if fix and fine is not True:
            print(f"       Fix: {fix}")
        good = good and fine is not False
    return 0 if good else 1


def _checks(args: argparse.Namespace) -> Iterator[tuple[bool | None, str, str]]:
    yield sys.version_info >= (3, 11), f"Python {platform.python_version()}", "install Python 3.11 or later"
    names = ("prefect", "fastapi", "av", "pillow", "pandas")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    yield True, versions, ""
    yield _server_imports()
    free = shutil.disk_usage(".").free / 1e9
    yield free > 2, f"{free:.0f} GB free here", "make room: a clip has 5 to 30 MB"
    try:
        now = settings.read()
        found = catalog.load(catalog_file(args) or now.catalog)
    except StoryreelError as error:
        yield False, error.message, error.fix or ""
        return
    yield True, f"catalogue: {len(found.models)} models", ""
    store = now.store or ("loopback, for the API on this machine" if now.is_local else None)
    yield (
        True if store else None,
        f"store for stills: {store or 'not set'}",
        "set STORYREEL_STORE to chain scenes (README, Settings)",
    )
    if now.api_key is None:
        yield None, "OPENAI_API_KEY is not set: only rehearsals run", "export OPENAI_API_KEY=…"
        return
    yield asyncio.run(_endpoint(now))


def _server_imports() -> tuple[bool, str, str]:
    try:
        from prefect.server.api.server import create_app
    except Exception as error:
        return False, f"Prefect's server cannot start: {error}", "install with -c constraints.txt (make venv does)"
    return callable(create_app), "Prefect's server can start", ""


async def _endpoint(now: settings.Settings) -> tuple[bool, str, str]:
    """Ask for a job that cannot exist: a 404 says that address and key are right, and costs nothing."""
    from storyreel.client import Client

    async with Client(now) as client:
        try:
            await client.retrieve("storyreel-doctor")
        except NotFound:
            pass
        except KeyRefused as error:
            return False, error.message, error.fix or ""
        except RequestRefused:
            pass
        except ApiError as error:
            return False, f"{now.endpoint}: {error.message}", "check OPENAI_BASE_URL and the network"
    return True, f"{now.endpoint} answers and takes the key", ""
