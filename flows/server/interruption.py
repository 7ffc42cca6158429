"""A signal that would end a run is held until the run has let go of what it holds: no answer to a
paid request is lost by it.

Prefect's engine raises SIGTERM as an exception at whatever line the main thread has reached, and
leaves SIGHUP and a second Ctrl-C to Python. Each of them would cut off a request that is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TELL_PREFECT_WITHIN_S = 5.0

_within: ContextVar[bool] = ContextVar("storyreel_within", default=False)


@dataclass(slots=True)
class _Held:
    """The runs of this process that hold signals, the first signal that came, and who handled each
    before.
    """

    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    came: signal.Signals | None = None
    before: dict[signal.Signals, Any] = field(default_factory=dict)


_held = _Held()


@contextlib.asynccontextmanager
async def held() -> AsyncIterator[None]:
    """Within it a signal cancels the task, once; whatever comes after that is ignored. At its end
    the signal is given to whoever handled it before: Prefect, the command line, or the system.
    """
    task = asyncio.current_task()
    if _within.get() or task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    if _held.came:
        raise asyncio.CancelledError
    _outlive_the_terminal()
    _begin(task)
    token = _within.set(True)
    try:
        yield
    finally:
        _within.reset(token)
        if came := _end(task):
            task.uncancel()
            await _record()
            signal.raise_signal(came)
            await asyncio.sleep(
                0
            )  # where the handler cancels the task, as asyncio's own does for Ctrl-C


def _begin(task: asyncio.Task[Any]) -> None:
    if not _held.tasks:
        loop = asyncio.get_running_loop()
        for one in ENDING:
            handler = signal.getsignal(one)
            if handler is not signal.SIG_IGN:  # `nohup`, and jobs in the background, are to go on
                _held.before[one] = handler
                loop.add_signal_handler(one, _came, one)
    _held.tasks.add(task)


def _outlive_the_terminal() -> None:
    """Prefect's console ends the process where nobody reads its lines any more, as after `kill -9`
    of a worker, and with it cuts off a paid request: let it be quiet instead.
    """
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        for handler in logging.getLogger(name).handlers:
            console = getattr(handler, "console", None)
            if console is not None:
                console.on_broken_pipe = functools.partial(setattr, console, "quiet", True)


def _came(one: signal.Signals) -> None:
    if _held.came:
        with contextlib.suppress(OSError, ValueError):
            print(
                "storyreel: ending; the answer to a paid request is waited for first",
                file=sys.stderr,
                flush=True,
            )
        return
    _held.came = one
    for task in _held.tasks:
        task.cancel()


def _end(task: asyncio.Task[Any]) -> signal.Signals | None:
    """Let go; the last run to do so restores the handlers, and is given the signal that came."""
    if task not in _held.tasks:
        return None
    _held.tasks.discard(task)
    if _held.tasks:
        return None
    loop = asyncio.get_running_loop()
    for one, handler in _held.before.items():
        loop.remove_signal_handler(one)
        signal.signal(one, handler)
    came, _held.came = _held.came, None
    _held.before.clear()
    return came


async def _record() -> None:
    """Send what Prefect's server does not know yet: the signal may end this process at once. A run
    that is being cancelled is marked so, else Prefect would call it crashed. All of it within a few
    seconds, or not at all.
    """
    with contextlib.suppress(Exception):
        async with asyncio.timeout(TELL_PREFECT_WITHIN_S):
            await _mark_cancelled()
            await asyncio.to_thread(flush)


def flush() -> None:
    """Send what Prefect has not sent yet, of events and log lines; for a bounded time."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=TELL_PREFECT_WITHIN_S)


async def _mark_cancelled() -> None:
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext
    from prefect.states import Cancelled

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return
    async with get_client() as client:
        now = await client.read_flow_run(run.id)
        if now.state is not None and now.state.is_cancelling():
            state: State[Any] = Cancelled(
                message="cancelled; what is in flight is in the ledger, and the next run takes "
                "it up"
            )
            await client.set_flow_run_state(run.id, state)
            run.state = state  # Prefect's engine leaves a final state as it is
