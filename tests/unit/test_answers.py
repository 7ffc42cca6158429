"""Answers as servers really give them: which job, which state, which link, which reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyreel.api import answers, bodies, links
from storyreel.api.answers import JobStatus, parse_job

BASE = "https://api.example/v1"
CLIP = "https://cdn.example/a/clip.mp4"
OTHER = "https://cdn.example/b/clip.mp4"
NINE = 1_763_802_000  # 2025-11-22T09:00:00Z


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("initializing", JobStatus.RUNNING), ("queued", JobStatus.RUNNING), ("in_progress", JobStatus.RUNNING),
        ("downloading", JobStatus.RUNNING), ("uploading", JobStatus.RUNNING), ("something new", JobStatus.RUNNING),
        ("completed", JobStatus.COMPLETED), ("Completed", JobStatus.COMPLETED), ("succeeded", JobStatus.COMPLETED),
        ("failed", JobStatus.FAILED), ("expired", JobStatus.FAILED), ("canceled", JobStatus.CANCELLED),
        ("cancelled", JobStatus.CANCELLED), ("", JobStatus.RUNNING), ("IN-PROGRESS", JobStatus.RUNNING),
        ("done", JobStatus.COMPLETED), ("Finished", JobStatus.COMPLETED), ("ready", JobStatus.COMPLETED),
        ("FAIL", JobStatus.FAILED), ("timeout", JobStatus.FAILED), ("rejected", JobStatus.FAILED),
        ("content filtered", JobStatus.FAILED), ("aborted", JobStatus.CANCELLED), (" Not Start ", JobStatus.RUNNING),
    ],
)  # fmt: skip
def test_status_words_are_normalised(word: str, status: JobStatus) -> None:
    job = parse_job({"id": "q", "status": word})
    assert job is not None and job.status is status


def test_a_word_that_is_new_is_judged_by_what_the_answer_has() -> None:
    new = {"id": "q", "status": "baked"}
    for more, status in (
        ({}, JobStatus.RUNNING), ({"video_url": CLIP}, JobStatus.COMPLETED), ({"error": {"message": "no"}}, JobStatus.FAILED),
        ({"error": None}, JobStatus.RUNNING), ({"error": {}}, JobStatus.RUNNING), ({"error": ""}, JobStatus.RUNNING),
        ({"fail_reason": "no"}, JobStatus.FAILED), ({"message": "success"}, JobStatus.RUNNING),
        ({"failed_at": NINE}, JobStatus.FAILED), ({"status_message": "still cooking"}, JobStatus.RUNNING),
    ):  # fmt: skip
        job = parse_job(new | more)
        assert job is not None and job.status is status and job.is_new_word, more


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "x",
        {},
        {"id": ""},
        {"id": None},
        {"status": "queued"},
        {"request_id": "r"},
        {"error": {"code": 1}, "request_id": "r"},
        {"id": True},
        {"id": 0},
    ],
)
def test_an_answer_that_names_no_job_is_none(payload: object) -> None:
    assert parse_job(payload) is None


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        ({"id": "q"}, "q"), ({"task_id": "q"}, "q"), ({"id": 5}, "5"), ({"id": 5, "task_id": "q"}, "q"),
        ({"code": 200, "data": {"task_id": "q"}}, "q"), ({"code": 0, "data": [{"task_id": "q"}]}, "q"),
        ({"output": {"task_id": "q", "task_status": "PENDING"}, "request_id": "r"}, "q"), ({"video": {"id": "q"}}, "q"),
        ({"data": {"data": {"task_id": "q"}}}, "q"), ([{"id": "q"}], "q"), ({"job_id": "q"}, "q"), ({"id": " q "}, "q"),
        ({"created": NINE, "id": "q", "data": [{"url": CLIP}]}, "q"), ({"id": None, "taskId": "q"}, "q"),
    ],
)  # fmt: skip
def test_the_job_is_found_wherever_it_is_named(payload: Any, name: str) -> None:
    job = parse_job(payload)
    assert job is not None and job.id == name


def test_an_answer_about_a_job_may_leave_its_id_out() -> None:
    job = parse_job({"status": "queued"}, asked="q")
    assert job is not None and job.id == "q" and job.status is JobStatus.RUNNING


def test_what_wraps_a_job_does_not_speak_for_it() -> None:
    job = parse_job(
        {"status": "success", "message": "ok", "data": {"task_id": "q", "status": "processing"}}
    )
    assert job is not None and job.status is JobStatus.RUNNING and job.id == "q"
    job = parse_job(
        {"code": "success", "data": {"status": "FAILURE", "fail_reason": "no luck", "task_id": "q"}}
    )
    assert job is not None and (job.status, job.error_message) == (JobStatus.FAILED, "no luck")


@pytest.mark.parametrize(
    "where",
    [
        {"task_result": {"videos": [{"url": CLIP}]}}, {"video_url": CLIP}, {"url": CLIP}, {"metadata": {"url": CLIP}},
        {"output": [CLIP]}, {"output": CLIP}, {"output": {"video_url": CLIP}}, {"result": {"video_url": CLIP}},
        {"content": {"video_url": CLIP}}, {"content": {"videoUrl": CLIP}}, {"videos": [{"url": CLIP}]}, {"videos": [CLIP]},
        {"data": {"url": CLIP}}, {"data": [{"url": CLIP}]}, {"video_result": [{"url": CLIP}]}, {"outputs": {"video_url": CLIP}},
        {"urls": [CLIP], "unsigned_urls": [OTHER]}, {"result": {"video": {"url": CLIP}}}, {"video": {"url": CLIP}},
        {"result_url": CLIP}, {"fail_reason": CLIP}, {"data": {"data": {"output": {"video_url": CLIP}}}},
        {"deliverables": {"main": {"href": CLIP}}}, {"works": [{"resource": {"resource": CLIP}}]},
        {"assets": {"video": CLIP, "thumbnail": OTHER}}, {"task_result": {"videos": []}, "video_url": CLIP},
        {"made": CLIP, "input_reference": OTHER}, {"made": CLIP, "again": CLIP},
    ],
)  # fmt: skip
def test_the_link_is_found_wherever_it_is(where: dict[str, Any]) -> None:
    job = parse_job({"id": "q", "status": "completed"} | where, base=BASE)
    assert job is not None and job.url == CLIP


def test_two_links_that_may_be_the_clip_are_said_not_guessed() -> None:
    job = parse_job(
        {"id": "q", "status": "completed", "made": {"one": CLIP, "two": OTHER}}, base=BASE
    )
    assert job is not None and job.url is None and set(job.candidates) == {CLIP, OTHER}


def test_a_completed_answer_without_a_link_says_what_it_has() -> None:
    job = parse_job({"id": "q", "status": "completed", "colour": "red"}, base=BASE)
    assert (
        job is not None
        and job.url is None
        and job.candidates == ()
        and job.keys == ("id", "status", "colour")
    )


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("/v1/videos/q/content", "https://api.example/v1/videos/q/content"), ("//cdn.example/a.mp4", "https://cdn.example/a.mp4"),
        (f"  {CLIP}\n", CLIP), ("http://[fe80::1/x", None), ("http://h:99999/x", None), ("http://h:80a/x", None), ("ftp://h/x", None),
        ("not a link", None), ("https://", None), ("http://\u0000/x", None), (7, None), ({}, None),
        (f"{BASE}/videos/q", None),  # where one asks about the job
    ],
)  # fmt: skip
def test_a_link_is_an_address_or_none(link: Any, url: str | None) -> None:
    job = parse_job({"id": "q", "status": "completed", "video_url": link}, base=BASE)
    assert job is not None and job.url == url


def test_the_reason_is_found_wherever_it_is() -> None:
    for where in (
        {"error": {"code": "c", "message": "why"}}, {"error": "why"}, {"error": '{"message": ' '"why"}'}, {"fail_reason": "why"},
        {"task_status_msg": "why"}, {"status_message": "why"}, {"base_resp": {"status_msg": "why"}}, {"detail": "why"},
        {"data": {"fail_reason": "why"}}, {"error_message": "why"}, {"failure": "why"}, {"failReason": "why"},
        {"error": {}, "message": "why"}, {"error": {"error": {"message": "why"}}}, {"error": ["why"]},
    ):  # fmt: skip
        job = parse_job({"id": "q", "status": "failed"} | where)
        assert job is not None and job.error_message == "why", where


@pytest.mark.parametrize(
    ("query", "end"),
    [
        (f"e={NINE}&token=a", NINE), (f"Expires={NINE}&Signature=a", NINE), (f"e=1&Expires={NINE}", NINE),
        ("X-Amz-Date=20251122T080000Z&X-Amz-Expires=3600", NINE), ("X-Tos-Date=20251122T080000Z&X-Tos-Expires=3600", NINE),
        ("se=2025-11-22T09%3A00%3A00Z&sig=a", NINE), (f"q-sign-time={NINE - 60};{NINE}", NINE),
        (f"auth_key={NINE}-0-0-abc", NINE), (f"x-expires={NINE}", NINE), (f"e={NINE}000", NINE),
    ],
)  # fmt: skip
def test_the_link_knows_its_own_end_best(query: str, end: float) -> None:
    assert answers.expiry(f"https://h.example/x.mp4?{query}", NINE + 5.0, NINE + 6.0) == end


def test_a_link_without_an_end_dies_as_the_answer_says_or_after_a_while() -> None:
    assert answers.expiry("https://h/x.mp4?e=1", 5.0, 6.0) == 5.0
    assert answers.expiry("https://h/x.mp4", None, 6.0) == 6.0 + 7 * 24 * 3600
    told = {"id": "q", "status": "done", "url": CLIP, "completed_at": NINE}
    for base, days in (("https://api.qnaigc.com/v1", 7), (BASE, 1)):
        job = parse_job(told, base=base)
        assert job is not None and job.expires_at == NINE + days * 24 * 3600


@pytest.mark.parametrize("text", ['\ufeff{"id": "q"}', '"{\\"id\\": \\"q\\"}"', '{"id": "q", "n": ' + "9" * 6000 + "}",
                                  '{"id": "q", "n": NaN, "m": -Infinity, "k": 1e999}'])  # fmt: skip
def test_json_is_read_in_spite_of_what_is_odd_in_it(text: str) -> None:
    job = parse_job(bodies.loads(text))
    assert job is not None and job.id == "q"


def test_deep_json_is_none() -> None:
    assert bodies.loads("[" * 100_000) is None
    assert bodies.loads('{"a":' * 100_000) is None


def test_a_deep_answer_is_still_read() -> None:
    deep: Any = CLIP
    for _ in range(300):
        deep = {"in": deep}
    assert parse_job({"id": "q", "status": "completed", "x": deep}) is not None


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
        st.sampled_from(["completed", "failed", "http://[fe80::1/x", CLIP, "1e999", "²", "9" * 400, "//", "http://h:99999"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["id", "task_id", "status", "data", "error", "url", "video_url", "output", "task_result", "videos", "progress",
                 "created_at", "completed_at", "expires_at", "code", "message", "fail_reason", "result", "metadata"]
            ),
            inner, max_size=6,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(ANYTHING)
def test_no_answer_raises(payload: Any) -> None:
    job = parse_job(payload, asked="q", base=BASE)
    assert job is None or (job.url is None or links.split(job.url) is not None)
    parse_job(bodies.loads(json.dumps(payload)), base=BASE)


def test_what_a_person_is_shown_has_no_signature_in_it() -> None:
    assert "token" not in bodies.clean("see https://h.example/x.mp4?e=1&token=abc now")
