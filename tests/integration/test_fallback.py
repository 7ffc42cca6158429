"""Runs whose first model fails, against a live simulator: what is paid for, and what is used."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from storyreel.plan.make import Plan
from storyreel.report.model import RunReport
from storyreel.run import placing, planning
from storyreel.run.request import Prepared, Request
from tests import plain
from tests.server import Live

BOARD = """\
version: 1
id: b
defaults: {model: kling-v2-5-turbo, mode: std, seconds: 5, size: 720x720}
cut: {enabled: false}
scenes:
  - {id: one, prompt: first, fallback: [{mode: pro}, {model: kling-video-o1}]}
  - {id: two, prompt: second, model: kling-video-o1, mode: pro, first_frame: previous}
"""


def prepared(folder: Path, text: str = BOARD, force: tuple[str, ...] = ()) -> Prepared:
    file = folder / "b.yaml"
    file.write_text(text)
    return placing.prepare(Request(file, workspace=folder / "ws", force=force))


def plan(folder: Path, text: str = BOARD) -> Plan:
    board = prepared(folder, text)
    return planning.make_plan(board, planning.snapshot(board))


def render(folder: Path, text: str = BOARD, force: tuple[str, ...] = ()) -> RunReport:
    return plain.render(prepared(folder, text, force))


def models(api: Live) -> list[str]:
    return [job["model"] for job in api.simulator.truth["accepted"]]


def used(report: RunReport) -> dict[str, tuple[str, str]]:
    return {s.id: (s.model, str(s.status)) for s in report.scenes if s.used}


FAILS = {"on": "create", "model": "kling-v2-5-turbo", "do": "fail"}


def test_the_next_way_is_tried_after_a_failure_and_accepted_by_later_plans(
    tmp_path: Path, api: Live
) -> None:
    api.faults(FAILS)
    report = render(tmp_path)
    assert models(api) == [
        "kling-v2-5-turbo",
        "kling-v2-5-turbo",
        "kling-video-o1",
        "kling-video-o1",
    ]
    assert used(report) == {
        "one": ("kling-video-o1", "completed"),
        "two": ("kling-video-o1", "completed"),
    }
    assert report.status == "completed"
    assert not plan(tmp_path).has_work
    assert render(tmp_path).status == "completed" and len(models(api)) == 4


def test_a_refused_request_leads_to_the_next_way(tmp_path: Path, api: Live) -> None:
    refusal = (
        '{"error": {"message": "size is not supported by the model", "code": "invalid_request"}}'
    )
    api.faults({**FAILS, "do": "status", "status": 400, "body": refusal})
    assert used(render(tmp_path))["one"] == ("kling-video-o1", "completed")
    assert models(api) == ["kling-video-o1", "kling-video-o1"]


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "lose_after"},
        {"do": "status", "status": 500, "form": "json"},
        {"do": "status", "status": 502, "form": "html"},
    ],
)
def test_a_lost_answer_is_held_and_leads_nowhere(
    tmp_path: Path, api: Live, fault: dict[str, object]
) -> None:
    api.faults({**FAILS, **fault})
    for _ in range(2):
        report = render(tmp_path)
        assert [(s.id, str(s.status)) for s in report.scenes] == [
            ("one", "held"),
            ("two", "blocked"),
        ]
    assert len(models(api)) <= 1 and "kling-video-o1" not in models(api)


def test_an_empty_account_leads_nowhere(tmp_path: Path, api: Live) -> None:
    body = '{"error": {"message": "insufficient balance", "code": "insufficient_quota"}}'
    api.faults({**FAILS, "do": "status", "status": 402, "body": body})
    render(tmp_path)
    assert models(api) == []


def test_where_all_ways_fail_each_was_tried_once_and_the_next_run_begins_again(
    tmp_path: Path, api: Live
) -> None:
    api.faults({"on": "create", "do": "fail"})
    report = render(tmp_path)
    assert {str(s.status) for s in report.scenes if s.id == "one"} == {"failed"}
    assert models(api) == ["kling-v2-5-turbo", "kling-v2-5-turbo", "kling-video-o1"]
    render(tmp_path)
    assert models(api)[3:] == ["kling-v2-5-turbo", "kling-v2-5-turbo", "kling-video-o1"]


def test_a_good_clip_of_a_fallback_stays_where_a_forced_one_fails(
    tmp_path: Path, api: Live
) -> None:
    api.faults(FAILS)
    first = render(tmp_path)
    again = render(tmp_path, force=("one",))
    assert used(again)["one"] == ("kling-video-o1", "reused")
    clips = [next(s.clip for s in r.scenes if s.id == "one" and s.used) for r in (first, again)]
    assert clips[0] == clips[1]


def test_the_budget_holds_for_each_way(tmp_path: Path, api: Live) -> None:
    api.faults(FAILS)
    dear = plan(tmp_path).scene("one").dearest
    assert dear is not None
    limit = dear.high - Decimal("0.01")
    text = BOARD + f"budget: {{limit: {limit}, currency: CNY}}\n"
    report = render(tmp_path, text)
    assert "kling-video-o1" not in models(api) and "budget" in str(report.stopped)
