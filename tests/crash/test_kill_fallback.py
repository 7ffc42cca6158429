"""kill -9 while a fallback takes the place of a model that failed: each way is paid for once."""

from __future__ import annotations

import json
import queue
import random
from collections import Counter

import pytest

from storyreel.simulator.app import account_of
from tests.crash.killing import Board, Nursery, kill_at

BOARD = Board(
    '  - {id: a, prompt: "a", fallback: [{model: spare}]}\n'
    '  - {id: b, prompt: "b", first_frame: previous}\n',
    {"a": 2, "b": 1},
    here=True,
)
ONCE = {("a", "sora-2"): 1, ("a", "spare"): 1, ("b", "sora-2"): 1}
NUMBER = 50_000


def check(nursery: Nursery, board: Board, number: int, die_at: int) -> str | None:
    """Kill a run at a point and run it again; return what is wrong."""
    where = f"point {die_at}"
    nursery.run(board, number, die_at)
    last = nursery.run(board, number, -1)
    if last["exit"] != 0:
        return f"{where}: the run after it failed with {last}"
    account = account_of(f"k{number}")
    accepted = nursery.api.simulator.truth["accepted"]
    jobs = Counter((j["prompt"], j["model"]) for j in accepted if j["account"] == account)
    workspace = nursery.folder / f"run-{number}"
    report = json.loads((workspace / "report/report.json").read_text())
    states = {s["id"]: s["status"] for s in report["scenes"] if s["used"] or s["status"] == "held"}
    if any(count > 1 for count in jobs.values()):
        return f"{where}: paid twice: {jobs}"
    if "held" not in states.values() and (jobs != ONCE or set(states) != {"a", "b"}):
        return f"{where}: {jobs}, {states}"
    used = [s["clip"]["path"] for s in report["scenes"] if s["used"] and s["clip"]]
    lost = [path for path in used if not (workspace / path).exists()]
    return f"{where}: lost {lost}" if lost else None


@pytest.mark.timeout(900)
def test_each_way_is_paid_for_once_at_whatever_point_a_run_dies(
    nurseries: queue.Queue[Nursery],
) -> None:
    nursery = nurseries.get()
    nursery.api.faults({"on": "create", "model": "sora-2", "prompt": "^a$", "do": "fail"})
    count = nursery.run(BOARD, NUMBER, -1)["points"]
    nurseries.put(nursery)
    draw = random.Random(19)
    points = draw.sample(range(1, count + 1), 30)
    cases = [(BOARD, NUMBER + 1 + i, point) for i, point in enumerate(points)]
    assert kill_at(nurseries, cases, check) == []
