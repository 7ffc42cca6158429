"""The simulator, live on a loopback port, in a thread of the test process: real HTTP, and its truth
within reach.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from storyreel.catalog import load as catalog
from storyreel.simulator.app import Simulator
from storyreel.simulator.faults import parse
from storyreel.simulator.jobs import Jobs


class Live:
    """A running simulator."""

    def __init__(self, simulator: Simulator, port: int) -> None:
        self.simulator = simulator
        self.url = f"http://127.0.0.1:{port}/v1"

    @property
    def accepted(self) -> list[str]:
        """The prompts of the jobs it took, in order: what somebody would have to pay for."""
        return [job["prompt"] for job in self.simulator.truth["accepted"]]

    def faults(self, *rules: dict[str, Any]) -> None:
        self.simulator.faults = parse(list(rules))


@contextmanager
def live(
    folder: Path,
    *,
    speed: float = 3000.0,
    scale: float = 1.0,
    models: catalog.Catalog | None = None,
    **options: Any,
) -> Iterator[Live]:
    """Serve until the block ends."""
    with serving(
        Simulator(Jobs(models or catalog.load(), folder, speed=speed, scale=scale), **options)
    ) as api:
        yield api


@contextmanager
def serving(simulator: Simulator) -> Iterator[Live]:
    """Serve this one until the block ends."""
    server = uvicorn.Server(
        uvicorn.Config(simulator.app(), port=0, log_level="critical", lifespan="off")
    )
    ready = threading.Event()

    original = server.startup

    async def startup(sockets: Any = None) -> None:
        await original(sockets)
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(20)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Live(simulator, port)
    finally:
        server.should_exit = True
        thread.join(20)
