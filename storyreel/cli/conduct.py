"""Run a flow from the command line: quietly, until it ends, is interrupted, or loses Prefect's
server.
"""

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
    """Prefect's server no longer answers, after all of Prefect's retries. What is paid for is
    in the ledger.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(
            f"Prefect's server was lost ({type(cause).__name__})",
            fix="start it again, or unset PREFECT_API_URL; then run the same command: what "
            "is paid for is taken up",
        )


@contextlib.contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C: close everything that is open, exit with 130."""
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals are not ours
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def conduct(flow: Coroutine[Any, Any, State[Any]], results: Sized = ()) -> State[Any] | None:
    """Run a flow to its end. Return None if Ctrl-C, SIGTERM or SIGHUP interrupted it. `results` is
    empty until the flow has delivered its results; an error after that is Prefect's.

    Raises:
        ServerLost: Prefect's server did not receive the final state.
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
        if not results and not isinstance(error, httpx.HTTPError):
            raise
        raise ServerLost(error) from error
    with contextlib.suppress(KeyboardInterrupt):
        interruption.flush()
    return state


def leave(code: int) -> NoReturn:
    """End this process at once. Our data is on disk, and Prefect had its time. Prefect's own
    exit would wait without limit for servers that are gone.
    """
    import os
    import sys

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def quiet_prefect() -> None:
    """Silence Prefect's console lines: they are for its UI, and the terminal has the display."""
    import logging

    import prefect  # noqa: F401  # configures its logging

    # We report a lost server once, ourselves.
    for name in ("prefect.events.clients", "EventsWorker", "APILogWorker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # it sets its own level
    logging.getLogger("prefect._internal").handlers = [logging.NullHandler()]
    logging.raiseExceptions = False  # else it reports each lost batch of log lines
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if "Console" in type(handler).__name__:
                logger.removeHandler(handler)
