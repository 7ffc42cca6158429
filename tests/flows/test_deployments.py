"""prefect.yaml is right, and works by itself with the plain Prefect commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text("utf-8"))
    return found


def test_no_key_is_misspelt(written: dict[str, Any]) -> None:
    """Prefect ignores what it does not know: a misspelt limit would be no limit."""
    for deployment in written["deployments"]:
        assert set(deployment) <= set(DeploymentConfig.model_fields), deployment["name"]
    assert len(PrefectYamlModel.model_validate(written).deployments) == len(written["deployments"])


def test_every_schedule_is_off_has_a_time_zone_and_runs_one_at_a_time(
    written: dict[str, Any],
) -> None:
    for deployment in written["deployments"]:
        for schedule in deployment.get("schedules", []):
            assert (
                CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
                and schedule["active"] is False
            )
            assert deployment["concurrency_limit"] == {
                "limit": 1,
                "collision_strategy": "CANCEL_NEW",
            }
            assert (
                deployment["name"] == "rescue-hourly"
                or deployment["parameters"]["budget_per_run"] > 0
            )


def test_every_entrypoint_takes_its_parameters(
    written: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for deployment in written["deployments"]:
        flow = load_flow_from_entrypoint(deployment["entrypoint"])
        flow.validate_parameters(deployment["parameters"])
        for name in ("storyboard", "rows"):
            assert (ROOT / deployment["parameters"].get(name, ".")).exists()


def test_prefect_deploys_all_of_it(prefect_home: Path) -> None:
    import json

    port = json.loads((prefect_home / "storyreel-server.json").read_text())["port"]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
        "PREFECT_HOME": str(prefect_home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PWD": str(ROOT), "COLUMNS": "200",
    }  # fmt: skip
    prefect = Path(sys.executable).with_name("prefect")
    for command in (
        ["work-pool", "create", "storyreel", "--type", "process"],
        ["--no-prompt", "deploy", "--all"],
    ):
        done = subprocess.run(
            [prefect, *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    listed = subprocess.run(
        [prefect, "deployment", "ls"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for name in (
        "render-storyboard/render ",
        "render-storyboard/render-nightly ",
        "rescue-clips/rescue-hourly ",
        "render-batch/batch ",
    ):
        assert name in listed
