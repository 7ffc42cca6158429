"""The commands and storyboards of the documentation, run as they stand there.

Those under "Schedule it" are run by test_up.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import png
from tests.flows.conftest import Project
from tests.unit.test_docs import blocks, fenced

ROOT = Path(__file__).parents[2]


def commands(page: str, heading: str) -> list[list[str]]:
    """The commands under a heading, each as its words."""
    text = (ROOT / page).read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for block in fenced(text, "console") for line in block.splitlines()]
    found = [line.partition("#")[0].split()[1:] for line in lines if line.startswith("storyreel ")]
    assert found, heading
    return found


@pytest.fixture
def project(project: Project) -> Project:
    """As in a clone: results are in `runs` beside prefect.yaml."""
    shutil.copytree(ROOT / "manifests", project.folder / "manifests")
    shutil.copy(ROOT / "prefect.yaml", project.folder)
    return project


def test_a_newcomer_does_what_the_readme_says(project: Project) -> None:
    done = commands("README.md", "The first real run")
    assert [words[0] for words in done] == ["doctor", "init", "validate", "plan", "run", "run"]
    for words in done[:-1]:
        project.storyreel(*words)
    asked = project.storyreel(*done[-1], typed="y\n").stderr
    assert "jobs, about" in asked and "Go ahead? [y/N]" in asked
    assert len(project.api.accepted) == 3
    for heading in (
        "See the rhythm before paying",
        "Make a batch from a table",
        "Download what is paid for",
    ):
        for words in commands("docs/how-to.md", heading):
            project.storyreel(*words)
    assert (project.folder / "runs/product-batch/summary.html").exists()


def test_a_scene_is_made_again_as_the_docs_say(project: Project) -> None:
    project.storyreel("init", "film")
    project.storyreel("run", "film/storyboard.yaml", "--yes")
    for words in commands("docs/how-to.md", "Make a scene again, or only some of them"):
        project.storyreel(*words)
    assert len(project.api.accepted) == 4


@pytest.mark.parametrize(("name", "text"), [b for b in blocks("yaml") if "scenes:" in b[1]])
def test_a_storyboard_of_the_docs_becomes_a_film(project: Project, name: str, text: str) -> None:
    project.write(text)
    if "reference_video" in text:  # whose sides may not be short
        project.api.simulator.jobs.scale = 1.0
    (project.folder / "stills").mkdir()
    for still in re.findall(r"stills/[a-z-]+\.png", text):
        (project.folder / still).write_bytes(png(1280, 720))
    report = project.run()
    assert report["status"] == "completed" and (project.workspace / "final.mp4").exists()


def test_a_held_scene_is_settled_as_the_docs_say(project: Project) -> None:
    project.storyreel("init", "film")
    project.api.faults({"on": "create", "do": "lose_after", "prompt": "keeper"})
    done = project.storyreel("run", "film/storyboard.yaml", "--yes", code=1)
    assert (
        "held: held:" not in done.stderr
        and "Fix: storyreel resolve film/storyboard.yaml keeper" in done.stdout
    )
    job = next(j["id"] for j in project.api.simulator.truth["accepted"] if "keeper" in j["prompt"])
    held = project.folder / "film/runs"
    shutil.copytree(held, project.folder / "kept")
    for words in commands("docs/how-to.md", "Settle a held scene"):
        shutil.rmtree(held)
        shutil.copytree(project.folder / "kept", held)
        words = [job if word == "qvideo-123" else word for word in words]
        asks = words[0] == "resolve" and len(words) == 3  # it has to be told what became of the job
        done = project.storyreel(*words, code=2 if asks else 0)
        assert "keeper" in done.stdout + done.stderr
