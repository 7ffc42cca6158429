"""The record of paid jobs, and the one gate in front of every paid request.

A take's life:

    submitting ──► in_flight ──► completed ──► collected
        │              └───────► failed
        ├──► released    the request was provably not accepted: nothing was made, nothing is owed
        └──► ambiguous   the answer was lost: a job may exist; held until a person, or the policy, settles it
    in_flight ──► ambiguous, with its job's id: the API says for minutes that it does not know the job
    ambiguous ──► in_flight (adopted) | abandoned | superseded by one resubmission

A take that `replaces` another sets it aside when its own clip is collected, and not before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from storyreel.errors import BudgetReached, RunLocked, Stopped, WorkspaceError
from storyreel.ledger import migrations
from storyreel.ledger.decode import amount, take_of
from storyreel.ledger.rows import CHARGED, PAID_FOR, Caps, Intent, State, Take

LONGEST_COOL_DOWN_S = 3600.0
DAY_S = 24 * 3600.0
JOB_HOLDS_S = DAY_S  # a job older than this holds no slot: no model's takes nearly as long
REQUEST_HOLDS_S = 7 * DAY_S  # nor does a request; that of a dead run is held much sooner, see `storyreel.slots`
NO_CAPS = Caps()

_meta = sa.MetaData()
_takes = sa.Table(
    "takes",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("storyboard", sa.String(64), nullable=False),
    sa.Column("scene", sa.String(64), nullable=False),
    sa.Column("take", sa.Integer, nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("superseded", sa.Boolean, nullable=False, default=False),
    sa.Column("account", sa.String(200), nullable=False),
    sa.Column("endpoint", sa.String(512)),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("price", sa.String(32)),
    sa.Column("currency", sa.String(3)),
    sa.Column("submissions", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("submitted_at", sa.Float),
    sa.Column("completed_at", sa.Float),
    sa.Column("collected_at", sa.Float),
    sa.Column("expires_at", sa.Float),
    sa.Column("polls", sa.Integer, nullable=False, default=0),
    sa.Column("job_id", sa.String(256)),
    sa.Column("error_class", sa.String(32)),
    sa.Column("error_code", sa.String(128)),
    sa.Column("error_message", sa.Text),
    sa.Column("clip", sa.Text),
    sa.Column("model", sa.String(64)),
    sa.Column("seconds", sa.Integer),
    sa.Column("replaces", sa.Integer),
    sa.Column("watched_s", sa.Float),
)

_retakes = sa.Table(
    "retakes",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("storyboard", sa.String(64), nullable=False),
    sa.Column("scene", sa.String(64), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("project", sa.String(128), nullable=False),
)

_accounts = sa.Table(
    "accounts",
    _meta,
    sa.Column("account", sa.String(200), primary_key=True),
    sa.Column("cool_until", sa.Float, nullable=False, default=0.0),
    sa.Column("stopped_at", sa.Float),
    sa.Column("stopped_why", sa.Text),
)


# A machine that drops off the network gives its locks up within a minute, not after the two hours of TCP's defaults.
_LOST_SOON = {
    "connect_timeout": 15,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


class SlotsFull(Exception):
    """Every slot of the account is taken; wait and ask again."""


class CoolingDown(Exception):
    """The API asked this account to wait, in this run or another; `until` is in Unix seconds."""

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.until = until


class AlreadyPaid(Exception):
    """As many takes of this key as are wanted are paid for, or held."""


class Ledger:
    """Opens, and makes where it is missing, the ledger at `url` (SQLAlchemy's form).

    Each method is one transaction, done when it returns. Safe from several processes and threads at once.
    With a `project`, what is read and written of a storyboard is that project's: several projects share the ledger.
    Rows without a project, from before there were any, are everybody's.

    Raises:
        WorkspaceError: it cannot be opened, is damaged, locked, or of a newer version.
    """

    def __init__(self, url: str, *, project: str | None = None, now: Callable[[], float] | None = None) -> None:
        self.url = url
        self.project = project
        self._now = now or (lambda: datetime.now(UTC).timestamp())
        self._engine = _engine(url)
        with self._guard():
            self._prepare()
            self._look_over()

    @classmethod
    def in_file(cls, path: Path, *, now: Callable[[], float] | None = None) -> Ledger:
        """The ledger in one SQLite file, the default."""
        return cls(f"sqlite:///{path}", now=now)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def held(self, storyboard: str, project: str | None = None) -> Iterator[None]:
        """Hold a storyboard for one run, wherever its workspace lies; the lock dies with its process.

        Raises:
            RunLocked: another run, on this machine or another, works on this storyboard.
        """
        busy = RunLocked(f"another run works on storyboard `{storyboard}` with this ledger", fix="wait for it to end")
        project = self.project if project is None else project
        if self._engine.dialect.name == "postgresql":
            name = f"{project}/{storyboard}" if project else storyboard
            key = (7468391, sa.cast(zlib.crc32(name.encode()) - 2**31, sa.Integer))
            with self._guard(), self._engine.connect() as connection:
                if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(*key))).scalar():
                    raise busy
                connection.commit()  # the lock is the session's, not the transaction's
                try:
                    yield
                finally:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(*key)))
            return
        name = f"{project}.{storyboard}" if project else storyboard
        path = Path(f"{self._engine.url.database}.{name}.lock")
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise busy from error
            yield

    # ---- the gate

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
        """Write down that a take is about to be paid for, if it may be. All is checked in the same transaction.

        Raises:
            BudgetReached: with this take more would have been spent than `budget` or `caps` allow; nothing is written.
            SlotsFull: `slots` jobs of the account are in flight.
            CoolingDown: the API asked the account to wait.
            Stopped: another run found the account without credit, or its key refused, since `stop_mark` was read.
            AlreadyPaid: `intent.wanted` takes of this key are paid for already.
        """
        with self._guard(), self._begin() as connection:
            self._check_account(connection, intent.account, stop_mark)
            if self._busy(connection, intent.account) >= slots:
                raise SlotsFull
            same_scene = self._own(_takes, intent.storyboard) & (_takes.c.scene == intent.scene)
            beside = connection.execute(sa.select(_takes).where(same_scene).order_by(_takes.c.id)).all()
            same_key = [row for row in beside if row.key == intent.key]
            live = [row for row in same_key if not row.superseded]
            _check_wanted(intent, same_key)
            self._check_budget(connection, intent, budget, currency, caps)
            values = {
                "state": State.SUBMITTING,
                "account": intent.account,
                "endpoint": intent.endpoint,
                "run_id": intent.run_id,
                "request": json.dumps(intent.request, ensure_ascii=False),
                "inputs": json.dumps(intent.inputs, ensure_ascii=False),
                "price": None if intent.price is None else str(intent.price),
                "currency": intent.currency,
                "created_at": self._now(),
                "model": intent.model,
                "seconds": intent.seconds,
                "replaces": intent.replaces,
                "error_class": None,
                "error_code": None,
                "error_message": None,
            }
            released = next((row.id for row in live if row.state == State.RELEASED), None)
            if released is None:
                number = max((row.take for row in beside), default=0) + 1
                ordinal = max((row.ordinal for row in same_key), default=0) + 1
                new = {"project": self.project or "", "storyboard": intent.storyboard, "scene": intent.scene,
                       "key": intent.key, "submissions": 1}  # fmt: skip
                made = connection.execute(
                    sa.insert(_takes).values(take=number, ordinal=ordinal, **new, **values).returning(_takes)
                )
            else:  # a request sent again after a 429 stays one take
                more = {"submissions": _takes.c.submissions + 1, **values}
                made = connection.execute(
                    sa.update(_takes).where(_takes.c.id == released).values(more).returning(_takes)
                )
            return _take(made.one())

    def submitted(self, take_id: int, job_id: str) -> Take:
        """The API accepted the request: the job exists and counts."""
        return self._update(take_id, state=State.IN_FLIGHT, job_id=job_id, submitted_at=self._now())

    def lost(self, take_id: int, message: str) -> Take:
        """The answer was lost: hold the take."""
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            error_class="ambiguous",
            error_message=message,
        )

    def released(self, take_id: int, error_class: str, code: str | None, message: str) -> Take:
        """The request was provably not accepted: the slot and the money are free again."""
        return self._update(
            take_id,
            state=State.RELEASED,
            submissions=_takes.c.submissions - 1,
            error_class=error_class,
            error_code=code,
            error_message=message,
        )

    def resubmitted(
        self,
        take_id: int,
        intent: Intent,
        *,
        budget: Decimal | None,
        currency: str | None = None,
        caps: Caps = NO_CAPS,
    ) -> Take:
        """A held take is sent once more: counted, and charged to the budget, a second time.

        Raises:
            BudgetReached: the second charge does not fit; nothing is changed.
        """
        with self._guard(), self._begin() as connection:
            self._check_budget(connection, intent, budget, currency, caps)
            row = connection.execute(
                sa.update(_takes)
                .where(_takes.c.id == take_id, _takes.c.state == State.AMBIGUOUS)
                .values(state=State.SUBMITTING, run_id=intent.run_id, submissions=_takes.c.submissions + 1)
                .returning(_takes)
            ).one()
            return _take(row)

    def resubmission_refused(self, take_id: int, message: str) -> Take:
        """The second request was not accepted; the first one is as uncertain as before."""
        return self._update(take_id, state=State.AMBIGUOUS, submissions=_takes.c.submissions - 1, error_message=message)

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

    def cool_down(self, account: str, until: float) -> None:
        """Let no run that shares this ledger send for this account before `until`, in Unix seconds; the longest wish holds.

        At most an hour from now: then the API is asked again, and a clock that was set back holds nobody for longer.
        """
        until = min(until, self._now() + LONGEST_COOL_DOWN_S)
        later = sa.case((_accounts.c.cool_until > until, _accounts.c.cool_until), else_=until)
        with self._guard(), self._begin() as connection:
            self._account(connection, account, {"cool_until": later}, {"cool_until": until})

    def stop_mark(self, account: str) -> float | None:
        """When the account was last stopped: what a run that begins now knows about already."""
        with self._guard(), self._read() as connection:
            found = connection.execute(sa.select(_accounts.c.stopped_at).where(_accounts.c.account == account)).scalar()
            return None if found is None else float(found)

    def stop_account(self, account: str, why: str) -> None:
        """Stop every run that shares this ledger and is under way: the account has no credit, or its key is refused."""
        values = {"stopped_at": self._now(), "stopped_why": why}
        with self._guard(), self._begin() as connection:
            self._account(connection, account, values, {"cool_until": 0.0, **values})

    def retake(self, storyboard: str, scene: str, key: str, wanted: int) -> None:
        """Ask for `wanted` takes of this key, whatever the storyboard says."""
        with self._guard(), self._begin() as connection:
            values = {"storyboard": storyboard, "scene": scene, "key": key, "wanted": wanted}
            connection.execute(sa.insert(_retakes).values(project=self.project or "", **values))

    # ---- the job's life

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
            polls=_takes.c.polls + polls,
            watched_s=watched_s,
        )

    def unknown(self, take_id: int, code: str | None, message: str, *, polls: int = 0) -> Take:
        """The API does not know the job any more: held with its id, and counted as paid, until a person settles it."""
        return self._update(
            take_id,
            state=State.AMBIGUOUS,
            error_class="expired",
            error_code=code,
            error_message=message,
            polls=_takes.c.polls + polls,
        )

    def known_again(self, take_id: int) -> Take:
        """The API knows a job again that it did not know for a while."""
        return self._update(take_id, state=State.IN_FLIGHT, error_class=None, error_code=None, error_message=None)

    def failed(self, take_id: int, error_class: str, code: str | None, message: str, *, polls: int = 0) -> Take:
        """The API ended the job without a clip."""
        return self._update(
            take_id,
            state=State.FAILED,
            completed_at=self._now(),
            error_class=error_class,
            error_code=code,
            error_message=message,
            polls=_takes.c.polls + polls,
        )

    def polled(self, take_id: int, polls: int) -> Take:
        """Count requests about a job that is still running."""
        return self._update(take_id, polls=_takes.c.polls + polls)

    def collected(self, take_id: int, clip: Mapping[str, Any]) -> Take:
        """The clip is on disk, checked; `clip` is its facts with `path` relative to the workspace. What it replaces is set
        aside in the same transaction; the old clip stays on disk."""
        values = {
            "state": State.COLLECTED,
            "collected_at": self._now(),
            "clip": json.dumps(dict(clip), ensure_ascii=False),
            "error_class": None,
            "error_code": None,
            "error_message": None,
        }
        with self._guard(), self._begin() as connection:
            row = connection.execute(
                sa.update(_takes).where(_takes.c.id == take_id).values(values).returning(_takes)
            ).one()
            old, seen = row.replaces, {row.id}
            while old is not None and old not in seen:
                seen.add(old)
                aside = sa.update(_takes).where(_takes.c.id == old).values(superseded=True)
                old = connection.execute(aside.returning(_takes.c.replaces)).scalar()
            return _take(row)

    def imported(
        self, take: Take, storyboard: str, scene: str, run_id: str, clip: Mapping[str, Any], ordinal: int
    ) -> Take:
        """A clip that was made and paid for under another name: note it here, at no price, as collected."""
        with self._guard(), self._begin() as connection:
            same_scene = self._own(_takes, storyboard) & (_takes.c.scene == scene)
            top = connection.execute(sa.select(sa.func.max(_takes.c.take)).where(same_scene)).scalar()
            values = {c.name: getattr(take, c.name) for c in _takes.columns if c.name != "id"}
            values |= {
                "project": self.project or "", "storyboard": storyboard, "scene": scene, "take": (top or 0) + 1,
                "ordinal": ordinal, "state": State.COLLECTED, "superseded": False, "run_id": run_id, "submissions": 0,
                "price": None if take.price is None else str(take.price),
                "request": json.dumps(take.request, ensure_ascii=False),
                "inputs": json.dumps(take.inputs, ensure_ascii=False),
                "clip": json.dumps(dict(clip), ensure_ascii=False), "replaces": None,
            }  # fmt: skip
            return _take(connection.execute(sa.insert(_takes).values(values).returning(_takes)).one())

    def unusable(self, take_id: int, error_class: str, message: str) -> Take:
        """A paid clip that is not here: keep it `completed`, with the reason, so that the next run tries again."""
        return self._update(take_id, error_class=error_class, error_message=message)

    def hold_if_dead(self, take: Take) -> None:
        """Hold a request whose run has ended: nobody holds its storyboard any more."""
        with contextlib.suppress(RunLocked), self.held(take.storyboard, take.project):
            self.interrupted(take.storyboard, "", take.project)

    def interrupted(self, storyboard: str, run_id: str, project: str | None = None) -> list[Take]:
        """Hold every take that an earlier run left `submitting`: whether its request arrived is not known."""
        own = self._own(_takes, storyboard)
        if project is not None:
            own = (_takes.c.project == project) & (_takes.c.storyboard == storyboard)
        with self._guard(), self._begin() as connection:
            rows = connection.execute(
                sa.update(_takes)
                .where(
                    own,
                    _takes.c.state == State.SUBMITTING,
                    _takes.c.run_id != run_id,
                )
                .values(
                    state=State.AMBIGUOUS,
                    error_class="ambiguous",
                    error_message="the run that sent it ended before the answer was written down",
                )
                .returning(_takes)
            ).all()
            return [_take(row) for row in rows]

    # ---- reading

    def find(self, intent: Intent) -> Take:
        """The newest row of an intent that was not accepted."""
        with self._guard(), self._read() as connection:
            row = connection.execute(
                sa.select(_takes)
                .where(self._own(_takes, intent.storyboard), _takes.c.scene == intent.scene, _takes.c.key == intent.key)
                .order_by(_takes.c.id.desc())
                .limit(1)
            ).one()
            return _take(row)

    def storyboards(self) -> list[str]:
        """The ids of every storyboard of this project that was ever sent something for."""
        names = sa.select(_takes.c.storyboard).where(self._visible(_takes)).distinct()
        with self._guard(), self._read() as connection:
            return list(connection.execute(names.order_by(_takes.c.storyboard)).scalars())

    def projects(self) -> list[str]:
        """The projects that share this ledger, by name."""
        names = sa.select(_takes.c.project).distinct().order_by(_takes.c.project)
        with self._guard(), self._read() as connection:
            return list(connection.execute(names).scalars())

    def takes(self, storyboard: str) -> list[Take]:
        """Every take of a storyboard, oldest first."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(_takes).where(self._own(_takes, storyboard)).order_by(_takes.c.id)
            ).all()
            return [_take(row) for row in rows]

    def others(self, storyboard: str) -> list[Take]:
        """What is paid for under other storyboards of this project, oldest first."""
        wanted = (
            self._visible(_takes),
            _takes.c.storyboard != storyboard,
            _takes.c.superseded.is_(False),
            _takes.c.state.in_(PAID_FOR),
        )
        with self._guard(), self._read() as connection:
            rows = connection.execute(sa.select(_takes).where(*wanted).order_by(_takes.c.id)).all()
            return [_take(row) for row in rows]

    def in_flight(self, account: str) -> list[Take]:
        """Every take whose request or job holds a slot of the account, of any storyboard and project."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(sa.select(_takes).where(self._holding(account)).order_by(_takes.c.id)).all()
            return [_take(row) for row in rows]

    def owner_of(self, job_id: str) -> Take | None:
        """The take that a job belongs to, of any storyboard and project."""
        with self._guard(), self._read() as connection:
            row = connection.execute(
                sa.select(_takes).where(_takes.c.job_id == job_id).order_by(_takes.c.id).limit(1)
            ).one_or_none()
            return None if row is None else _take(row)

    def retakes(self, storyboard: str) -> dict[tuple[str, str], int]:
        """How many takes were asked for beside the storyboard, by (scene, key)."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(_retakes.c.scene, _retakes.c.key, sa.func.max(_retakes.c.wanted))
                .where(self._own(_retakes, storyboard))
                .group_by(_retakes.c.scene, _retakes.c.key)
            ).all()
            return {(scene, key): wanted for scene, key, wanted in rows}

    def durations(self, account: str, model: str, seconds: int, limit: int = 50) -> list[float]:
        """How long the latest jobs of a model and length took that were watched to their end, in seconds; newest first."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(_takes.c.watched_s)
                .where(
                    _takes.c.account == account,
                    _takes.c.model == model,
                    _takes.c.seconds == seconds,
                    _takes.c.watched_s > 0,
                )
                .order_by(_takes.c.id.desc())
                .limit(limit)
            )
            return [float(seconds) for (seconds,) in rows]

    def take(self, take_id: int) -> Take:
        """One take. Raises `KeyError`."""
        with self._guard(), self._read() as connection:
            row = connection.execute(sa.select(_takes).where(_takes.c.id == take_id)).one_or_none()
            if row is None:
                raise KeyError(take_id)
            return _take(row)

    # ---- inside

    def _update(self, take_id: int, **values: Any) -> Take:
        with self._guard(), self._begin() as connection:
            row = connection.execute(
                sa.update(_takes).where(_takes.c.id == take_id).values(**values).returning(_takes)
            ).one()
            return _take(row)

    def _check_account(self, connection: sa.Connection, account: str, stop_mark: float | None) -> None:
        row = connection.execute(sa.select(_accounts).where(_accounts.c.account == account)).one_or_none()
        if row is None:
            return
        if row.stopped_at is not None and row.stopped_at != stop_mark:
            raise Stopped(row.stopped_why, fix="see the other run, then run again")
        if self._now() < row.cool_until <= self._now() + LONGEST_COOL_DOWN_S:
            raise CoolingDown(row.cool_until)

    def _account(
        self, connection: sa.Connection, account: str, change: Mapping[str, Any], new: Mapping[str, Any]
    ) -> None:
        found = connection.execute(sa.update(_accounts).where(_accounts.c.account == account).values(change))
        if not found.rowcount:
            connection.execute(sa.insert(_accounts).values({"account": account, **new}))

    def _busy(self, connection: sa.Connection, account: str) -> int:
        found = connection.execute(sa.select(sa.func.count()).where(self._holding(account))).scalar_one()
        return int(found)

    def _holding(self, account: str) -> sa.ColumnElement[bool]:
        """The rows whose request or job can still be under way at the API."""
        since = sa.func.coalesce(_takes.c.submitted_at, _takes.c.created_at)
        now = self._now()
        return (_takes.c.account == account) & (
            ((_takes.c.state == State.SUBMITTING) & (_takes.c.created_at > now - REQUEST_HOLDS_S))
            | ((_takes.c.state == State.IN_FLIGHT) & (since > now - JOB_HOLDS_S))
        )

    def _own(self, table: sa.Table, storyboard: str) -> sa.ColumnElement[bool]:
        return self._visible(table) & (table.c.storyboard == storyboard)

    def _visible(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """The rows of this project, and those that have none."""
        if self.project is None:
            return sa.true()
        return table.c.project.in_({self.project, ""})

    def _check_budget(
        self, connection: sa.Connection, intent: Intent, budget: Decimal | None, currency: str | None, caps: Caps
    ) -> None:
        """Raises `BudgetReached` where the take's price would be too much for one of the budgets that are set, or cannot be
        compared with it."""
        own = self._own(_takes, intent.storyboard)
        run = _takes.c.run_id.startswith(f"{caps.group}.") if caps.group else _takes.c.run_id == intent.run_id
        limits = (
            (budget, own, "the budget", "raise `budget.limit` in the storyboard (or --budget), then run again"),
            (caps.per_run, run, "this run's budget", "raise the budget of a run, or run again"),
            (caps.per_day, own & (_takes.c.created_at > self._now() - DAY_S), "the day's budget", "wait, or raise it"),
        )
        for limit, whose, name, fix in limits:
            if limit is None:
                continue
            price, money = _comparable(intent, name, limit, currency)
            spent = self._spent(connection, whose, name, money)
            if spent + price > limit:
                raise BudgetReached(
                    f"scene `{intent.scene}` would cost up to {price} {money}; {spent} of {name} of {limit} {money} is used",
                    fix=fix,
                )

    def _spent(self, connection: sa.Connection, whose: sa.ColumnElement[bool], name: str, money: str | None) -> Decimal:
        rows = connection.execute(
            sa.select(_takes.c.price, _takes.c.currency, sa.func.sum(_takes.c.submissions))
            .where(whose, _takes.c.state.in_(CHARGED), _takes.c.submissions > 0)
            .group_by(
                _takes.c.price, _takes.c.currency
            )  # prices are text, so that they are exact; there are few of them
        ).all()
        total = Decimal(0)
        for written, currency, submissions in rows:
            price = amount(written)
            if price is None or currency != money:
                what = "at a price that is not known" if price is None else f"in {currency}"
                raise BudgetReached(
                    f"something was paid for {what} before, so what is left of {name} in {money} is not known",
                    fix="leave the budget away, or give the storyboard another `id`, which counts from nothing",
                )
            total += price * submissions
        return total

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer can interleave with."""
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7468391)"))
            yield connection

    def _read(self) -> sa.Connection:
        """A connection whose transaction takes no write lock."""
        return self._engine.connect().execution_options(storyreel_reads=True)

    def _look_over(self) -> None:
        """Raises `WorkspaceError` where SQLite finds its own file damaged."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise self._damaged(str(found))

    def _damaged(self, reason: str) -> WorkspaceError:
        """The error of a damaged ledger; a copy of the file is kept beside it before anybody tries to mend it."""
        path = Path(self._engine.url.database or "")
        copy = path.with_name(f"{path.name}.damaged")
        if path.is_file() and not copy.exists():
            shutil.copy2(path, copy)
        return WorkspaceError(
            f"the ledger {path} is damaged: {reason}; a copy is kept as {copy.name}",
            fix="put back a sound copy; nothing was sent. Without it Storyreel cannot know what is paid",
        )

    def _prepare(self) -> None:
        """Bring the tables up to date; a ledger that is so already is only read."""
        with self._read() as connection:
            if migrations.current(connection) == migrations.HEAD:
                return
        with self._begin() as connection:
            try:
                migrations.upgrade(connection)
            except KeyError as error:
                raise WorkspaceError(
                    f"the ledger is of version {error.args[0]}; this Storyreel knows {migrations.HEAD}",
                    fix="upgrade Storyreel",
                ) from error

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            reason = str(error.orig)
            where = sa.engine.make_url(self.url).render_as_string(hide_password=True).removeprefix("sqlite:///")
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


def _check_wanted(intent: Intent, same_key: Sequence[sa.Row[Any]]) -> None:
    """Raises `AlreadyPaid` where as many places as are wanted are taken, or the one to be replaced has its successor."""
    beside = {row.id: row for row in same_key}
    paid = [row for row in same_key if row.state in PAID_FOR and not row.superseded]
    if intent.replaces is not None:
        if any(row.replaces == intent.replaces for row in paid):
            raise AlreadyPaid
        return
    places = set()
    for row in paid:
        before = dict(beside)  # each is taken out as it is passed: rows that replace one another in a ring end, too
        while row.replaces in before:
            row = before.pop(row.replaces)
        places.add(row.id)
    if len(places) >= intent.wanted:
        raise AlreadyPaid


def _comparable(intent: Intent, name: str, limit: Decimal, currency: str | None) -> tuple[Decimal, str | None]:
    """(price, currency) of a take that a budget can be held against.

    Raises:
        BudgetReached: it has no known price, or one in another currency.
    """
    if intent.price is None:
        raise BudgetReached(
            f"scene `{intent.scene}`: no price is known for {intent.model or 'its model'}, so {name} of {limit} cannot hold",
            fix="give the model `prices` in a catalogue of your own (docs/add-a-model.md), or leave the budget away",
        )
    if currency and intent.currency != currency:
        raise BudgetReached(
            f"scene `{intent.scene}` costs {intent.price} {intent.currency}; {name} of {limit} is in {currency}",
            fix=f"use a model that is priced in {currency}, or leave the budget away",
        )
    return intent.price, intent.currency


def _engine(url: str) -> sa.Engine:
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=_LOST_SOON
        )
    if parsed.get_backend_name() != "sqlite":
        raise WorkspaceError(
            f"STORYREEL_DATABASE_URL names {parsed.get_backend_name()}", fix="use postgresql:// or sqlite:///"
        )
    engine = sa.create_engine(parsed, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("storyreel_reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _take(row: sa.Row[Any]) -> Take:
    return take_of(dict(row._mapping))
