"""Limits of an account: jobs at once, requests a minute, credit."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from storyreel.simulator.jobs import Jobs
from storyreel.simulator.rules import Refused

MINUTE_S = 60


@dataclass(slots=True)
class Limits:
    """The limits of one account. None is no limit.

    `credit` counts the prices of all jobs, summed across currencies.
    """

    max_running: int | None = None
    per_minute: int | None = None
    credit: Decimal | None = None
    _recent: deque[float] = field(default_factory=deque)

    def check(self, jobs: Jobs) -> None:
        """Count a request. Raise `Refused` instead if it passes a limit."""
        if self.credit is not None and jobs.billed >= self.credit:
            raise Refused("insufficient balance", status=402, code="insufficient_quota")
        if self.max_running is not None and jobs.running() >= self.max_running:
            raise Refused("too many jobs in parallel", status=429, code="rate_limit_exceeded")
        if self.per_minute is not None:
            self._count(self.per_minute)

    def _count(self, per_minute: int) -> None:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - MINUTE_S:
            self._recent.popleft()
        if len(self._recent) >= per_minute:
            wait = max(1, round(self._recent[0] + MINUTE_S - now))
            headers = {"Retry-After": str(wait)}
            raise Refused(
                "too many requests", status=429, code="rate_limit_exceeded", headers=headers
            )
        self._recent.append(now)
