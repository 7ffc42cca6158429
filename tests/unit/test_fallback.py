"""Other ways to make a scene: validated beforehand, each planned only after the one before failed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from storyreel.ledger.rows import State, Take
from storyreel.manifest import Checked, Storyboard
from storyreel.plan import make as plan
from storyreel.plan.make import Action, ScenePlan, Snapshot
from tests.unit.test_plan import CATALOG, row

Check = Callable[..., Checked]
BOARD = """\
version: 1
id: b
keyframes: {k: "https://x.example/k.png"}
scenes:
  - id: a
    prompt: first
    first_frame: {keyframe: k}
    model: kling-v2-5-turbo
    mode: std
    seconds: 5
    fallback: [{mode: pro}, {model: kling-video-o1}]
"""


@pytest.fixture
def board(check: Check) -> Storyboard:
    checked = check(BOARD)
    assert checked.storyboard is not None, [str(f) for f in checked.faults]
    return checked.storyboard


def planned(board: Storyboard, *takes: Take, **options: object) -> ScenePlan:
    scene = board.scenes[0]
    return plan.plan_scene(scene, board, CATALOG, Snapshot(takes), {}, **options)  # type: ignore[arg-type]


def ended(board: Storyboard, one: ScenePlan, state: State, error: str | None = None) -> Take:
    whole = plan.Plan(board, (one,), (), (0, 0))
    return row(whole, "a", state=state, error_class=error, id=hash(one.key) % 10**6)


def way(one: ScenePlan) -> tuple[str, str | None]:
    return one.scene.model, one.scene.mode


def failures(board: Storyboard, count: int) -> list[Take]:
    """What the ledger holds after so many ways have failed."""
    takes: list[Take] = []
    for _ in range(count):
        takes.append(ended(board, planned(board, *takes), State.FAILED, "transient"))
    return takes


def test_each_way_is_planned_after_the_one_before_has_failed(board: Storyboard) -> None:
    ways = [way(planned(board, *failures(board, n))) for n in range(4)]
    first = ("kling-v2-5-turbo", "std")
    assert ways == [first, ("kling-v2-5-turbo", "pro"), ("kling-video-o1", "pro"), first]
    one = planned(board, *failures(board, 1))
    assert one.reason == "fallback to kling-v2-5-turbo pro: kling-v2-5-turbo failed"


def test_the_plan_shows_the_dearest_way(board: Storyboard) -> None:
    one = planned(board)
    prices = [plan.price_of(each, CATALOG) for each in board.scenes[0].ways]
    assert one.price == prices[0] and one.cost is not None
    assert one.cost.high == max(p.high for p in prices if p) > Decimal(0)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (State.AMBIGUOUS, "ambiguous"),  # a lost answer is no failure
        (State.IN_FLIGHT, None),
        (State.COMPLETED, None),
        (State.RELEASED, "quota"),
        (State.RELEASED, "rate"),
        (State.RELEASED, "auth"),
        (State.RELEASED, "transient"),
        (State.ABANDONED, None),
    ],
)
def test_only_a_failure_that_the_api_named_leads_to_the_next_way(
    board: Storyboard, state: State, error: str | None
) -> None:
    first = planned(board)
    assert way(planned(board, ended(board, first, state, error))) == way(first)


@pytest.mark.parametrize(
    ("state", "error"), [(State.FAILED, "moderation"), (State.RELEASED, "invalid")]
)
def test_a_refusal_leads_to_the_next_way(board: Storyboard, state: State, error: str) -> None:
    refused = ended(board, planned(board), state, error)
    assert way(planned(board, refused)) == ("kling-v2-5-turbo", "pro")


def test_a_later_plan_accepts_what_a_fallback_made(board: Storyboard) -> None:
    takes = failures(board, 2)
    made = ended(board, planned(board, *takes), State.COLLECTED)
    one = planned(board, *takes, made)
    assert one.action is Action.REUSE and one.kept == made and one.to_make == 0


def test_a_clip_of_the_other_model_counts_only_after_a_failure(board: Storyboard) -> None:
    takes = failures(board, 1)
    made = ended(board, planned(board, *takes), State.COLLECTED)
    assert planned(board, made).action is Action.SUBMIT


def test_what_this_run_has_tried_is_not_tried_again(board: Storyboard) -> None:
    takes = failures(board, 3)
    keys = {take.key for take in takes[1:]}
    assert way(planned(board, *takes, tried=keys)) == ("kling-v2-5-turbo", "std")
    assert planned(board, *takes, tried={take.key for take in takes}).key in {t.key for t in takes}


def test_a_blocked_prompt_is_softened_before_another_model_is_tried(check: Check) -> None:
    text = BOARD.replace("prompt: first\n", "prompt: first\n    fallback_prompt: gentle\n")
    board = check(text).storyboard
    assert board is not None
    takes: list[Take] = []
    seen = []
    for _ in range(3):
        one = planned(board, *takes)
        seen.append((one.scene.prompt, one.scene.mode))
        takes.append(ended(board, one, State.FAILED, "moderation"))
    assert seen == [("first", "std"), ("gentle", "std"), ("first", "pro")]


def test_forcing_begins_with_the_first_way(board: Storyboard) -> None:
    assert way(planned(board, *failures(board, 2), forced=True)) == ("kling-v2-5-turbo", "std")


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        ("[{model: sora-9}]", "unknown model `sora-9`"),
        ("[{model: sora-2}]", "as a fallback: sora-2 does not sell seconds 5"),
        ("[{mode: std}]", "as a fallback: kling-v2-5-turbo std is tried before"),
        ("[{mode: pro}, {mode: pro}]", "as a fallback: kling-v2-5-turbo pro is tried before"),
        ("[{mode: best}]", "as a fallback: kling-v2-5-turbo does not sell mode best"),
        ("[{modle: x}]", "unknown key `modle`; did you mean `mode`?"),
        ("[kling-v2-1]", "this entry is `kling-v2-1`; it must be a mapping"),
        ("kling-v2-1", "`fallback` is `kling-v2-1`; it must be a list"),
    ],
)
def test_a_fallback_with_a_fault_is_an_error_at_its_place(
    check: Check, fallback: str, words: str
) -> None:
    text = BOARD.replace("[{mode: pro}, {model: kling-video-o1}]", fallback)
    (fault,) = [f for f in check(text).faults if f.severity == "error"]
    assert words in fault.message and fault.line == 11


def test_a_scene_that_is_remixed_has_no_fallback(check: Check) -> None:
    text = BOARD + "  - {id: n, remix_of: a, prompt: night}\n"
    assert any("is a remix of `a`" in fault.message for fault in check(text).faults)
