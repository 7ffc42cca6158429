"""Every example storyboard, from the first job to the film, on the simulator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storyreel.film.media.clip import verify
from tests.flows.conftest import Project

EXAMPLES = sorted((Path(__file__).parents[2] / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[p.stem for p in EXAMPLES])
def test_an_example_renders(project: Project, path: Path) -> None:
    if "reference_video" in path.read_text():  # whose sides may not be short
        project.environment["STORYREEL_SIMULATOR_SCALE"] = "1"
    workspace = project.folder / f"{path.stem}.simulated"
    project.storyreel(
        "run", str(path), "--simulate", "--speed", "3000", "--workspace", str(workspace)
    )
    report = json.loads((workspace / "report" / "report.json").read_text())
    assert report["status"] == "completed"
    assert verify(workspace / "final.mp4").facts.frames == report["cut"]["frames"]
    shown = [s for s in report["scenes"] if s["used"]]
    assert len(shown) == report["totals"]["scenes"]
