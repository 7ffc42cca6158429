"""A flow, run from the command line: quietly, until it ends, is interrupted, or loses Prefect's server."""

from __future__ import annotations

from collections.abc import Coroutine, Sized
from typing import TYPE_CHECKING, Any

from storyreel.errors import StoryreelError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

is_server_lost = False


class ServerLost(StoryreelError):
    """Prefect's server does not answer any more, after all attempts of Prefect's own. What is paid for is in the ledger."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(
            f"Prefect's server was lost ({type(cause).__name__})",
            fix="start it again, or unset PREFECT_API_URL; then run the same command: what is paid for is taken up",
        )


def conduct(flow: Coroutine[Any, Any, State[Any]], told: Sized = ()) -> State[Any] | None:
    """Run a flow to its end; None if it was interrupted, by Ctrl-C or SIGTERM. `told` holds something once the flow has
    told its results: what fails after that is Prefect's.

    Raises:
        ServerLost: Prefect's server could not be told.
    """
    import asyncio
    import signal

    import httpx
    from prefect.exceptions import TerminationSignal

    global is_server_lost

    async def interruptible() -> State[Any]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        return await flow

    try:
        return asyncio.run(interruptible())
    except (KeyboardInterrupt, asyncio.CancelledError, TerminationSignal):
        return None
    except Exception as error:
        if not told and not isinstance(error, httpx.HTTPError):
            raise
        is_server_lost = True
        raise ServerLost(error) from error


def quiet_prefect() -> None:
    """Prefect's console lines are for its UI; the terminal has the display."""
    import logging

    import prefect  # noqa: F401  # sets its logging up

    # A server that is gone is told once, by us.
    logging.getLogger("prefect.events.clients").setLevel(logging.CRITICAL)
    logging.getLogger("prefect._internal").handlers = [logging.NullHandler()]  # it has a mind of its own about levels
    logging.raiseExceptions = False  # else each batch of log lines that is lost is told
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if "Console" in type(handler).__name__:
                logger.removeHandler(handler)
