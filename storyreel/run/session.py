"""Hold what one run keeps open and what its scenes share."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, ParamSpec, TypeVar

from storyreel.api import verdict
from storyreel.api.client import Client
from storyreel.api.store import Store
from storyreel.catalog.load import Catalog
from storyreel.errors import Stage, Status, Stopped, StoryreelError
from storyreel.ledger.gate import NO_CAPS, Ledger
from storyreel.ledger.rows import Caps
from storyreel.manifest.storyboard import Storyboard
from storyreel.run.first_look import FirstLook
from storyreel.run.slots import Slots
from storyreel.workspace.folder import Workspace
from storyreel.workspace.settings import Settings
from storyreel.workspace.workers import Workers

INTERRUPTED_S = 90.0
MEDIA_AT_ONCE = 2
SIMULATOR = "simulator"  # account and endpoint in the ledger of a rehearsal

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """Describe what a take is doing, how it ended, or how much of the film is cut.

    `scene` is empty for the film. `percent` is None where it is unknown.
    """

    scene: str
    take: int
    state: Stage | Status
    detail: str = ""
    percent: int | None = None

    @classmethod
    def cutting(cls, done: int, total: int) -> Progress:
        """Return how many of the film's pictures are cut."""
        percent = min(100, 100 * done // max(1, total))
        return cls("", 0, Stage.CUTTING, f"{done} of {total} pictures", percent)

    def of(self, film: str) -> Progress:
        """Return this progress under the name of one film of a batch."""
        return replace(self, scene=f"{film}/{self.scene}" if self.scene else film)


@dataclass(slots=True)
class Money:
    """Limit what one run may spend.

    `currency` is the currency of all limits, None where no limit is set.
    """

    budget: Decimal | None = None
    currency: str | None = None
    caps: Caps = NO_CAPS


@dataclass(frozen=True, slots=True)
class Clock:
    """Read the time and wait. Tests pass a clock of their own."""

    # Wall time: is stored, and compared with the API's times.
    now: Callable[[], float] = time.time
    # Measures durations: a change of the machine's time does not affect it.
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    # Spreads the pauses of many takes.
    rng: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class Executors:
    """Run blocking work beside the event loop: in threads, or in processes that may crash."""

    # One thread, so that ledger calls never run at the same time.
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ledger"))
    media: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(MEDIA_AT_ONCE, "media")
    )
    processes: Workers = field(default_factory=lambda: Workers(MEDIA_AT_ONCE))

    async def close(self) -> None:
        """Wait for work that has begun, and drop the rest; finish every ledger call."""
        await self.processes.close()
        self.media.shutdown(wait=True, cancel_futures=True)
        self.writer.shutdown(wait=True)


@dataclass(slots=True)
class Session:
    """Hold what one run keeps open.

    `stopped` says why the run submits nothing more, None while it may submit. `stop_mark` is when
    the account was last stopped before this run began.
    """

    storyboard: Storyboard
    catalog: Catalog
    settings: Settings
    workspace: Workspace
    ledger: Ledger
    client: Client
    store: Store | None
    run_id: str
    simulated: bool = False
    money: Money = field(default_factory=Money)
    on_progress: Callable[[Progress], None] = lambda progress: None
    clock: Clock = field(default_factory=Clock)
    executors: Executors = field(default_factory=Executors)
    first_look: FirstLook = field(default_factory=FirstLook)
    slots: Slots = field(default_factory=Slots)
    stopped: StoryreelError | None = None
    stop_mark: float | None = None

    @property
    def endpoint(self) -> str:
        """Return the API's address.

        A rehearsal returns a word: its simulator has another address in each run.
        """
        return SIMULATOR if self.simulated else self.settings.base_url

    @property
    def account(self) -> str:
        """Return a name for endpoint and key that hides the key; jobs in flight are counted by
        it.
        """
        if self.simulated:
            return SIMULATOR
        key = self.settings.api_key.get_secret_value() if self.settings.api_key else ""
        return hashlib.sha256(f"{self.settings.base_url}\n{key}".encode()).hexdigest()[:20]

    @property
    def pace(self) -> float:
        """Return the factor for pauses: 1 at a real API, less at a faster simulator."""
        return verdict.pace(self.settings.time_scale)

    def stop(self, reason: StoryreelError) -> None:
        """Submit nothing more. The first reason is kept."""
        if self.stopped is None:
            self.stopped = reason
        self.first_look.release()

    def check(self) -> None:
        """Raise `Stopped` if the run has been stopped."""
        if self.stopped is not None:
            raise Stopped(self.stopped.message, fix=self.stopped.fix)

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a ledger call in the one writer thread.

        Finish the call even if the caller is cancelled meanwhile.
        """
        loop = asyncio.get_running_loop()
        outer = asyncio.shield(
            loop.run_in_executor(self.executors.writer, partial(function, *args, **kwargs))
        )
        outer.add_done_callback(_retrieve_error)
        return await outer

    async def uninterrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even if the caller is cancelled, once or often.

        A cancellation stops the session, so that `work` begins nothing more. It gives `work` at
        most 90 s. Raise the cancellation afterwards.
        """
        task = asyncio.ensure_future(work)
        interrupted: asyncio.CancelledError | None = None
        loop, until = asyncio.get_running_loop(), float("inf")
        while not task.done() and (left := until - loop.time()) > 0:
            try:  # unlike `await task`, `wait` does not cancel the task with itself
                await asyncio.wait([task], timeout=None if interrupted is None else left)
            except asyncio.CancelledError as error:
                self.stop(Stopped("the run was interrupted"))
                until = min(until, loop.time() + INTERRUPTED_S)
                interrupted = error
        if interrupted is None:
            return task.result()
        _retrieve_error(task)
        raise interrupted

    async def media(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run media work in a thread, at most two at a time."""
        return await asyncio.get_running_loop().run_in_executor(
            self.executors.media, partial(function, *args, **kwargs)
        )

    async def apart(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run media work in a process of its own, at most two at a time.

        A file that crashes a decoder then does not crash the run.

        Raises:
            MediaError: the file crashed the process.
        """
        return await self.executors.processes.run(function, *args, **kwargs)

    async def close(self) -> None:
        """Close everything, each thing after those that need it."""
        await self.executors.close()
        self.ledger.close()
        if self.store:
            self.store.close()


def _retrieve_error(future: asyncio.Future[Any]) -> None:
    """Retrieve the future's error, so that asyncio does not report it as never retrieved."""
    if future.done() and not future.cancelled():
        future.exception()
