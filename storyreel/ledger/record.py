"""Record each event of a take after its reservation, with one method for each."""

from __future__ import annotations

import contextlib
import json

import sqlalchemy as sa

from storyreel.errors import ErrorKind, RunLocked
from storyreel.ledger.clip import Clip
from storyreel.ledger.lock import Locking
from storyreel.ledger.rows import State, Take
from storyreel.ledger.tables import RETAKES, TAKES, take_of


class Record(Locking):
    """Writes a take's states; `ledger.gate` draws them."""

    def submitted(self, take_id: int, job_id: str) -> Take:
        """Record that the API accepted the request: the job exists and is paid for."""
        return self._update(take_id, state=State.IN_FLIGHT, job_id=job_id, submitted_at=self._now())

    def lost(self, take_id: int, message: str) -> Take:
        """Hold the take: the answer to its request was lost."""
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            error_class=ErrorKind.AMBIGUOUS,
            error_message=message,
        )

    def released(
        self, take_id: int, error_class: ErrorKind, code: str | None, message: str
    ) -> Take:
        """Free the slot and the money: the request was provably not accepted."""
        return self._update(
            take_id,
            state=State.RELEASED,
            submissions=TAKES.c.submissions - 1,
            error_class=error_class,
            error_code=code,
            error_message=message,
        )

    def resubmission_refused(self, take_id: int, message: str) -> Take:
        """Hold the take again: its second request was refused.

        What became of the first is as uncertain as before.
        """
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            submissions=TAKES.c.submissions - 1,
            error_message=message,
        )

    def adopted(self, take_id: int, job_id: str, endpoint: str | None = None) -> Take:
        """Record the job that a person names for the lost answer, and its `endpoint`."""
        elsewhere = {"endpoint": endpoint} if endpoint else {}
        return self._update(
            take_id,
            state=State.IN_FLIGHT,
            job_id=job_id,
            submitted_at=self._now(),
            error_class=None,
            error_message=None,
            **elsewhere,
        )

    def abandoned(self, take_id: int, *, charged: bool) -> Take:
        """Record that a person abandons a held take. The next run makes a new one.

        `charged`: the lost request may have created a job, so its price still counts.
        """
        values = {} if charged else {"submissions": 0}
        return self._update(take_id, state=State.ABANDONED, **values)

    def finished(
        self,
        take_id: int,
        *,
        completed_at: float | None,
        expires_at: float | None,
        polls: int,
        watched_s: float | None = None,
    ) -> Take:
        """Record that the job is completed.

        `watched_s`: how many seconds it took, if one run watched all of it.
        """
        return self._update(
            take_id,
            state=State.COMPLETED,
            completed_at=completed_at or self._now(),
            expires_at=expires_at,
            polls=TAKES.c.polls + polls,
            watched_s=watched_s,
        )

    def unknown(self, take_id: int, code: str | None, message: str, *, polls: int = 0) -> Take:
        """Hold a take whose job the API no longer knows.

        It keeps its job's id, and counts as paid.
        """
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            error_class=ErrorKind.EXPIRED,
            error_code=code,
            error_message=message,
            polls=TAKES.c.polls + polls,
        )

    def known_again(self, take_id: int) -> Take:
        """Release the hold: the API knows the job again."""
        return self._update(
            take_id, state=State.IN_FLIGHT, error_class=None, error_code=None, error_message=None
        )

    def failed(
        self,
        take_id: int,
        error_class: ErrorKind,
        code: str | None,
        message: str,
        *,
        polls: int = 0,
    ) -> Take:
        """Record that the API ended the job without a clip."""
        return self._update(
            take_id,
            state=State.FAILED,
            completed_at=self._now(),
            error_class=error_class,
            error_code=code,
            error_message=message,
            polls=TAKES.c.polls + polls,
        )

    def polled(self, take_id: int, polls: int) -> Take:
        """Count requests about a job that is still running."""
        return self._update(take_id, polls=TAKES.c.polls + polls)

    def collected(self, take_id: int, clip: Clip) -> Take:
        """Record the verified clip on disk, and supersede the take that it replaces.

        Both happen in one transaction. The old clip stays on disk.
        """
        values = {
            "state": State.COLLECTED,
            "collected_at": self._now(),
            "clip": clip.text,
            "error_class": None,
            "error_code": None,
            "error_message": None,
        }
        with self._guard(), self._begin() as connection:
            row = connection.execute(
                sa.update(TAKES).where(TAKES.c.id == take_id).values(values).returning(TAKES)
            ).one()
            old, seen = row.replaces, {row.id}
            while old is not None and old not in seen:
                seen.add(old)
                aside = sa.update(TAKES).where(TAKES.c.id == old).values(superseded=True)
                old = connection.execute(aside.returning(TAKES.c.replaces)).scalar()
            return take_of(row)

    def imported(
        self, take: Take, storyboard: str, scene: str, run_id: str, clip: Clip, ordinal: int
    ) -> Take:
        """Record a clip that was paid for under another name: collected, charged to no budget."""
        with self._guard(), self._begin() as connection:
            same_scene = self._own(TAKES, storyboard) & (TAKES.c.scene == scene)
            top = connection.execute(
                sa.select(sa.func.max(TAKES.c.take)).where(same_scene)
            ).scalar()
            values = {c.name: getattr(take, c.name) for c in TAKES.columns if c.name != "id"}
            values |= {
                "project": self.project or "",
                "storyboard": storyboard,
                "scene": scene,
                "take": (top or 0) + 1,
                "ordinal": ordinal,
                "state": State.COLLECTED,
                "superseded": False,
                "run_id": run_id,
                "submissions": 0,
                "price": None if take.price is None else str(take.price),
                "request": json.dumps(take.request, ensure_ascii=False),
                "inputs": json.dumps(take.inputs, ensure_ascii=False),
                "clip": clip.text,
                "replaces": None,
            }
            return take_of(
                connection.execute(sa.insert(TAKES).values(values).returning(TAKES)).one()
            )

    def unusable(self, take_id: int, error_class: ErrorKind, message: str) -> Take:
        """Record why a paid take's clip is missing.

        The take stays `completed`, and the next run retries.
        """
        return self._update(take_id, error_class=error_class, error_message=message)

    def hold_if_dead(self, take: Take) -> None:
        """Hold a request if its run has ended: then no process holds its storyboard."""
        with contextlib.suppress(RunLocked), self.held(take.storyboard, take.project):
            self.interrupted(take.storyboard, "", take.project)

    def interrupted(self, storyboard: str, run_id: str, project: str | None = None) -> list[Take]:
        """Hold every take that another run left `submitting`: its request may have arrived."""
        own = self._own(TAKES, storyboard)
        if project is not None:
            own = (TAKES.c.project == project) & (TAKES.c.storyboard == storyboard)
        with self._guard(), self._begin() as connection:
            rows = connection.execute(
                sa.update(TAKES)
                .where(
                    own,
                    TAKES.c.state == State.SUBMITTING,
                    TAKES.c.run_id != run_id,
                )
                .values(
                    state=State.AMBIGUOUS,
                    error_class=ErrorKind.AMBIGUOUS,
                    error_message="the run that sent it ended before the answer was written down",
                )
                .returning(TAKES)
            ).all()
            return [take_of(row) for row in rows]

    def retake(self, storyboard: str, scene: str, key: str, wanted: int) -> None:
        """Record that a person wants `wanted` takes of this key, beyond the storyboard's number."""
        with self._guard(), self._begin() as connection:
            values = {"storyboard": storyboard, "scene": scene, "key": key, "wanted": wanted}
            connection.execute(sa.insert(RETAKES).values(project=self.project or "", **values))
