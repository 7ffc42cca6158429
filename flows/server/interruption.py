"""Hold a signal that would end a run until the run has closed what it opened.

So no answer to a paid request is lost. Prefect's engine raises SIGTERM as an exception, at any line
of the main thread. It leaves SIGHUP and a second Ctrl-C to Python. Each of them would cut off a
request that is under way.
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
RECORD_WITHIN_S = 5.0

_within: ContextVar[bool] = ContextVar("storyreel_within", default=False)


@dataclass(slots=True)
class _Held:
    """The runs of this process that hold signals.

    `received`: the first signal since. `handlers`: what handled each signal before.
    """

    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    received: signal.Signals | None = None
    handlers: dict[signal.Signals, Any] = field(default_factory=dict)


_held = _Held()


@contextlib.asynccontextmanager
async def held() -> AsyncIterator[None]:
    """Cancel the task at the first signal, and ignore later ones, until this context ends.

    Then send the signal to the handler from before: Prefect's, the command line's or the system's.
    """
    task = asyncio.current_task()
    if _within.get() or task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    if _held.received:
        raise asyncio.CancelledError
    _survive_a_closed_terminal()
    _hold(task)
    token = _within.set(True)
    try:
        yield
    finally:
        _within.reset(token)
        if received := _release(task):
            task.uncancel()
            await _record()
            signal.raise_signal(received)
            # asyncio's own handler of Ctrl-C cancels the task: let it do so here.
            await asyncio.sleep(0)


def _hold(task: asyncio.Task[Any]) -> None:
    """Hold signals for one more run. The first run replaces the handlers."""
    if not _held.tasks:
        loop = asyncio.get_running_loop()
        for number in ENDING:
            handler = signal.getsignal(number)
            # `nohup` and background jobs ignore some signals. They must go on.
            if handler is not signal.SIG_IGN:
                _held.handlers[number] = handler
                loop.add_signal_handler(number, _receive, number)
    _held.tasks.add(task)


def _survive_a_closed_terminal() -> None:
    """Silence Prefect's console when nobody reads it any more, as after `kill -9` of a worker.

    By default the console then ends the process, and cuts off a paid request.
    """
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        for handler in logging.getLogger(name).handlers:
            console = getattr(handler, "console", None)
            if console is not None:
                console.on_broken_pipe = functools.partial(setattr, console, "quiet", True)


def _receive(number: signal.Signals) -> None:
    """Cancel the runs at the first signal. At a later one, say what is waited for."""
    if _held.received:
        with contextlib.suppress(OSError, ValueError):
            print(
                "storyreel: ending; the answer to a paid request is waited for first",
                file=sys.stderr,
                flush=True,
            )
        return
    _held.received = number
    for task in _held.tasks:
        task.cancel()


def _release(task: asyncio.Task[Any]) -> signal.Signals | None:
    """Stop holding signals for a run.

    The last run restores the handlers, and returns the signal that was received.
    """
    if task not in _held.tasks:
        return None
    _held.tasks.discard(task)
    if _held.tasks:
        return None
    loop = asyncio.get_running_loop()
    for number, handler in _held.handlers.items():
        loop.remove_signal_handler(number)
        signal.signal(number, handler)
    received, _held.received = _held.received, None
    _held.handlers.clear()
    return received


async def _record() -> None:
    """Send Prefect's server what is still unsent, within 5 s: the signal may end this process.

    Mark a run that is being cancelled, or Prefect would call it crashed. Ignore every error.
    """
    with contextlib.suppress(Exception):
        async with asyncio.timeout(RECORD_WITHIN_S):
            await _mark_cancelled()
            await asyncio.to_thread(flush)


def flush() -> None:
    """Send the events and log lines that Prefect has not sent yet, within about 5 s."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=RECORD_WITHIN_S)


async def _mark_cancelled() -> None:
    """Set the state of a deployment's run to Cancelled, if it is being cancelled."""
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
            # Prefect's engine does not change a final state.
            run.state = state
