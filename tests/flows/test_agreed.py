"""What a person agreed to pay for is what runs; only a person's word, or --yes, agrees."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import png
from tests.flows.conftest import KEY, Project, bare

BOARD = """\
version: 1
budget: {limit: 40, currency: CNY}
defaults: {model: kling-video-o1, seconds: 5, size: 1280x720}
scenes:
  - {id: one, prompt: scene one, first_frame: dawn.png}
"""
TABLE = "id,name\na,Ada\nb,Bo\n"


def asked(project: Project, *arguments: str, then: Callable[[], object]) -> tuple[int, str]:
    """Run a command at a terminal; do `then` while its question stands there, and answer y."""
    keyboard, terminal = pty.openpty()
    environment = {**bare(), "PREFECT_HOME": str(project.home), "OPENAI_BASE_URL": project.api.url, "OPENAI_API_KEY": KEY,
                   "STORYREEL_TIME_SCALE": "0.001"}  # fmt: skip
    command = [sys.executable, "-m", "storyreel", *arguments]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=environment,
        stdin=terminal,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        assert process.stderr is not None
        talk = b""
        while b"[y/N] " not in talk:
            byte = process.stderr.read(1)
            assert byte, talk
            talk += byte
        then()
        os.write(keyboard, b"y\n")
        talk += process.stderr.read()
        code = process.wait(timeout=120)
    os.close(keyboard)
    os.close(terminal)
    return code, talk.decode()


@pytest.mark.parametrize(
    "edit",
    [
        lambda p: p.write(BOARD + "  - {id: two, prompt: scene two}\n"),
        lambda p: p.write(BOARD.replace("scene one", "another prompt")),
        lambda p: p.write(BOARD.replace("seconds: 5", "seconds: 10")),
        lambda p: (p.folder / "dawn.png").write_bytes(png(1280, 720, (1, 2, 3))),
    ],
    ids=["a scene more", "another prompt", "a longer clip", "another picture"],
)
def test_what_changed_after_its_price_was_agreed_to_is_not_sent(
    project: Project, edit: Callable[[Project], object]
) -> None:
    project.write(BOARD)
    code, talk = asked(project, "run", "board.yaml", then=lambda: edit(project))
    assert code == 2 and project.api.accepted == []
    assert (
        "changed after the price was agreed to" in talk
        and "nothing was sent" in talk
        and "Fix: run the same" in talk
    )


def test_what_costs_nothing_may_change_meanwhile(project: Project) -> None:
    project.write(BOARD)
    code, _ = asked(
        project, "run", "board.yaml", then=lambda: project.write("title: Another\n" + BOARD)
    )
    assert code == 0 and project.api.accepted == ["scene one"]


def test_a_table_that_changed_after_its_price_was_agreed_to_is_not_rendered(
    project: Project,
) -> None:
    project.write(
        BOARD.replace("scene one", '"${name} alone"').replace(
            "version: 1", "version: 1\nvars: {name: x}"
        )
    )
    rows = project.folder / "rows.csv"
    rows.write_text(TABLE)
    code, talk = asked(
        project, "batch", "board.yaml", "rows.csv", then=lambda: rows.write_text(TABLE + "c,Cy\n")
    )
    assert (
        code == 2
        and project.api.accepted == []
        and "the table" in talk
        and "3 films, 3 jobs" in talk
    )


def test_a_budget_is_a_limit_and_not_a_yes(project: Project) -> None:
    project.write(BOARD)
    for extra in ([], ["--budget", "40"]):
        done = project.storyreel("run", "board.yaml", *extra, code=2)
        assert "would pay for 1 job, about 4.00 CNY" in done.stderr and "--yes" in done.stderr
    (project.folder / "rows.csv").write_text("id\na\n")
    done = project.storyreel("batch", "board.yaml", "rows.csv", "--budget", "40", code=2)
    assert "1 film, 1 job, about 4.00 CNY" in done.stderr and "--yes" in done.stderr
    assert project.api.accepted == []
