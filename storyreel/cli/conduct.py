"""A flow, run from the command line: quietly, until it ends, is interrupted, or loses Prefect's server."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Coroutine, Iterator, Sized
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from storyreel.errors import StoryreelError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


class ServerLost(StoryreelError):
    """Prefect's server does not answer any more, after all attempts of Prefect's own. What is paid for is in the ledger."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(
            f"Prefect's server was lost ({type(cause).__name__})",
            fix="start it again, or unset PREFECT_API_URL; then run the same command: what is paid for is taken up",
        )


@contextlib.contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP interrupt as Ctrl-C does: what is open is closed, and exit code 130 says so."""
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not in the main thread: signals are somebody else's
        for one in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(one) is not signal.SIG_IGN:  # `nohup`
                before[one] = signal.signal(one, _interrupt)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def conduct(flow: Coroutine[Any, Any, State[Any]], told: Sized = ()) -> State[Any] | None:
    """Run a flow to its end; None if it was interrupted, by Ctrl-C, SIGTERM or SIGHUP. `told` holds something once the flow
    has told its results: what fails after that is Prefect's.

    Raises:
        ServerLost: Prefect's server could not be told.
    """
    import asyncio

    import httpx
    from prefect.exceptions import TerminationSignal

    from storyreel.flows.server import interruption

    async def run() -> State[Any]:
        return await flow

    try:
        with like_ctrl_c():
            state = asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError, TerminationSignal):
        state = None
    except Exception as error:
        if not told and not isinstance(error, httpx.HTTPError):
            raise
        raise ServerLost(error) from error
    with contextlib.suppress(KeyboardInterrupt):
        interruption.flush()
    return state


def leave(code: int) -> NoReturn:
    """End this process at once. Whatever is ours is on disk, and Prefect had its time: at its exit it would wait, without a
    bound, for servers that are gone, and try each event again.
    """
    import os
    import sys

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def quiet_prefect() -> None:
    """Prefect's console lines are for its UI; the terminal has the display."""
    import logging

    import prefect  # noqa: F401  # sets its logging up

    # A server that is gone is told once, by us.
    for name in ("prefect.events.clients", "EventsWorker", "APILogWorker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("prefect._internal").handlers = [logging.NullHandler()]  # it has a mind of its own about levels
    logging.raiseExceptions = False  # else each batch of log lines that is lost is told
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if "Console" in type(handler).__name__:
                logger.removeHandler(handler)
