"""Record how each take of a run ends; turn errors into outcomes."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import Protocol

from storyreel.errors import (
    DeadlinePassed,
    DownloadError,
    ErrorKind,
    LinkExpired,
    MadeElsewhere,
    MediaError,
    Status,
    Stopped,
    StoryreelError,
    UsageError,
    WorkspaceError,
)
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.plan.make import ScenePlan, TakePlan
from storyreel.report.outcome import Outcome, held_elsewhere, outcome_of
from storyreel.run.session import Progress, Session

# The first type that fits an error gives its kind.
KINDS: tuple[tuple[type[StoryreelError], ErrorKind], ...] = (
    (DeadlinePassed, ErrorKind.TIMEOUT),
    (LinkExpired, ErrorKind.EXPIRED),
    (DownloadError, ErrorKind.TRANSIENT),
    (MediaError, ErrorKind.MEDIA),
    (UsageError, ErrorKind.INVALID),
)


class Observer(Protocol):
    """Receive each outcome, for events and logs."""

    def outcome(self, outcome: Outcome) -> None:
        """Handle one outcome as it is recorded."""

    def unexpected(self, scene: str, error: Exception) -> None:
        """Handle an error that no code foresaw, before its outcome is recorded."""


class Log:
    """Write failed and held takes to the log."""

    def outcome(self, outcome: Outcome) -> None:
        """See `Observer`."""
        if outcome.status in (Status.FAILED, Status.HELD):
            logging.getLogger(__name__).error("scene %s: %s", outcome.scene.id, outcome.reason)

    def unexpected(self, scene: str, error: Exception) -> None:
        """See `Observer`."""
        logging.getLogger(__name__).error("scene %s: %r", scene, error, exc_info=error)


class Outcomes:
    """Record the outcomes of a run.

    `begun` maps (scene, take number) to the ledger id of each take that this run paid for.
    """

    def __init__(self, session: Session, observer: Observer) -> None:
        self.session = session
        self.observer = observer
        self.all: list[Outcome] = []
        self.begun: dict[tuple[str, int], int] = {}

    def add(self, outcome: Outcome) -> None:
        """Record an outcome and show it."""
        self.all.append(outcome)
        self.observer.outcome(outcome)
        if not outcome.status.is_good:  # the steps have shown a take that has a clip
            self.session.on_progress(
                Progress(outcome.scene.id, outcome.take or 1, outcome.status, outcome.reason)
            )

    def add_take(
        self, scene_plan: ScenePlan, take: Take, reason: str, *, reused: bool = False
    ) -> None:
        """Record the take as the ledger has it."""
        self.add(outcome_of(scene_plan.scene, take, reason, scene_plan.price, reused=reused))

    def add_held(self, scene_plan: ScenePlan, number: int, reason: str) -> None:
        """Record that nothing was sent because a person or another run decides."""
        self.add(
            Outcome(scene_plan.scene, Status.HELD, reason, take=number, price=scene_plan.price)
        )

    def add_held_elsewhere(self, scene_plan: ScenePlan, take_plan: TakePlan, number: int) -> None:
        """Record that another ledger holds the take, with the command that fetches it there."""
        self.add(held_elsewhere(scene_plan, take_plan, number))

    def add_blocked(self, scene_plan: ScenePlan, upstream: str) -> None:
        """Record that the upstream scene has no clip to make this one from."""
        self.add(
            Outcome(
                scene_plan.scene,
                Status.BLOCKED,
                f"scene `{upstream}` has no clip to make this one from",
                error_class=ErrorKind.UPSTREAM,
                error_message=f"scene `{upstream}` has no usable clip",
                price=scene_plan.price,
            )
        )

    def add_error(
        self, scene_plan: ScenePlan, take: Take | None, number: int | None, error: Exception
    ) -> None:
        """Record an error as the outcome of its take.

        Stop the run if the ledger or the disk failed: nothing more could be kept.
        """
        if isinstance(error, WorkspaceError):
            self.session.stop(error)
            self._fail(
                scene_plan, take, number, ErrorKind.TRANSIENT, self.without_place(error), error.fix
            )
        elif isinstance(error, Stopped):
            self._not_started(scene_plan, take, number, error)
        elif isinstance(error, MadeElsewhere):
            self._made_elsewhere(scene_plan, take, number, error)
        elif isinstance(error, StoryreelError) and (kind := _kind(error)):
            words = error.message + (
                self._price_again(scene_plan) if kind is ErrorKind.EXPIRED else ""
            )
            self._fail(scene_plan, take, number, kind, words, error.fix)
        elif isinstance(error, OSError):
            self.disk_failed(error)
            self._fail(
                scene_plan, take, number, ErrorKind.MEDIA, f"the disk failed: {error.strerror}"
            )
        else:
            self.add_unexpected(scene_plan, take, number, error)

    def add_unexpected(
        self, scene_plan: ScenePlan, take: Take | None, number: int | None, error: Exception
    ) -> None:
        """Record an error that no code foresaw.

        It fails its scene only. The ledger has what was paid for.
        """
        if isinstance(error, WorkspaceError):
            self.session.stop(error)
        self.observer.unexpected(scene_plan.scene.id, error)
        words = f"unexpected {type(error).__name__}: {error}"
        if isinstance(error, StoryreelError):
            words = self.without_place(error)
        self._fail(
            scene_plan, take, number, ErrorKind.TRANSIENT, words, getattr(error, "fix", None)
        )

    def disk_failed(self, error: OSError) -> None:
        """Stop the run: the disk could not keep another clip.

        The ledger keeps the paid jobs, and a later run downloads their clips.
        """
        self.session.stop(
            StoryreelError(
                f"the disk failed: {error.strerror}",
                fix="make room, then run again: paid clips are downloaded, not paid for again",
            )
        )

    def without_place(self, error: StoryreelError) -> str:
        """Return the error's message for the report, without the workspace's path."""
        return error.message.replace(f"{self.session.workspace.root}{os.sep}", "")

    def _fail(
        self,
        scene_plan: ScenePlan,
        take: Take | None,
        number: int | None,
        kind: ErrorKind,
        message: str,
        fix: str | None = None,
    ) -> None:
        """Record a failed take."""
        take = self._take_now(scene_plan.scene, number, take)
        words = f"{kind}: {message}"
        self.add(
            Outcome(
                scene_plan.scene,
                Status.FAILED,
                words,
                take,
                number,
                kind,
                None,
                message,
                scene_plan.price,
                fix=fix,
            )
        )

    def _made_elsewhere(
        self, scene_plan: ScenePlan, take: Take | None, number: int | None, error: MadeElsewhere
    ) -> None:
        """Record a take whose job belongs to another endpoint."""
        words = f"held: {error.message}"
        held = Outcome(
            scene_plan.scene,
            Status.HELD,
            words,
            take,
            number,
            ErrorKind.AMBIGUOUS,
            None,
            error.message,
            scene_plan.price,
        )
        self.add(dataclasses.replace(held, fix=error.fix))

    def _not_started(
        self, scene_plan: ScenePlan, take: Take | None, number: int | None, error: Stopped
    ) -> None:
        """Record a take that the stop of the run kept from being sent or collected."""
        take = self._take_now(scene_plan.scene, number, take)
        reason = (
            "not started: "
            f"{self.session.stopped.message if self.session.stopped else error.message}"
        )
        if take is not None and take.job_id:
            reason = f"job {take.job_id} is in flight; the run stopped: {error.message}"
        self.add(
            Outcome(scene_plan.scene, Status.SKIPPED, reason, take, number, price=scene_plan.price)
        )

    def _price_again(self, scene_plan: ScenePlan) -> str:
        """Say what a lost clip would cost again, and which command makes it again."""
        price = scene_plan.price
        words = f"{price.high} {price.currency}" if price else "a price that is not known"
        command = f"storyreel run {self.session.storyboard.path.name} --force {scene_plan.scene.id}"
        return f"; made again it would cost {words}: {command}"

    def _take_now(self, scene: Scene, number: int | None, take: Take | None) -> Take | None:
        """Read the take from the ledger, also one that this run began.

        Return `take` unchanged if the ledger cannot be read.
        """
        take_id = take.id if take else self.begun.get((scene.id, number or 0))
        try:
            return None if take_id is None else self.session.ledger.take(take_id)
        except WorkspaceError:
            return take


def _kind(error: StoryreelError) -> ErrorKind | None:
    return next((kind for error_type, kind in KINDS if isinstance(error, error_type)), None)
