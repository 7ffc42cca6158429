"""Run the simulator: on a port of its own, or as the child of a rehearsal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import uvicorn

from storyreel.catalog import load as catalog
from storyreel.errors import UsageError, WorkspaceError
from storyreel.simulator import faults as fault_rules
from storyreel.simulator import profiles
from storyreel.simulator.app import Simulator
from storyreel.simulator.jobs import Jobs
from storyreel.workspace import children


def serve(
    *,
    port: int,
    speed: float,
    folder: Path | None = None,
    faults: Path | None = None,
    profile: str = "strict",
    max_running: int | None = None,
    per_minute: int | None = None,
    credit: Decimal | None = None,
    extra_catalog: Path | None = None,
    child: bool = False,
) -> None:
    """Serve on 127.0.0.1 until interrupted. Print the address in the first line.

    Port 0 takes a free one. STORYREEL_SIMULATOR_SCALE makes clips smaller (docs/simulator.md).
    `child`: serve a rehearsal. End when standard input ends, so that the process never outlives the
    run. Replace a picture that cannot be downloaded by a card, so that no network is needed.
    """
    rules = fault_rules.load(faults) if faults else None
    with contextlib.ExitStack() as stack:
        place = folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="storyreel-simulator-"))
        )
        jobs = Jobs(catalog.load(extra_catalog), place, speed=speed, scale=read_scale(os.environ))
        listener = _listen(port)
        simulator = Simulator(
            jobs,
            rules,
            profile=profile,
            max_running=max_running,
            per_minute=per_minute,
            credit=credit,
            with_cards=child,
        )
        config = uvicorn.Config(
            simulator.app(), log_level="critical", access_log=False, lifespan="off"
        )
        server = uvicorn.Server(config)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
        asyncio.run(_until_orphaned(server, listener) if child else server.serve([listener]))


async def _until_orphaned(server: uvicorn.Server, listener: socket.socket) -> None:
    async def watch() -> None:
        await asyncio.to_thread(sys.stdin.read)
        # Nothing is lost: the journal is written job by job.
        os.kill(os.getpid(), signal.SIGKILL)

    watcher = asyncio.create_task(watch())
    await server.serve([listener])
    watcher.cancel()


def read_scale(environment: Mapping[str, str]) -> float:
    """Return the scale of clips from the environment, which a rehearsal passes on."""
    text = environment.get("STORYREEL_SIMULATOR_SCALE", "1")
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1:
        raise UsageError(
            f"STORYREEL_SIMULATOR_SCALE is `{text}`",
            fix="set it to a number above 0 and up to 1, such as 0.25",
        )
    return scale


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(
            f"port {port} is taken: {error.strerror}",
            fix="choose another with --port, or 0 for any",
        ) from error
    return listener


@contextmanager
def rehearsal(folder: Path, speed: float, extra_catalog: Path | None = None) -> Iterator[str]:
    """Start a simulator in a process of its own on a free port, yield its base URL, end it after.

    Raises:
        UsageError: STORYREEL_SIMULATOR_PROFILE names no profile.
        WorkspaceError: it did not start.
    """
    profile = profiles.find(os.environ.get(profiles.ENVIRONMENT) or "strict").name
    options = [
        "--profile",
        profile,
        "--port",
        "0",
        "--speed",
        str(speed),
        "--folder",
        str(folder),
        "--child",
    ]
    if extra_catalog:
        options += ["--catalog", str(extra_catalog)]
    with subprocess.Popen(
        children.command("storyreel.simulator", *options),
        env=children.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that Ctrl-C does not reach it; `finally` ends it
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address.startswith("http"):
                raise WorkspaceError(
                    "the simulator did not start", fix="try `storyreel simulator` to see why"
                )
            yield address
        finally:
            process.kill()
