"""A signal while a paid request is under way: its answer is waited for, its job noted, and nothing
more is sent.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests import postgres
from tests.flows.conftest import KEY, Project, bare

ROOT = Path(__file__).parents[2]
BOARD = """\
version: 1
id: {id}
defaults: {{model: kling-video-o1, seconds: 5, size: 1080x1080}}
scenes:
  - {{id: one, prompt: scene one}}
  - {{id: two, prompt: scene two}}
  - {{id: three, prompt: scene three, first_frame: {{scene: two}}}}
cut: {{enabled: false}}
"""
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as url:
        yield url


def environment(project: Project) -> dict[str, str]:
    return {
        **bare(),
        "PREFECT_HOME": str(project.home),
        "OPENAI_BASE_URL": project.api.url,
        "OPENAI_API_KEY": KEY,
        "STORYREEL_TIME_SCALE": "0.001",
        "PYTHONPATH": str(ROOT),
        **project.environment,
    }


def start(project: Project, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=project.folder, env=environment(project) | options.pop("env", {}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a job in the background inherits it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )  # fmt: skip


def until_sent(project: Project, run: subprocess.Popen[str], jobs: int = 2) -> None:
    """Return while the answers to that many paid requests are under way."""
    deadline = time.monotonic() + 90
    while len(project.api.accepted) < jobs:
        assert time.monotonic() < deadline and run.poll() is None, run.communicate()
        time.sleep(0.02)


def in_flight(ledger: str) -> list[str]:
    query = "SELECT scene FROM takes WHERE state = 'in_flight' ORDER BY scene"
    connection: Any = (
        psycopg.connect(ledger) if ledger.startswith("postgresql") else sqlite3.connect(ledger)
    )
    with connection:
        return [scene for (scene,) in connection.execute(query).fetchall()]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", ENDING)
@pytest.mark.parametrize("on", ["sqlite", "postgresql"])
def test_the_answer_to_a_paid_request_outlives_the_signal(
    project: Project, request: pytest.FixtureRequest, kind: signal.Signals, times: int, on: str
) -> None:
    if times > 1 and (on != "sqlite" or kind is signal.SIGHUP):
        pytest.skip("one ledger and two signals are enough for it")
    name = f"s{kind.value}x{times}"
    ledger = str(project.folder / f"runs/{name}/ledger.db")
    if on == "postgresql":
        ledger = project.environment["STORYREEL_DATABASE_URL"] = request.getfixturevalue("database")
        project.environment["STORYREEL_PROJECT"] = (
            name  # else what the board before has paid for is found, and held
        )
    project.write(BOARD.format(id=name))
    project.api.faults({"on": "create", "do": "slow", "seconds": 1.5})
    with start(
        project, "storyreel", "run", "board.yaml", "--yes", "--workspace", f"runs/{name}"
    ) as run:
        until_sent(project, run)
        for _ in range(times):
            run.send_signal(kind)
            time.sleep(0.2)
        _, talk = run.communicate(timeout=60)
    assert run.returncode == 130, talk
    assert "in flight, and in the ledger: one, two" in talk and "Traceback" not in talk, talk
    assert in_flight(ledger) == ["one", "two"]
    assert len(project.api.accepted) == 2
    project.api.faults()
    project.storyreel("run", "board.yaml", "--yes", "--workspace", f"runs/{name}")
    assert sorted(project.api.accepted) == ["scene one", "scene three", "scene two"]


@pytest.mark.parametrize("kind", ENDING)
def test_it_does_so_in_a_process_that_a_worker_starts(
    project: Project, kind: signal.Signals
) -> None:
    """`python -m prefect.engine`, as the process worker runs it: there Prefect's engine handles
    SIGTERM, nobody the others.
    """
    port = json.loads((project.home / "storyreel-server.json").read_text())["port"]
    url = f"http://127.0.0.1:{port}/api"
    project.write(BOARD.format(id="engine"))
    project.api.faults({"on": "create", "do": "slow", "seconds": 1.5})
    flow = httpx.post(
        f"{url}/flows/", json={"name": "render-storyboard"}, timeout=30, trust_env=False
    ).json()["id"]
    parameters = {"storyboard": "board.yaml", "workspace": "runs/engine"}
    wanted = {"flow_id": flow, "parameters": parameters, "state": {"type": "PENDING"}}
    made = httpx.post(f"{url}/flow_runs/", json=wanted, timeout=30, trust_env=False).json()["id"]
    entry = "storyreel.flows.render.render_storyboard"
    prefect = {
        "PREFECT_API_URL": url,
        "PREFECT__FLOW_RUN_ID": made,
        "PREFECT__FLOW_ENTRYPOINT": entry,
    }
    with start(project, "prefect.engine", env=prefect) as run:
        until_sent(project, run)
        run.send_signal(kind)
        _, talk = run.communicate(timeout=60)
    assert "Finished in state Crashed" in talk or kind is signal.SIGHUP, talk
    assert in_flight(str(project.folder / "runs/engine/ledger.db")) == ["one", "two"], talk
    project.api.faults()
    project.storyreel("run", "board.yaml", "--yes", "--workspace", "runs/engine")
    assert sorted(project.api.accepted) == ["scene one", "scene three", "scene two"]
