"""What may be concluded about a job from what the API says of it. Pure.

A job that was paid for is written off by no single answer: gateways have hiccups, and addresses have typing errors.
"""

from __future__ import annotations

from collections.abc import Callable

ANSWERS = 6
OVER_S = 180.0
SLOWEST_PACE = 0.02  # of real time, however fast the simulator is


def pace(time_scale: float) -> float:
    """What pauses are multiplied by: 1 at a real API, less at a simulator that is faster."""
    return max(SLOWEST_PACE, min(1.0, time_scale))


class Doubt:
    """Counts the API's own words that it does not know a job, and the time over which it said so.

    `clock` is monotonic: no jump of the machine's time makes minutes of seconds.
    """

    def __init__(self, clock: Callable[[], float], time_scale: float) -> None:
        self._clock = clock
        self._over_s = OVER_S * pace(time_scale)
        self._answers = 0
        self._since = 0.0

    def heard(self) -> bool:
        """Count one more; is it proven now?"""
        if not self._answers:
            self._since = self._clock()
        self._answers += 1
        return self._answers >= ANSWERS and self._clock() - self._since >= self._over_s

    def clear(self) -> None:
        """The API knows the job after all."""
        self._answers = 0
