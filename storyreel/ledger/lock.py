"""Lock a storyboard, so that one run at a time works on it."""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from storyreel.errors import RunLocked
from storyreel.ledger.engine import Database


class Locking(Database):
    """Locks storyboards: with an advisory lock in PostgreSQL, or a lock file beside SQLite's."""

    @contextmanager
    def held(self, storyboard: str, project: str | None = None) -> Iterator[None]:
        """Hold a storyboard for one run, for any workspace. The lock ends with its process.

        Raises:
            RunLocked: another run, on this machine or another, works on this storyboard.
        """
        project = self.project if project is None else project
        lock = (
            self._held_in_postgresql
            if self._engine.dialect.name == "postgresql"
            else self._held_beside_file
        )
        with lock(storyboard, project):
            yield

    @contextmanager
    def _held_in_postgresql(self, storyboard: str, project: str | None) -> Iterator[None]:
        name = f"{project}/{storyboard}" if project else storyboard
        key = (7468391, sa.cast(zlib.crc32(name.encode()) - 2**31, sa.Integer))
        with self._guard(), self._engine.connect() as connection:
            if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(*key))).scalar():
                raise _busy(storyboard)
            connection.commit()  # the lock is the session's, not the transaction's
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(*key)))

    @contextmanager
    def _held_beside_file(self, storyboard: str, project: str | None) -> Iterator[None]:
        name = f"{project}.{storyboard}" if project else storyboard
        path = Path(f"{self._engine.url.database}.{name}.lock")
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise _busy(storyboard) from error
            yield


def _busy(storyboard: str) -> RunLocked:
    return RunLocked(
        f"another run works on storyboard `{storyboard}` with this ledger", fix="wait for it to end"
    )
