"""Nothing good is given up before the better is here; what cannot go on is neither priced nor asked
about.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.flows.conftest import KEY, Project, bare
from tests.flows.test_render import statuses
from tests.integration.test_media import overwrite, packets
from tests.integration.test_simulator import OWN

CHAIN = """\
version: 1
defaults: {model: sora-2, seconds: 4, size: 1280x720}
scenes:
  - {id: one, prompt: scene one}
  - {id: two, prompt: scene two, first_frame: previous}
  - {id: solo, prompt: scene solo}
"""


def files(project: Project) -> dict[str, bytes]:
    """The film, the sheet and the used clips."""
    names = (
        "final.mp4",
        "contact-sheet.jpg",
        "clips/one/take-1.mp4",
        "clips/two/take-1.mp4",
        "clips/solo/take-1.mp4",
    )
    return {name: (project.workspace / name).read_bytes() for name in names}


@pytest.mark.timeout(600)
def test_a_force_that_is_refused_or_fails_leaves_the_good_clip_used(project: Project) -> None:
    project.write(CHAIN)
    project.run()
    before = files(project)
    project.storyreel("run", "board.yaml", "--yes", "--force", "one", "--budget", "1", code=3)
    project.api.faults(
        {"on": "create", "do": "fail", "code": "generation_failed", "message": "it broke"}
    )
    report = project.run("--force", "one", code=1)
    assert [(s["id"], s["take"], s["status"], s["used"]) for s in report["scenes"]] == [
        ("one", 1, "reused", True),
        ("one", 2, "failed", False),
        ("two", 1, "reused", True),
        ("solo", 1, "reused", True),
    ]
    assert report["status"] == "partial"
    url, project.environment["OPENAI_BASE_URL"] = project.api.url, "http://127.0.0.1:9/v1"
    project.storyreel("run", "board.yaml", "--yes", "--force", "one", code=4)
    project.environment["OPENAI_BASE_URL"] = url
    assert files(project) == before and len(project.api.accepted) == 4
    project.api.faults()
    assert (
        json.loads(project.storyreel("plan", "board.yaml", "--json").stdout)["totals"]["jobs"] == 0
    )
    assert set(statuses(project.run()).values()) == {"reused"}
    report = project.run("--force", "one")
    assert statuses(report) == {"one": "completed", "two": "completed", "solo": "reused"}
    assert (
        project.api.accepted.count("scene one") == 3
        and project.api.accepted.count("scene two") == 2
    )
    assert [
        (p["scene"], p["state"], p["replaced"]) for p in report["history"] if p["scene"] == "one"
    ] == [
        ("one", "collected", True),
        ("one", "failed", False),
        ("one", "collected", False),
    ]


def test_a_force_that_was_interrupted_is_taken_up_and_never_paid_again(project: Project) -> None:
    project.write(CHAIN)
    project.run()
    clip = (project.workspace / "clips/one/take-1.mp4").read_bytes()
    project.api.simulator.jobs.speed = 1.0
    environment = {**bare(), "PREFECT_HOME": str(project.home), "OPENAI_BASE_URL": project.api.url,
                   "OPENAI_API_KEY": KEY, "STORYREEL_TIME_SCALE": "0.001"}  # fmt: skip
    command = [sys.executable, "-m", "storyreel", "run", "board.yaml", "--yes", "--force", "one"]
    with subprocess.Popen(
        command, cwd=project.folder, env=environment, stderr=subprocess.PIPE
    ) as run:
        deadline = time.monotonic() + 60
        retrieved = project.api.simulator.truth["retrieved"]
        while (
            len(project.api.accepted) < 4
            or project.api.simulator.truth["retrieved"] < retrieved + 2
        ):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
    assert (project.workspace / "clips/one/take-1.mp4").read_bytes() == clip
    told = project.storyreel("plan", "board.yaml", "--force", "one").stdout
    assert "--force resumes it" in told
    for job in project.api.simulator.jobs.jobs.values():
        job.takes_s = 0.0
    project.api.simulator.jobs.speed = 3000.0
    assert statuses(project.run()) == {"one": "completed", "two": "completed", "solo": "reused"}
    assert project.api.accepted.count("scene one") == 2


def test_only_keeps_the_whole_film_and_report(project: Project) -> None:
    project.write(CHAIN)
    assert statuses(project.run("--only", "one")) == {
        "one": "completed",
        "two": "skipped",
        "solo": "skipped",
    }
    assert not (project.workspace / "final.mp4").exists()
    whole = project.run()
    frames = whole["cut"]["frames"]
    project.write(CHAIN.replace("scene one", "scene one at night"))
    report = project.run("--only", "one")
    assert statuses(report) == {"one": "completed", "two": "reused", "solo": "reused"}
    assert report["status"] == "completed" and report["cut"]["scenes"] == ["one", "two", "solo"]
    assert (
        abs(report["cut"]["frames"] - frames) <= 1
    )  # where they met on one picture, they do not any more
    assert len(report["history"]) == 4 and report["totals"]["spent_this_run"] == "0.40"
    assert report["totals"]["spent_estimate"] == "1.60"
    # a scene that fails takes nothing out of the film
    film = (project.workspace / "final.mp4").read_bytes()
    project.write(CHAIN.replace("scene solo", "moderation-test solo"))
    report = project.run("--only", "solo", code=1)
    assert statuses(report)["solo"] == "failed" and "is kept" in report["cut_error"]
    assert (project.workspace / "final.mp4").read_bytes() == film and report["cut"]["scenes"] == [
        "one",
        "two",
        "solo",
    ]


def test_a_clip_deleted_and_its_link_dead_is_said_with_price_and_command(project: Project) -> None:
    project.write(CHAIN)
    project.run()
    film = (project.workspace / "final.mp4").read_bytes()
    (project.workspace / "clips/one/take-1.mp4").unlink()
    project.api.faults({"on": "content", "do": "status", "status": 404})
    for _ in range(2):
        report = project.run(code=1)
        assert statuses(report) == {"one": "failed", "two": "reused", "solo": "reused"}
        (failed,) = [s for s in report["scenes"] if s["id"] == "one"]
        assert failed["error"]["class"] == "expired"
        assert (
            "would cost 0.40 USD: storyreel run board.yaml --force one"
            in failed["error"]["message"]
        )
        assert (project.workspace / "final.mp4").read_bytes() == film
    assert "--force one" in project.storyreel("plan", "board.yaml").stdout
    assert "failed" in project.storyreel("status", "board.yaml").stdout
    project.storyreel("report", "board.yaml")
    assert statuses(project.report())["one"] == "failed"
    assert "scenes are missing: one" in project.storyreel("cut", "board.yaml", code=2).stderr
    project.write(CHAIN.replace("scene two", "scene two again"))
    assert statuses(project.run(code=1))["two"] == "blocked"
    assert len(project.api.accepted) == 3
    project.api.faults()
    project.run("--force", "one")
    assert len(project.api.accepted) == 5


def test_a_board_that_cannot_go_on_asks_nothing_and_exits_1(project: Project) -> None:
    project.write(
        CHAIN.replace("  - {id: solo, prompt: scene solo}\n", "").replace(
            "scene one", "moderation-test"
        )
    )
    project.run(code=1)
    for typed in (None, "n\n"):
        done = project.storyreel("run", "board.yaml", code=1, typed=typed)
        assert "nothing can be rendered now" in done.stderr and "Go ahead" not in done.stderr
    assert statuses(project.report()) == {"one": "failed", "two": "blocked"}
    assert "blocked" in project.storyreel("plan", "board.yaml").stdout
    assert len(project.api.accepted) == 1


UNPRICED = OWN.replace(
    '\n    prices: [{per_second: "0.10", currency: CNY, source: me}]', ""
).replace("DIALECT", "lists")
MINE = (
    "version: 1\nscenes:\n  - {id: a, prompt: scene a, model: my-model, seconds: 3, size: 160x96}\n"
)
TWO = """\
version: 1
scenes:
  - {id: a, prompt: scene a, model: kling-video-o1}
  - {id: b, prompt: scene b, model: sora-2}
"""


def test_a_budget_that_cannot_be_kept_is_refused_before_anything_is_sent(project: Project) -> None:
    (project.folder / "mine.yaml").write_text(UNPRICED)
    project.write(MINE)
    for budget in ("1", "0"):
        done = project.storyreel(
            "run", "board.yaml", "--catalog", "mine.yaml", "--yes", "--budget", budget, code=2
        )
        assert "no price is known for my-model" in done.stderr and "Fix:" in done.stderr
    project.write(TWO)
    done = project.storyreel("run", "board.yaml", "--yes", "--budget", "6", code=2)
    assert "two currencies" in done.stderr and "--only" in done.stderr
    (project.folder / "rows.csv").write_text("id\nx\ny\n")
    done = project.storyreel("batch", "board.yaml", "rows.csv", "--yes", "--budget", "6", code=2)
    assert "two currencies" in done.stderr
    project.write(CHAIN)
    done = project.storyreel("batch", "board.yaml", "rows.csv", "--yes", "--budget", "0", code=1)
    project.storyreel("run", "board.yaml", "--yes", "--budget", "0", code=3)
    assert project.api.accepted == []


def test_a_model_of_ones_own_is_rehearsed(project: Project) -> None:
    (project.folder / "mine.yaml").write_text(OWN.replace("DIALECT", "lists"))
    project.write(
        MINE + "  - {id: b, prompt: scene b, model: my-model, seconds: 6, size: 160x96, "
        "first_frame: previous}\n"
    )
    done = project.storyreel(
        "run", "board.yaml", "--simulate", "--speed", "3000", "--catalog", "mine.yaml"
    )
    assert "2 completed" in done.stdout


def test_a_clip_with_a_damaged_sound_is_used_and_one_with_a_damaged_picture_kept_aside(
    project: Project,
) -> None:
    project.write(CHAIN.replace("  - {id: two, prompt: scene two, first_frame: previous}\n", ""))
    project.run()
    kept = sorted((project.api.simulator.jobs.folder / "clips").glob("*.mp4"))
    whole = {path: path.read_bytes() for path in kept}

    def spoil(kind: str) -> None:
        for path in kept:
            path.write_bytes(whole[path])
            overwrite(path, packets(path, kind)[10])
        (project.workspace / "clips/one/take-1.mp4").unlink(missing_ok=True)

    spoil("sound")
    report = project.run()
    assert any(
        "one take 1: 1 packet of its sound cannot be decoded" in warning
        for warning in report["warnings"]
    )
    spoil("picture")
    report = project.run(code=1)
    (failed,) = [s for s in report["scenes"] if s["id"] == "one"]
    assert (
        failed["error"]["class"] == "media"
        and "kept as take-1.damaged.mp4" in failed["error"]["message"]
    )
    assert (project.workspace / "clips/one/take-1.damaged.mp4").stat().st_size == len(
        whole[kept[0]]
    )
    for path in kept:
        path.write_bytes(whole[path])
    assert statuses(project.run()) == {"one": "completed", "solo": "reused"}
    assert not Path(project.workspace / "clips/one/take-1.damaged.mp4").exists()
    assert len(project.api.accepted) == 2
