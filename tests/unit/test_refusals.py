"""What an answer that is no job means: the table, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyreel.api.error_bodies import has_refusal, read
from storyreel.api.refusals import TABLE, Meaning, decide, failure_class


def error(message: str, code: str | None = None, type: str | None = None) -> str:
    return json.dumps(
        {"error": {"message": message, "code": code, "type": type}}, ensure_ascii=False
    )


HTML = "<html><body><h1>Just a moment...</h1></body></html>"
POST: list[tuple[int, str, Meaning]] = [
    # money
    (402, "", Meaning.CREDIT),
    (401, error("该令牌额度已用尽"), Meaning.CREDIT),
    (403, error("token quota is not enough", "pre_consume_token_quota_failed"), Meaning.CREDIT),
    (403, error("用户额度不足, 剩余额度: 0", "insufficient_user_quota"), Meaning.CREDIT),
    (403, error("订阅额度不足或未配置订阅"), Meaning.CREDIT),
    (403, error("overdue", "AccountOverdueError"), Meaning.CREDIT),
    (403, error("no", "CreditInsufficient"), Meaning.CREDIT),
    (400, error("Billing hard limit has been reached", "billing_hard_limit_reached"), Meaning.CREDIT),
    (400, error("Access denied", "Arrearage"), Meaning.CREDIT),
    (400, error("账户余额不足"), Meaning.CREDIT),
    (429, error("当前分组上游负载已饱和，请稍后再试", "insufficient_user_quota", "insufficient_quota"), Meaning.CREDIT),
    (429, error("资源包已用完"), Meaning.CREDIT),
    (429, error("Account balance not enough", "1102"), Meaning.CREDIT),
    (429, error("You exceeded your current quota, please check your plan and billing details", "insufficient_quota"), Meaning.CREDIT),
    (200, json.dumps({"code": 1102, "message": "resource pack depleted"}), Meaning.CREDIT),
    (200, json.dumps({"task_id": "", "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}), Meaning.CREDIT),
    (500, error("no", "insufficient_user_quota"), Meaning.CREDIT),
    # too many at once
    (429, "", Meaning.RATE),
    (429, HTML, Meaning.RATE),
    (429, error("slow down"), Meaning.RATE),
    (429, error("当前分组上游负载已饱和，请稍后再试"), Meaning.RATE),
    (429, error("Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'"), Meaning.RATE),
    (429, error("parallel task over resource pack limit", "1303"), Meaning.RATE),
    (400, error("parallel task over resource pack limit", "task_failed"), Meaning.RATE),
    (400, error("并发任务数超出资源包限制"), Meaning.RATE),
    (200, json.dumps({"code": 1302, "message": "API request too fast"}), Meaning.RATE),
    (400, error("concurrency limit reached"), Meaning.RATE),
    # these words, these pictures
    (400, error("Your request was blocked by our moderation system", "moderation_blocked"), Meaning.MODERATION),
    (403, error("no", "content_policy_violation"), Meaning.MODERATION),
    (422, error("unsafe content"), Meaning.MODERATION),
    (451, error("内容违规"), Meaning.MODERATION),
    (400, error("内容不符合规范", "generation_failed"), Meaning.MODERATION),
    (400, error("The input image may contain real person", "InputImageSensitiveContentDetected.PrivacyInformation"), Meaning.MODERATION),
    # the model
    (403, error("该令牌无权访问模型 kling-v3"), Meaning.INVALID),
    (403, error("This token has no access to model sora-2"), Meaning.INVALID),
    (404, error("The model `x` does not exist or you do not have access to it", "model_not_found"), Meaning.INVALID),
    (503, error("No available channel for model kling-v3 under group default", "model_not_found"), Meaning.INVALID),
    (503, error("the price of the model is not set"), Meaning.INVALID),
    (503, error("no", "quota_exceeded_error"), Meaning.INVALID),
    (500, error("no", "no_valid_channel_error"), Meaning.INVALID),
    # the address
    (404, "", Meaning.ADDRESS),
    (404, "404 page not found", Meaning.ADDRESS),
    (404, '{"detail": "Not Found"}', Meaning.ADDRESS),
    (404, error("no such route: POST /videos"), Meaning.ADDRESS),
    (404, error("Invalid URL (POST /videos)", None, "invalid_request_error"), Meaning.ADDRESS),
    (405, '{"detail": "Method Not Allowed"}', Meaning.ADDRESS),
    (404, '{"code": 404, "message": "/videos not found"}', Meaning.ADDRESS),
    (404, error("the source video is not known"), Meaning.INVALID),
    # a wall before it
    (403, HTML, Meaning.BLOCKED),
    (403, "error code: 1010", Meaning.BLOCKED),
    (403, error("IP 1.2.3.4 is not in the white list", "1304"), Meaning.BLOCKED),
    (403, "no entry", Meaning.BLOCKED),
    (407, "", Meaning.BLOCKED),
    (511, HTML, Meaning.BLOCKED),
    # the key
    (401, error("invalid api key"), Meaning.KEY),
    (401, "", Meaning.KEY),
    (403, error("no"), Meaning.KEY),
    (200, json.dumps({"code": 1001, "message": "Authorization is invalid"}), Meaning.KEY),
    # this request
    (400, error("seconds must be 5 or 10"), Meaning.INVALID),
    (400, error("too many images: at most 4"), Meaning.INVALID),
    (400, error("the frame rate limit is 60 frames per second"), Meaning.INVALID),
    (400, error("safety_tolerance must be 1 to 6"), Meaning.INVALID),
    (422, '{"detail": [{"loc": ["body", "size"], "msg": "field required"}]}', Meaning.INVALID),
    (422, "plain", Meaning.INVALID),
    (413, "", Meaning.INVALID),
    (301, "", Meaning.INVALID),
    (200, '{"error": {"message": "size is not supported"}}', Meaning.INVALID),
    # never reached
    *((status, "", Meaning.UNSENT) for status in (521, 522, 523, 525, 526)),
    (530, "error code: 1016", Meaning.UNSENT),
    # nothing is proven
    *((status, body, Meaning.LOST) for status in (500, 501, 502, 503, 504, 520, 524, 527, 530) for body in ("", HTML, error("x"))),
    (500, error("insufficient resources, try again"), Meaning.LOST),
    (500, error("no", "do_request_failed"), Meaning.LOST),
    (400, error("no", "do_request_failed"), Meaning.LOST),
    (408, "", Meaning.LOST),
    (200, error("internal server error"), Meaning.LOST),
    (200, json.dumps({"code": 500, "message": "no"}), Meaning.LOST),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "meaning"), POST)
def test_an_answer_to_a_post_has_one_meaning(status: int, body: str, meaning: Meaning) -> None:
    assert decide(read(status, body), "POST").meaning is meaning


UNKNOWN = [
    (404, error("video not found", "not_found")), (404, error("Video with id 'q-7' not found.")),
    (400, '{"code": "task_not_exist", "message": "task_not_exist", "data": null}'), (404, error("任务不存在")),
    (404, error("no such job")), (410, error("the task has expired")), (404, error("q-7 does not exist")),
    (200, '{"code": 404, "message": "task not found", "data": null}'), (404, '{"detail": "Video q-7 not found"}'),
    (404, '{"error": {"code": "video_not_found", "message": ""}}'),
]  # fmt: skip
UNPROVEN = [
    (404, ""), (404, "default backend - 404"), (404, HTML), (404, "video not found"), (404, '{"detail": "Not Found"}'),
    (404, error("no such route: GET /videos/q-7")), (404, error("Invalid URL (GET /videos/q-7)")), (404, "{}"),
    (404, '{"code": 404, "message": "/videos/q-7 not found"}'), (404, error("not found")), (400, error("bad request")),
    (500, error("video not found")), (502, error("task not found")), (403, error("video not found")), (200, "{}"),
    (404, error("the model of this video does not exist")), (404, error("no channel found for task q-7")),
    (400, error("unknown error while reading the video")), (404, error("backend for /videos/q-7 not found")),
    (404, error("the token of this video has expired")), (404, '"video not found"'),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), UNKNOWN)
def test_only_the_apis_own_word_about_a_job_says_that_it_does_not_know_it(
    status: int, body: str
) -> None:
    assert decide(read(status, body), "GET", "q-7").meaning is Meaning.UNKNOWN_JOB


@pytest.mark.parametrize(("status", "body"), UNPROVEN)
def test_any_other_404_proves_nothing(status: int, body: str) -> None:
    assert decide(read(status, body), "GET", "q-7").meaning is Meaning.LOST


@pytest.mark.parametrize(("status", "body", "meaning"), [
    (401, error("bad key"), Meaning.KEY), (403, error("invalid token"), Meaning.KEY), (401, HTML, Meaning.LOST),
    (403, HTML, Meaning.LOST), (403, error("no"), Meaning.LOST), (429, "", Meaning.RATE), (503, error("x"), Meaning.LOST),
    (404, error("video not found"), Meaning.LOST),  # nobody asked about a job
])  # fmt: skip
def test_a_get_is_asked_again_unless_the_key_is_refused(
    status: int, body: str, meaning: Meaning
) -> None:
    assert decide(read(status, body), "GET").meaning is meaning


def test_every_row_of_the_table_decides_something_and_says_why() -> None:
    asked = [(read(s, b), "POST") for s, b, _ in POST] + [(read(s, b), "GET") for s, b in UNPROVEN]
    asked += [
        (read(401, error("x")), "GET"),
        (read(403, error("key")), "GET"),
        (read(415, ""), "POST"),
        (read(403, error("cannot, IP blocked")), "POST"),
    ]
    used = {id(decide(answer, method)) for answer, method in asked}
    assert [row.evidence for row in TABLE if id(row) not in used] == []
    assert all(row.evidence for row in TABLE)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"error": {"message": "no", "type": "t", "code": "c"}}', "c", "no"),
        ('{"error": "text", "status": false}', None, "text"),
        ("plain words", None, "plain words"),
        (
            "<html><head><style>p{}</style></head><body><h1>502 Bad Gateway</h1></body></html>",
            None,
            "502 Bad Gateway",
        ),
        ("", None, ""),
        ('{"message": "m", "code": 7}', "7", "m"),
        ('{"detail": [{"loc": ["body", "size"], "msg": "bad"}]}', None, "body.size: bad"),
        ('{"base_resp": {"status_code": 1008, "status_msg": "no money"}}', "1008", "no money"),
    ],
)
def test_error_bodies_of_every_form_are_read(text: str, code: str | None, message: str) -> None:
    answer = read(0, text)
    assert (answer.code, answer.message) == (code, message)


@pytest.mark.parametrize(
    ("payload", "has"),
    [
        ({"error": {"message": "x"}}, True), ({"code": 1302, "message": "x"}, True), ({"base_resp": {"status_code": 1}}, True),
        ({"success": False}, True), ({"error": None}, False), ({"code": 0}, False), ({"code": "success", "data": {}}, False),
        ({}, False), (None, False), ([], False), ("error", False),
    ],
)  # fmt: skip
def test_a_refusal_inside_a_200_is_seen(payload: Any, has: bool) -> None:
    assert has_refusal(payload) is has


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("moderation_blocked", None, "moderation"), ("generation_failed", "内容不符合规范", "moderation"), (None, "违规", "moderation"),
        (None, "DataInspectionFailed", "moderation"), ("1301", "risk", "moderation"), (None, "a real person", "moderation"),
        (None, "usage policy", "moderation"), ("expired", None, "expired"), (None, "invalid size", "invalid"), (None, "it broke", "transient"),
        (None, None, "transient"),
    ],
)  # fmt: skip
def test_a_failed_job_has_its_class(code: str | None, message: str | None, kind: str) -> None:
    assert failure_class(code, message) == kind


@settings(deadline=None)
@given(st.integers(100, 599), st.text(max_size=80), st.sampled_from(["POST", "GET"]))
def test_every_answer_is_decided(status: int, text: str, method: str) -> None:
    assert decide(read(status, text), method, "q") is not None
    assert decide(read(status, json.dumps({"error": text, "code": text})), method, "q") is not None
