"""Decide when a job is unknown to the API. Pure.

No single answer gives up a paid job: gateways have hiccups, and addresses have typing errors.
"""

from __future__ import annotations

from collections.abc import Callable

ANSWERS = 6
OVER_S = 180.0
SLOWEST_PACE = 0.02  # of real time, however fast the simulator is


def pace(time_scale: float) -> float:
    """Return the factor for pauses: 1 at a real API, less at a faster simulator."""
    return max(SLOWEST_PACE, min(1.0, time_scale))


class Doubt:
    """Count answers in which the API says that it does not know a job, and the time over which
    they came.

    `clock` is monotonic, so a change of the machine's time does not count.
    """

    def __init__(self, clock: Callable[[], float], time_scale: float) -> None:
        self._clock = clock
        self._over_s = OVER_S * pace(time_scale)
        self._answers = 0
        self._since = 0.0

    def heard(self) -> bool:
        """Count one more answer. Return whether the job is now proven unknown."""
        if not self._answers:
            self._since = self._clock()
        self._answers += 1
        return self._answers >= ANSWERS and self._clock() - self._since >= self._over_s

    def clear(self) -> None:
        """Start counting from zero: the API knows the job."""
        self._answers = 0
