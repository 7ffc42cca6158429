"""An error that a person can mend ends a flow in one sentence with its Fix, instead of forty lines
of traceback.
"""

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
    """A flow's function whose errors of ours become its Failed state; `state.result()` raises the
    error itself.
    """

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return await function(*args, **kwargs)
        except StoryreelError as error:
            faults = [str(fault) for fault in getattr(error, "faults", ())]
            words = " ".join(
                ": ".join([error.with_fix, *faults]).split()
            )  # Prefect logs it, in one line
            return Failed(message=words, data=error.with_traceback(None))

    run.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]  # for Prefect's form
    run.__annotations__ = inspect.get_annotations(function, eval_str=True)
    return run
