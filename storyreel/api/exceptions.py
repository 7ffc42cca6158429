"""Exceptions for refused requests: one class and one message for each meaning. Pure."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Callable

from storyreel.api.error_bodies import ErrorBody
from storyreel.api.refusals import Meaning, Row
from storyreel.errors import (
    AnswerLost,
    ApiError,
    EndpointRefused,
    KeyRefused,
    Moderated,
    NotFound,
    NotSent,
    OutOfCredit,
    RateLimited,
    RequestRefused,
)

_EXCEPTIONS: dict[Meaning, tuple[type[ApiError], str]] = {
    Meaning.CREDIT: (OutOfCredit, "the account has no credit left: {said}"),
    Meaning.MODERATION: (Moderated, "{said}"),
    Meaning.INVALID: (RequestRefused, "{said}"),
    Meaning.KEY: (KeyRefused, "{host} refuses the key ({status}): {said}"),
    Meaning.BLOCKED: (
        EndpointRefused,
        "something before the API blocks the request ({host} answers {status}): {said}",
    ),
    Meaning.ADDRESS: (
        EndpointRefused,
        "{host} takes no requests at this address ({status}): {said}",
    ),
    Meaning.UNSENT: (NotSent, "the gateway {host} cannot reach the API ({status}): {said}"),
    Meaning.UNKNOWN_JOB: (NotFound, "{said}"),
    Meaning.LOST: (AnswerLost, "{host} answered {status}: {said}"),
}


def exception(
    row: Row, answer: ErrorBody, *, host: str, said: str, retry_after_s: float | None
) -> ApiError:
    """Return the exception for an answer that `row` decides.

    `said` is the API's message, without the key.
    """
    status = answer.status
    if row.meaning is Meaning.RATE:
        return RateLimited(said, retry_after_s=retry_after_s, status=status, code=answer.code)
    if 300 <= status < 400:
        said = f"{host} redirects instead of answering ({status})"
    kind, text = _EXCEPTIONS[row.meaning]
    message = text.format(host=host, status=status, said=said)
    return kind(message, status=status, code=answer.code, fix=row.fix)


def retry_after_s(value: str, now: Callable[[], float]) -> float | None:
    """Return the seconds that a `Retry-After` header gives as a number or as a date, or None."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
