"""Takes that earlier versions paid for are found by this one: keys never change, and old ledgers
plan as `reuse`.

`tests/golden` was written by version 0.1.0 as of 2026-11-24: the key of every kind of request, and
the ledger of one run (as SQL; each clip in it stands for a file that holds its own path).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

from storyreel.plan.make import Action
from storyreel.run import placing, planning
from storyreel.run.request import Prepared, Request

GOLDEN = Path(__file__).parents[1] / "golden"


def prepare(tmp_path: Path, name: str) -> Prepared:
    folder = shutil.copytree(GOLDEN, tmp_path / "golden")
    return placing.prepare(Request(folder / name))


def test_every_key_is_what_it_was(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "board.yaml")
    plan = planning.make_plan(prepared, planning.snapshot(prepared))
    assert {one.scene.id: one.key for one in plan.scenes} == json.loads(
        (GOLDEN / "keys.json").read_text()
    )


def test_the_golden_board_has_every_model_and_every_kind_of_input(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "board.yaml")
    plan = planning.make_plan(prepared, planning.snapshot(prepared))
    assert {"kling-v2-5-turbo", "kling-v2-1", "kling-video-o1", "sora-2"} <= {
        one.scene.model for one in plan.scenes
    }
    kinds = {str(given.identity.kind) for one in plan.scenes for given in one.inputs.values()}
    assert kinds == {"sha256", "url", "frame", "clip", "video"}


def test_a_ledger_of_an_earlier_version_plans_as_reuse(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "film.yaml")
    workspace = prepared.workspace
    workspace.root.mkdir(parents=True)
    with sqlite3.connect(workspace.ledger_file) as connection:
        connection.executescript((GOLDEN / "ledger.sql").read_text())
        clips = [
            json.loads(text)["path"] for (text,) in connection.execute("SELECT clip FROM takes")
        ]
    connection.close()
    for path in clips:
        (workspace.root / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / path).write_text(path)
    plan = planning.make_plan(prepared, planning.snapshot(prepared))
    takes = [take for one in plan.scenes for take in one.takes]
    assert len(takes) == len(clips) == 4
    assert {take.action for take in takes} == {Action.REUSE} and plan.jobs == 0
