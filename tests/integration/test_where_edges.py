"""What is paid for is found also where ledgers, batches, names and forced takes mix."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from storyreel.errors import UsageError
from storyreel.ledger.gate import AlreadyPaid
from storyreel.ledger.rows import Intent, State
from storyreel.plan import make as making
from storyreel.report import outcome as report
from storyreel.run import batch, finishing, planning
from storyreel.run.request import Prepared, Request
from tests.clips import clip
from tests.integration.test_where import BOARD, pay, plan, prepare, write


def take_over(file: Path) -> None:
    prepared = prepare(file)
    planning.take_over(prepared, plan(prepared))


def test_a_take_that_replaced_another_stands_for_itself_where_it_is_taken_over(
    tmp_path: Path,
) -> None:
    old = prepare(write(tmp_path, "old.yaml", "id: old\n" + BOARD, named="p"))
    pay(old)
    with closing(sqlite3.connect(old.workspace.ledger_file)) as rows, rows:
        # as after --force: the take in use replaces one that is set aside, by its number in that
        # ledger
        rows.execute("update takes set id = id + 10")
        rows.execute("update takes set replaces = 1")
    new = write(tmp_path, "new.yaml", "id: new\n" + BOARD)
    take_over(new)
    with closing(prepare(new).open_ledger()) as ledger:
        assert [take.replaces for take in ledger.takes("new")] == [None, None]
    assert plan(prepare(new)).jobs == 0


def test_a_ledger_whose_takes_replace_themselves_is_survived(tmp_path: Path) -> None:
    prepared = prepare(write(tmp_path, named="p"))
    pay(prepared)
    with closing(sqlite3.connect(prepared.workspace.ledger_file)) as rows, rows:
        rows.execute("update takes set replaces = id")
    assert plan(prepare(prepared.request.storyboard)).jobs == 0
    with closing(prepared.open_ledger()) as ledger:
        assert (
            ledger.collected(1, clip(**{"path": "clips/one/take-1.mp4"})).state is State.COLLECTED
        )
        one = ledger.take(1)
        again = Intent("board", "one", one.key, "acc", "r2", {}, {}, Decimal(4), "CNY", wanted=1)
        with pytest.raises(AlreadyPaid):
            ledger.reserve(again, slots=5, budget=None)


def test_a_project_and_its_storyboard_may_both_be_renamed(tmp_path: Path) -> None:
    file = write(tmp_path, named="before")
    pay(prepare(file))
    write(tmp_path, text="id: another\n" + BOARD, named="after")
    assert plan(prepare(file)).jobs == 0


def test_another_projects_clips_in_one_folder_of_workspaces_stay_its_own(tmp_path: Path) -> None:
    pay(prepare(write(tmp_path / "a", text="id: a\n" + BOARD, named="a")))
    mine = write(tmp_path / "b", text="id: b\n" + BOARD, named="b")
    shutil.copytree(tmp_path / "a/runs/a", tmp_path / "b/runs/a")
    with closing(sqlite3.connect(tmp_path / "b/runs/a/ledger.db")):
        (tmp_path / "b/runs/a/.storyboard").write_text(
            (tmp_path / "a/runs/a/.storyboard").read_text().replace("../../", f"{tmp_path}/a/")
        )
    assert plan(prepare(mine)).jobs == 2


def rows_of(file: Path, folder: Path) -> list[Prepared]:
    table = [batch.Row(2, "x", {})]
    return [prepared for _, prepared, _ in batch.prepare(Request(file), table, folder)]


def test_what_a_batch_paid_for_is_found_from_another_folder_and_by_a_film_alone(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, named="p")
    (row,) = rows_of(file, tmp_path / "far" / "away")
    pay(row)
    (again,) = rows_of(file, tmp_path / "runs" / "board-batch")
    assert plan(again).jobs == 0
    assert plan(prepare(file)).jobs == 0


def test_and_in_the_usual_folder_of_a_batch(tmp_path: Path) -> None:
    file = write(tmp_path, named="p")
    (row,) = rows_of(file, tmp_path / "runs" / "board-batch")
    pay(row)
    assert plan(prepare(file)).jobs == 0


def test_less_than_what_was_agreed_to_may_be_paid_for_but_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path, named="p")
    agreed = making.agreement(plan(prepare(file)))
    pay(prepare(write(tmp_path, "other.yaml", "id: other\n" + BOARD.replace("scene two", "else"))))
    less = plan(prepare(file))
    assert less.jobs == 1 and making.keeps_to(less, agreed)
    assert not making.keeps_to(plan(prepare(file)), making.agreement(less).replace(":", ":0"))
    write(tmp_path, text=BOARD.replace("  - {id: two, prompt: scene two}\n", ""))
    assert not making.keeps_to(plan(prepare(file)), agreed)


def test_what_is_in_flight_elsewhere_is_held_with_a_command_that_can_be_typed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "my film"
    pay(prepare(write(folder, "old.yaml", "id: old\n" + BOARD, named="p")), State.IN_FLIGHT)
    planned = plan(prepare(write(folder, "new.yaml", "id: new\n" + BOARD)))
    (outcome,) = report.as_it_is(planned.scenes[0])
    assert (
        outcome.status == "held"
        and outcome.fix == f"storyreel rescue '{folder}/runs/old', then run again"
    )


def test_a_film_is_cut_from_the_clip_that_is_here_while_its_successor_is_made(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, named="p")
    pay(prepare(file))
    with closing(sqlite3.connect(prepare(file).workspace.ledger_file)) as rows, rows:
        columns = [name for _, name, *_ in rows.execute("pragma table_info(takes)") if name != "id"]
        new = {
            "take": "2",
            "ordinal": "2",
            "replaces": "1",
            "state": "'in_flight'",
            "job_id": "'j'",
        }
        values = ", ".join(new.get(name, name) for name in columns)
        rows.execute(
            f"insert into takes ({', '.join(columns)}) select {values} from takes where id = 1"
        )
    planned = plan(prepare(file))
    assert planned.scene("one").action is making.Action.RESUME
    assert [take.id if take else None for _, take in finishing.shown(planned)] == [1, 2]


def test_a_renamed_project_on_a_shared_ledger_is_refused_for_a_renamed_storyboard_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYREEL_DATABASE_URL", f"sqlite:///{tmp_path}/shared.db")
    pay(prepare(write(tmp_path / "a", named="before")))
    file = write(tmp_path / "a", "new.yaml", "id: new\n" + BOARD, named="after")
    with pytest.raises(UsageError, match="under the project `before`"):
        prepare(file)
    prepare(write(tmp_path / "b", named="after"))
