"""What `storyreel init` writes: named after its folder, and fit for a first real run with nothing
but a key.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.cli import starter
from storyreel.cli.main import main
from storyreel.manifest.storyboard import Storyboard
from storyreel.run import checks, placing, planning
from storyreel.run.request import Request


def written(folder: Path) -> Storyboard:
    return manifest.load(starter.write(folder), catalog.load())


@pytest.mark.parametrize(
    ("name", "board_id", "title"),
    [
        ("film", "film", "Film"),
        ("My summer_film", "my-summer-film", "My summer film"),
        ("Café #1: $x", "cafe-1-x", "Café #1: $x"),
        ("2026", "2026", "2026"),
        ("true", "true", "True"),
        ("Ночь", "noch", "Ночь"),
        ("夜の灯台", "ye-nodeng-tai", "夜の灯台"),
        ("\U0001f3ac", "film", "\U0001f3ac"),
        ('a "quoted" one', "a-quoted-one", 'A "quoted" one'),
        ("x" * 100, "x" * 63, "X" + "x" * 99),
    ],
)
def test_ids_titles_and_deployments_are_named_after_the_folder(
    tmp_path: Path, name: str, board_id: str, title: str
) -> None:
    board = written(tmp_path / name)
    assert (board.id, board.title) == (board_id, title)
    assert YAML(typ="safe").load(tmp_path / name / "prefect.yaml")["name"] == board_id


def test_two_projects_share_no_name(tmp_path: Path) -> None:
    assert written(tmp_path / "one").id != written(tmp_path / "two").id


def test_the_starter_needs_nothing_but_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    path = starter.write(tmp_path / "film")
    assert main(["validate", str(path)]) == 0
    assert capsys.readouterr().err == "", "no warning either"
    prepared = placing.prepare(Request(path))
    planned = planning.make_plan(prepared, planning.snapshot(prepared))
    checks.check_ready(prepared, planned)
    ((currency, (_, high)),) = planned.cost().items()
    budget = prepared.storyboard.budget
    assert (
        planned.jobs == 3
        and budget is not None
        and budget.currency == currency
        and high < budget.limit
    )


def test_what_to_type_next_can_be_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "My film")]) == 0
    assert f"'{tmp_path}/My film/storyboard.yaml' --simulate" in capsys.readouterr().out
