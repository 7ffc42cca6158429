"""The words that terminal, report, page, JSON and events share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storyreel.errors import ErrorKind, Stage, Status, Tone
from storyreel.ledger.clip import Clip
from storyreel.report.advice import advice
from storyreel.report.model import ErrorReport, PriceReport, SceneReport, Timing, Totals
from storyreel.run.session import Progress
from tests.clips import clip

GOLDEN = Path(__file__).parents[1] / "golden" / "ledger.sql"


def test_the_words_stay_what_reports_and_ledgers_hold() -> None:
    assert [str(one) for one in Status] == [
        "completed",
        "reused",
        "failed",
        "blocked",
        "held",
        "skipped",
    ]
    assert {str(one) for one in ErrorKind} == {
        "moderation", "invalid", "quota", "auth", "rate", "transient", "timeout", "expired", "ambiguous", "media", "upstream",
    }  # fmt: skip


def test_the_worst_status_has_the_lowest_rank() -> None:
    worst_first = sorted(Status, key=lambda status: status.rank)
    assert worst_first == ["held", "failed", "blocked", "skipped", "completed", "reused"]
    assert {status for status in Status if status.is_good} == {Status.COMPLETED, Status.REUSED}
    assert len({status.rank for status in Status}) == len(Status)


def test_every_kind_of_error_has_advice_and_every_word_a_colour() -> None:
    assert all(kind.advice for kind in ErrorKind)
    assert all(word.tone.style for word in (*Status, *Stage))


def test_the_page_has_a_variable_for_every_tone() -> None:
    page = (Path(__file__).parents[2] / "storyreel/report/writers/report.html").read_text("utf-8")
    assert all(f"--{tone}:" in page for tone in Tone)


def test_the_totals_count_every_status() -> None:
    assert set(map(str, Status)) <= set(Totals.model_fields)
    counts = {str(status): 0 for status in Status} | {"failed": 1, "completed": 3}
    totals = Totals(
        scenes=4,
        spent_estimate="0",
        currency=None,
        spent_by_currency={},
        possible_double_charge="0",
        **counts,
    )  # type: ignore[arg-type]
    assert totals.words == "3 completed, 1 failed"
    assert list(totals.counts) == list(Status) and totals.nonzero == {"completed": 3, "failed": 1}


def test_a_kind_of_error_of_another_version_is_read() -> None:
    assert (
        ErrorKind.read("gremlins") is ErrorKind.TRANSIENT
        and ErrorKind.read("media") is ErrorKind.MEDIA
    )
    assert ErrorKind.read(None) is None is ErrorKind.read("")


@pytest.mark.parametrize(
    ("done", "total", "percent"), [(0, 0, 0), (42, 100, 42), (1, 3, 33), (240, 100, 100)]
)
def test_the_films_progress_is_a_number(done: int, total: int, percent: int) -> None:
    progress = Progress.cutting(done, total)
    assert (progress.percent, progress.state, progress.scene) == (percent, Stage.CUTTING, "")
    assert progress.of("row-1").scene == "row-1"


def test_a_clips_record_is_written_as_it_was_read() -> None:
    lines = GOLDEN.read_text("utf-8").splitlines()
    kept = [
        "{" + line.split("'{")[-1].partition("}'")[0] + "}"
        for line in lines
        if '"sha256": ' in line and "clips/" in line
    ]
    assert len(kept) > 2
    for text in (*kept, clip(damage=("the sound is damaged",)).text):
        assert (read := Clip.read(text)) is not None and read.text == text


def test_a_clip_of_the_first_version_is_read_and_a_broken_record_is_none() -> None:
    first = {
        name: value
        for name, value in clip().as_dict().items()
        if name not in ("concerns", "damage", "mtime_ns")
    }
    assert (read := Clip.of(first)) is not None and read.as_dict() == first
    assert Clip.read(json.dumps({"path": "x"})) is None is Clip.read(None)


def scene(status: Status, error: ErrorReport | None = None) -> SceneReport:
    return SceneReport(
        id="lamp", take=1, used=False, title=None, status=status, reason="", job_id=None, model="m", mode=None, seconds=5,
        size="1280x720", prompt="", inputs={}, clip=None, frames={}, error=error, timing=Timing(),
        price=PriceReport(estimate=None, currency=None),
    )  # fmt: skip


@pytest.mark.parametrize("status", Status)
def test_a_take_without_a_clip_has_advice_and_a_good_one_none(status: Status) -> None:
    assert bool(advice(scene(status), "my film.yaml")) is not status.is_good


def test_advice_is_the_errors_own_fix_then_its_kinds() -> None:
    fixed = ErrorReport(class_=ErrorKind.MEDIA, message="x", fix="make room")
    assert advice(scene(Status.FAILED, fixed), "f") == "make room"
    for kind in ErrorKind:
        assert (
            advice(scene(Status.FAILED, ErrorReport(class_=kind, message="x")), "f") == kind.advice
        )
    assert advice(scene(Status.HELD), "my film.yaml").startswith(
        "storyreel resolve 'my film.yaml' lamp "
    )
    assert advice(scene(Status.BLOCKED), "f") == ErrorKind.UPSTREAM.advice
