"""A batch: a film a row, one ledger, one budget, doing again only what is left."""

from __future__ import annotations

import pandas

from tests.flows.conftest import Project

TEMPLATE = """\
version: 1
title: "${name}"
defaults: {model: kling-video-o1, seconds: 5, size: 1080x1080}
vars: {name: x}
scenes:
  - {id: one, prompt: "${name} alone"}
"""


def test_a_batch_renders_each_row_within_one_budget_and_goes_on_where_it_was(
    project: Project,
) -> None:
    project.write(TEMPLATE)
    (project.folder / "rows.csv").write_text("id,name\na,Ada\nb,Bo\nc,Cy\n")
    refused = project.storyreel("batch", "board.yaml", "rows.csv", code=2)
    assert "3 films, 3 jobs, about 12.00 CNY" in refused.stderr and project.api.accepted == []
    stopped = project.storyreel(
        "batch", "board.yaml", "rows.csv", "--yes", "--budget", "8", "--parallel", "2", code=1
    )
    assert "2 of 3 rows completed" in stopped.stdout
    assert len(project.api.accepted) == 2
    done = project.storyreel("batch", "board.yaml", "rows.csv", "--yes")
    assert "3 of 3 rows completed" in done.stdout
    assert sorted(project.api.accepted) == ["Ada alone", "Bo alone", "Cy alone"]
    folder = project.folder / "runs/board-batch"
    frame = pandas.read_csv(folder / "summary.csv")
    assert list(frame["row"]) == ["a", "b", "c"] and set(frame["status"]) == {"completed"}
    assert all(
        (folder / film).exists() for film in [*frame["film"], *frame["report"], "summary.html"]
    )
    assert [p.name for p in folder.rglob("ledger.db")] == ["ledger.db"]
    clip = folder / "a/clips/one/take-1.mp4"
    clip.unlink()
    assert "fetched" in project.storyreel("rescue", "runs").stdout and clip.exists()
    assert (
        "nothing was sent"
        in project.storyreel("batch", "board.yaml", "rows.csv", "--var", "nam=x", code=2).stderr
    )


def test_the_rows_of_a_rehearsal_share_one_simulator(project: Project) -> None:
    project.write(TEMPLATE)
    (project.folder / "rows.csv").write_text("id,name\na,Ada\nb,Bo\n")
    assert (
        "2 of 2 rows completed"
        in project.storyreel("batch", "board.yaml", "rows.csv", "--simulate").stdout
    )
    folder = project.folder / "runs/board-batch.simulated"
    assert [path.parent for path in folder.rglob(".simulator")] == [folder]
    assert project.api.accepted == []
