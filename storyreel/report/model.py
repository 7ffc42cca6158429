"""The classes of a report. Format 1 of report.json is their dump. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
)

from storyreel.errors import ErrorKind, Status
from storyreel.ledger.clip import Clip
from storyreel.ledger.moments import shown


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ErrorReport(_Part):
    """Why a take has no clip, and the exact edit or command that helps."""

    class_: ErrorKind = Field(alias="class")
    code: str | None = None
    message: str
    fix: str | None = None

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    @model_serializer(mode="wrap")
    def _without_empty_fix(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        known: dict[str, Any] = dump(self)
        return (
            known
            if self.fix is not None
            else {name: v for name, v in known.items() if name != "fix"}
        )


class Timing(_Part):
    """When a take was submitted, completed and collected; `polls` counts requests for its state."""

    submitted_at: str | None = None
    completed_at: str | None = None
    collected_at: str | None = None
    waited_s: float | None = None
    polls: int = 0
    submissions: int = 0


class PriceReport(_Part):
    """The estimated price of a take; None if no price is known."""

    estimate: str | None
    currency: str | None


class SceneReport(_Part):
    """One take of one scene."""

    id: str
    take: int | None
    used: bool
    title: str | None
    status: Status
    reason: str
    job_id: str | None
    model: str
    mode: str | None
    seconds: int
    size: str
    prompt: str
    run_id: str | None = None
    upstream: list[str] = []
    inputs: dict[str, dict[str, Any]]
    clip: Clip | None
    frames: dict[str, str]
    error: ErrorReport | None
    timing: Timing
    price: PriceReport

    @field_validator("clip", mode="before")
    @classmethod
    def _read(cls, clip: Any) -> Any:
        return Clip.of(clip) if isinstance(clip, dict) else clip

    @field_serializer("clip")
    def _recorded(self, clip: Clip | None, info: SerializationInfo) -> dict[str, Any] | None:
        return clip.as_dict() if clip else None


class PastTake(_Part):
    """A take in the ledger, of any run. `replaced`: another take is used in its place."""

    scene: str
    take: int
    run_id: str
    state: str
    replaced: bool
    job_id: str | None
    model: str | None
    seconds: int | None
    clip: str | None
    error_class: ErrorKind | None
    timing: Timing
    price: PriceReport


class SeamReport(_Part):
    """Where two scenes meet in the film; see `media.seam.Seam`.

    `doubled`: one picture, shown once.
    """

    above: str
    below: str
    chained: bool
    doubled: bool
    psnr_db: float
    ssim: float
    luma_step: float
    colour_step: float
    is_same: bool


class CutReport(_Part):
    """The film, with notes about its clips."""

    path: str
    timeline: str | None = None
    frames: int
    duration_s: float
    copied: bool = False
    scenes: list[str] = []
    seams: list[SeamReport] = []
    notes: list[str] = []  # about clips that were adapted to the film, or are damaged


class Totals(_Part):
    """Numbers of scenes by status, and amounts of money.

    `spent_estimate` and `spent_by_currency` cover all runs of the workspace.
    """

    scenes: int
    completed: int
    reused: int
    failed: int
    blocked: int
    held: int
    skipped: int
    spent_estimate: str
    currency: str | None
    spent_by_currency: dict[str, str]
    spent_this_run: str = "0.00"
    possible_double_charge: str

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of scenes with each status, in the order of display."""
        return {str(status): getattr(self, status) for status in Status}

    @property
    def nonzero(self) -> dict[str, int]:
        """Return the counts above zero."""
        return {status: count for status, count in self.counts.items() if count}

    @property
    def words(self) -> str:
        """Return the counts as text: `3 completed, 1 failed`."""
        return ", ".join(f"{count} {status}" for status, count in self.nonzero.items())


class RunReport(_Part):
    """The report of one run.

    Paths are relative to the workspace. It holds no secret and no signed link.
    """

    format: Literal[1] = 1
    storyboard: str
    title: str
    run_id: str
    simulated: bool
    endpoint: str
    started_at: datetime
    finished_at: datetime
    status: Literal["completed", "partial", "failed"]
    stopped: str | None = None
    warnings: list[str] = []
    scenes: list[SceneReport]
    cut: CutReport | None
    cut_error: str | None = None
    totals: Totals
    history: list[PastTake] = []

    @field_serializer("started_at", "finished_at")
    def _utc(self, value: datetime, info: SerializationInfo) -> str:
        return shown(value.timestamp()) or ""
