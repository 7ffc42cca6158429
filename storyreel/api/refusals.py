"""The meaning of an answer that describes no job: one table. The first row that fits decides. Pure.

In doubt a request is lost, not refused: a job may have been made, and is paid for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from storyreel.api.error_bodies import ErrorBody
from storyreel.errors import ErrorKind


class Meaning(StrEnum):
    """The meaning of an answer."""

    CREDIT = "credit"  # the account or the key has no credit left: stop
    RATE = "rate"  # too many requests: wait, then send the same
    MODERATION = "moderation"  # the prompt or a picture is blocked: never send it unchanged
    INVALID = "invalid"  # the request is refused: no job was made, and a retry would fail too
    KEY = "key"  # the key is refused: stop
    BLOCKED = "blocked"  # a proxy, a firewall or a rule about this machine refuses: stop
    ADDRESS = "address"  # the API is not at this address: stop
    UNSENT = "unsent"  # the API was not reached: send again
    UNKNOWN_JOB = "unknown_job"  # the API itself says that it does not know the job
    LOST = "lost"  # unknown: after a POST a job may exist; a GET is sent again


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. None fits anything. `on` is POST or GET; `json`: is the body JSON?"""

    meaning: Meaning
    statuses: frozenset[int] | None
    pattern: re.Pattern[str] | None
    evidence: str
    on: str | None = None
    json: bool | None = None
    fix: str | None = None

    def fits(self, answer: ErrorBody, method: str) -> bool:
        """Does this row decide the answer to a request of that method?"""
        if self.on not in (None, method) or self.json not in (None, answer.is_json):
            return False
        if self.statuses is not None and answer.status not in self.statuses:
            return False
        return self.pattern is None or bool(self.pattern.search(answer.text))


def _says(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _of(*statuses: int | range) -> frozenset[int]:
    return frozenset(s for part in statuses for s in (part if isinstance(part, range) else (part,)))


# A gateway lost the answer of the server behind it, which may have made the job.
_LOST_BEHIND = _says(
    r"do_request_failed", r"(read|unmarshal)_response_body_failed", r"bad_response_body", r"\[invalid_response\]",
    r"upstream (request |connection )?(timed? ?out|timeout|reset)", r"gateway time-?out",
)  # fmt: skip
_UNSURE = _says(
    r"time-?d? ?out",
    r"internal",
    r"\[5\d\d\]",
    r"upstream",
    r"server error",
    r"try again",
    r"unknown error",
)
# Checked before the request is passed on: new-api's checks of money, Kling's and Volcano's codes.
_SURE_CREDIT = _says(
    r"insufficient_(user_)?quota", r"pre_consume_token_quota_failed", r"billing_hard_limit", r"\[Arrearage\]",
    r"AccountOverdue", r"CreditInsufficient", r"TokenStatusExhausted", r"\[110[0-2]\]", r"\bcode:? ?110[0-2]\b",
)  # fmt: skip
_RATE = _says(
    r"(?<!frame )\brate.?limit", r"too (fast|frequent)", r"too many (requests|jobs|tasks|generations|concurrent|videos (at|in))",
    r"concurren", r"parallel (task|job|request|generation|limit)", r"in parallel", r"\[130[23]\]", r"throttl",
    r"并发", r"请求.{0,4}(过于)?频繁", r"请求过多", r"限流", r"排队", r"饱和",
)  # fmt: skip
_PACE = _says(
    r"per[ _](second|minute|hour)\b", r"\b[qrt]p[ms]\b", r"频率", r"速率", r"每分钟", r"每秒"
)
_CREDIT = _says(
    r"insufficient[ _](user[ _])?(quota|balance|credit|fund|money)", r"(balance|credit|fund|quota).{0,20}(insufficient|too low)",
    r"(balance|credit|quota|fund)s?.{0,25}(not enough|exhaust|exceed|used up|run out|depleted|expired)", r"not enough.{0,12}(balance|credit|quota|fund)",
    r"(exceed|exhaust|depleted|run out of|out of).{0,25}(quota|credit|balance|fund)", r"arrear", r"overdue", r"payment required",
    r"(account|resource pack)s?.{0,20}(exhausted|depleted)", r"token_quota", r"\btop.?up", r"recharge", r"billing",
    r"余额", r"欠费", r"额度.{0,6}(不足|用尽|用完|耗尽|超)", r"资源包.{0,8}(用完|用尽|耗尽|不足|过期)", r"充值", r"积分不足", r"点数不足", r"配额.{0,6}(不足|用完|用尽|耗尽|超)",
)  # fmt: skip
MODERATED = _says(
    r"moderat", r"(?<!case)(?<!case[ -])sensitive", r"content[ _-]?(policy|filter|violation)", r"(usage|content|safety).{0,10}polic", r"polic(y|ies).{0,12}violat",
    r"violat.{0,20}(polic|guideline|term|rule)", r"risk.?control", r"unsafe", r"\bsafety\b", r"nsfw", r"inappropriate", r"prohibited.?(content|use)",
    r"(content|prompt|image|input).{0,30}prohibited",
    r"harmful", r"explicit content", r"sexual", r"DataInspectionFailed", r"PrivacyInformation", r"AuditSubmitIllegal", r"PromptBlocked",
    r"real person", r"likeness", r"copyright", r"\[1301\]",
    r"审核", r"违规", r"敏感", r"不合规", r"不符合规范", r"违反", r"版权", r"真人", r"人脸", r"肖像", r"涉政", r"色情",
)  # fmt: skip
_MODEL = _says(
    r"model_?not_?found", r"model.{0,60}(not allowed|no access|not permitted|not have access|forbidden|not available|not exist|n.t exist|"
    r"not found|not enabled|not open|disabled)", r"(access|permission).{0,20}\bmodels?\b", r"(unknown|unsupported).?model", r"no such model",
    r"no.?(valid|available).?channel", r"price of the model", r"channel.{0,20}disabled", r"quota_exceeded_error", r"\[1103\]", r"\[ModelNotOpen\]",
    r"模型.{0,40}(不存在|无权|不支持|未开通|未找到|禁用)", r"无权访问.{0,20}模型", r"无可用渠道", r"分组.{0,12}(无权|禁用|不可用)",
)  # fmt: skip
_ROUTE = _says(
    r"no such route", r"\broute\b", r"invalid url", r"cannot (get|post)", r"\bpath\b", r"endpoint", r"default backend", r"page not found",
    r"method not allowed", r"no static resource", r"(unknown|invalid|check the).{0,12}\burl\b", r"(^|[\s\"'(:])/\w",
    r"接口不存在", r"路径",
)  # fmt: skip
_THINGS = _says(
    r"video",
    r"task",
    r"job",
    r"image",
    r"picture",
    r"file",
    r"asset",
    r"element",
    r"视频",
    r"任务",
    r"图片",
    r"文件",
)
_KEY = _says(
    r"api.?key",
    r"\bkey\b",
    r"token",
    r"unauthori[sz]ed",
    r"authenticat",
    r"credential",
    r"signature",
    r"令牌",
    r"密钥",
    r"鉴权",
    r"\[100[0-4]\]",
)
_WALL = _says(
    r"\bip\b.{0,40}(not|den|block|forbid|white|allow)", r"(not|den|block|white|allow).{0,20}\bip\b", r"\[1304\]", r"error code: 1\d{3}", r"firewall",
    r"just a moment", r"cloudflare", r"captcha", r"region.{0,20}(not|un)", r"country", r"IP.{0,10}白名单", r"地区",
)  # fmt: skip

_MODEL_FIX = (
    "take another model for this scene, or have it opened for this key in the provider's console"
)
_BLOCKED_FIX = "the key is not at fault: ask from another network or without a proxy, or have the provider let this machine's address in"
_ADDRESS_FIX = "check that OPENAI_BASE_URL ends in /v1"
_TOP_UP = "top up the account, then run again"

_REFUSING = _of(range(400, 500))

TABLE: tuple[Row, ...] = (
    # ---- never reached, and lost behind
    Row(Meaning.UNSENT, _of(521, 522, 523, 525, 526), None, "Cloudflare: no connection to the origin was made"),
    Row(Meaning.UNSENT, _of(530), _says(r"1016", r"1033"), "Cloudflare: the origin has no address, or its tunnel is down"),
    Row(Meaning.LOST, _of(408, 499), None, "RFC 9110 15.5.9, nginx: the server stopped waiting for the request", on="POST"),
    Row(Meaning.LOST, None, _LOST_BEHIND, "new-api's codes, gateways.md 1.9: the server behind may have taken it", on="POST"),
    # ---- money, before rate: an empty account is a 429, too
    Row(Meaning.CREDIT, _of(402), None, "RFC 9110 15.5.3; tu-zi, OpenRouter", fix=_TOP_UP),
    Row(Meaning.CREDIT, None, _SURE_CREDIT, "gateways.md 1.3, 1.8: checked before the request is passed on", json=True, fix=_TOP_UP),
    Row(Meaning.RATE, _of(200, 400, 403, 429), _RATE, "gateways.md 1.3: Kling 1302 and 1303, as 400 from new-api"),
    Row(Meaning.RATE, _of(429), _PACE, "Google: quota exceeded for requests per minute"),
    Row(Meaning.CREDIT, _of(200, 400, 401, 403, 429), _CREDIT, "gateways.md 1.3, 1.8", fix=_TOP_UP),
    Row(Meaning.RATE, _of(429), None, "RFC 6585 4"),
    # ---- asked about a job
    Row(Meaning.KEY, _of(401), None, "RFC 9110 15.5.2", on="GET", json=True, fix="check OPENAI_API_KEY and OPENAI_BASE_URL"),
    Row(Meaning.KEY, _of(403), _KEY, "OpenAI: a key without the right", on="GET", json=True, fix="check OPENAI_API_KEY"),
    # UNKNOWN_JOB is in `says_unknown`: it takes more than a pattern.
    Row(Meaning.LOST, None, None, "a GET costs nothing: it is sent again", on="GET"),
    Row(
        Meaning.INVALID, _of(range(300, 400)), None, "RFC 9110 15.4: the request was not accepted",
        fix="set OPENAI_BASE_URL to the address it redirects to",
    ),
    # ---- the words, the model, the way there, the key
    Row(Meaning.MODERATION, _of(451), None, "RFC 7725", fix="change the prompt, or give a fallback_prompt"),
    Row(
        Meaning.MODERATION, _of(200, 400, 403, 406, 409, 422), MODERATED, "gateways.md 1.8, 1.11",
        fix="change the prompt, or give a fallback_prompt",
    ),
    Row(Meaning.BLOCKED, _of(403), _WALL, "gateways.md 1.8: Cloudflare, IP lists; Kling 1304", fix=_BLOCKED_FIX),
    Row(Meaning.BLOCKED, _of(403), None, "a page or text: not the API's own word", json=False, fix=_BLOCKED_FIX),
    Row(Meaning.BLOCKED, _of(407, 511), None, "RFC 9110 15.5.8, RFC 6585 6: a proxy, a portal", fix=_BLOCKED_FIX),
    Row(Meaning.INVALID, _of(200, 400, 403, 404, 422, 500, 503), _MODEL, "gateways.md 1.8, 1.9; Qiniu: no price", json=True, fix=_MODEL_FIX),
    Row(Meaning.ADDRESS, _of(404, 405), _ROUTE, "FastAPI, nginx, OpenAI: `Invalid URL (POST /videos)`", fix=_ADDRESS_FIX),
    Row(Meaning.INVALID, _of(404), _THINGS, "a remix of a video, a picture that it does not know", json=True),
    Row(Meaning.ADDRESS, _of(404, 405), None, "nothing takes requests there", fix=_ADDRESS_FIX),
    Row(Meaning.KEY, _of(401, 403), None, "RFC 9110 15.5.2", fix="check OPENAI_API_KEY and OPENAI_BASE_URL"),
    Row(Meaning.INVALID, _of(415), None, "gateways.md 1.13: multipart only", fix="this endpoint takes requests of another form"),
    Row(Meaning.INVALID, _REFUSING, None, "RFC 9110 15.5: the request was read and refused"),
    # ---- 200 with an error in it, and no job
    Row(Meaning.LOST, _of(200, 201, 202), _UNSURE, "an error that is the server's own may come after the job was made"),
    Row(Meaning.KEY, _of(200, 201, 202), _KEY, "Kling 1000 to 1004", json=True, fix="check OPENAI_API_KEY and OPENAI_BASE_URL"),
    Row(Meaning.INVALID, _of(200, 201, 202), None, "gateways.md 1.5: Kling, MiniMax, wan2.5"),
    # ---- everything else: 5xx proves nothing, also with JSON (#17.2)
    Row(Meaning.LOST, None, None, "a job may have been made and billed"),
)  # fmt: skip


def decide(answer: ErrorBody, method: str, job_id: str | None = None) -> Row:
    """Return the row that decides an answer. `job_id` is the job that a GET was about."""
    if method == "GET" and job_id and says_unknown(answer, job_id):
        return _UNKNOWN
    return next(row for row in TABLE if row.fits(answer, method))


_UNKNOWN = Row(
    Meaning.UNKNOWN_JOB,
    None,
    None,
    "new-api: 400 task_not_exist; OpenAI: 404 Video not found; Huawei: expired",
)
_GONE = _says(
    r"not.{0,3}(be )?(found|exist)", r"n.t (exist|found)", r"no such", r"unknown[ _](video|task|job|id\b)", r"cannot find", r"不存在", r"未找到", r"找不到", r"expired", r"过期", r"(been|was) deleted", r"已删除",
)  # fmt: skip
_ABOUT_JOB = _says(
    r"videos?\b",
    r"tasks?(\b|_)",
    r"\bjobs?(\b|_)",
    r"generation",
    r"\bids?\b",
    r"任务",
    r"视频",
    r"作业",
)
_ABOUT_OTHER = _says(
    r"\broute", r"\bpath\b", r"\burl\b", r"endpoint", r"\bpage\b", r"\bmodels?\b", r"channel", r"\bhost\b", r"backend", r"upstream", r"deployment", r"\blink",
    r"\bkey\b", r"token", r"certificate", r"session", r"method", r"tenant", r"account", r"\buser\b", r"模型", r"渠道", r"令牌", r"接口",
)  # fmt: skip
_PATHS = re.compile(r"(GET|POST)?\s*\(?(https?:/)?/[^\s)]*")


def says_unknown(answer: ErrorBody, job_id: str) -> bool:
    """Does the API itself say, in JSON, that it has no such job?

    The 404 of a gateway or of a wrong address does not say so.
    """
    if not answer.is_json or answer.status not in (200, 400, 404, 410, 422):
        return False
    text = _PATHS.sub(" ", answer.text)
    named = job_id in text
    text = text.replace(job_id, " ").replace("video_not_found", "video not found")
    if not _GONE.search(text) or _ABOUT_OTHER.search(text):
        return False
    return named or bool(_ABOUT_JOB.search(text))


def failure_class(code: str | None, message: str | None) -> ErrorKind:
    """Return the kind of error of a job that the API ended as failed."""
    text = f"[{code or ''}] {message or ''}"
    if MODERATED.search(text) or "policy" in text.lower():
        return ErrorKind.MODERATION
    if "expired" in text.lower():
        return ErrorKind.EXPIRED
    if re.search(r"invalid|unsupported|not supported|bad.?request|\[12\d\d\]", text, re.IGNORECASE):
        return ErrorKind.INVALID
    return ErrorKind.TRANSIENT
