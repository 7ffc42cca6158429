"""When to ask next about a job."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 1.0
LONGEST_S = 30.0
FRACTION = 0.05  # near the expected end: ask each time the wait has grown by this much


@dataclass(frozen=True, slots=True)
class Expected:
    """How long the job should take, in seconds from its submission."""

    low_s: float
    high_s: float

    def scaled(self, factor: float) -> Expected:
        return Expected(self.low_s * factor, self.high_s * factor)


def next_delay(elapsed_s: float, expected: Expected) -> float:
    """Seconds until the next request.

    Early on the gaps double from one second, so that a server faster than its word is noticed; from just before the
    expected time on, each gap is a small part of the wait so far.
    """
    floor = min(FIRST_S, max(0.05, expected.low_s / 20))
    near = expected.low_s * 0.9
    if elapsed_s < near:
        return min(max(floor, elapsed_s), max(floor, near - elapsed_s))
    return min(max(floor, elapsed_s * FRACTION), LONGEST_S)
