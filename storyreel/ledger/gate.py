"""The one gate in front of every paid request, and the record of paid jobs behind it.

A take's life:

    submitting ──► in_flight ──► completed ──► collected
        │              └───────► failed
        ├──► released    the API did not accept the request: no job exists, nothing is owed
        └──► ambiguous   the answer was lost: a job may exist. The take is held until a person
                         or the policy settles it
    in_flight ──► ambiguous    with its job's id: for minutes the API does not know the job
    ambiguous ──► in_flight (adopted) | abandoned | superseded by one resubmission

A take that `replaces` another supersedes it when its own clip is collected, and not before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storyreel.ledger.account import Accounts, CoolingDown, SlotsFull
from storyreel.ledger.budget import DAY_S, Budgets
from storyreel.ledger.reading import Reading
from storyreel.ledger.record import Record
from storyreel.ledger.rows import PAID_FOR, Caps, Intent, State, Take
from storyreel.ledger.tables import TAKES, take_of

__all__ = ["DAY_S", "NO_CAPS", "AlreadyPaid", "CoolingDown", "Ledger", "SlotsFull"]
NO_CAPS = Caps()


class AlreadyPaid(Exception):
    """The wanted number of takes of this key is already paid for, or held."""


class Ledger(Accounts, Budgets, Record, Reading):
    """The ledger at `url` (SQLAlchemy's form). A missing one is created.

    Each method is one transaction, complete when it returns. Several processes and threads may use
    one ledger. If several projects share it, `project` limits reading and writing to that project's
    rows, and to rows of older versions, which name no project.

    See `account` (slots, pauses), `budget`, `record` (a take's life) and `reading`.

    Raises:
        WorkspaceError: the ledger cannot be opened, is damaged or locked, or has a newer version.
    """

    @classmethod
    def in_file(cls, path: Path, *, now: Callable[[], float] | None = None) -> Ledger:
        """Open the ledger in one SQLite file, the default."""
        return cls(f"sqlite:///{path}", now=now)

    def reserve(
        self,
        intent: Intent,
        *,
        slots: int,
        budget: Decimal | None,
        currency: str | None = None,
        caps: Caps = NO_CAPS,
        stop_mark: float | None = None,
    ) -> Take:
        """Record, in one transaction, that a take is about to be paid for, if it may be.

        Raises:
            BudgetReached: the take exceeds `budget` or `caps`; nothing is written.
            SlotsFull: `slots` jobs of the account are in flight.
            CoolingDown: the API asked the account to wait.
            Stopped: after `stop_mark`, another run found that no credit is left or the key is
                refused.
            AlreadyPaid: `intent.wanted` takes of this key are already paid for.
        """
        with self._guard(), self._begin() as connection:
            self._check_account(connection, intent.account, stop_mark)
            if self._busy_slots(connection, intent.account) >= slots:
                raise SlotsFull
            same_scene = self._own(TAKES, intent.storyboard) & (TAKES.c.scene == intent.scene)
            beside = connection.execute(
                sa.select(TAKES).where(same_scene).order_by(TAKES.c.id)
            ).all()
            _check_wanted(intent, [row for row in beside if row.key == intent.key])
            self._check_budget(connection, intent, budget, currency, caps)
            return take_of(connection.execute(self._reservation(intent, beside)).one())

    def _reservation(self, intent: Intent, beside: Sequence[sa.Row[Any]]) -> sa.Executable:
        """Return the statement that records the intent: a new row, or the released one again."""
        same_key = [row for row in beside if row.key == intent.key]
        values = _values(intent) | {"created_at": self._now()}
        released = next(
            (row.id for row in same_key if row.state == State.RELEASED and not row.superseded), None
        )
        # A request that is sent again after a 429 stays one take.
        if released is not None:
            more = {"submissions": TAKES.c.submissions + 1, **values}
            return sa.update(TAKES).where(TAKES.c.id == released).values(more).returning(TAKES)
        new = {
            "project": self.project or "",
            "storyboard": intent.storyboard,
            "scene": intent.scene,
            "key": intent.key,
            "take": max((row.take for row in beside), default=0) + 1,
            "ordinal": max((row.ordinal for row in same_key), default=0) + 1,
            "submissions": 1,
        }
        return sa.insert(TAKES).values(new | values).returning(TAKES)

    def resubmitted(
        self,
        take_id: int,
        intent: Intent,
        *,
        budget: Decimal | None,
        currency: str | None = None,
        caps: Caps = NO_CAPS,
    ) -> Take:
        """Record that a held take is sent once more, and charge it to the budget again.

        Raises:
            BudgetReached: the second charge does not fit; nothing is changed.
        """
        with self._guard(), self._begin() as connection:
            self._check_budget(connection, intent, budget, currency, caps)
            row = connection.execute(
                sa.update(TAKES)
                .where(TAKES.c.id == take_id, TAKES.c.state == State.AMBIGUOUS)
                .values(
                    state=State.SUBMITTING,
                    run_id=intent.run_id,
                    submissions=TAKES.c.submissions + 1,
                )
                .returning(TAKES)
            ).one()
            return take_of(row)


def _values(intent: Intent) -> dict[str, Any]:
    """Return the columns of a take that is submitting; an earlier request's error is cleared."""
    return {
        "state": State.SUBMITTING,
        "account": intent.account,
        "endpoint": intent.endpoint,
        "run_id": intent.run_id,
        "request": json.dumps(intent.request, ensure_ascii=False),
        "inputs": json.dumps(intent.inputs, ensure_ascii=False),
        "price": None if intent.price is None else str(intent.price),
        "currency": intent.currency,
        "model": intent.model,
        "seconds": intent.seconds,
        "replaces": intent.replaces,
        "error_class": None,
        "error_code": None,
        "error_message": None,
    }


def _check_wanted(intent: Intent, same_key: Sequence[sa.Row[Any]]) -> None:
    """Raise `AlreadyPaid` if the wanted takes are paid for, or the replaced one has a successor."""
    beside = {row.id: row for row in same_key}
    paid = [row for row in same_key if row.state in PAID_FOR and not row.superseded]
    if intent.replaces is not None:
        if any(row.replaces == intent.replaces for row in paid):
            raise AlreadyPaid
        return
    places = set()
    for row in paid:
        # Each row is removed once passed, so a ring of rows that replace one another ends, too.
        before = dict(beside)
        while row.replaces in before:
            row = before.pop(row.replaces)
        places.add(row.id)
    if len(places) >= intent.wanted:
        raise AlreadyPaid
