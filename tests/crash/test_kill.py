"""kill -9 at every point of a run: nothing is paid twice, nothing that was paid is lost."""

from __future__ import annotations

import dataclasses
import json
import queue
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from storyreel import catalog
from storyreel.ledger import Ledger
from storyreel.ledger_rows import State
from storyreel.simulator.app import account_of
from tests.crash.nursery import KILLED
from tests.postgres import server
from tests.server import Live, live

ROOT = Path(__file__).parents[2]
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
SURELY_REACHED = 200  # how many points there are differs a little from run to run: a poll more or less
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
    """A board of six to twelve scenes, each after what chance says, with takes and remixes among them."""
    draw = random.Random(seed)
    lines, wanted = [], {}
    for i in range(draw.randint(6, 12)):
        above = f"s{draw.randrange(i)}" if i and draw.random() < 0.6 else None
        how = draw.choice(["first_frame: {scene: %s}", "end_frame: {scene: %s, frame: first}", "remix_of: %s"])
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

    def run(self, board: Board, number: int, die_at: int, force: tuple[str, ...] = ()) -> dict[str, int]:
        file = self.folder / f"board-{number}.yaml"
        file.write_text(board.text(number))
        order = {
            "board": str(file), "workspace": str(self.folder / f"run-{number}"), "die_at": die_at,
            "catalog": str(self.folder / "small.yaml"), "here": board.here, "force": force,
            "environment": {
                "OPENAI_BASE_URL": self.api.url, "OPENAI_API_KEY": f"k{number}", "STORYREEL_TIME_SCALE": "0.0001",
                **({"STORYREEL_DATABASE_URL": board.ledger} if board.ledger else {}),
            },
        }  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, int] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def nurseries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[queue.Queue[Nursery]]:
    """Two nurseries on one live API, with a model of very small pictures."""
    folder = tmp_path_factory.mktemp("crash")
    model = catalog.load().models["sora-2"].model_dump(mode="json", exclude_none=True)
    model |= {"sizes": [SMALL], "defaults": {"seconds": 4, "size": SMALL}}
    (folder / "small.yaml").write_text(json.dumps({"version": 1, "models": {"sora-2": model}}))
    pool: queue.Queue[Nursery] = queue.Queue()
    with live(folder / "api", speed=1e6, models=catalog.load(folder / "small.yaml")) as api:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for process in processes:
            pool.put(Nursery(process, folder, api))
        yield pool
        for process in processes:
            process.communicate()


def accepted(api: Live, number: int) -> Counter[str]:
    """How many jobs the server took for each scene of a run: what would have to be paid."""
    mine = account_of(f"k{number}")
    return Counter(job["prompt"] for job in api.simulator.truth["accepted"] if job["account"] == mine)


def check(nursery: Nursery, board: Board, number: int, die_at: int) -> str | None:
    """Kill a run at a point, run it again to its end, and look at the server's side; returns what is wrong."""
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
    strange = [s for s in report["scenes"] if s["status"] not in ("completed", "reused", "held", "blocked")]
    if strange:
        return f"{where}: {[(s['id'], s['reason']) for s in strange]}"
    wrong = _disk(workspace) or _ledger(board.ledger or f"sqlite:///{workspace / 'ledger.db'}", number, workspace)
    return f"{where}: {wrong}" if wrong else None


def check_forced(nursery: Nursery, board: Board, number: int, die_at: int) -> str | None:
    """Kill a run that makes a scene again at a point, and run again plainly; returns what is wrong."""
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
    }  # below one that is new: made anew too
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
            if take.state is State.COLLECTED and not (workspace / (take.clip or {})["path"]).exists():
                return f"the clip of {take.scene} take {take.take} is lost"
    return None


Check = Callable[[Nursery, Board, int, int], str | None]


def kill_at(nurseries: queue.Queue[Nursery], cases: list[tuple[Board, int, int]], check: Check = check) -> list[str]:
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
        return nursery.run(board, number, -1)["points"]
    finally:
        nurseries.put(nursery)


@pytest.mark.timeout(1200)
def test_nothing_is_paid_twice_or_lost_whatever_the_point_of_death(nurseries: queue.Queue[Nursery]) -> None:
    count = points(nurseries, SMALL_BOARD, 0)
    assert count > SURELY_REACHED
    chosen = list(range(1, count + 1))
    random.Random(7).shuffle(chosen)
    assert kill_at(nurseries, [(SMALL_BOARD, point, point) for point in chosen]) == []
    assert HELD_SOMEWHERE, "no point hit the moment between a request and its answer"


@pytest.mark.timeout(900)
def test_nor_is_a_good_clip_given_up_for_one_that_is_forced(nurseries: queue.Queue[Nursery]) -> None:
    points(nurseries, SMALL_BOARD, 30_000)
    nursery = nurseries.get()
    count = nursery.run(SMALL_BOARD, 30_000, -1, force=FORCED)["points"]
    nurseries.put(nursery)
    draw = random.Random(17)
    cases = [(SMALL_BOARD, 30_001 + i, point) for i, point in enumerate(draw.sample(range(1, count + 1), 60))]
    assert kill_at(nurseries, cases, check_forced) == []


@pytest.mark.timeout(600)
def test_nor_on_larger_boards_drawn_by_chance(nurseries: queue.Queue[Nursery]) -> None:
    draw = random.Random(11)
    cases = []
    for seed in range(6):
        count = points(nurseries, drawn(seed), 10_000 + 100 * seed)
        cases += [(drawn(seed), 10_001 + 100 * seed + i, draw.randrange(1, count + 1)) for i in range(5)]
    assert kill_at(nurseries, cases) == []


@pytest.mark.timeout(600)
def test_nor_with_the_ledger_on_postgresql(nurseries: queue.Queue[Nursery]) -> None:
    with server() as url:
        board = dataclasses.replace(SMALL_BOARD, ledger=url)
        count = points(nurseries, board, 20_000)
        draw = random.Random(13)
        assert kill_at(nurseries, [(board, 20_001 + i, draw.randrange(1, count + 1)) for i in range(24)]) == []
