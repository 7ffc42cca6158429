"""Wait while another run works on the same storyboard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from prefect import get_run_logger
from prefect.context import FlowRunContext

from storyreel.errors import RunLocked
from storyreel.run.session import Session

LOOK_EVERY_S = 2.0
WAIT_S = 6 * 3600.0


@asynccontextmanager
async def taken(
    open_session: Callable[[], AbstractAsyncContextManager[Session]], *, wait_s: float = WAIT_S
) -> AsyncIterator[Session]:
    """Open the session once no other run holds its workspace.

    A deployment's run waits for at most `wait_s`. At the command line a person decides whether to
    wait, so the run does not.

    Raises:
        RunLocked: another run holds the workspace.
    """
    async with AsyncExitStack() as stack:
        yield await _enter(stack, open_session, wait_s if _is_deployed() else 0.0)


async def _enter(
    stack: AsyncExitStack,
    open_session: Callable[[], AbstractAsyncContextManager[Session]],
    wait_s: float,
) -> Session:
    """Try to open the session until the wait is over. Log the first wait."""
    deadline, has_logged = time.monotonic() + wait_s, False
    while True:
        try:
            return await stack.enter_async_context(open_session())
        except RunLocked as error:
            if time.monotonic() >= deadline:
                raise
            if not has_logged:
                get_run_logger().warning(
                    "%s: this run waits for it, up to %.0f h", error.message, wait_s / 3600
                )
            has_logged = True
        await asyncio.sleep(LOOK_EVERY_S)


def _is_deployed() -> bool:
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.deployment_id)
