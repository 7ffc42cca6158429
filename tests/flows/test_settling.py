"""What a person does when something went wrong: resolve, retake, rescue, fetch again, wait for
another run.
"""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path

from storyreel.simulator import profiles
from tests.flows.conftest import Project
from tests.flows.test_render import statuses
from tests.server import serving

ONE = """\
version: 1
defaults: {model: kling-video-o1, seconds: 5, size: 1920x1080}
scenes:
  - {id: one, prompt: scene one}
cut: {enabled: false}
"""


def lost(project: Project) -> str:
    """A board whose only request was accepted, and its answer lost; returns the job's id on the
    server's side.
    """
    project.write(ONE)
    project.api.faults({"on": "create", "do": "lose_after", "nth": [1]})
    assert statuses(project.run(code=1)) == {"one": "held"}
    return str(project.api.simulator.truth["accepted"][0]["id"])


def test_a_held_take_is_adopted_and_nothing_is_paid_again(project: Project) -> None:
    job = lost(project)
    done = project.storyreel("resolve", "board.yaml", "one", code=2)
    assert "is held" in done.stderr and "--adopt" in done.stderr
    assert (
        "does not know a job"
        in project.storyreel("resolve", "board.yaml", "one", "--adopt", "qvideo-no", code=2).stderr
    )
    project.storyreel("resolve", "board.yaml", "one", "--adopt", job)
    assert statuses(project.run()) == {"one": "completed"}
    assert len(project.api.accepted) == 1


def test_a_server_that_lists_its_jobs_is_asked_which_one_was_lost(project: Project) -> None:
    project.api.simulator.profile = profiles.find("lax")
    with serving(project.api.simulator) as lax:
        project.api = lax
        project.write(
            ONE.replace(
                "{id: one, prompt: scene one}",
                "{id: one, prompt: scene one}\n  - {id: two, prompt: scene two}",
            )
        )
        project.api.faults({"on": "create", "do": "lose_after", "prompt": "scene one"})
        assert statuses(project.run(code=1)) == {"one": "held", "two": "completed"}
        (job,) = [
            j["id"] for j in project.api.simulator.truth["accepted"] if j["prompt"] == "scene one"
        ]
        told = project.storyreel("resolve", "board.yaml", "one", code=2).stderr
        assert "lists 1 that may be it" in told and "the same prompt" in told
        assert f"storyreel resolve board.yaml one --take 1 --adopt {job}" in told
        project.storyreel("resolve", "board.yaml", "one", "--adopt", job)
        assert statuses(project.run()) == {"one": "completed", "two": "reused"}
        assert len(project.api.accepted) == 2


def test_a_held_take_is_sent_once_more_only_when_asked_and_the_double_charge_is_told(
    project: Project,
) -> None:
    lost(project)
    project.storyreel("resolve", "board.yaml", "one", "--resubmit")
    report = project.run()
    assert [s["status"] for s in report["scenes"]] == ["completed"]
    assert len(project.api.accepted) == 2
    assert (
        "no take of scene `one` is held, or in flight"
        in project.storyreel("resolve", "board.yaml", "one", "--abandon", code=2).stderr
    )


def test_the_policy_may_resubmit_exactly_once(project: Project) -> None:
    project.write(ONE + "policy: {on_ambiguous: resubmit}\n")
    project.api.faults({"on": "create", "do": "lose_after"})
    for _ in range(2):
        report = project.run(code=1)
        assert statuses(report) == {"one": "held"}
        assert report["totals"]["possible_double_charge"] == "4.00"
    assert len(project.api.accepted) == 2


def test_a_retake_adds_a_take_and_the_storyboard_may_pick_it(project: Project) -> None:
    project.write(ONE)
    project.run()
    project.storyreel("retake", "board.yaml", "one")
    report = project.run()
    assert [(s["take"], s["status"], s["used"]) for s in report["scenes"]] == [
        (1, "reused", True),
        (2, "completed", False),
    ]
    project.write(ONE.replace("scene one}", "scene one, takes: 2, pick: 2}"))
    report = project.run()
    assert [(s["take"], s["used"]) for s in report["scenes"]] == [(1, False), (2, True)]
    assert len(project.api.accepted) == 2


def test_a_clip_deleted_or_changed_by_hand_is_fetched_again_for_nothing(project: Project) -> None:
    project.write(ONE)
    project.run()
    clip = project.workspace / "clips/one/take-1.mp4"
    whole = clip.read_bytes()
    for spoil in (clip.unlink, lambda: clip.write_bytes(whole[:-1] + b"?")):
        spoil()
        assert statuses(project.run())["one"] in ("completed", "reused")
        assert clip.read_bytes() == whole
    assert len(project.api.accepted) == 1


def test_rescue_fetches_what_finished_while_nobody_watched(project: Project) -> None:
    job = lost(project)
    project.storyreel("resolve", "board.yaml", "one", "--adopt", job)
    assert "fetched clips/one/take-1.mp4" in project.storyreel("rescue", "board.yaml").stdout
    assert "everything that is paid for is here" in project.storyreel("rescue", "board.yaml").stdout
    assert len(project.api.accepted) == 1


def test_rescue_goes_through_every_ledger_by_the_hours_left_and_needs_no_storyboard(
    project: Project,
) -> None:
    project.api.faults({"on": "content", "do": "status", "status": 404})
    for name in ("late", "soon"):
        (project.folder / f"{name}.yaml").write_text(
            ONE.replace("scene one", name).replace("version: 1", f"version: 1\nid: {name}")
        )
        project.storyreel("run", f"{name}.yaml", "--yes", code=1)
    for name, expires in (("late", 4e9), ("soon", 3e9)):
        with sqlite3.connect(project.folder / f"runs/{name}/ledger.db") as connection:
            connection.execute("UPDATE takes SET expires_at = ?", (expires,))
        connection.close()
    project.api.faults()
    (project.folder / "soon.yaml").write_text("nothing: [of, use")
    (project.folder / "late.yaml").unlink()
    with (project.folder / "runs/late/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = project.storyreel(
            "rescue", code=1
        )  # a workspace in use keeps no other from being rescued
    assert (
        "another run" in done.stderr
        and "soon: one take 1: fetched clips/one/take-1.mp4" in done.stdout
    )
    (project.folder / "runs/soon/clips/one/take-1.mp4").unlink()
    told = project.storyreel("rescue", "runs").stdout
    assert told.index("soon: one take 1: fetched") < told.index("late: one take 1: fetched")
    assert "no ledger is in" in project.storyreel("rescue", ".", code=1).stderr
    assert len(project.api.accepted) == 2


def test_a_clip_that_is_gone_is_told_with_its_price_and_never_made_silently(
    project: Project,
) -> None:
    project.write(ONE)
    project.api.faults({"on": "content", "do": "status", "status": 404})
    report = project.run(code=1)
    (scene,) = report["scenes"]
    assert scene["error"]["class"] == "expired" and "would cost 4.00 CNY" in scene["reason"]
    assert scene["job_id"] and report["totals"]["spent_estimate"] == "4.00"
    project.run(code=1)
    assert len(project.api.accepted) == 1
    project.api.faults()
    assert statuses(project.run()) == {"one": "completed"}


def test_a_damaged_download_is_fetched_again(project: Project) -> None:
    project.write(ONE)
    project.api.faults({"on": "content", "do": "truncate", "times": 1})
    assert statuses(project.run()) == {"one": "completed"}
    project.write(ONE.replace("scene one", "scene two"))
    project.api.faults({"on": "content", "do": "garbage", "times": 3})
    assert statuses(project.run()) == {"one": "completed"}


def test_a_moderated_prompt_is_not_rolled_again_and_a_fallback_is_sent_once(
    project: Project,
) -> None:
    project.write(ONE.replace("scene one", "moderation-test one"))
    for _ in range(2):
        report = project.run(code=1)
        assert report["scenes"][0]["error"]["class"] == "moderation"
    assert len(project.api.accepted) == 1
    project.write(ONE.replace("scene one}", "moderation-test one, fallback_prompt: gentle one}"))
    report = project.run()
    assert project.api.accepted == ["moderation-test one", "gentle one"]
    assert [s["status"] for s in report["scenes"] if s["used"]] == ["completed"]
    project.run()
    assert len(project.api.accepted) == 2


def test_a_rate_limit_looks_like_waiting(project: Project) -> None:
    project.write(ONE)
    project.api.faults(
        {"on": "create", "do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 2}
    )
    done = project.storyreel("run", "board.yaml", "--yes")
    assert "waiting: the API asks to wait" in done.stderr and len(project.api.accepted) == 1


def test_no_more_jobs_are_in_flight_than_the_account_may_have(project: Project) -> None:
    project.environment["STORYREEL_MAX_IN_FLIGHT"] = "2"
    project.api.simulator.max_running = 2
    scenes = "".join(f"  - {{id: s{i}, prompt: scene {i}}}\n" for i in range(6))
    project.write(ONE.replace("  - {id: one, prompt: scene one}\n", scenes))
    assert set(statuses(project.run()).values()) == {"completed"}
    assert len(project.api.accepted) == 6 and project.api.simulator.truth["refused"] == []


def test_an_empty_account_stops_the_run_with_3(project: Project) -> None:
    project.write(ONE)
    project.api.faults(
        {
            "on": "create",
            "do": "status",
            "status": 402,
            "body": '{"error": {"message": "no balance"}}',
        }
    )
    done = project.storyreel("run", "board.yaml", "--yes", code=3)
    assert "no credit left" in done.stderr


def test_a_second_run_of_the_same_storyboard_is_told_to_wait(project: Project) -> None:
    project.write(ONE)
    project.workspace.mkdir(parents=True)
    with Path(project.workspace / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = project.storyreel("run", "board.yaml", "--yes", code=2)
    assert "another run" in done.stderr and project.api.accepted == []


def test_a_damaged_ledger_is_told_and_nothing_is_spent(project: Project) -> None:
    project.write(ONE)
    project.workspace.mkdir(parents=True)
    (project.workspace / "ledger.db").write_bytes(b"not a database at all, only text" * 200)
    done = project.storyreel("run", "board.yaml", "--yes", code=2)
    assert "is damaged" in done.stderr and project.api.accepted == []


def test_force_makes_a_scene_again(project: Project) -> None:
    project.write(ONE)
    project.run()
    report = project.run("--force", "one")
    assert [(s["take"], s["status"]) for s in report["scenes"]] == [(2, "completed")]
    assert len(project.api.accepted) == 2
    project.run()
    assert len(project.api.accepted) == 2


def test_a_full_disk_loses_nothing_that_was_paid(project: Project) -> None:
    project.write(ONE)
    project.api.simulator.jobs.scale = 1.0  # its clip is larger than that
    done = project.storyreel("run", "board.yaml", "--yes", code=1, largest_file=400_000)
    assert "the disk failed" in done.stderr and "Fix: make room" in done.stderr
    assert not list(project.workspace.rglob("*.part"))
    assert statuses(project.run()) == {"one": "completed"}
    assert len(project.api.accepted) == 1


def test_a_workspace_that_cannot_be_written_is_told_before_anything_is_sent(
    project: Project,
) -> None:
    project.write(ONE)
    (project.folder / "runs").write_text("a file where the folder should be")
    done = project.storyreel("run", "board.yaml", "--yes", code=2)
    assert "cannot be written" in done.stderr and project.api.accepted == []


def test_the_first_clip_is_looked_at_and_the_run_stops_before_more_of_that_model_is_paid(
    project: Project,
) -> None:
    project.write(
        ONE.replace(
            "cut:", "  - {id: two, prompt: scene two}\n  - {id: three, prompt: scene three}\ncut:"
        )
    )
    project.environment["STORYREEL_MAX_IN_FLIGHT"] = "1"
    project.api.faults({"on": "create", "do": "wrong"})
    done = project.storyreel("run", "board.yaml", "--yes", code=4)
    assert (
        "`size`: 1920x1080 (landscape) was asked for" in done.stderr
        and "--accept-differences" in done.stderr
    )
    assert len(project.api.accepted) == 1
    project.storyreel(
        "run", "board.yaml", "--yes", code=4
    )  # nor does another run pay before it is accepted
    assert len(project.api.accepted) == 1
    report = project.run("--accept-differences")
    assert (
        set(statuses(report).values()) == {"completed", "reused"} and len(project.api.accepted) == 3
    )
