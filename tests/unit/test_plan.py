"""What would run, and why."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from storyreel.catalog import load as catalog
from storyreel.ledger.rows import State, Take
from storyreel.manifest import Checked, Storyboard
from storyreel.plan import make as plan
from storyreel.plan.make import Action, Plan, Snapshot

CATALOG = catalog.load()
Check = Callable[..., Checked]

BOARD = """\
version: 1
id: b
defaults: {model: kling-video-o1}
scenes:
  - {id: a, prompt: first}
  - {id: b, prompt: second, first_frame: previous}
  - {id: c, prompt: third, first_frame: previous}
  - {id: d, prompt: alone}
"""


@pytest.fixture
def load(check: Check) -> Callable[[str], Storyboard]:
    def run(text: str) -> Storyboard:
        checked = check(text)
        assert checked.storyboard is not None, [str(f) for f in checked.faults]
        return checked.storyboard

    return run


Load = Callable[[str], Storyboard]


def row(
    planned: Plan, scene: str, number: int = 1, state: State = State.COLLECTED, **changes: Any
) -> Take:
    """The ledger's row that rendering this scene of the plan would have left."""
    one = planned.scene(scene)
    made = Take(
        id=hash((scene, number)) % 10**6, storyboard="b", scene=scene, take=number, key=one.key, ordinal=number, state=state,
        superseded=False, account="x", run_id="r", inputs={r: {"from": i.label, "id": i.identity.recorded} for r, i in one.inputs.items()},
        request=one.request.shown(),
        price=Decimal("4"), currency="CNY", submissions=1, created_at=1, submitted_at=1, completed_at=2,
        collected_at=3, expires_at=None, polls=1, job_id="j", error_class=None, error_code=None, error_message=None, clip=None,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def rendered(board: Storyboard) -> Snapshot:
    """Everything is made."""
    takes: list[Take] = []
    for scene in board.ordered():
        planned = plan.make(board, CATALOG, Snapshot(tuple(takes)))
        takes += [row(planned, scene.id, n + 1) for n in range(scene.takes)]
    return Snapshot(tuple(takes))


def actions(planned: Plan) -> dict[str, str]:
    return {p.scene.id: str(p.action) for p in planned.scenes}


def test_a_new_board_is_submitted_from_the_top(load: Load) -> None:
    planned = plan.make(load(BOARD), CATALOG, Snapshot())
    assert actions(planned) == {
        "a": "submit",
        "b": "wait-upstream",
        "c": "wait-upstream",
        "d": "submit",
    }
    assert planned.jobs == 4
    assert planned.cost() == {"CNY": (Decimal("16.00"), Decimal("16.00"))}
    assert planned.critical_path == ("a", "b", "c")


def test_nothing_is_left_of_a_rendered_board(load: Load) -> None:
    board = load(BOARD)
    planned = plan.make(board, CATALOG, rendered(board))
    assert set(actions(planned).values()) == {"reuse"}
    assert not planned.has_work and planned.jobs == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: b\n", "id: b\ntitle: Another\n"),
        ("id: a, prompt: first", "id: a, prompt: first, note: think again, title: T"),
        ("version: 1", "version: 1\ncut: {transition: fade}"),
        ("version: 1", "version: 1\nkeyframes: {k: 'https://x.example/k.png'}"),
        ("id: a, prompt: first", "id: a, prompt: first, caption: Hello"),
        ("id: a, prompt: first", "id: a, prompt: ' first '"),
    ],
)
def test_what_never_reaches_the_api_costs_nothing(load: Load, old: str, new: str) -> None:
    taken = rendered(load(BOARD))
    assert plan.make(load(BOARD.replace(old, new)), CATALOG, taken).jobs == 0


def test_order_costs_nothing(load: Load) -> None:
    taken = rendered(load(BOARD))
    lines = BOARD.splitlines(keepends=True)
    moved = "".join([*lines[:4], lines[7], *lines[4:7]])
    assert plan.make(load(moved), CATALOG, taken).jobs == 0


def test_a_renamed_scene_keeps_its_clip(load: Load) -> None:
    taken = rendered(load(BOARD))
    planned = plan.make(load(BOARD.replace("id: d,", "id: solo,")), CATALOG, taken)
    assert planned.jobs == 0
    assert "made as scene `d`" in planned.scene("solo").reason


@pytest.mark.parametrize(
    ("old", "new", "made", "reason"),
    [
        ("first}", "changed}", {"a", "b", "c"}, "prompt changed"),
        ("id: a, prompt: first", "id: a, prompt: first, seconds: 10", {"a", "b", "c"}, "seconds changed"),
        ("id: a, prompt: first", "id: a, prompt: first, size: 1080x1920", {"a", "b", "c"}, "size changed"),
        ("id: a, prompt: first", "id: a, prompt: first, first_frame: 'https://x.example/a.png'", {"a", "b", "c"}, "first_frame added"),
    ],
)  # fmt: skip
def test_only_what_changed_is_made_again(
    load: Load, old: str, new: str, made: set[str], reason: str
) -> None:
    taken = rendered(load(BOARD))
    planned = plan.make(load(BOARD.replace(old, new)), CATALOG, taken)
    assert {p.scene.id for p in planned.scenes if p.to_make} == made
    assert planned.scene("a").reason == reason
    assert planned.scene("b").reason == "scene `a` will be made again"


def test_upstream_changes_can_be_kept_out(load: Load) -> None:
    taken = rendered(load(BOARD))
    text = BOARD.replace("first}", "changed}") + "policy: {on_upstream_change: keep}\n"
    planned = plan.make(load(text), CATALOG, taken)
    assert actions(planned) == {"a": "submit", "b": "reuse", "c": "reuse", "d": "reuse"}


SIGNED = """\
version: 1
id: b
defaults: {model: kling-v2-5-turbo, mode: pro}
policy: {on_upstream_change: keep}
scenes:
  - {id: a, prompt: first}
  - {id: b, prompt: second, first_frame: previous, end_frame: "https://x.example/p.png?signature=1"}
"""


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("first}", "changed}", True), ("previous,", "{scene: a, frame: first},", False), ("previous,", "previous, fit: crop,", False),
        ("signature=1", "signature=2", False), ("second", "other", False), ("second", "second, seconds: 10", False),
    ],
)  # fmt: skip
def test_a_scene_is_kept_where_only_the_takes_above_it_changed(
    load: Load, old: str, new: str, kept: bool
) -> None:
    taken = rendered(load(SIGNED))
    assert (
        plan.make(load(SIGNED.replace(old, new)), CATALOG, taken).scene("b").action is Action.REUSE
    ) is kept


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("second", "second", "failed last time (transient); tried again"),
        ("previous,", "{scene: a, frame: first},", "first_frame changed"),
        ("signature=1", "signature=2", "its inputs are sent in another way"),
        (', end_frame: "https://x.example/p.png?signature=1"', "", "end_frame removed"),
        ("id: b, prompt", "id: b, seconds: 10, prompt", "seconds changed"),
        ("id: b, prompt", "id: b, model: sora-2, prompt", "model changed"),
        ("first_frame: previous, end_frame", "fit: crop, first_frame: previous, end_frame", "its inputs are sent in another way"),
    ],
)  # fmt: skip
def test_the_reason_names_what_changed_since_the_last_take(
    load: Load, old: str, new: str, reason: str
) -> None:
    taken = rendered(load(SIGNED))
    failed = [
        dataclasses.replace(take, state=State.FAILED, error_class="transient")
        for take in taken.by_scene["b"]
    ]
    then = Snapshot((*taken.by_scene["a"], *failed))
    board = SIGNED.replace(old, new)
    if "sora" in new:
        board = board.replace(', end_frame: "https://x.example/p.png?signature=1"', "")
    assert plan.make(load(board), CATALOG, then).scene("b").reason == reason


def test_the_bytes_of_a_picture_count_not_its_name(check: Check) -> None:
    text = "version: 1\nid: b\nscenes:\n  - {id: a, prompt: x, model: kling-v2-5-turbo, fit: crop, first_frame: p.png}\n"
    from tests.conftest import png

    one, two = png(), png(colour=(1, 2, 3))
    board = check(text, files={"p.png": one, "q.png": one}).storyboard
    assert board is not None
    digest = {"p.png": hashlib.sha256(one).hexdigest(), "q.png": hashlib.sha256(one).hexdigest()}
    planned = plan.make(board, CATALOG, Snapshot((), frozenset(), digest))
    taken = row(planned, "a")
    renamed = check(text.replace("p.png", "q.png")).storyboard
    assert renamed is not None
    assert plan.make(renamed, CATALOG, Snapshot((taken,), frozenset(), digest)).jobs == 0
    changed = plan.make(
        board, CATALOG, Snapshot((taken,), frozenset(), {"p.png": hashlib.sha256(two).hexdigest()})
    )
    assert changed.scene("a").reason == "first_frame bytes changed"


def test_jobs_in_flight_are_taken_up(load: Load) -> None:
    board = load(BOARD)
    taken = rendered(board).takes
    flying = tuple(
        dataclasses.replace(t, state=State.IN_FLIGHT) if t.scene == "a" else t for t in taken
    )
    planned = plan.make(board, CATALOG, Snapshot(flying))
    assert planned.scene("a").action is Action.RESUME and planned.jobs == 0


def test_a_missing_clip_is_fetched_before_anything_is_made(load: Load) -> None:
    board = load(BOARD)
    taken = rendered(board)
    lost = next(t.id for t in taken.takes if t.scene == "d")
    planned = plan.make(board, CATALOG, Snapshot(taken.takes, frozenset({lost})))
    assert planned.scene("d").action is Action.RESUME and planned.jobs == 0


def test_a_held_take_is_never_made_again_by_itself(load: Load) -> None:
    board = load(BOARD)
    planned = plan.make(board, CATALOG, Snapshot())
    held = row(planned, "a", state=State.AMBIGUOUS, error_message="lost at 09:31", clip=None)
    planned = plan.make(board, CATALOG, Snapshot((held,)))
    assert planned.scene("a").action is Action.HELD
    assert planned.scene("a").to_make == 0
    assert "which is held" in planned.scene("b").reason


def test_a_moderated_prompt_is_not_rolled_again_but_a_failed_one_is(load: Load) -> None:
    board = load(BOARD)
    planned = plan.make(board, CATALOG, Snapshot())
    for kind, to_make in (("moderation", 0), ("transient", 1)):
        failed = row(planned, "d", state=State.FAILED, error_class=kind)
        assert plan.make(board, CATALOG, Snapshot((failed,))).scene("d").to_make == to_make


def test_more_takes_are_added_to_those_that_are_there(load: Load) -> None:
    taken = rendered(load(BOARD))
    planned = plan.make(
        load(BOARD.replace("prompt: alone", "prompt: alone, takes: 3")), CATALOG, taken
    )
    assert planned.scene("d").to_make == 2 and planned.jobs == 2


def test_another_pick_remakes_what_is_below_it(load: Load) -> None:
    text = BOARD.replace("prompt: first", "prompt: first, takes: 2")
    taken = rendered(load(text))
    planned = plan.make(load(text.replace("takes: 2", "takes: 2, pick: 2")), CATALOG, taken)
    assert {p.scene.id for p in planned.scenes if p.to_make} == {"b", "c"}


def test_force_makes_the_scene_and_what_hangs_on_it(load: Load) -> None:
    board = load(BOARD)
    planned = plan.make(board, CATALOG, rendered(board), force={"b"})
    assert {p.scene.id for p in planned.scenes if p.to_make} == {"b", "c"}


def test_selection_takes_upstream_along_and_leaves_the_rest(load: Load) -> None:
    board = load(BOARD)
    assert plan.with_upstream(board, ["b"]) == {"a", "b"}
    assert plan.with_downstream(board, ["b"]) == {"b", "c"}
    planned = plan.make(board, CATALOG, Snapshot(), selected={"a", "b"})
    assert (
        actions(planned) == {"a": "submit", "b": "wait-upstream", "c": "skip", "d": "skip"}
        and planned.jobs == 2
    )


def test_expected_time_is_the_critical_path_until_slots_run_out(load: Load) -> None:
    board = load(BOARD)
    assert plan.make(board, CATALOG, Snapshot(), slots=5).expected_s == (360.0, 900.0)
    assert plan.make(board, CATALOG, Snapshot(), slots=1).expected_s == (480.0, 1200.0)


def test_a_thousand_scene_chain_is_planned_without_recursion(load: Load) -> None:
    scenes = "".join(
        f"  - {{id: s{i}, prompt: p{i}" + (", first_frame: previous}\n" if i else "}\n")
        for i in range(1000)
    )
    board = load("version: 1\nid: b\ndefaults: {model: kling-video-o1}\nscenes:\n" + scenes)
    assert len(plan.make(board, CATALOG, Snapshot()).critical_path) == 1000


def test_what_hangs_on_a_scene_without_a_clip_is_blocked_and_costs_nothing(load: Load) -> None:
    board = load(BOARD)
    planned = plan.make(board, CATALOG, Snapshot())
    for state, word in ((State.AMBIGUOUS, "held"), (State.FAILED, "failed: moderation blocked it")):
        stuck = row(planned, "a", state=state, error_class="moderation", clip=None)
        now = plan.make(board, CATALOG, Snapshot((stuck,)))
        assert actions(now) == {
            "a": now.scene("a").action,
            "b": "blocked",
            "c": "blocked",
            "d": "submit",
        }
        assert now.scene("b").reason == f"needs `a`, which is {word}"
        assert (
            now.scene("c").reason == "needs `b`, which is blocked by `a`"
            and now.scene("c").blocked_by == "a"
        )
        assert now.jobs == 1 and now.cost() == {"CNY": (Decimal("4.00"), Decimal("4.00"))}
        assert now.critical_path == ("d",)


def test_a_board_of_which_nothing_can_run_has_no_work(load: Load) -> None:
    board = load(BOARD.replace("  - {id: d, prompt: alone}\n", ""))
    planned = plan.make(board, CATALOG, Snapshot())
    now = plan.make(
        board, CATALOG, Snapshot((row(planned, "a", state=State.AMBIGUOUS, clip=None),))
    )
    assert (now.jobs, now.cost(), now.has_work) == (0, {}, False)


def test_one_held_take_of_several_blocks_nothing(load: Load) -> None:
    text = BOARD.replace("prompt: first", "prompt: first, takes: 2")
    board = load(text)
    taken = rendered(board).takes
    held = tuple(
        dataclasses.replace(t, state=State.AMBIGUOUS) if t.scene == "a" and t.take == 2 else t
        for t in taken
    )
    assert actions(plan.make(board, CATALOG, Snapshot(held))) == {
        "a": "held",
        "b": "reuse",
        "c": "reuse",
        "d": "reuse",
    }


def test_a_pick_of_a_held_take_blocks(load: Load) -> None:
    text = BOARD.replace("prompt: first", "prompt: first, takes: 2, pick: 2")
    board = load(text)
    planned = plan.make(board, CATALOG, Snapshot())
    taken = (row(planned, "a", 1), row(planned, "a", 2, State.AMBIGUOUS))
    now = plan.make(board, CATALOG, Snapshot(taken))
    assert now.scene("b").action is Action.BLOCKED and now.jobs == 1


def replacing(taken: Snapshot, scene: str, state: State, **changes: Any) -> Snapshot:
    """As after a --force of this scene that came so far."""
    old = next(t for t in taken.takes if t.scene == scene)
    made = dataclasses.replace(
        old, id=old.id + 1, take=2, ordinal=2, state=state, replaces=old.id, **changes
    )
    return dataclasses.replace(taken, takes=(*taken.takes, made))


def test_force_makes_one_beside_the_good_one_and_replaces_it(load: Load) -> None:
    board = load(BOARD)
    taken = rendered(board)
    (one,) = plan.make(board, CATALOG, taken, force={"b"}).scene("b").takes
    old = next(t for t in taken.takes if t.scene == "b")
    assert one.action is Action.SUBMIT and one.replaces == old.id
    assert one.instead is not None and one.instead.row is old


@pytest.mark.parametrize("force", [set(), {"b"}])
def test_a_forced_job_in_flight_is_taken_up_by_any_run(load: Load, force: set[str]) -> None:
    board = load(BOARD)
    for state in (State.IN_FLIGHT, State.COMPLETED):
        now = plan.make(board, CATALOG, replacing(rendered(board), "b", state), force=force)
        assert now.scene("b").action is Action.RESUME and now.scene("b").to_make == 0
        assert ("--force resumes it" in now.scene("b").reason) is bool(force)
        assert now.scene("c").to_make == 1  # it will start from another clip


@pytest.mark.parametrize(
    ("state", "kind"), [(State.FAILED, "transient"), (State.RELEASED, "quota"), (State.FAILED, "moderation"), (State.AMBIGUOUS, None)]
)  # fmt: skip
def test_a_force_that_came_to_nothing_leaves_the_good_one_used(
    load: Load, state: State, kind: str | None
) -> None:
    board = load(BOARD)
    now = plan.make(board, CATALOG, replacing(rendered(board), "b", state, error_class=kind))
    used = now.scene("b").used
    assert used is not None and used.action is Action.REUSE and used.ordinal == 1
    assert now.scene("c").action is Action.REUSE and now.jobs == 0


def test_a_take_has_the_place_of_the_one_it_replaced(load: Load) -> None:
    text = BOARD.replace("prompt: alone", "prompt: alone, takes: 2, pick: 1")
    board = load(text)
    taken = replacing(rendered(board), "d", State.COLLECTED)
    old = next(t for t in taken.takes if t.scene == "d")
    done = dataclasses.replace(
        taken,
        takes=tuple(
            dataclasses.replace(t, superseded=True)
            if t is old
            else dataclasses.replace(t, ordinal=3)
            if t.replaces
            else t
            for t in taken.takes
        ),
    )
    now = plan.make(board, CATALOG, done).scene("d")
    assert [t.ordinal for t in now.takes] == [3, 2] and now.used is now.takes[0]
    fewer = load(text.replace("takes: 2, pick: 1", "takes: 1"))
    assert [t.ordinal for t in plan.make(fewer, CATALOG, done).scene("d").takes] == [3]


def test_a_clip_that_is_gone_with_its_link_is_made_again_by_force_only(load: Load) -> None:
    board = load(BOARD)
    taken = rendered(board)
    gone = next(t for t in taken.takes if t.scene == "d")
    dead = dataclasses.replace(
        taken,
        takes=tuple(
            dataclasses.replace(t, error_class="expired") if t is gone else t for t in taken.takes
        ),
        missing=frozenset({gone.id}),
    )
    now = plan.make(board, CATALOG, dead)
    assert (
        now.jobs == 0 and "--force d" in now.scene("d").reason and "4 CNY" in now.scene("d").reason
    )
    forced = plan.make(board, CATALOG, dead, force={"d"})
    assert forced.jobs == 1 and forced.scene("d").takes[0].instead is None


def test_a_scene_left_out_keeps_its_clip_even_where_it_would_be_made_again(load: Load) -> None:
    taken = rendered(load(BOARD))
    board = load(BOARD.replace("first}", "changed}"))
    now = plan.make(board, CATALOG, taken, selected={"a"})
    assert actions(now) == {"a": "submit", "b": "skip", "c": "skip", "d": "skip"} and now.jobs == 1
    assert [now.scene(name).kept is not None for name in "bcd"] == [True, True, True]
    assert now.scene("b").takes[0].reason == "not asked for: its clip is from before a change"
