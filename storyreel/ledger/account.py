"""Read and write the state of an account: its jobs in flight, its pause, why it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from storyreel.errors import Stopped
from storyreel.ledger.engine import Database
from storyreel.ledger.rows import State, Take
from storyreel.ledger.tables import ACCOUNTS, TAKES, take_of

LONGEST_COOL_DOWN_S = 3600.0
# An older job holds no slot: no model takes nearly as long.
JOB_HOLDS_S = 24 * 3600.0
# An older request holds no slot: none is under way for so long.
REQUEST_HOLDS_S = 7 * 24 * 3600.0


class SlotsFull(Exception):
    """Every slot of the account is taken. Wait, then try again."""


class CoolingDown(Exception):
    """The API asked this account to wait, in this run or another. `until`: Unix seconds."""

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.until = until


class Accounts(Database):
    """The account's state, which all its runs share."""

    def cool_down(self, account: str, until: float) -> None:
        """Send nothing for this account before `until`, in Unix seconds, in any run of this ledger.

        The latest `until` counts. A pause lasts at most an hour, even if the clock was set back.
        """
        until = min(until, self._now() + LONGEST_COOL_DOWN_S)
        later = sa.case((ACCOUNTS.c.cool_until > until, ACCOUNTS.c.cool_until), else_=until)
        with self._guard(), self._begin() as connection:
            self._account(connection, account, {"cool_until": later}, {"cool_until": until})

    def stop_mark(self, account: str) -> float | None:
        """Return when the account was last stopped. A run that starts now ignores this stop."""
        with self._guard(), self._read() as connection:
            found = connection.execute(
                sa.select(ACCOUNTS.c.stopped_at).where(ACCOUNTS.c.account == account)
            ).scalar()
            return None if found is None else float(found)

    def stop_account(self, account: str, why: str) -> None:
        """Stop every current run of this ledger: no credit is left, or the key is refused."""
        values = {"stopped_at": self._now(), "stopped_why": why}
        with self._guard(), self._begin() as connection:
            self._account(connection, account, values, {"cool_until": 0.0, **values})

    def in_flight(self, account: str) -> list[Take]:
        """Return the takes whose request or job holds a slot, of every storyboard and project."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(TAKES).where(self._holding(account)).order_by(TAKES.c.id)
            ).all()
            return [take_of(row) for row in rows]

    def _check_account(
        self, connection: sa.Connection, account: str, stop_mark: float | None
    ) -> None:
        """Raise `Stopped` or `CoolingDown` if nothing may be sent for the account now."""
        row = connection.execute(
            sa.select(ACCOUNTS).where(ACCOUNTS.c.account == account)
        ).one_or_none()
        if row is None:
            return
        if row.stopped_at is not None and row.stopped_at != stop_mark:
            raise Stopped(row.stopped_why, fix="see the other run, then run again")
        if self._now() < row.cool_until <= self._now() + LONGEST_COOL_DOWN_S:
            raise CoolingDown(row.cool_until)

    def _account(
        self,
        connection: sa.Connection,
        account: str,
        change: Mapping[str, Any],
        new: Mapping[str, Any],
    ) -> None:
        """Change the account's row, or insert it with the values `new`."""
        found = connection.execute(
            sa.update(ACCOUNTS).where(ACCOUNTS.c.account == account).values(change)
        )
        if not found.rowcount:
            connection.execute(sa.insert(ACCOUNTS).values({"account": account, **new}))

    def _busy_slots(self, connection: sa.Connection, account: str) -> int:
        """Return how many slots of the account are taken."""
        found = connection.execute(
            sa.select(sa.func.count()).where(self._holding(account))
        ).scalar_one()
        return int(found)

    def _holding(self, account: str) -> sa.ColumnElement[bool]:
        """Select the rows whose request or job can still be under way at the API."""
        since = sa.func.coalesce(TAKES.c.submitted_at, TAKES.c.created_at)
        now = self._now()
        return (TAKES.c.account == account) & (
            ((TAKES.c.state == State.SUBMITTING) & (TAKES.c.created_at > now - REQUEST_HOLDS_S))
            | ((TAKES.c.state == State.IN_FLIGHT) & (since > now - JOB_HOLDS_S))
        )
