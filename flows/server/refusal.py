"""An error that a person can mend ends a flow in one sentence with its Fix, instead of forty lines of traceback."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Failed

from storyreel.errors import StoryreelError

P = ParamSpec("P")


def in_a_sentence(function: Callable[P, Awaitable[State[Any]]]) -> Callable[P, Awaitable[State[Any]]]:
    """A flow's function whose errors of ours become its Failed state; `state.result()` raises the error itself."""

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return await function(*args, **kwargs)
        except StoryreelError as error:
            get_run_logger().error("%s", error.with_fix)
            return Failed(message=error.with_fix, data=error.with_traceback(None))

    return run
