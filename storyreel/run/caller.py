"""Name who started a run: what it shares with a batch, and who receives its progress and end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from storyreel.errors import StoryreelError
from storyreel.report.model import RunReport
from storyreel.run.session import Progress


@dataclass(frozen=True, slots=True)
class Member:
    """Name one film of a batch: the batch's id, the film's own, and what the films share.

    Outside a batch all are None.
    """

    batch: str | None = None
    name: str | None = None
    ledger: Path | None = None
    simulator: str | None = None


def _ignore_progress(progress: Progress) -> None:
    """Do nothing: nobody watches."""


def _ignore_end(report: RunReport, stopped: StoryreelError | None) -> None:
    """Do nothing: nobody waits for the report."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Receive what a run reports. A run of a deployment has a caller that does nothing.

    `progress` receives each step, `ended` the report and what stopped the run. `task_runs` counts
    the task runs that were begun, by flow run. Prefect's server may end only when it has received
    the final state of so many.
    """

    progress: Callable[[Progress], None] = _ignore_progress
    ended: Callable[[RunReport, StoryreelError | None], None] = _ignore_end
    member: Member = Member()
    task_runs: Counter[str] = field(default_factory=Counter)

    def of_film(
        self, row: str, member: Member, ended: Callable[[RunReport, StoryreelError | None], None]
    ) -> Caller:
        """Return the caller of one film of a batch.

        It shows progress under the row's name. It counts task runs here.
        """
        return dataclasses.replace(
            self,
            member=member,
            ended=ended,
            progress=lambda progress: self.progress(progress.of(row)),
        )
