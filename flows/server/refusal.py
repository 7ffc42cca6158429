"""End a flow with one sentence and its Fix, not with a traceback, if a person can fix the error."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec

from prefect.client.schemas.objects import State
from prefect.states import Failed

from storyreel.errors import StoryreelError

P = ParamSpec("P")


def in_a_sentence(
    function: Callable[P, Awaitable[State[Any]]],
) -> Callable[P, Awaitable[State[Any]]]:
    """Decorate a flow's function: a `StoryreelError` becomes its Failed state.

    `state.result()` raises the error itself.
    """

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return await function(*args, **kwargs)
        except StoryreelError as error:
            faults = [str(fault) for fault in getattr(error, "faults", ())]
            # Prefect logs the message: one line.
            message = " ".join(": ".join([error.with_fix, *faults]).split())
            return Failed(message=message, data=error.with_traceback(None))

    # Prefect makes its form of the signature.
    run.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    run.__annotations__ = inspect.get_annotations(function, eval_str=True)
    return run
