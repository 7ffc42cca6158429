"""What one run holds open, and shares between its scenes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
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
SIMULATOR = "simulator"  # in place of an account and an endpoint, in a rehearsal's rows

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """What a scene's take is doing now, or has come to; of the film, which is no scene's, how much
    of it is cut.

    `scene` is empty for the film. `percent` is how much is done, where that is known.
    """

    scene: str
    take: int
    state: Stage | Status
    detail: str = ""
    percent: int | None = None

    @classmethod
    def cutting(cls, done: int, total: int) -> Progress:
        """How many pictures of the film are cut."""
        percent = min(100, 100 * done // max(1, total))
        return cls("", 0, Stage.CUTTING, f"{done} of {total} pictures", percent)

    def of(self, film: str) -> Progress:
        """The same, of one film among others."""
        return replace(self, scene=f"{film}/{self.scene}" if self.scene else film)


@dataclass(slots=True)
class Session:
    """One run's open things.

    `stopped` is why nothing more may be submitted, None while all is well.
    """

    storyboard: Storyboard
    catalog: Catalog
    settings: Settings
    workspace: Workspace
    ledger: Ledger
    client: Client
    store: Store | None
    run_id: str
    budget: Decimal | None = None
    currency: str | None = None
    caps: Caps = NO_CAPS
    tell: Callable[[Progress], None] = lambda progress: None
    now: Callable[[], float] = (
        time.time
    )  # for what is written down and compared with the API's times
    clock: Callable[[], float] = (
        time.monotonic
    )  # for how long something takes: no jump of the machine's time touches it
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)
    simulated: bool = False
    first_look: FirstLook = field(default_factory=FirstLook)
    echoed: set[str] = field(
        default_factory=set
    )  # the models of which an answer named something else, and was shown
    watched: set[int] = field(
        default_factory=set
    )  # the takes whose jobs this run asks about itself
    stopped: StoryreelError | None = None
    slots: Slots = field(default_factory=Slots)
    stop_mark: float | None = None  # when the account was last stopped, as this run began
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ledger"))
    _media: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(MEDIA_AT_ONCE, "media")
    )
    workers: Workers = field(default_factory=lambda: Workers(MEDIA_AT_ONCE))

    @property
    def endpoint(self) -> str:
        """Where jobs are made: the API's address; of a rehearsal, whose simulator has another at
        each run, a word.
        """
        return SIMULATOR if self.simulated else self.settings.base_url

    @property
    def account(self) -> str:
        """Names endpoint and key without showing the key: jobs in flight are counted by it."""
        if self.simulated:
            return SIMULATOR
        key = self.settings.api_key.get_secret_value() if self.settings.api_key else ""
        return hashlib.sha256(f"{self.settings.base_url}\n{key}".encode()).hexdigest()[:20]

    @property
    def pace(self) -> float:
        """What waits are multiplied by, at most 1: a simulator is faster than the API."""
        return verdict.pace(self.settings.time_scale)

    @contextlib.contextmanager
    def watching(self, take_id: int) -> Iterator[None]:
        """This run asks about the take's job itself."""
        self.watched.add(take_id)
        try:
            yield
        finally:
            self.watched.discard(take_id)

    def stop(self, reason: StoryreelError) -> None:
        """Let nothing more be submitted; the first reason stands."""
        if self.stopped is None:
            self.stopped = reason
        self.first_look.release()

    def check(self) -> None:
        """Raises `Stopped` once the run has been stopped."""
        if self.stopped is not None:
            raise Stopped(self.stopped.message, fix=self.stopped.fix)

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a ledger call in the one writer thread.

        It is finished even if the caller is cancelled meanwhile.
        """
        loop = asyncio.get_running_loop()
        outer = asyncio.shield(
            loop.run_in_executor(self._writer, partial(function, *args, **kwargs))
        )
        outer.add_done_callback(_look_at)
        return await outer

    async def uninterrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even if the caller is cancelled meanwhile, however often; the
        cancellation is passed on afterwards. It stops the session: `work` begins nothing more.
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
        _look_at(task)
        raise interrupted

    async def media(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run media work beside the event loop, two at a time."""
        return await asyncio.get_running_loop().run_in_executor(
            self._media, partial(function, *args, **kwargs)
        )

    async def apart(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run media work in a process of its own, two at a time: a file that kills a decoder does
        not kill the run.

        Raises:
            MediaError: it did.
        """
        return await self.workers.run(function, *args, **kwargs)

    async def close(self) -> None:
        """Close everything, each thing after those that need it."""
        await self.workers.close()
        self._media.shutdown(wait=True, cancel_futures=True)
        self._writer.shutdown(wait=True)
        self.ledger.close()
        if self.store:
            self.store.close()


def _look_at(future: asyncio.Future[Any]) -> None:
    """Look at what went wrong in it, so that asyncio does not report it as never retrieved where
    nobody waits any more.
    """
    if future.done() and not future.cancelled():
        future.exception()
