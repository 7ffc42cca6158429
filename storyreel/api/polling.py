"""The polling schedule: rarely while a job is unlikely to be done, often once most are."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 8  # with so many jobs alike, their waits say more than the catalogue's
MOST = 2.0  # times the longest wait of the catalogue; longer waits are left out
FIRST_LOOK_S = 10.0  # a request that moderation blocks ends early
QUICK_SHARE = 0.045  # polling begins when this share may be done; every job saves those requests
COARSE = 0.05  # of the wait so far: a lag of 2.5 % of the job's time on average, 5 % at most
FINE = 0.02  # for the slowest, which are few: half of all lags stay below 2 %
LATE = 0.05  # after the longest known wait
LATE_SHARE = 0.77  # FINE applies once this share is done
SHORTEST_S = 1.0
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Expected:
    """Waits of similar jobs in seconds from submission, shortest first; at least one."""

    waits_s: tuple[float, ...]

    @staticmethod
    def of(low_s: float, high_s: float, history_s: Sequence[float] = ()) -> Expected:
        """Return the recorded waits if there are enough, else an even spread from `low_s` to
        `high_s`.

        Leave out waits over twice `high_s`: they would make polling an hour late.
        """
        usual = sorted(wait for wait in history_s if 0 < wait <= MOST * high_s)
        if len(usual) >= ENOUGH:
            return Expected(tuple(usual))
        return Expected(tuple(low_s + (high_s - low_s) * i / 20 for i in range(21)))

    def quantile(self, share: float) -> float:
        """Return the wait in seconds within which this share of similar jobs is done."""
        at = share * (len(self.waits_s) - 1)
        low = int(at)
        high = min(low + 1, len(self.waits_s) - 1)
        return self.waits_s[low] + (self.waits_s[high] - self.waits_s[low]) * (at - low)

    def share_over(self, elapsed_s: float) -> float:
        """Return the share of similar jobs that are done by then, 0 to 1."""
        return bisect.bisect_right(self.waits_s, elapsed_s) / len(self.waits_s)


def next_delay(elapsed_s: float, expected: Expected) -> float:
    """Return the seconds until the next request, `elapsed_s` after the job was submitted.

    One early look; then nothing until the quickest similar jobs are done; then gaps in proportion
    to the wait so far. Every job pays for the early gaps, so they are wide; few jobs reach the late
    ones, so they are narrow.
    """
    begin = expected.quantile(QUICK_SHARE)
    look = min(FIRST_LOOK_S, begin / 4)
    if elapsed_s < look:
        return look - elapsed_s
    if elapsed_s < begin:
        return begin - elapsed_s
    share = expected.share_over(elapsed_s)
    part = COARSE if share < LATE_SHARE else FINE if share < 1 else LATE
    floor = min(SHORTEST_S, max(0.02, expected.waits_s[0] / 100))
    return min(max(floor, elapsed_s * part), LONGEST_S)
