"""Pass a caller to a flow.

A caller is an object of this process. It cannot be a parameter, which Prefect stores and shows.
"""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect.context import FlowRunContext

from storyreel.run.caller import Caller


def with_caller(flow: Flow[..., Any], caller: Caller, **options: Any) -> Flow[..., Any]:
    """Return a copy of the flow that carries its caller, with `options` of `Flow.with_options`."""
    own: Any = flow.with_options(**options)
    own.caller = caller
    copy: Flow[..., Any] = own
    return copy


def current() -> Caller:
    """Return the caller of the running flow; for a deployment's run, one that does nothing."""
    context = FlowRunContext.get()
    caller = getattr(context.flow if context else None, "caller", None)
    return caller if isinstance(caller, Caller) else Caller()
