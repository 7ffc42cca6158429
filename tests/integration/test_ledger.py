"""The gate in front of every paid request."""

from __future__ import annotations

import dataclasses
import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storyreel.errors import BudgetReached, RunLocked, Stopped, WorkspaceError
from storyreel.ledger.gate import AlreadyPaid, CoolingDown, Ledger, SlotsFull
from storyreel.ledger.moments import shown
from storyreel.ledger.rows import Caps, Intent, State, Take
from storyreel.ledger.tables import META, TAKES
from tests.clips import clip
from tests.postgres import server


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """The same tests on both databases."""
    if request.param == "sqlite":
        made = Ledger.in_file(tmp_path / "ledger.db")
    else:
        url = request.getfixturevalue("postgres")
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()
        made = Ledger(url)
    yield made
    made.close()


def intent(scene: str = "a", key: str = "k", **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "storyboard": "b", "scene": scene, "key": key, "account": "acc", "run_id": "r1", "request": {"prompt": "x"},
        "inputs": {}, "price": Decimal("2.50"), "currency": "CNY",
    }  # fmt: skip
    return Intent(**{**values, **changes})


def reserve(ledger: Ledger, one: Intent, slots: int = 10, budget: str | None = None) -> Any:
    return ledger.reserve(one, slots=slots, budget=Decimal(budget) if budget else None)


def test_a_take_goes_from_intent_to_collected(ledger: Ledger) -> None:
    take = reserve(ledger, intent())
    assert (take.state, take.take, take.ordinal, take.submissions) == (State.SUBMITTING, 1, 1, 1)
    assert ledger.submitted(take.id, "q1").state is State.IN_FLIGHT
    assert ledger.finished(take.id, completed_at=5.0, expires_at=9.0, polls=3).polls == 3
    done = ledger.collected(take.id, clip())
    assert done.state is State.COLLECTED and done.clip == clip()
    assert [t.id for t in ledger.takes("b")] == [take.id]


def test_a_key_is_paid_for_once(ledger: Ledger) -> None:
    reserve(ledger, intent())
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent())


def test_wanted_takes_are_paid_for_each_and_numbered(ledger: Ledger) -> None:
    assert [reserve(ledger, intent(wanted=2)).take for _ in range(2)] == [1, 2]
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent(wanted=2))


def test_the_budget_cannot_be_passed(ledger: Ledger) -> None:
    reserve(ledger, intent("a"), budget="5.00")
    reserve(ledger, intent("b"), budget="5.00")
    with pytest.raises(BudgetReached, match=r"5\.00 of the budget of 5\.00"):
        reserve(ledger, intent("c"), budget="5.00")


def test_a_run_a_group_of_runs_and_a_day_have_budgets_of_their_own(tmp_path: Path) -> None:
    clock = [1_000_000.0]
    ledger = Ledger.in_file(tmp_path / "ledger.db", now=lambda: clock[0])

    def spend(scene: str, caps: Caps, **changes: Any) -> None:
        ledger.reserve(intent(scene, scene, **changes), slots=99, budget=None, caps=caps)

    run = Caps(per_run=Decimal("5"))
    spend("a", run)
    spend("b", run)
    with pytest.raises(BudgetReached, match=r"5\.00 of this run's budget of 5 CNY"):
        spend("c", run)
    spend("c", run, run_id="another")

    group = Caps(per_run=Decimal("5"), group="g")
    spend("d", group, run_id="g.1", storyboard="x")
    spend("e", group, run_id="g.2", storyboard="y")
    with pytest.raises(BudgetReached, match="this run's budget"):
        spend("f", group, run_id="g.3", storyboard="z")

    day = Caps(per_day=Decimal("10"))
    spend("g", day, run_id="r9")
    with pytest.raises(BudgetReached, match=r"10\.00 of the day's budget of 10 CNY"):
        spend("h", day, run_id="r10")
    clock[0] += 25 * 3600
    spend("h", day, run_id="r10")
    ledger.close()


def test_an_unbilled_failure_gives_its_money_and_its_slot_back(ledger: Ledger) -> None:
    take = reserve(ledger, intent("a"), slots=1, budget="2.50")
    ledger.submitted(take.id, "q")
    ledger.failed(take.id, "transient", None, "it broke")
    assert reserve(ledger, intent("b"), slots=1, budget="2.50").state is State.SUBMITTING


def test_slots_are_held_until_a_final_status(ledger: Ledger) -> None:
    take = reserve(ledger, intent("a"), slots=1)
    with pytest.raises(SlotsFull):
        reserve(ledger, intent("b"), slots=1)
    ledger.submitted(take.id, "q")
    with pytest.raises(SlotsFull):
        reserve(ledger, intent("b"), slots=1)
    ledger.finished(take.id, completed_at=None, expires_at=None, polls=0)
    reserve(ledger, intent("b"), slots=1)


def test_a_refused_request_sent_again_stays_one_take(ledger: Ledger) -> None:
    take = reserve(ledger, intent())
    ledger.released(take.id, "rate", None, "429")
    again = reserve(ledger, intent())
    assert (again.id, again.take, again.submissions) == (take.id, 1, 1)


def test_a_lost_answer_counts_as_paid_and_is_held(ledger: Ledger) -> None:
    take = reserve(ledger, intent(), budget="2.50")
    assert ledger.lost(take.id, "reset").state is State.AMBIGUOUS
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent())
    with pytest.raises(BudgetReached):
        reserve(ledger, intent("z"), budget="2.50")


def test_a_resubmission_is_charged_a_second_time(ledger: Ledger) -> None:
    take = reserve(ledger, intent())
    ledger.lost(take.id, "reset")
    with pytest.raises(BudgetReached):
        ledger.resubmitted(take.id, intent(), budget=Decimal("4.99"))
    assert ledger.resubmitted(take.id, intent(), budget=Decimal("5.00")).submissions == 2


def test_what_another_run_left_open_is_held(ledger: Ledger) -> None:
    reserve(ledger, intent("a", run_id="dead"))
    reserve(ledger, intent("b", run_id="me"))
    assert [t.scene for t in ledger.interrupted("b", "me")] == ["a"]
    assert [t.state for t in ledger.takes("b")] == [State.AMBIGUOUS, State.SUBMITTING]


def test_a_damaged_ledger_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database, it only looks like one to nobody" * 40)
    with pytest.raises(WorkspaceError, match="is damaged"):
        Ledger.in_file(path)


def test_a_ledger_of_a_newer_storyreel_is_refused(tmp_path: Path) -> None:
    Ledger.in_file(tmp_path / "ledger.db").close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE storyreel_version SET version_num = '0099'")
    connection.close()
    with pytest.raises(WorkspaceError, match="version 0099"):
        Ledger.in_file(tmp_path / "ledger.db")


BEFORE_VERSIONS = """
CREATE TABLE storyreel_schema (version INTEGER NOT NULL);
INSERT INTO storyreel_schema VALUES (1);
CREATE TABLE takes (id INTEGER PRIMARY KEY, storyboard VARCHAR(64) NOT NULL, scene VARCHAR(64) NOT NULL,
  take INTEGER NOT NULL, key VARCHAR(64) NOT NULL, ordinal INTEGER NOT NULL, state VARCHAR(16) NOT NULL,
  superseded BOOLEAN NOT NULL, account VARCHAR(200) NOT NULL, run_id VARCHAR(64) NOT NULL, request TEXT NOT NULL,
  inputs TEXT NOT NULL, price VARCHAR(32), currency VARCHAR(3), submissions INTEGER NOT NULL,
  lost_answers INTEGER NOT NULL, created_at FLOAT NOT NULL, submitted_at FLOAT, completed_at FLOAT, collected_at FLOAT,
  expires_at FLOAT, polls INTEGER NOT NULL, job_id VARCHAR(256), error_class VARCHAR(32), error_code VARCHAR(128),
  error_message TEXT, clip TEXT);
INSERT INTO takes (storyboard, scene, take, key, ordinal, state, superseded, account, run_id, request, inputs, price,
  currency, submissions, lost_answers, created_at, submitted_at, completed_at, polls, job_id) VALUES
  ('b', 'a', 1, 'k', 1, 'in_flight', 0, 'acc', 'r', '{"model": "sora-2", "seconds": "8"}', '{}', '2.50', 'CNY', 1, 0,
   1.0, 2.0, NULL, 3, 'q1');
"""


def test_a_ledger_from_before_versions_is_brought_up_to_date_with_all_that_is_paid(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(BEFORE_VERSIONS)
    connection.close()
    ledger = Ledger.in_file(path)
    [take] = ledger.takes("b")
    assert (take.state, take.job_id, take.price, take.model, take.seconds) == (
        State.IN_FLIGHT, "q1", Decimal("2.50"), "sora-2", 8,
    )  # fmt: skip
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent())
    assert ledger.stop_mark("acc") is None and ledger.retakes("b") == {}
    ledger.close()
    assert sorted(
        p.name for p in tmp_path.iterdir() if "wal" not in p.name and "shm" not in p.name
    ) == ["ledger.db"]


def test_a_migration_that_breaks_off_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(BEFORE_VERSIONS)
        connection.execute("UPDATE takes SET request = 'not json'")
        before = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    connection.close()
    with pytest.raises(ValueError, match="Expecting value"):
        Ledger.in_file(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == before
    connection.close()


def written(ledger: Ledger, kind: sa.types.TypeEngine[Any]) -> str:
    """A column's type in SQL; PostgreSQL gives FLOAT its longer name."""
    return kind.compile(ledger._engine.dialect).replace("DOUBLE PRECISION", "FLOAT")


def test_a_take_has_a_field_for_every_column() -> None:
    assert {field.name for field in dataclasses.fields(Take)} == {
        column.name for column in TAKES.columns
    }


def test_the_tables_are_what_the_migrations_make(ledger: Ledger) -> None:
    inspector = sa.inspect(ledger._engine)
    for table in META.sorted_tables:
        name = table.name
        assert {
            (c["name"], bool(c["nullable"]), written(ledger, c["type"]))
            for c in inspector.get_columns(name)
        } == {(c.name, bool(c.nullable), written(ledger, c.type)) for c in table.columns}
        assert {tuple(one["column_names"]) for one in inspector.get_unique_constraints(name)} == {
            tuple(c.name for c in one.columns)
            for one in table.constraints
            if isinstance(one, sa.UniqueConstraint)
        }
        made = [one for one in inspector.get_indexes(name) if "duplicates_constraint" not in one]
        assert {(one["name"], tuple(one["column_names"])) for one in made} == {
            (one.name, tuple(c.name for c in one.columns)) for one in table.indexes
        }
        primary = inspector.get_pk_constraint(name)["constrained_columns"]
        assert primary == [c.name for c in table.primary_key.columns]


def test_how_long_jobs_took_is_remembered_by_model_and_length(ledger: Ledger) -> None:
    for i, (model, seconds) in enumerate([("m", 5), ("m", 5), ("m", 10), ("n", 5)]):
        take = reserve(ledger, intent(f"s{i}", f"k{i}", model=model, seconds=seconds))
        ledger.submitted(take.id, f"q{i}")
        ledger.finished(take.id, completed_at=None, expires_at=None, polls=1, watched_s=100.0 + i)
    unwatched = reserve(ledger, intent("s9", "k9", model="m", seconds=5))
    began = ledger.submitted(unwatched.id, "q9").submitted_at or 0
    ledger.finished(
        unwatched.id, completed_at=began + 3600, expires_at=None, polls=1
    )  # by a clock that is not ours
    assert ledger.durations("acc", "m", 5) == [101.0, 100.0]
    assert ledger.durations("acc", "m", 8) == [] == ledger.durations("other", "m", 5)


@pytest.mark.parametrize(
    ("kept", "read"),
    [(1_763_802_000_000.0, 1_763_802_000.0), (1e25, None), (-5.0, None), (float("inf"), None)],
)
def test_times_that_an_older_version_kept_as_they_came_are_survived(
    ledger: Ledger, kept: float, read: float | None
) -> None:
    take = reserve(ledger, intent("s", "k"))
    ledger.submitted(take.id, "q")
    ledger.finished(take.id, completed_at=kept, expires_at=kept, polls=1)
    found = ledger.take(take.id)
    assert (found.completed_at, found.expires_at) == (read, read)
    assert shown(found.completed_at) in (None, "2025-11-22T09:00:00Z")


def _race(url: str, board: str, prefix: str, slots: int, budget: str, out: Any) -> None:
    ledger = Ledger(url)
    won = 0
    for i in range(10):
        try:
            ledger.reserve(
                intent(f"{prefix}{i}", f"k{prefix}{i}", storyboard=board),
                slots=slots,
                budget=Decimal(budget),
            )
            won += 1
        except (SlotsFull, BudgetReached):
            pass
    ledger.close()
    out.put(won)


@pytest.mark.parametrize(
    ("one_board", "slots", "budget", "wins"), [(False, 7, "1000", 7), (True, 1000, "20", 8)]
)
def test_slots_and_budget_hold_between_processes(
    ledger: Ledger, one_board: bool, slots: int, budget: str, wins: int
) -> None:
    context = multiprocessing.get_context("spawn")
    out: Any = context.Queue()
    racers = [
        context.Process(
            target=_race,
            args=(ledger.url, "b" if one_board else f"b{i}", f"p{i}", slots, budget, out),
        )
        for i in range(4)
    ]
    for racer in racers:
        racer.start()
    won = sum(out.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join()
    assert won == wins


def test_one_storyboard_is_held_by_one_run(ledger: Ledger) -> None:
    other = Ledger(ledger.url)
    with ledger.held("b"), other.held("c"), pytest.raises(RunLocked), other.held("b"):
        pass
    with other.held("b"):
        pass
    other.close()


def test_an_abandoned_take_is_charged_only_if_it_may_have_been_made(ledger: Ledger) -> None:
    for scene, charged in (("a", True), ("b", False)):
        take = reserve(ledger, intent(scene))
        ledger.lost(take.id, "reset")
        ledger.abandoned(take.id, charged=charged)
    with pytest.raises(BudgetReached, match=r"2\.50 of the budget of 4\.00"):
        reserve(ledger, intent("c"), budget="4.00")
    assert reserve(ledger, intent("a")).take == 2


def test_wishes_for_more_takes_are_counted(ledger: Ledger) -> None:
    ledger.retake("b", "a", "k", 2)
    ledger.retake("b", "a", "k", 3)
    assert ledger.retakes("b") == {("a", "k"): 3}


def test_a_cool_down_holds_for_every_run_of_the_account(ledger: Ledger) -> None:
    other = Ledger(ledger.url)
    until = time.time() + 600
    ledger.cool_down("acc", until)
    with pytest.raises(CoolingDown) as caught:
        reserve(other, intent())
    assert caught.value.until == until
    assert reserve(other, intent(account="another"))
    ledger.cool_down("acc", 5.0)
    with pytest.raises(CoolingDown):  # a later, shorter wish does not end a longer one
        reserve(other, intent())
    other.close()


def test_a_clock_that_jumps_holds_nobody_for_long_and_frees_nothing(tmp_path: Path) -> None:
    clock = [1_000_000.0]
    ledger = Ledger.in_file(tmp_path / "ledger.db", now=lambda: clock[0])
    ledger.cool_down("acc", clock[0] + 30)
    ledger.stop_account("other", "no credit left")
    mark = ledger.stop_mark("other")
    clock[0] -= 50_000  # set back by half a day: the cool-down would last as long
    take = reserve(ledger, intent(), slots=1)
    assert ledger.reserve(intent("o", account="other"), slots=1, budget=None, stop_mark=mark)
    clock[0] += 500_000  # and far ahead: what is in flight stays in flight, what is paid stays paid
    with pytest.raises(SlotsFull):
        reserve(ledger, intent("b"), slots=1)
    ledger.submitted(take.id, "q")
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent())
    ledger.close()


def test_an_account_without_credit_stops_runs_under_way_but_not_later_ones(ledger: Ledger) -> None:
    ledger.stop_account("acc", "no credit left")
    with pytest.raises(Stopped, match="no credit left"):
        ledger.reserve(intent(), slots=1, budget=None, stop_mark=None)
    assert ledger.reserve(intent(), slots=1, budget=None, stop_mark=ledger.stop_mark("acc"))


def test_damage_inside_the_file_is_found_at_the_start_and_a_copy_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    made = Ledger.in_file(path)
    for i in range(200):
        reserve(made, intent(f"s{i}", f"k{i}"), slots=1000)
    made.close()
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 8 * 4096] = b"\xa5" * (5 * 4096)
    path.write_bytes(data)
    with pytest.raises(WorkspaceError, match="is damaged"):
        Ledger.in_file(path)
    assert (tmp_path / "ledger.db.damaged").read_bytes() == bytes(data)


def collected(ledger: Ledger, one: Intent) -> Any:
    take = reserve(ledger, one)
    ledger.submitted(take.id, f"q{take.id}")
    ledger.finished(take.id, completed_at=None, expires_at=None, polls=1)
    return ledger.collected(take.id, clip("x"))


def test_what_a_take_replaces_is_set_aside_when_its_clip_is_here_and_not_before(
    ledger: Ledger,
) -> None:
    old = collected(ledger, intent())
    new = reserve(ledger, intent(replaces=old.id))
    assert (new.take, new.ordinal, new.replaces) == (2, 2, old.id)
    ledger.submitted(new.id, "q")
    assert not ledger.take(old.id).superseded
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent(replaces=old.id))
    ledger.failed(new.id, "transient", None, "it broke")
    assert not ledger.take(old.id).superseded
    collected(ledger, intent(replaces=old.id))
    assert ledger.take(old.id).superseded
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent())


def test_a_take_and_its_replacement_have_one_place(ledger: Ledger) -> None:
    old = collected(ledger, intent())
    ledger.submitted(reserve(ledger, intent(replaces=old.id)).id, "q")
    reserve(ledger, intent(wanted=2))
    with pytest.raises(AlreadyPaid):
        reserve(ledger, intent(wanted=2))


def test_all_that_a_row_of_replacements_stood_for_is_set_aside(ledger: Ledger) -> None:
    old = collected(ledger, intent())
    held = reserve(ledger, intent(replaces=old.id))
    ledger.lost(held.id, "lost")
    collected(ledger, intent(replaces=held.id))
    assert ledger.take(old.id).superseded and ledger.take(held.id).superseded


BUDGETS: dict[str, dict[str, Any]] = {
    "budget": {"budget": Decimal(9)},
    "per run": {"budget": None, "caps": Caps(per_run=Decimal(9))},
    "group": {"budget": None, "caps": Caps(per_run=Decimal(9), group="r1")},
    "per day": {"budget": None, "caps": Caps(per_day=Decimal(9))},
}


@pytest.mark.parametrize("kind", BUDGETS)
def test_no_budget_is_kept_over_an_unknown_price_or_two_currencies(
    ledger: Ledger, kind: str
) -> None:
    run = "r1.x" if kind == "group" else "r1"

    def spend(scene: str, **changes: Any) -> None:
        currency = changes.pop("of", None)
        one = intent(scene, scene, run_id=run, **changes)
        ledger.reserve(one, slots=9, currency=currency, **BUDGETS[kind])

    with pytest.raises(BudgetReached, match="no price is known for m"):
        spend("a", price=None, currency=None, model="m")
    with pytest.raises(BudgetReached, match=r"costs 2\.50 USD; .* of 9 is in CNY"):
        spend("a", currency="USD", of="CNY")
    spend("a")
    with pytest.raises(BudgetReached, match="paid for in CNY before"):
        spend("b", currency="USD")
    assert [take.scene for take in ledger.takes("b")] == ["a"]


def test_a_held_take_is_not_sent_again_under_a_budget_that_cannot_hold_it(ledger: Ledger) -> None:
    one = intent(price=None, currency=None, model="m")
    held = reserve(ledger, one)
    ledger.lost(held.id, "lost")
    with pytest.raises(BudgetReached, match="no price is known"):
        ledger.resubmitted(held.id, one, budget=Decimal(9))


def test_what_was_paid_at_an_unknown_price_leaves_a_budget_unknown(ledger: Ledger) -> None:
    reserve(ledger, intent("a", "a", price=None, currency=None))
    with pytest.raises(BudgetReached, match="a price that is not known"):
        reserve(ledger, intent("b", "b"), budget="9")
