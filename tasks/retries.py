"""Choose by type which errors Prefect may retry.

Prefect never retries the POST: the ledger's gate alone decides on it.
"""

from __future__ import annotations

from typing import Any

from storyreel.errors import DownloadError, LinkExpired, MediaError, NoLink

COLLECT_TIMES = 2
COLLECT_DELAYS_S = [1.0, 5.0]


def may_collect_again(task: Any, task_run: Any, state: Any) -> bool:
    """May Prefect retry the `collect` task? Its `retry_condition_fn`.

    It must be a plain function: with any other callable Prefect never retries, and says nothing.
    """
    error = getattr(state, "data", None)
    error = getattr(error, "result", error)
    return isinstance(error, (DownloadError, MediaError)) and not isinstance(
        error, (LinkExpired, NoLink)
    )
