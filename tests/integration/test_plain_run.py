"""A run by plain steps, without Prefect, against a live simulator."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from storyreel.errors import DeadlinePassed
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State, Take
from storyreel.report.model import RunReport
from storyreel.run import finishing, placing, planning
from storyreel.run.request import Request
from storyreel.run.steps import PlainSteps
from tests import plain
from tests.server import Live

BOARD = """\
version: 1
id: b
defaults: {model: kling-video-o1, seconds: 5, size: 1080x1080}
scenes:
  - {id: one, prompt: "PROMPT"}
"""


class NeverWaits(PlainSteps):
    """Steps of a run whose jobs are still in flight when it ends."""

    async def wait(self, take: Take) -> Take:
        raise DeadlinePassed("not finished")


def render(folder: Path, prompt: str, steps: type[PlainSteps] = PlainSteps) -> RunReport:
    """Run the board with this prompt."""
    file = folder / "b.yaml"
    file.write_text(BOARD.replace("PROMPT", prompt))
    prepared = placing.prepare(Request(file, workspace=folder / "ws"))
    return plain.render(prepared, f"run of {prompt}", steps)


def takes(folder: Path) -> list[Take]:
    with closing(Ledger.in_file(folder / "ws" / "ledger.db")) as ledger:
        return ledger.takes("b")


def test_a_run_needs_no_prefect(tmp_path: Path, api: Live) -> None:
    report = render(tmp_path, "first")
    assert report.status == "completed" and report.cut is not None and report.warnings == []
    assert (tmp_path / "ws/final.mp4").exists() and (tmp_path / "ws/report/report.html").exists()


def test_a_clip_whose_prompt_was_edited_while_its_job_was_in_flight_is_collected(
    tmp_path: Path, api: Live
) -> None:
    assert render(tmp_path, "first", NeverWaits).status == "failed"
    report = render(tmp_path, "second")
    assert report.status == "completed" and report.warnings == []
    assert [(take.run_id, take.state) for take in takes(tmp_path)] == [
        ("run of first", State.COLLECTED),
        ("run of second", State.COLLECTED),
    ]
    assert [scene.take for scene in report.scenes] == [2], "only the plan's own take is shown"
    assert render(tmp_path, "first").scenes[0].status == "reused"
    assert api.accepted == ["first", "second"]


def test_a_job_that_no_plan_names_is_a_warning_where_no_run_has_anything_to_do(
    tmp_path: Path, api: Live
) -> None:
    render(tmp_path, "first", NeverWaits)
    render(tmp_path, "second")
    render(tmp_path, "third", NeverWaits)
    (tmp_path / "b.yaml").write_text(BOARD.replace("PROMPT", "second"))
    prepared = placing.prepare(Request(tmp_path / "b.yaml", workspace=tmp_path / "ws"))
    plan = planning.make_plan(prepared, planning.snapshot(prepared))
    assert not plan.has_work
    (warning,) = finishing.finish(prepared, plan).warnings
    assert "one take 3, not in this plan" in warning and "storyreel rescue b.yaml" in warning


def test_a_clip_of_an_earlier_plan_that_is_gone_is_a_warning_said_once(
    tmp_path: Path, api: Live
) -> None:
    render(tmp_path, "first", NeverWaits)
    api.faults({"on": "content", "prompt": "first", "do": "status", "status": 404})
    report = render(tmp_path, "second")
    (warning,) = report.warnings
    assert (
        report.status == "completed"
        and report.cut
        and "one take 1, not in this plan: gone" in warning
    )
    assert render(tmp_path, "third").warnings == []


def test_a_job_of_an_earlier_plan_that_is_not_known_is_left_as_it_is(
    tmp_path: Path, api: Live
) -> None:
    render(tmp_path, "first", NeverWaits)
    api.faults(
        {
            "on": "retrieve",
            "prompt": "first",
            "do": "status",
            "status": 404,
            "body": '{"error": {"message": "video not found"}}',
        }
    )
    report = render(tmp_path, "second")
    assert report.status == "completed" and "storyreel rescue" in report.warnings[0]
    assert takes(tmp_path)[0].state is State.IN_FLIGHT
