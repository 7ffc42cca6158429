"""Results are found wherever a command is run from, and whatever their storyboard was called."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from storyreel.errors import UsageError, WorkspaceError
from storyreel.ledger.rows import Intent, State
from storyreel.plan.make import Action, Plan
from storyreel.run import checks, placing, planning
from storyreel.run.request import Prepared, Request
from storyreel.workspace import project
from storyreel.workspace.settings import Settings
from tests.clips import clip

BOARD = """\
version: 1
defaults: {model: kling-video-o1, seconds: 5, size: 1920x1080}
scenes:
  - {id: one, prompt: scene one}
  - {id: two, prompt: scene two}
"""


def write(
    folder: Path, name: str = "board.yaml", text: str = BOARD, named: str | None = None
) -> Path:
    """A storyboard, and with `named` a prefect.yaml of that name beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    if named is not None:
        (folder / "prefect.yaml").write_text(f"name: {named}\n")
    return folder / name


def prepare(file: Path, **options: Any) -> Prepared:
    return placing.prepare(Request(file, **options))


def plan(prepared: Prepared) -> Plan:
    return planning.make_plan(prepared, planning.snapshot(prepared))


def pay(prepared: Prepared, state: State = State.COLLECTED) -> None:
    """Make every take of the plan, as a run would, without a server."""
    prepared.workspace.require_owner(prepared.owner)
    prepared.workspace.prepare(prepared.owner)
    prepared.project.remember(prepared.workspace.root)
    with closing(prepared.open_ledger()) as ledger:
        for one in plan(prepared).scenes:
            intent = Intent(
                prepared.storyboard.id, one.scene.id, one.key, "acc", "r1", {"prompt": one.scene.prompt}, {},
                Decimal("4.00"), "CNY", endpoint="https://api.example/v1",
            )  # fmt: skip
            take = ledger.reserve(intent, slots=9, budget=None)
            ledger.submitted(take.id, f"q-{one.scene.id}-{prepared.storyboard.id}")
            if state is State.COLLECTED:
                path = prepared.workspace.clip(one.scene.id, take.take)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(one.scene.prompt.encode())
                facts = {"bytes": len(one.scene.prompt), "mtime_ns": path.stat().st_mtime_ns}
                ledger.collected(take.id, clip(prepared.workspace.relative(path), **facts))


def actions(prepared: Prepared) -> set[Action]:
    return {one.action for one in plan(prepared).scenes}


def test_the_results_are_the_projects_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "film/boards", named=None)
    (tmp_path / "film/prefect.yaml").write_text("name: film\n")
    for place in (tmp_path, tmp_path / "film", tmp_path / "film/boards"):
        monkeypatch.chdir(place)
        prepared = prepare(file.relative_to(place))
        assert prepared.workspace.root == tmp_path / "film/runs/board"
        assert prepared.project.name == "film"


def test_without_a_prefect_yaml_they_are_beside_the_storyboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert prepare(file).workspace.root == tmp_path / "a/runs/board"
    assert prepare(file, simulate=True).workspace.root == tmp_path / "a/runs/board.simulated"
    monkeypatch.setenv("STORYREEL_WORKSPACE", str(tmp_path / "srv"))
    assert prepare(file).workspace.root == tmp_path / "srv/board"
    monkeypatch.setenv("STORYREEL_WORKSPACE", "s3://bucket/prefix")
    with pytest.raises(UsageError, match="is not a folder"):
        prepare(file)


def test_a_folder_that_is_a_link_leads_to_the_same_results(tmp_path: Path) -> None:
    file = write(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert prepare(tmp_path / "link/board.yaml").workspace.root == prepare(file).workspace.root


def test_a_workspace_of_an_earlier_version_is_used_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "film", named="film")
    monkeypatch.chdir(tmp_path)
    pay(prepare(file, workspace=Path("runs/board")))
    (tmp_path / "runs/board/.storyboard").write_text("board")  # as earlier versions wrote it
    for place in (tmp_path, tmp_path / "film"):
        monkeypatch.chdir(place)
        prepared = prepare(file)
        assert (
            prepared.workspace.root == tmp_path / "runs/board"
            and "earlier version" in prepared.note
        )
        assert actions(prepared) == {Action.REUSE}


@pytest.mark.parametrize("change", ["id", "name", "copy", "workspace", "folder"])
def test_what_is_paid_for_under_another_name_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file, options = write(tmp_path / "film", named="film"), {}
    pay(prepare(file))
    match change:
        case "id":
            file.write_text(BOARD.replace("version: 1", "version: 1\nid: other"))
        case "name":
            file = file.rename(file.with_name("other.yaml"))
        case "copy":
            file = write(tmp_path / "film/sub", "copy.yaml")
        case "workspace":
            options = {"workspace": tmp_path / "ws"}
        case "folder":
            monkeypatch.setenv("STORYREEL_WORKSPACE", str(tmp_path / "srv"))
    prepared = prepare(file, **options)
    planned = plan(prepared)
    assert planned.jobs == 0 and not planned.has_work
    assert {one.action for one in planned.scenes} == {Action.REUSE}
    assert "taken from scene `one` of storyboard `board`" in planned.scenes[0].reason
    assert not prepared.workspace.root.exists(), "looking makes nothing"
    after = planning.take_over(prepared, planned)
    assert [one.reason for one in after.scenes] == ["unchanged", "unchanged"]
    taken = after.scenes[0].takes[0].row
    assert taken is not None and taken.submissions == 0 and taken.clip is not None
    assert (prepared.workspace.root / taken.clip.path).read_bytes() == b"scene one"
    shutil.rmtree(tmp_path / "film/runs/board", ignore_errors=True)
    assert actions(prepared) == {Action.REUSE}, "it stands by itself"


def test_and_from_a_workspace_that_was_named_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path / "film", named="film")
    pay(prepare(file, workspace=tmp_path / "elsewhere"))
    assert actions(prepare(file)) == {Action.REUSE}
    other = write(tmp_path / "film", "other.yaml")
    assert actions(prepare(other)) == {Action.SUBMIT}, "another storyboard's own place is its own"


def test_a_job_that_is_in_flight_under_another_name_is_not_made_again(tmp_path: Path) -> None:
    file = write(tmp_path / "film", named="film")
    pay(prepare(file), State.IN_FLIGHT)
    other = prepare(write(tmp_path / "film", "other.yaml"))
    planned = plan(other)
    assert planned.jobs == 0 and {one.action for one in planned.scenes} == {Action.HELD}
    assert (
        "storyreel rescue" in planned.scenes[0].reason and "runs/board" in planned.scenes[0].reason
    )


def test_takes_that_differ_are_made(tmp_path: Path) -> None:
    pay(prepare(write(tmp_path / "film", named="film")))
    other = write(tmp_path / "film", "other.yaml", BOARD.replace("scene two", "another scene"))
    assert [one.action for one in plan(prepare(other)).scenes] == [Action.REUSE, Action.SUBMIT]


def test_a_workspace_refuses_another_storyboard(tmp_path: Path) -> None:
    pay(prepare(write(tmp_path / "film/a", named=None), workspace=tmp_path / "ws"))
    other = write(tmp_path / "film/b")
    with pytest.raises(WorkspaceError, match="another storyboard"):
        prepare(other, workspace=tmp_path / "ws")
    (tmp_path / "film/a/board.yaml").unlink()
    assert prepare(other, workspace=tmp_path / "ws"), "the file is gone: it was moved"


def test_two_storyboards_of_one_id_in_a_project_do_not_share_a_film(tmp_path: Path) -> None:
    first, second = write(tmp_path / "film/a"), write(tmp_path / "film/b")
    (tmp_path / "film/prefect.yaml").write_text("name: film\n")
    pay(prepare(first))
    with pytest.raises(WorkspaceError, match="another storyboard") as caught:
        prepare(second)
    assert "another `id:`" in (caught.value.fix or "")


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_a_rehearsal_and_a_paid_run_never_share_a_workspace(
    tmp_path: Path, simulated: bool, old: bool
) -> None:
    file, place = write(tmp_path / "film"), tmp_path / "ws"
    pay(prepare(file, workspace=place, simulate=simulated))
    if old:
        (place / ".storyboard").write_text("board")
        (place / "report").mkdir()
        (place / "report/report.json").write_text(json.dumps({"simulated": simulated}))
    with pytest.raises(WorkspaceError, match="never share one"):
        prepare(file, workspace=place, simulate=not simulated)
    assert prepare(file, workspace=place, simulate=simulated)


def test_a_rehearsals_clip_is_never_taken_over(tmp_path: Path) -> None:
    file = write(tmp_path / "film")
    pay(prepare(file, simulate=True))
    assert actions(prepare(file)) == {Action.SUBMIT}
    pay(prepare(file, workspace=tmp_path / "film/runs/x", simulate=True))
    assert actions(prepare(file)) == {Action.SUBMIT}


def test_projects_share_a_ledger_and_not_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYREEL_DATABASE_URL", f"sqlite:///{tmp_path / 'shared.db'}")
    alice, bob = (write(tmp_path / who, named=who) for who in ("alice", "bob"))
    pay(prepare(alice))
    assert actions(prepare(alice)) == {Action.REUSE}
    assert actions(prepare(bob)) == {Action.SUBMIT}
    pay(prepare(bob))
    with closing(prepare(alice).open_ledger()) as ledger:
        assert ledger.projects() == ["alice", "bob"] and len(ledger.takes("board")) == 2
    (alice.parent / "prefect.yaml").write_text("name: renamed\n")
    with pytest.raises(UsageError, match="under the project `alice`"):
        prepare(alice)
    monkeypatch.setenv("STORYREEL_PROJECT", "alice")
    assert actions(prepare(alice)) == {Action.REUSE}


def test_without_a_name_for_the_project_only_the_same_files_takes_are_taken_from_a_shared_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYREEL_DATABASE_URL", f"sqlite:///{tmp_path / 'shared.db'}")
    file = write(tmp_path / "film")
    pay(prepare(file))
    assert actions(prepare(write(tmp_path / "film", "other.yaml"))) == {Action.SUBMIT}
    file.write_text(BOARD.replace("version: 1", "version: 1\nid: renamed"))
    assert actions(prepare(file)) == {Action.REUSE}


def test_rows_from_before_projects_are_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYREEL_DATABASE_URL", f"sqlite:///{tmp_path / 'shared.db'}")
    file = write(tmp_path / "film", named="film")
    pay(prepare(file))
    with sqlite3.connect(tmp_path / "shared.db") as connection:
        connection.execute("UPDATE takes SET project = ''")
    connection.close()
    assert actions(prepare(file)) == {Action.REUSE}


def test_results_can_be_looked_at_without_the_right_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "film")
    pay(prepare(file))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    before = sorted(path.name for path in (tmp_path / "film/runs/board").iterdir())
    assert actions(prepare(file)) == {Action.REUSE}
    assert sorted(path.name for path in (tmp_path / "film/runs/board").iterdir()) == before


def test_a_paid_run_in_a_workers_temporary_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    file = write(tmp_path / "tmpabc123prefect/repository", named="film")
    prepared = prepare(file)
    with pytest.raises(UsageError, match="deletes after this run") as caught:
        checks.check_ready(prepared, plan(prepared))
    assert "STORYREEL_WORKSPACE" in (caught.value.fix or "")
    monkeypatch.setenv("STORYREEL_WORKSPACE", str(tmp_path / "srv"))
    prepared = prepare(file)
    checks.check_ready(prepared, plan(prepared))
    rehearsed = dataclasses.replace(prepared, request=Request(file, simulate=True))
    checks.check_ready(rehearsed, plan(rehearsed))


@pytest.mark.parametrize("text", ["", "[", "- a\n", "name: 7\n", "name:\n", "\x00"])
def test_a_prefect_yaml_that_cannot_be_read_still_marks_the_project(
    tmp_path: Path, text: str
) -> None:
    file = write(tmp_path / "film/boards")
    (tmp_path / "film/prefect.yaml").write_text(text)
    found = project.find(file, Settings())
    assert found.folder == tmp_path / "film" and found.name in ("", "7")
