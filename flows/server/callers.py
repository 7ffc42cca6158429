"""Hands a caller to a flow: an object of this process, which is no parameter that Prefect could
store or show.
"""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect.context import FlowRunContext

from storyreel.run.caller import Caller


def with_caller(flow: Flow[..., Any], caller: Caller, **options: Any) -> Flow[..., Any]:
    """A copy of the flow that carries its caller; `options` as `Flow.with_options` takes them."""
    own: Any = flow.with_options(**options)
    own.caller = caller
    copy: Flow[..., Any] = own
    return copy


def current() -> Caller:
    """The caller of the flow that runs. A run of a deployment has one that does nothing."""
    context = FlowRunContext.get()
    caller = getattr(context.flow if context else None, "caller", None)
    return caller if isinstance(caller, Caller) else Caller()
