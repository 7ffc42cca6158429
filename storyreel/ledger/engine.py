"""Open a ledger's database, guard every access to it, and copy it if it is damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from storyreel.errors import WorkspaceError
from storyreel.ledger import migrations
from storyreel.ledger.rows import Take
from storyreel.ledger.tables import TAKES, take_of

# A machine that loses its network loses its locks within a minute. With TCP's defaults it would
# take two hours.
_LOST_SOON = {
    "connect_timeout": 15,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


class Database:
    """An open database, its tables up to date, as one project sees it."""

    def __init__(
        self, url: str, *, project: str | None = None, now: Callable[[], float] | None = None
    ) -> None:
        self.url = url
        self.project = project
        self._now = now or (lambda: datetime.now(UTC).timestamp())
        self._engine = open_engine(url)
        with self._guard():
            self._prepare()
            self._look_over()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _update(self, take_id: int, **values: Any) -> Take:
        """Change a take in one transaction, and return it."""
        with self._guard(), self._begin() as connection:
            row = connection.execute(
                sa.update(TAKES).where(TAKES.c.id == take_id).values(**values).returning(TAKES)
            ).one()
            return take_of(row)

    def _own(self, table: sa.Table, storyboard: str) -> sa.ColumnElement[bool]:
        """Select the rows of a storyboard of this project."""
        return self._visible(table) & (table.c.storyboard == storyboard)

    def _visible(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Select the rows of this project, and rows that have none."""
        if self.project is None:
            return sa.true()
        return table.c.project.in_({self.project, ""})

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        """Begin a transaction that no other writer can interleave with."""
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7468391)"))
            yield connection

    def _read(self) -> sa.Connection:
        """Open a connection whose transaction takes no write lock."""
        return self._engine.connect().execution_options(storyreel_reads=True)

    def _look_over(self) -> None:
        """Raise `WorkspaceError` if SQLite finds its file damaged."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise self._damaged(str(found))

    def _damaged(self, reason: str) -> WorkspaceError:
        """Return the error of a damaged ledger; copy the file before anybody tries to repair it."""
        path = Path(self._engine.url.database or "")
        copy = path.with_name(f"{path.name}.damaged")
        if path.is_file() and not copy.exists():
            shutil.copy2(path, copy)
        return WorkspaceError(
            f"the ledger {path} is damaged: {reason}; a copy is kept as {copy.name}",
            fix="put back a sound copy; nothing was sent. Without it Storyreel cannot know "
            "what is paid",
        )

    def _prepare(self) -> None:
        """Migrate the tables. A ledger that is up to date is only read."""
        with self._read() as connection:
            if migrations.current(connection) == migrations.HEAD:
                return
        with self._begin() as connection:
            try:
                migrations.upgrade(connection)
            except KeyError as error:
                raise WorkspaceError(
                    f"the ledger is of version {error.args[0]}; this Storyreel knows "
                    f"{migrations.HEAD}",
                    fix="upgrade Storyreel",
                ) from error

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn the database's errors into `WorkspaceError`."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            reason = str(error.orig)
            where = (
                sa.engine.make_url(self.url)
                .render_as_string(hide_password=True)
                .removeprefix("sqlite:///")
            )
            if "malformed" in reason or "not a database" in reason:
                raise self._damaged(reason) from error
            if "locked" in reason:
                raise WorkspaceError(
                    f"the ledger {where} is locked by another program", fix="end it, then run again"
                ) from error
            raise WorkspaceError(
                f"the ledger {where} cannot be used: {reason}",
                fix="check the disk and its permissions"
                if self._engine.dialect.name == "sqlite"
                else "start the database, or correct STORYREEL_DATABASE_URL",
            ) from error


def open_engine(url: str) -> sa.Engine:
    """Connect to SQLite or PostgreSQL. Raises `WorkspaceError` for any other database."""
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=_LOST_SOON
        )
    if parsed.get_backend_name() != "sqlite":
        raise WorkspaceError(
            f"STORYREEL_DATABASE_URL names {parsed.get_backend_name()}",
            fix="use postgresql:// or sqlite:///",
        )
    engine = sa.create_engine(parsed, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # `_begin` below sends BEGIN
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("storyreel_reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
