"""`storyreel up`: runs that a worker starts, that a person approves, cancels, or gives a budget."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.conftest import KEY, SCALE, bare
from tests.server import Live, live

ROOT = Path(__file__).parents[2]
NAME = "harbour"
RENDER, NIGHTLY = f"render-storyboard/{NAME}-render", f"render-storyboard/{NAME}-render-nightly"
HOURLY = f"rescue-clips/{NAME}-rescue-hourly"
BOARD = """\
version: 1
id: {id}
defaults: {{model: kling-video-o1, seconds: 5, size: 1080x1080}}
policy: {{approve: {approve}}}
scenes:
  - {{id: one, prompt: scene one of {id}}}
  - {{id: two, prompt: scene two of {id}}}
cut: {{enabled: false}}
"""


class Home:
    """A folder with storyboards, and a Prefect of its own."""

    def __init__(self, folder: Path, api: Live) -> None:
        self.folder, self.api = folder, api
        self.environment = {
            **bare(), "PREFECT_HOME": str(folder / "prefect"), "OPENAI_BASE_URL": api.url, "OPENAI_API_KEY": KEY,
            "STORYREEL_TIME_SCALE": "0.01", "PREFECT_WORKER_QUERY_SECONDS": "1", "PYTHONPATH": str(ROOT),
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        }  # fmt: skip
        self.url = ""

    def storyreel(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "storyreel", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def prefect(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        environment = self.environment | {"PREFECT_API_URL": f"{self.url}/api"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        for _ in range(20):
            answer = httpx.request(
                method, f"{self.url}/api{path}", json=body, timeout=30, trust_env=False
            )
            if (
                answer.status_code != 503
            ):  # its database is busy; Prefect's own client asks again, too
                break
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def workers(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.folder / "prefect/storyreel-workers.json").read_text()
        )
        return found

    def worker(self) -> int:
        return int(self.workers()[NAME]["pid"])

    def start(self, deployment: str, **parameters: Any) -> str:
        found = self.ask("GET", f"/deployments/name/{deployment}")
        return str(
            self.ask(
                "POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters}
            )["id"]
        )

    def eventually(
        self, read: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 120
    ) -> Any:
        """What is read, once it is as wanted: the server writes things down a little later."""
        deadline = time.monotonic() + seconds
        while not good(found := read()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{found}\n{(self.folder / 'prefect/storyreel-worker.log').read_text()[-3000:]}"
                )
            time.sleep(0.1)
        return found

    def until(self, run: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The flow run's state, once it is as wanted."""
        state: dict[str, Any] = self.eventually(
            lambda: self.ask("GET", f"/flow_runs/{run}")["state"], good
        )
        return state

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.folder / "prefect/storyreel-server.json").read_text()
        )
        return found


def call(folder: Path, name: str) -> None:
    """Give the project in this folder a name."""
    path = folder / "prefect.yaml"
    path.write_text(re.sub(r"(?m)^name: .*$", f"name: {name}", path.read_text(), count=1))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home") / NAME
    folder.mkdir()
    with live(folder / "api", speed=20, scale=SCALE) as api:
        one = Home(folder, api)
        assert one.storyreel("init").returncode == 0
        call(folder, NAME)
        try:
            up = one.storyreel("up")
            assert up.returncode == 0, up.stderr
            one.url = up.stdout.strip()
            yield one
        finally:
            assert one.storyreel("down").returncode == 0


def final(state: dict[str, Any]) -> bool:
    return state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def test_up_is_idempotent_and_mends_what_died(home: Home) -> None:
    assert httpx.get(home.url, trust_env=False).status_code == 200  # the UI
    before, worker = home.info(), home.worker()
    assert (
        home.storyreel("up").stdout.strip() == home.url
        and home.info() == before
        and home.worker() == worker
    )
    server = before["pid"]
    assert os.getpriority(os.PRIO_PROCESS, server) > 0
    assert os.getsid(server) == os.getsid(0)  # niceness counts within a session only
    os.kill(server, signal.SIGHUP)  # the terminal closes
    log = home.folder / "prefect/storyreel-worker.log"
    kept = log.read_text()
    os.kill(worker, signal.SIGKILL)
    again = home.storyreel("up")
    assert again.returncode == 0 and home.worker() != worker and home.info()["pid"] == server
    assert kept and log.read_text().startswith(kept)
    listed = home.ask("POST", "/deployments/filter", {})
    assert {d["name"] for d in listed} == {
        f"{NAME}-{name}" for name in ("render", "render-nightly", "rescue-hourly", "batch")
    }
    assert [d["name"] for d in listed if any(s["active"] for s in d["schedules"])] == []
    form = next(d for d in listed if d["name"] == f"{NAME}-render")["parameter_openapi_schema"][
        "properties"
    ]
    assert all(field.get("description") for field in form.values())


def test_up_leaves_schedules_as_they_are_switched_and_takes_up_what_its_worker_had_not_begun(
    home: Home,
) -> None:
    ids = {name: home.ask("GET", f"/deployments/name/{name}")["id"] for name in (NIGHTLY, RENDER)}

    def schedule() -> dict[str, Any]:
        return dict(home.ask("GET", f"/deployments/name/{NIGHTLY}")["schedules"][0])

    def switch(*, active: bool) -> None:
        home.ask(
            "PATCH", f"/deployments/{ids[NIGHTLY]}/schedules/{schedule()['id']}", {"active": active}
        )
        home.ask("PATCH", f"/deployments/{ids[RENDER]}", {"paused": active})

    switch(active=True)
    os.kill(home.worker(), signal.SIGKILL)
    run = home.start(HOURLY, paths=["storyboard.yaml"])
    home.ask(
        "POST", f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING", "name": "Submitting"}}
    )
    assert home.storyreel("up").returncode == 0
    assert schedule()["active"] and home.ask("GET", f"/deployments/{ids[RENDER]}")["paused"]
    assert home.until(run, final)["type"] == "COMPLETED"
    switch(active=False)


def test_a_run_waits_for_approval_and_a_budget_stops_it_with_a_state_that_says_so(
    home: Home,
) -> None:
    (home.folder / "asked.yaml").write_text(BOARD.format(id="asked", approve="plan"))
    home.prefect("automation", "create", "--from-file", str(ROOT / "docs/automations.yaml"))
    run = home.start(
        NIGHTLY, storyboard="asked.yaml", simulate=False, workspace="asked", budget_per_run=4
    )
    assert home.until(run, lambda s: s["name"] == "Suspended" or final(s))["name"] == "Suspended"
    assert home.api.accepted == []
    waiting = home.storyreel("approve").stdout
    assert run in waiting
    assert "approved" in home.storyreel("approve", run).stdout
    state = home.until(run, final)
    assert (
        state["name"] == "Budget reached"
        and "4.00 of this run's budget of 4 CNY is used" in state["message"]
    )
    assert len(home.api.accepted) == 1
    ours = {"filter": {"event": {"prefix": ["storyreel."]}}}
    events = home.eventually(
        lambda: home.ask("POST", "/events/filter", ours)["events"],
        lambda found: "storyreel.budget.reached" in {e["event"] for e in found},
        30,
    )
    assert {e["event"] for e in events} == {"storyreel.scene.completed", "storyreel.budget.reached"}
    artifacts = home.ask("POST", "/artifacts/latest/filter", {})
    assert {a["key"] for a in artifacts} >= {"plan-asked", "report-asked", "progress-asked"}
    assert KEY not in json.dumps([events, artifacts])
    nightly = f"/deployments/name/{NIGHTLY}"
    # The example of an automation pauses the schedule.
    home.eventually(lambda: home.ask("GET", nightly), lambda found: bool(found["paused"]), 30)


def test_a_schedule_that_is_switched_on_starts_runs(home: Home) -> None:
    deployment = home.ask("GET", f"/deployments/name/{HOURLY}")["id"]
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    every_minute = {"schedule": {"interval": 60, "anchor_date": soon}, "active": True,
                    "parameters": {"paths": ["storyboard.yaml"]}}  # fmt: skip
    made = home.ask("POST", f"/deployments/{deployment}/schedules", [every_minute])
    wanted = {
        "flow_runs": {"deployment_id": {"any_": [deployment]}},
        "sort": "EXPECTED_START_TIME_ASC",
    }

    def scheduled() -> list[str]:
        return [
            run["id"]
            for run in home.ask("POST", "/flow_runs/filter", wanted)
            if run["auto_scheduled"]
        ]

    first = home.eventually(scheduled, bool, 90)[0]
    assert home.until(first, final)["message"] == "0 asked about, 0 with a problem"
    home.ask("DELETE", f"/deployments/{deployment}/schedules/{made[0]['id']}")


def test_a_cancelled_run_leaves_its_jobs_to_the_next_and_the_answers_under_way_are_waited_for(
    home: Home,
) -> None:
    home.api.faults({"on": "create", "do": "slow", "seconds": 1.5})
    (home.folder / "late.yaml").write_text(BOARD.format(id="late", approve="none"))
    parameters = {"storyboard": "late.yaml", "simulate": False, "workspace": "late"}
    before = len(home.api.accepted)
    run = home.start(RENDER, **parameters)
    deadline = time.monotonic() + 60
    while len(home.api.accepted) < before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    home.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert home.until(run, final)["type"] == "CANCELLED"
    home.api.faults()
    report = json.loads((home.folder / "late/report/report.json").read_text())
    assert "in flight" in report["scenes"][0]["reason"]
    again = home.start(RENDER, **parameters)
    assert home.until(again, final)["type"] == "COMPLETED"
    assert len(home.api.accepted) == before + 2
    rescue = home.start(HOURLY, paths=["late"])
    assert home.until(rescue, final)["message"] == "0 asked about, 0 with a problem"


def test_a_server_that_died_comes_back_where_it_was_for_the_worker_that_it_had(home: Home) -> None:
    before, worker = home.info(), home.worker()
    os.kill(before["pid"], signal.SIGKILL)
    assert home.storyreel("up").stdout.strip() == home.url
    assert home.worker() == worker and home.info()["pid"] != before["pid"]


def test_a_run_waits_its_turn_while_another_works_on_its_storyboard(home: Home) -> None:
    (home.folder / "twice.yaml").write_text(BOARD.format(id="twice", approve="none"))
    parameters = {"storyboard": "twice.yaml", "simulate": False, "workspace": "twice"}
    before = len(home.api.accepted)
    runs = [home.start(RENDER, **parameters) for _ in range(2)]
    assert [home.until(run, final)["type"] for run in runs] == ["COMPLETED", "COMPLETED"]
    assert len(home.api.accepted) == before + 2
    logs = home.ask("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": runs}}})
    assert [one["message"] for one in logs if "this run waits for it" in one["message"]]
    assert not [one for one in logs if "Traceback" in one["message"]]


def test_a_run_whose_worker_is_killed_goes_on_to_its_end_and_holds_nothing_after_it(
    home: Home,
) -> None:
    (home.folder / "orphan.yaml").write_text(BOARD.format(id="orphan", approve="none"))
    before = len(home.api.accepted)
    run = home.start(RENDER, storyboard="orphan.yaml", simulate=False, workspace="orphan")
    home.eventually(lambda: len(home.api.accepted), lambda count: count >= before + 2)
    os.kill(home.worker(), signal.SIGKILL)
    assert home.until(run, final)["type"] == "COMPLETED"
    assert (
        "2 reused" in home.storyreel("run", "orphan.yaml", "--yes", "--workspace", "orphan").stdout
    )
    assert home.storyreel("up").returncode == 0


def test_two_projects_share_nothing_but_the_server(home: Home) -> None:
    other = home.folder.parent / "lake"
    assert home.storyreel("init", str(other)).returncode == 0
    call(other, "lake")
    nightly = home.ask("GET", f"/deployments/name/{NIGHTLY}")
    home.ask(
        "PATCH",
        f"/deployments/{nightly['id']}/schedules/{nightly['schedules'][0]['id']}",
        {"active": True},
    )
    mine = {
        d["name"]: d
        for d in home.ask("POST", "/deployments/filter", {})
        if d["name"].startswith(NAME)
    }
    worker = home.worker()
    home.environment["STORYREEL_MAX_IN_FLIGHT"] = "nonsense"  # of the other project's environment
    try:
        assert home.storyreel("up", str(other), "--limit", "1").stdout.strip() == home.url
    finally:
        del home.environment["STORYREEL_MAX_IN_FLIGHT"]
    listed = {d["name"]: d for d in home.ask("POST", "/deployments/filter", {})}
    assert not listed["lake-render-nightly"]["schedules"][0]["active"]
    assert {name: listed[name] | {"last_polled": 0, "status": 0} for name in mine} == {
        name: one | {"last_polled": 0, "status": 0} for name, one in mine.items()
    }
    assert home.worker() == worker
    (home.folder / "here.yaml").write_text(BOARD.format(id="here", approve="none"))
    (other / "there.yaml").write_text(BOARD.format(id="there", approve="none"))
    runs = [
        home.start(RENDER, storyboard="here.yaml", simulate=True, speed=3000),
        home.start(
            "render-storyboard/lake-render", storyboard="there.yaml", simulate=True, speed=3000
        ),
    ]
    assert [home.until(run, final)["type"] for run in runs] == [
        "COMPLETED",
        "FAILED",
    ]  # for its environment's nonsense
    assert (home.folder / "runs/here.simulated").is_dir() and not (
        home.folder / "runs/there.simulated"
    ).exists()
    namesake = home.folder.parent / "copy"
    shutil.copytree(other, namesake)
    done = home.storyreel("up", str(namesake))
    assert (
        done.returncode == 2
        and "is called `lake`, too" in done.stderr
        and "STORYREEL_PROJECT" in done.stderr
    )
    assert "worker of `lake`" in home.storyreel("down", str(other)).stdout
    assert home.worker() == worker and home.storyreel("up").stdout.strip() == home.url
