"""Who called a run: what a batch's films share, and who hears of progress and of the end."""

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
    """One film of a batch: the batch's id, the film's own, and what the films share.

    Outside a batch all are None.
    """

    batch: str | None = None
    name: str | None = None
    ledger: Path | None = None
    simulator: str | None = None


def _ignore_progress(progress: Progress) -> None:
    """Nobody watches."""


def _ignore_end(report: RunReport, stopped: StoryreelError | None) -> None:
    """Nobody waits for the report."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Hand one to a run that you start. A run of a deployment has one that does nothing.

    `progress` hears of each step, `ended` of the report and of what stopped the run. `task_runs`
    counts the task runs that were begun, by flow run: so many must be final in Prefect's server
    before it may end.
    """

    progress: Callable[[Progress], None] = _ignore_progress
    ended: Callable[[RunReport, StoryreelError | None], None] = _ignore_end
    member: Member = Member()
    task_runs: Counter[str] = field(default_factory=Counter)

    def of_film(
        self, row: str, member: Member, ended: Callable[[RunReport, StoryreelError | None], None]
    ) -> Caller:
        """The caller of one film of a batch: its progress is shown under the row's name, its task
        runs count here.
        """
        return dataclasses.replace(
            self,
            member=member,
            ended=ended,
            progress=lambda progress: self.progress(progress.of(row)),
        )
