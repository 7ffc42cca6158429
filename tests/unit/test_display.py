"""What a person sees while a run works."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from storyreel.catalog import load as catalog
from storyreel.cli.display import Display
from storyreel.errors import Stage, Status
from storyreel.manifest import Checked
from storyreel.plan import make as plan
from storyreel.plan.make import Plan, Snapshot
from storyreel.run.session import Progress

BOARD = "version: 1\ndefaults: {model: kling-video-o1}\nscenes:\n" + "".join(
    f"  - {{id: s{i}, prompt: x}}\n" for i in range(40)
)


@pytest.fixture
def planned(check: Callable[..., Checked]) -> Plan:
    storyboard = check(BOARD).storyboard
    assert storyboard is not None
    return plan.make(storyboard, catalog.load(), Snapshot())


@pytest.mark.parametrize("width", [40, 100])
def test_a_terminal_shows_every_state_within_its_size(planned: Plan, width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=20, legacy_windows=False)
    with Display(planned, console) as display:
        display.tell(Progress("s0", 1, Stage.GENERATING, "in_progress 40 %"))
        display.tell(Progress("s1", 1, Status.FAILED, "moderation: blocked"))
        display.live.refresh()  # type: ignore[union-attr]
    last = out.getvalue().split("\x1b[2K")[-1]
    shown = "".join(out.getvalue())
    assert "generating" in shown and "1 of 40 done" in shown
    assert last.count("\n") <= 20


def test_without_a_terminal_each_change_is_a_line(
    planned: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display(planned, Console(file=io.StringIO(), force_terminal=False)) as display:
        for state in (Stage.GENERATING, Stage.GENERATING, Status.COMPLETED):
            display.tell(Progress("s0", 1, state))
        display.tell(Progress("s1", 1, Status.FAILED, "moderation: blocked"))
        for percent in (1, 2, 3):
            display.tell(Progress.cutting(percent, 100))
    assert capsys.readouterr().err.splitlines() == [
        "s0 take 1: generating", "s0 take 1: completed", "s1 take 1: failed: moderation: blocked", "the film: cutting"
    ]  # fmt: skip


def test_a_terminal_shows_how_far_the_cut_is(planned: Plan) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=20, legacy_windows=False)
    with Display(planned, console) as display:
        display.tell(Progress.cutting(42, 100))
        display.live.refresh()  # type: ignore[union-attr]
    assert "cutting the film" in out.getvalue() and "42 %, 42 of 100 pictures" in out.getvalue()


def test_a_held_scene_is_said_to_be_held_once(
    planned: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display(planned, Console(file=io.StringIO(), force_terminal=False)) as display:
        display.tell(Progress("s0", 1, Status.HELD, "held: the answer was lost"))
    assert capsys.readouterr().err == "s0 take 1: held: the answer was lost\n"
