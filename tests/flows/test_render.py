"""The whole way: command line, Prefect, HTTP, media, report."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from storyreel.api.client import AT_ONCE
from storyreel.film.media.clip import verify
from tests.flows.conftest import KEY, Project, bare


def statuses(report: dict) -> dict[str, str]:  # type: ignore[type-arg]
    return {scene["id"]: scene["status"] for scene in report["scenes"]}


def test_a_board_becomes_clips_a_film_and_a_report(project: Project) -> None:
    report = project.run()
    assert set(statuses(report).values()) == {"completed"} and report["status"] == "completed"
    assert (
        report["totals"]
        | {"scenes": 4, "completed": 4, "spent_estimate": "11.50", "currency": "CNY"}
        == report["totals"]
    )
    assert sorted(project.api.accepted) == ["scene alone", "scene one", "scene three", "scene two"]
    workspace = project.workspace
    for path in ("clips/one/take-1.mp4", "frames/two/take-1-last.png", "final.mp4", "contact-sheet.jpg", "ledger.db",
                 "report/report.html", "report/report.json", "report/scenes.csv"):  # fmt: skip
        assert (workspace / path).stat().st_size > 0, path
    assert not list(workspace.rglob("*.part"))
    assert verify(workspace / "final.mp4").facts.frames == report["cut"]["frames"]

    # The chain: each scene begins on the very picture on which the one before it ended.
    for above, below in (("one", "two"), ("two", "three")):
        sent = Image.open(workspace / f"frames/{above}/take-1-last.png")
        begun = verify(workspace / f"clips/{below}/take-1.mp4").first
        assert np.abs(np.asarray(sent, dtype=int) - np.asarray(begun, dtype=int)).mean() < 1.5
    ended = Image.open(workspace / "frames/one/take-1-last.png")
    assert ended.getpixel((ended.width // 2, ended.height // 2)) == pytest.approx(
        (20, 40, 220), abs=2
    )

    # Again: nothing is sent, no server is asked for, everything is reused; what was spent, and
    # when, is not forgotten.
    again = project.run()
    assert (
        set(statuses(again).values()) == {"reused"} and again["totals"]["spent_estimate"] == "11.50"
    )
    for name in ("run_id", "started_at", "finished_at", "history", "cut"):
        assert again[name] == report[name], name
    assert [s["timing"] for s in again["scenes"]] == [s["timing"] for s in report["scenes"]]
    assert len(project.api.accepted) == 4

    # Once more: what would say the same is left as it is.
    written = {path: path.stat().st_mtime_ns for path in (workspace / "report").iterdir()}
    assert project.run() == again and {path: path.stat().st_mtime_ns for path in written} == written

    # One prompt changed: that scene and what hangs on it, nothing else.
    board = project.folder / "board.yaml"
    board.write_text(board.read_text().replace("scene two", "scene two at night"))
    third = project.run()
    assert statuses(third) == {
        "one": "reused",
        "two": "completed",
        "three": "completed",
        "alone": "reused",
    }
    assert len(project.api.accepted) == 6
    assert (workspace / "clips/two/take-1.mp4").exists() and (
        workspace / "clips/two/take-2.mp4"
    ).exists()


def test_the_key_is_in_no_file_and_on_no_screen(project: Project) -> None:
    board = project.folder / "board.yaml"
    board.write_text(board.read_text().replace("scene alone", "moderation-test"))
    done = project.storyreel("run", "board.yaml", "--yes", code=1)
    assert KEY not in done.stdout + done.stderr
    folders = [project.workspace, project.home]
    for path in (p for folder in folders for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert KEY.encode() not in data, path
        if project.workspace in path.parents and ".simulator" not in path.parts:
            assert b"token=simulator" not in data, path
            assert str(project.folder).encode() not in data, path
    assert project.api.simulator.truth["keys"] == []


def test_a_failed_scene_blocks_only_what_hangs_on_it(project: Project) -> None:
    project.api.faults(
        {
            "on": "create",
            "prompt": "scene two",
            "do": "fail",
            "code": "generation_failed",
            "message": "it broke",
        }
    )
    report = project.run(code=1)
    assert statuses(report) == {
        "one": "completed",
        "two": "failed",
        "three": "blocked",
        "alone": "completed",
    }
    failed = next(s for s in report["scenes"] if s["id"] == "two")
    assert failed["error"] == {
        "class": "transient",
        "code": "generation_failed",
        "message": "it broke",
    }
    assert report["status"] == "partial" and report["cut"] is None
    project.api.faults()
    assert statuses(project.run()) == {
        "one": "reused",
        "two": "completed",
        "three": "completed",
        "alone": "reused",
    }


def test_prefect_shows_a_final_state_of_every_task_and_the_chain(project: Project) -> None:
    project.run()
    with sqlite3.connect(project.home / "prefect.db") as database:
        flow, state, message = database.execute(
            "SELECT r.id, s.type, s.message FROM flow_run r JOIN flow_run_state s ON "
            "s.id = r.state_id ORDER BY r.created DESC"
        ).fetchone()
        tasks = dict(
            database.execute("SELECT name, state_type FROM task_run WHERE flow_run_id = ?", (flow,))
        )
        inputs = dict(
            database.execute(
                "SELECT name, task_inputs FROM task_run WHERE flow_run_id = ?", (flow,)
            )
        )
        ids = dict(database.execute("SELECT name, id FROM task_run WHERE flow_run_id = ?", (flow,)))
        told = database.execute(
            "SELECT key, description, data FROM artifact WHERE flow_run_id = ?", (flow,)
        ).fetchall()
    database.close()
    assert state == "COMPLETED" and message.startswith("4 scenes: 4 completed")
    expected = {
        f"{step} {scene} take 1"
        for step in ("submit", "wait", "collect")
        for scene in ("one", "two", "three", "alone")
    }
    assert set(tasks) == expected | {"cut the film"} and set(tasks.values()) == {"COMPLETED"}

    def plain(task: str) -> str:
        return str(ids[task]).replace("-", "")

    assert plain("collect one take 1") in inputs["submit two take 1"].replace("-", "")
    assert plain("submit two take 1") in inputs["wait two take 1"].replace("-", "")
    artifacts = {key: (description, data) for key, description, data in told}
    assert "4 jobs, about " in artifacts["plan-board"][0]
    assert "![contact sheet](data:image/jpeg;base64," in artifacts["report-board"][1]


def test_a_refused_key_stops_the_run_with_4_and_nothing_is_paid(project: Project) -> None:
    project.api.faults(
        {"on": "create", "do": "status", "status": 401, "body": '{"error": {"message": "bad key"}}'}
    )
    done = project.storyreel("run", "board.yaml", "--yes", code=4)
    assert "refuses the key" in done.stderr and "Fix:" in done.stderr
    assert project.api.accepted == []
    project.api.faults()
    assert set(statuses(project.run()).values()) == {"completed"}


def test_an_endpoint_that_is_not_there_stops_the_run_with_4(project: Project) -> None:
    project.environment["OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"
    done = project.storyreel("run", "board.yaml", "--yes", code=4)
    assert "cannot be reached" in done.stderr


def test_the_budget_stops_the_run_with_3_and_keeps_what_was_made(project: Project) -> None:
    report = project.run("--budget", "5", code=3)
    assert (
        len(project.api.accepted) == 1
        or sum(1 for s in report["scenes"] if s["status"] == "completed") <= 2
    )
    assert float(report["totals"]["spent_estimate"]) <= 5
    assert "budget" in report["stopped"]


def test_a_lost_answer_is_held_and_never_posted_again(project: Project) -> None:
    project.api.faults({"on": "create", "prompt": "scene alone", "do": "lose_after"})
    for _ in range(2):
        report = project.run(code=1)
        assert statuses(report)["alone"] == "held"
    assert project.api.accepted.count("scene alone") == 1


def test_few_jobs_at_once_stand_between_their_request_and_the_note_of_its_answer(
    project: Project,
) -> None:
    scenes = "".join(
        f"  - {{id: s{i}, prompt: scene {i}, model: sora-2, seconds: 4, size: 1280x720}}\n"
        for i in range(40)
    )
    project.write(f"version: 1\nscenes:\n{scenes}")
    project.environment = {"STORYREEL_MAX_IN_FLIGHT": "100"}
    project.api.faults(
        {
            "on": "create",
            "prompt": "scene",
            "do": "fail",
            "code": "generation_failed",
            "message": "no",
        }
    )
    project.run(code=1)
    with sqlite3.connect(project.workspace / "ledger.db") as database:
        rows = database.execute("SELECT created_at, submitted_at FROM takes").fetchall()
    database.close()
    assert len(rows) == 40
    # a run that is killed holds these: whether their requests arrived it cannot know
    assert max(sum(sent <= at < noted for sent, noted in rows) for at, _ in rows) <= AT_ONCE


def test_a_missing_key_is_told_before_anything_is_sent(project: Project) -> None:
    project.environment["OPENAI_API_KEY"] = ""
    done = project.storyreel("run", "board.yaml", "--yes", code=2)
    assert "OPENAI_API_KEY is not set" in done.stderr and project.api.accepted == []


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_where_it_was(project: Project, kind: signal.Signals) -> None:
    """A job accepted by a run that then died is polled by the next one, not posted again."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}, "PREFECT_HOME": str(project.home),
        "OPENAI_BASE_URL": project.api.url, "OPENAI_API_KEY": KEY, "STORYREEL_TIME_SCALE": "0.001",
    }  # fmt: skip
    project.api.simulator.jobs.speed = 1.0  # nothing finishes
    command = [sys.executable, "-m", "storyreel", "run", "board.yaml", "--yes"]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a job in the background inherits it ignored
    ) as run:
        deadline = time.monotonic() + 60
        while (
            len(project.api.simulator.truth["accepted"]) < 2
            or project.api.simulator.truth["retrieved"] < 4
        ):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.05)
        run.send_signal(kind)
        _, talk = run.communicate(timeout=60)
    assert run.returncode == 130, talk
    assert b"take" in talk and b"in flight" in talk
    for job in project.api.simulator.jobs.jobs.values():
        job.takes_s = 0.0
    project.api.simulator.jobs.speed = 3000.0
    assert statuses(project.run()) == dict.fromkeys(("one", "two", "three", "alone"), "completed")
    assert sorted(project.api.accepted) == ["scene alone", "scene one", "scene three", "scene two"]


def test_a_rehearsal_keeps_to_itself_and_reuses_its_clips(project: Project) -> None:
    for expected in ("4 completed", "4 reused"):
        done = project.storyreel("run", "board.yaml", "--simulate", "--speed", "3000")
        assert expected in done.stdout
    assert project.api.accepted == []
    assert (project.folder / "runs/board.simulated/final.mp4").exists() and not (
        project.folder / "runs/board"
    ).exists()


def test_init_gives_a_storyboard_that_validates(project: Project) -> None:
    project.storyreel("init", "film")
    assert "good, 3 scenes" in project.storyreel("validate", "film/storyboard.yaml").stdout
    done = project.storyreel("init", "film", code=2)
    assert "there already" in done.stderr


@pytest.mark.parametrize("command", ["status", "report", "cut", "plan"])
def test_what_is_there_can_be_looked_at_again(project: Project, command: str) -> None:
    if command in ("status", "plan"):
        assert project.storyreel(command, "board.yaml").stdout
        assert not (project.folder / "runs").exists(), "looking makes nothing"
        return
    project.run()
    before = Path(project.workspace / "final.mp4").read_bytes()
    project.storyreel(command, "board.yaml")
    assert (project.workspace / "final.mp4").read_bytes() == before


def _run_and_kill(project: Project, server: Callable[[], int]) -> subprocess.CompletedProcess[str]:
    """Run the board; once the first job is paid for, Prefect's server is killed.

    The film is made all the same.
    """
    project.environment["STORYREEL_TIME_SCALE"] = "0.01"
    project.api.simulator.jobs.speed = 40  # jobs of 3 s and more
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(project.storyreel, "run", "board.yaml", "--yes")
        while not project.api.accepted and not run.done():
            time.sleep(0.02)
        assert project.api.accepted, run.result().stderr
        os.kill(server(), signal.SIGKILL)
        done = run.result()
    assert set(statuses(project.report()).values()) == {"completed"}
    assert len(project.api.accepted) == 4
    assert "EventsWorker" not in done.stderr and "logging" not in done.stderr, done.stderr
    return done


def test_a_prefect_server_of_ours_that_dies_is_started_again_and_shows_how_the_run_ended(
    project: Project, tmp_path: Path, new_home: Callable[[Path], Path]
) -> None:
    project.home = new_home(tmp_path / "prefect")  # a server of its own, to be killed
    done = _run_and_kill(
        project,
        lambda: int(json.loads((project.home / "storyreel-server.json").read_text())["pid"]),
    )
    assert "was lost" not in done.stderr
    with sqlite3.connect(project.home / "prefect.db") as database:
        assert database.execute("SELECT state_type FROM flow_run").fetchall() == [("COMPLETED",)]
        assert ("cut the film", "COMPLETED") in database.execute(
            "SELECT name, state_type FROM task_run"
        ).fetchall()


def test_a_prefect_server_of_yours_that_dies_delays_no_job_and_loses_no_clip(
    project: Project, tmp_path: Path, new_home: Callable[[Path], Path]
) -> None:
    info = tmp_path / "info.json"
    info.write_text('{"kind": "up"}')
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "storyreel.flows.server.serving",
                str(listening.fileno()),
                str(info),
            ],
            env={
                **bare(),
                "PREFECT_HOME": str(new_home(tmp_path / "prefect")),
                "PREFECT_API_URL": url,
            },
            pass_fds=[listening.fileno()],
            process_group=0,
        )
    with server:
        assert httpx.get(f"{url}/health", trust_env=False, timeout=120).status_code == 200
        project.environment |= {"PREFECT_API_URL": url, "PREFECT_CLIENT_MAX_RETRIES": "2"}
        assert "Prefect's server was lost" in _run_and_kill(project, lambda: server.pid).stderr


def test_the_fix_of_a_refusal_is_shown_with_its_scene(project: Project) -> None:
    project.api.faults({"on": "create", "do": "status", "status": 400, "prompt": "alone"})
    done = project.storyreel("run", "board.yaml", "--yes", code=1)
    told = done.stdout.partition("  alone: invalid")[2].splitlines()
    assert told[1].startswith("    Fix: ")
    (error,) = [s["error"] for s in project.report()["scenes"] if s["id"] == "alone"]
    assert error["message"]
