"""A batch whose rows share a clip: what another row made meanwhile is taken over, and no row is
refused for it.
"""

from __future__ import annotations

from tests.flows.conftest import Project

BOARD = """\
version: 1
vars: {name: x}
defaults: {model: kling-video-o1, seconds: 5, size: 1920x1080}
scenes:
  - {id: same, prompt: the same for all}
  - {id: own, prompt: "${name} alone"}
cut: {enabled: false}
"""


def test_rows_that_share_a_clip_pay_for_it_once_where_they_run_one_after_the_other(
    project: Project,
) -> None:
    project.write(BOARD)
    (project.folder / "rows.csv").write_text("id,name\na,Ada\nb,Bo\n")
    project.storyreel("batch", "board.yaml", "rows.csv", "--yes", "--parallel", "1")
    assert sorted(project.api.accepted) == ["Ada alone", "Bo alone", "the same for all"]
    project.storyreel("batch", "board.yaml", "rows.csv", "--yes", "--workspace", "elsewhere")
    assert len(project.api.accepted) == 3
