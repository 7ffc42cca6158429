"""Which faults Prefect may try again, by type.

The POST is not among them: the ledger's gate alone decides that.
"""

from __future__ import annotations

from typing import Any

from storyreel.errors import DownloadError, LinkExpired, MediaError, NoLink

COLLECT_TIMES = 2
COLLECT_DELAYS_S = [1.0, 5.0]


def may_collect_again(task: Any, task_run: Any, state: Any) -> bool:
    """Prefect's `retry_condition_fn`; it must be a plain function, or Prefect silently never
    retries.
    """
    error = getattr(state, "data", None)
    error = getattr(error, "result", error)
    return isinstance(error, (DownloadError, MediaError)) and not isinstance(
        error, (LinkExpired, NoLink)
    )
