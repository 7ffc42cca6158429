"""Write down what happens to a take after it was reserved: one method for each thing."""

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
    """Writes a take's states, as they are drawn in `ledger.gate`."""

    def submitted(self, take_id: int, job_id: str) -> Take:
        """The API accepted the request: the job exists and counts."""
        return self._update(take_id, state=State.IN_FLIGHT, job_id=job_id, submitted_at=self._now())

    def lost(self, take_id: int, message: str) -> Take:
        """The answer was lost: hold the take."""
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            error_class=ErrorKind.AMBIGUOUS,
            error_message=message,
        )

    def released(self, take_id: int, error_class: ErrorKind, code: str | None, message: str) -> Take:
        """The request was provably not accepted: the slot and the money are free again."""
        return self._update(
            take_id,
            state=State.RELEASED,
            submissions=TAKES.c.submissions - 1,
            error_class=error_class,
            error_code=code,
            error_message=message,
        )

    def resubmission_refused(self, take_id: int, message: str) -> Take:
        """The second request was not accepted; the first one is as uncertain as before."""
        return self._update(take_id, state=State.AMBIGUOUS, submissions=TAKES.c.submissions - 1, error_message=message)

    def adopted(self, take_id: int, job_id: str, endpoint: str | None = None) -> Take:
        """A person says which job the lost answer spoke of, and `endpoint` where it was made."""
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
        """A person gives a held take up; the next run makes a new one.

        `charged`: the lost request may have been made all the same, so its price stays counted.
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
        """The job is completed and its clip can be fetched. `watched_s`: how long it took, where all of that was seen."""
        return self._update(
            take_id,
            state=State.COMPLETED,
            completed_at=completed_at or self._now(),
            expires_at=expires_at,
            polls=TAKES.c.polls + polls,
            watched_s=watched_s,
        )

    def unknown(self, take_id: int, code: str | None, message: str, *, polls: int = 0) -> Take:
        """The API does not know the job any more: held with its id, and counted as paid, until a person settles it."""
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            error_class=ErrorKind.EXPIRED,
            error_code=code,
            error_message=message,
            polls=TAKES.c.polls + polls,
        )

    def known_again(self, take_id: int) -> Take:
        """The API knows a job again that it did not know for a while."""
        return self._update(take_id, state=State.IN_FLIGHT, error_class=None, error_code=None, error_message=None)

    def failed(self, take_id: int, error_class: ErrorKind, code: str | None, message: str, *, polls: int = 0) -> Take:
        """The API ended the job without a clip."""
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
        """The clip is on disk, verified. The take that it replaces is set aside in the same transaction; the old clip stays
        on disk.
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
            old = row.replaces
            while old is not None:
                aside = sa.update(TAKES).where(TAKES.c.id == old).values(superseded=True)
                old = connection.execute(aside.returning(TAKES.c.replaces)).scalar()
            return take_of(row)

    def imported(self, take: Take, storyboard: str, scene: str, run_id: str, clip: Clip, ordinal: int) -> Take:
        """A clip that was made and paid for under another name: note it here, at no price, as collected."""
        with self._guard(), self._begin() as connection:
            same_scene = self._own(TAKES, storyboard) & (TAKES.c.scene == scene)
            top = connection.execute(sa.select(sa.func.max(TAKES.c.take)).where(same_scene)).scalar()
            values = {c.name: getattr(take, c.name) for c in TAKES.columns if c.name != "id"}
            values |= {
                "project": self.project or "", "storyboard": storyboard, "scene": scene, "take": (top or 0) + 1,
                "ordinal": ordinal, "state": State.COLLECTED, "superseded": False, "run_id": run_id, "submissions": 0,
                "price": None if take.price is None else str(take.price),
                "request": json.dumps(take.request, ensure_ascii=False),
                "inputs": json.dumps(take.inputs, ensure_ascii=False),
                "clip": clip.text,
            }  # fmt: skip
            return take_of(connection.execute(sa.insert(TAKES).values(values).returning(TAKES)).one())

    def unusable(self, take_id: int, error_class: ErrorKind, message: str) -> Take:
        """A paid clip that is not here: keep it `completed`, with the reason, so that the next run tries again."""
        return self._update(take_id, error_class=error_class, error_message=message)

    def hold_if_dead(self, take: Take) -> None:
        """Hold a request whose run has ended: nobody holds its storyboard any more."""
        with contextlib.suppress(RunLocked), self.held(take.storyboard, take.project):
            self.interrupted(take.storyboard, "", take.project)

    def interrupted(self, storyboard: str, run_id: str, project: str | None = None) -> list[Take]:
        """Hold every take that an earlier run left `submitting`: whether its request arrived is not known."""
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
        """Ask for `wanted` takes of this key, whatever the storyboard says."""
        with self._guard(), self._begin() as connection:
            values = {"storyboard": storyboard, "scene": scene, "key": key, "wanted": wanted}
            connection.execute(sa.insert(RETAKES).values(project=self.project or "", **values))
