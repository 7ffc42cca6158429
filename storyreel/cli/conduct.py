"""Run a flow from the command line until it ends, is interrupted, or loses Prefect's server."""

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
    """Prefect's server stopped answering. All of Prefect's retries failed."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(
            f"Prefect's server was lost ({type(cause).__name__})",
            fix="start it again, or unset PREFECT_API_URL; then run the same command: it "
            "resumes what is paid for",
        )


@contextlib.contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C: close everything that is open, exit with 130."""
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # only the main thread may handle signals
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
    """Run a flow to its end. Return None if Ctrl-C, SIGTERM or SIGHUP interrupted it.

    `results` is empty until the flow delivers its results. An error after that is Prefect's.

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
    """End this process at once: all data is on disk.

    A normal exit would wait for Prefect's threads, without limit if its server is gone.
    """
    import os
    import sys

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def quiet_prefect() -> None:
    """Silence Prefect's console log: the terminal shows the display instead."""
    import logging

    import prefect  # noqa: F401  # configures its logging

    # `conduct` reports a lost server, once.
    for name in ("prefect.events.clients", "EventsWorker", "APILogWorker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # This logger sets its own level.
    logging.getLogger("prefect._internal").handlers = [logging.NullHandler()]
    logging.raiseExceptions = False  # else it reports each lost batch of log lines
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if "Console" in type(handler).__name__:
                logger.removeHandler(handler)
