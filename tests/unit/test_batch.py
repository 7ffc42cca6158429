"""A table of films: what is wrong with it is said by row and column, before anything is spent."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from storyreel.errors import UsageError
from storyreel.run import batch
from storyreel.run.batch import BadRows
from storyreel.run.request import Request

BOARD = """\
version: 1
title: "${name}"
defaults: {model: kling-video-o1}
vars: {name: x, place: a harbour}
scenes:
  - {id: one, prompt: "${name} in ${place}"}
  - {id: two, prompt: "${name}, close", first_frame: previous}
"""


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    return tmp_path / "rows.csv"


def prepared(tmp_path: Path, text: str) -> list[tuple[str, str, str]]:
    (tmp_path / "film.yaml").write_text(BOARD)
    rows = batch.read(table(tmp_path, text))
    made = batch.prepare(Request(tmp_path / "film.yaml"), rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return [
        (p.storyboard.id, p.storyboard.title, p.storyboard.scenes[0].prompt) for _, p, _ in made
    ]


def test_each_row_is_a_film_of_its_own(tmp_path: Path) -> None:
    assert prepared(tmp_path, "id,name\nFirst One,守\nb,Second\n,\n") == [
        ("film-first-one", "守", "守 in a harbour"),
        ("film-b", "Second", "Second in a harbour"),
    ]


def test_without_ids_films_are_named_by_their_row(tmp_path: Path) -> None:
    assert [name for name, _, _ in prepared(tmp_path, "name,place\na,here\nb,there\n")] == [
        "film-2",
        "film-3",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,name\na,\n", ["row 2, column `name`: empty"]),
        ("id,name\na,x\nA,y\n", ["rows 2, 3, column `id`: `a` is there 2 times"]),
        (
            "id,nam\na,x\n",
            ["column `nam`: the storyboard has no variable of that name; it has `name`, `place`"],
        ),
        ("id,name\n守,x\n", ["row 2, column `id`: `守` gives no name; use letters a-z and digits"]),
        ("id,name,name\na,x,y\n", ["column `name.1` is there twice"]),
    ],
)
def test_faults_are_named_by_row_and_column(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(BadRows) as caught:
        prepared(tmp_path, text)
    assert list(caught.value.lines) == words


def test_a_row_that_makes_the_storyboard_faulty_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows) as caught:
        prepared(tmp_path, f"id,name\na,x\nb,{'y' * 2500}\n")
    assert len(caught.value.lines) == 2 and all(
        line.startswith("row 3: ") for line in caught.value.lines
    )


@pytest.mark.parametrize("text", ["", "id,name\n", "id,name\n,\n"])
def test_a_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        batch.read(table(tmp_path, text))


def test_spreadsheets_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"id": ["a", "b"], "name": ["守", "x"], "count": [1, 2]})
    frame.to_excel(tmp_path / "rows.xlsx", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = [batch.read(tmp_path / f"rows.{kind}") for kind in ("csv", "xlsx", "parquet")]
    assert found[0] == found[1] == found[2]
    assert found[0][0].variables == {"id": "a", "name": "守", "count": "1"}
    with pytest.raises(UsageError, match="is not a table"):
        batch.read(tmp_path / "rows.txt")
