"""A ledger's rows as data, so that planning and reporting need no database. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from storyreel.errors import ErrorKind
from storyreel.ledger.clip import Clip


class State(StrEnum):
    """The state of a take. `ledger.gate` draws how one follows another."""

    SUBMITTING = "submitting"
    IN_FLIGHT = "in_flight"
    COMPLETED = "completed"
    COLLECTED = "collected"
    FAILED = "failed"
    RELEASED = "released"
    AMBIGUOUS = "ambiguous"
    ABANDONED = "abandoned"


PAID_FOR = (State.SUBMITTING, State.IN_FLIGHT, State.COMPLETED, State.COLLECTED, State.AMBIGUOUS)
CHARGED = (*PAID_FOR, State.ABANDONED)  # an abandoned take with 0 submissions costs nothing


@dataclass(frozen=True, slots=True)
class Take:
    """One take in the ledger. Times are Unix seconds.

    `take`: its number in its scene. `ordinal`: its number among the takes of its key. `request`:
    the body as it is shown in a report. `inputs`: each input by role, with its `id` and where it is
    `from`. `submissions`: how often it was paid for. `endpoint`: where the job was made; None in
    rows of older versions. `replaces`: the id of the take that this one supersedes. `watched_s`:
    the seconds that the job took, if one run watched all of it.
    """

    id: int
    storyboard: str
    scene: str
    take: int
    key: str
    ordinal: int
    state: State
    superseded: bool
    account: str
    run_id: str
    request: dict[str, Any]
    inputs: dict[str, Any]
    price: Decimal | None
    currency: str | None
    submissions: int
    created_at: float
    submitted_at: float | None
    completed_at: float | None
    collected_at: float | None
    expires_at: float | None
    polls: int
    job_id: str | None
    error_class: ErrorKind | None
    error_code: str | None
    error_message: str | None
    clip: Clip | None
    model: str | None = None
    seconds: int | None = None
    project: str = ""
    endpoint: str | None = None
    replaces: int | None = None
    watched_s: float | None = None

    @property
    def here(self) -> Clip:
        """Return the clip of a collected take. A take in another state has none."""
        assert self.clip is not None, (
            f"take {self.take} of scene {self.scene} is {self.state}, and has no clip"
        )
        return self.clip

    @property
    def job(self) -> str:
        """Return the job's id of a take that has one: in flight, completed, or later."""
        assert self.job_id is not None, (
            f"take {self.take} of scene {self.scene} is {self.state}, and has no job"
        )
        return self.job_id


@dataclass(frozen=True, slots=True)
class Intent:
    """A take that is about to be paid for.

    `wanted`: how many takes of this key the scene needs. `replaces`: the id of the take that this
    one supersedes once its clip is collected.
    """

    storyboard: str
    scene: str
    key: str
    account: str
    run_id: str
    request: dict[str, Any]
    inputs: dict[str, Any]
    price: Decimal | None
    currency: str | None
    wanted: int = 1
    model: str | None = None
    seconds: int | None = None
    endpoint: str | None = None
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """Spending limits besides the storyboard's budget, which counts over the workspace's life.

    `per_run`: for this run, or for all runs whose id starts with `group`. `per_day`: for the
    storyboard, within any 24 hours.
    """

    per_run: Decimal | None = None
    per_day: Decimal | None = None
    group: str | None = None
