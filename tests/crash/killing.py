"""Kill a run at a point, run it again, and look at what the server, the ledger and the disk say."""

from __future__ import annotations

import json
import queue
import random
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State
from storyreel.simulator.app import account_of
from tests.crash.nursery import KILLED
from tests.server import Live

SMALL = "160x288"

HEAD = """\
version: 1
id: board{n}
defaults: {{model: sora-2, seconds: 4, size: 160x288}}
cut: {{enabled: {cut}}}
scenes:
"""
# A chain, two takes, a remix, and one that stands alone.
FOUR = """\
  - {id: a, prompt: "a", takes: 2}
  - {id: b, prompt: "b", first_frame: previous}
  - {id: c, prompt: "c", remix_of: a}
  - {id: d, prompt: "d"}
"""
FORCED = ("a", "d")
SURELY_REACHED = (
    200  # how many points there are differs a little from run to run: a poll more or less
)
HELD_SOMEWHERE: set[str] = set()


@dataclass(frozen=True)
class Board:
    """A storyboard, and how many jobs each of its scenes needs."""

    scenes: str
    wanted: dict[str, int]
    cut: str = "false"
    ledger: str | None = None
    here: bool = False  # nothing of it in processes of its own

    def text(self, number: int) -> str:
        return HEAD.format(n=number, cut=self.cut) + self.scenes


SMALL_BOARD = Board(FOUR, {"a": 2, "b": 1, "c": 1, "d": 1}, here=True)


def drawn(seed: int) -> Board:
    """A board of six to twelve scenes, each after what chance says, with takes and remixes among
    them.
    """
    draw = random.Random(seed)
    lines, wanted = [], {}
    for i in range(draw.randint(6, 12)):
        above = f"s{draw.randrange(i)}" if i and draw.random() < 0.6 else None
        how = draw.choice(
            ["first_frame: {scene: %s}", "end_frame: {scene: %s, frame: first}", "remix_of: %s"]
        )
        if above and how.startswith("end_frame"):
            how = "first_frame: {scene: %s, frame: first}"
        wanted[f"s{i}"] = draw.choice([1, 1, 1, 2, 3])
        needs = f", {how % above}" if above else ""
        lines.append(f'  - {{id: s{i}, prompt: "s{i}", takes: {wanted[f"s{i}"]}{needs}}}\n')
    return Board("".join(lines), wanted, cut=draw.choice(["true", "false"]))


@dataclass
class Nursery:
    """A process that forks runs, and the folder they work in."""

    process: subprocess.Popen[str]
    folder: Path
    api: Live

    def run(
        self,
        board: Board,
        number: int,
        die_at: int,
        *,
        watch: bool = False,
        force: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Run a board until the point `die_at`, -1 for its end.

        `watch`: also the durable state at each point, as a number.
        """
        file = self.folder / f"board-{number}.yaml"
        file.write_text(board.text(number))
        order = {
            "board": str(file), "workspace": str(self.folder / f"run-{number}"), "die_at": die_at, "watch": watch,
            "catalog": str(self.folder / "small.yaml"), "here": board.here, "force": force,
            "environment": {
                "OPENAI_BASE_URL": self.api.url, "OPENAI_API_KEY": f"k{number}", "STORYREEL_TIME_SCALE": "0.0001",
                **({"STORYREEL_DATABASE_URL": board.ledger} if board.ledger else {}),
            },
        }  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def accepted(api: Live, number: int) -> Counter[str]:
    """How many jobs the server took for each scene of a run: what would have to be paid."""
    mine = account_of(f"k{number}")
    return Counter(
        job["prompt"] for job in api.simulator.truth["accepted"] if job["account"] == mine
    )


def check(nursery: Nursery, board: Board, number: int, die_at: int) -> str | None:
    """Kill a run at a point, run it again to its end, and look at the server's side; returns what
    is wrong.
    """
    where = f"board {number}, point {die_at}"
    first = nursery.run(board, number, die_at)
    if first["exit"] != KILLED and die_at <= SURELY_REACHED:
        return f"{where}: the run was not killed but ended with {first}"
    second = nursery.run(board, number, -1)
    if second["exit"] != 0:
        return f"{where}: the run after it failed with {second}"
    workspace = nursery.folder / f"run-{number}"
    jobs = accepted(nursery.api, number)
    report = json.loads((workspace / "report/report.json").read_text())
    held = {s["id"] for s in report["scenes"] if s["status"] == "held"}
    HELD_SOMEWHERE.update(held)
    blocked = {s["id"] for s in report["scenes"] if s["status"] == "blocked"}
    for scene, wanted in board.wanted.items():
        if jobs[scene] > wanted:
            return f"{where}: scene {scene} was paid for {jobs[scene]} times"
        if scene not in held | blocked and jobs[scene] != wanted:
            return f"{where}: scene {scene} has {jobs[scene]} jobs"
    strange = [
        s for s in report["scenes"] if s["status"] not in ("completed", "reused", "held", "blocked")
    ]
    if strange:
        return f"{where}: {[(s['id'], s['reason']) for s in strange]}"
    wrong = _disk(workspace) or _ledger(
        board.ledger or f"sqlite:///{workspace / 'ledger.db'}", number, workspace
    )
    return f"{where}: {wrong}" if wrong else None


def check_forced(nursery: Nursery, board: Board, number: int, die_at: int) -> str | None:
    """Kill a run that makes a scene again at a point, and run again plainly; returns what is
    wrong.
    """
    where = f"board {number} forced, point {die_at}"
    if nursery.run(board, number, -1)["exit"] != 0:
        return f"{where}: the first run failed"
    workspace = nursery.folder / f"run-{number}"
    clips = {path: path.read_bytes() for path in workspace.glob("clips/*/*.mp4")}
    nursery.run(board, number, die_at, force=FORCED)
    last = nursery.run(board, number, -1)
    if last["exit"] != 0:
        return f"{where}: the run after it failed with {last}"
    if any(path.read_bytes() != data for path, data in clips.items()):
        return f"{where}: a clip of before is lost"
    jobs = accepted(nursery.api, number)
    twice = [scene for scene, wanted in board.wanted.items() if jobs[scene] > 2 * wanted]
    report = json.loads((workspace / "report/report.json").read_text())
    used = {s["id"] for s in report["scenes"] if s["used"] and s["clip"]}
    held = {
        s["id"] for s in report["scenes"] if s["status"] in ("held", "blocked")
    }  # below one that is new: made again too
    if twice or used | (held - set(FORCED)) != set(board.wanted):
        return f"{where}: paid for a third time: {twice}; only {used} have a clip"
    wrong = _disk(workspace) or _ledger(f"sqlite:///{workspace / 'ledger.db'}", number, workspace)
    return f"{where}: {wrong}" if wrong else None


def _disk(workspace: Path) -> str | None:
    if list(workspace.rglob("*.part")) or list(workspace.rglob(".*.part")):
        return "half files are left"
    if not (workspace / "ledger.db").exists():
        return None
    connection = sqlite3.connect(workspace / "ledger.db")
    try:
        sound = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
    return None if sound else "the ledger is damaged"


def _ledger(url: str, number: int, workspace: Path) -> str | None:
    with closing(Ledger(url)) as ledger:
        for take in ledger.takes(f"board{number}"):
            if take.state not in (State.COLLECTED, State.AMBIGUOUS):
                return f"{take.scene} take {take.take} is left {take.state}"
            if take.state is State.COLLECTED and not (workspace / take.here.path).exists():
                return f"the clip of {take.scene} take {take.take} is lost"
    return None


Check = Callable[[Nursery, Board, int, int], str | None]


def kill_at(
    nurseries: queue.Queue[Nursery], cases: list[tuple[Board, int, int]], check: Check = check
) -> list[str]:
    """Each (board, number, point), two at a time; returns what went wrong."""

    def at(case: tuple[Board, int, int]) -> str | None:
        one = nurseries.get()
        try:
            return check(one, *case)
        finally:
            nurseries.put(one)

    with ThreadPoolExecutor(2) as pool:
        return [told for told in pool.map(at, cases) if told]


def points(nurseries: queue.Queue[Nursery], board: Board, number: int) -> int:
    """How many points a whole run of the board has."""
    nursery = nurseries.get()
    try:
        return int(nursery.run(board, number, -1)["points"])
    finally:
        nurseries.put(nursery)


def states(nurseries: queue.Queue[Nursery], board: Board, number: int) -> list[int]:
    """The durable state at each point of a whole run; equal numbers are equal states."""
    nursery = nurseries.get()
    try:
        return list(nursery.run(board, number, -1, watch=True)["states"])
    finally:
        nurseries.put(nursery)
