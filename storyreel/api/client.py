"""The HTTP client of the video API. With the simulator the only module that knows httpx."""

from __future__ import annotations

import asyncio
import email.utils
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

import httpx

from storyreel import __version__
from storyreel.api import encoding, links, refusals
from storyreel.api.answers import Job, JobStatus, parse_job, parse_list
from storyreel.api.bodies import loads
from storyreel.api.download import Download, words
from storyreel.api.part import Fetched, Part
from storyreel.api.refusals import Meaning
from storyreel.catalog.dialect import Endpoint
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
from storyreel.workspace.settings import Settings

USER_AGENT = f"storyreel/{__version__} (python {platform.python_version()})"
MAX_JSON_BYTES = 4 * 1024 * 1024
MAX_CLIP_BYTES = 2 * 1024**3
REQUEST_DEADLINE_S = 120.0
AT_ONCE = 16

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)
_ACCEPTED = (200, 201, 202)


class Client:
    """Speaks to one endpoint with one key. Use as an async context manager.

    The key goes to the API's own origin only: never to a result URL, never along a redirect, never into a message.
    `endpoint` says how its header, its paths and its bodies differ from OpenAI's.
    """

    endpoint: Endpoint = Endpoint()

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
        timeout: httpx.Timeout | None = None,
    ) -> None:
        self.base_url = settings.base_url
        self._key = settings.api_key.get_secret_value() if settings.api_key else None
        self._now = now
        timeout = timeout or httpx.Timeout(connect=15, read=60, write=60, pool=120)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}

        def make(limits: httpx.Limits) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                transport=transport,
                headers=headers,
                timeout=timeout,
                limits=limits,
                follow_redirects=False,
                trust_env=not settings.is_local,
            )

        # A POST takes a fresh connection: on a reused one that the server has just closed, the answer would be lost.
        self._post_http = make(httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0))
        self._http = make(httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=AT_ONCE))
        # The pool looks through all that wait for it at each request and each answer: a thousand jobs that finish together
        # would cost a million looks. So they wait here.
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._fetching = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._post_http.aclose()
        await self._http.aclose()

    async def create(self, body: dict[str, Any]) -> Job:
        """`POST /videos`: start a job. Only the ledger's gate may call this.

        Raises:
            NotSent, RateLimited, RequestRefused, KeyRefused, EndpointRefused, OutOfCredit: no job was made.
            AnswerLost: a job may have been made.
        """
        return await self._post(self.endpoint.paths.create, body)

    async def remix(self, video_id: str, body: dict[str, Any]) -> Job:
        """`POST /videos/{id}/remix`; raises as `create` does."""
        return await self._post(encoding.path_of(self.endpoint.paths.remix, video_id), body, is_remix=True)

    async def retrieve(self, job_id: str) -> Job:
        """`GET /videos/{id}`.

        Raises:
            NotFound: the API says itself that it does not know the job (or not yet).
            KeyRefused: asking again will not help.
            ApiError: anything else; ask again later.
        """
        status, headers, text = await self._request(
            self._http, "GET", encoding.path_of(self.endpoint.paths.get, job_id)
        )
        payload = loads(text)
        if status == 200:
            job = parse_job(payload, asked=job_id, base=self.base_url)
            if job is not None:
                return job
            if not refusals.has_refusal(payload):
                raise AnswerLost("the answer about the job is not one the API should give", status=status)
        failed = parse_job(payload, base=self.base_url)  # vLLM-Omni answers with the status of what went wrong
        if failed is not None and failed.id == job_id and failed.status is JobStatus.FAILED:
            return failed
        raise self._error("GET", status, headers, text, job_id=job_id)

    async def latest(self, limit: int = 300) -> list[Job] | None:
        """`GET /videos`: the newest jobs of the account; None where the server cannot list them (Qiniu's does not).

        Raises:
            ApiError: it could, and did not.
        """
        found: list[Job] = []
        while len(found) < limit:
            after = f"&after={quote(found[-1].id, safe='')}" if found else ""
            path = f"{self.endpoint.paths.create}?limit={min(100, limit - len(found))}&order=desc{after}"
            status, headers, text = await self._request(self._http, "GET", path)
            if status in (400, 404, 405, 501) and not found:
                return None
            if status != 200:
                raise self._error("GET", status, headers, text)
            page = parse_list(loads(text))
            if page is None:
                return found or None
            found += page[0]
            if not page[0] or not page[1]:
                break
        return found

    def content_url(self, job_id: str) -> str:
        """Where servers of OpenAI's own shape hand out the bytes."""
        return self.base_url + encoding.path_of(self.endpoint.paths.content, job_id)

    async def download(self, url: str, part: Path, *, max_bytes: int = MAX_CLIP_BYTES) -> Fetched:
        """Stream `url` into the file `part`, and return its size and hash once it is whole; see `Download`."""
        async with self._fetching:
            contents = self.base_url + self.endpoint.paths.content.partition("{id}")[0]
            return await Download(self._http, self.base_url, self._auth, contents).fetch(url, Part(part, max_bytes))

    # ---- inside

    @property
    def _auth(self) -> dict[str, str]:
        return encoding.authorization(self.endpoint.auth, self._key)

    async def _post(self, path: str, body: dict[str, Any], *, is_remix: bool = False) -> Job:
        status, headers, text = await self._request(self._post_http, "POST", path, body)
        payload = loads(text)
        job = parse_job(payload, base=self.base_url)
        if status in _ACCEPTED:
            job = job or _located(headers)
            if job is not None:
                return job
            if not refusals.has_refusal(payload):
                said = self._safe(refusals.read(status, text).message) or "nothing"
                raise AnswerLost(f"the API answered {status} with something that names no job: {said}", status=status)
            status = 200
        elif (
            status >= 500 and job is not None and job.status is JobStatus.RUNNING and job.word and not job.error_message
        ):
            return job  # the answer tells of a fault, and of the job that was made all the same
        raise self._error("POST", status, headers, text, is_remix=is_remix)

    async def _request(
        self, http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, httpx.Headers, str]:
        """(status, headers, body) of one request to the API; the body is cut at `MAX_JSON_BYTES`."""
        if links.split(self.base_url) is None:  # httpx and the libraries below it raise whatever they like
            raise NotSent("OPENAI_BASE_URL is no address that can be asked", fix="correct OPENAI_BASE_URL")
        headers, content = self._auth, None
        if body is not None:
            headers["Content-Type"], content = encoding.encode(body, self.endpoint)
        try:
            async with (
                self._asking,
                asyncio.timeout(REQUEST_DEADLINE_S),
                http.stream(method, self.base_url + path, headers=headers, content=content) as answer,
            ):
                return answer.status_code, answer.headers, await _text(answer)
        except _NEVER_SENT as error:
            raise NotSent(f"{links.host(self.base_url)} cannot be reached: {words(error)}") from error
        except Exception as error:  # whatever it is, it is this request's
            raise AnswerLost(f"no answer from {links.host(self.base_url)}: {words(error)}") from error

    def _error(
        self,
        method: str,
        status: int,
        headers: httpx.Headers,
        text: str,
        *,
        job_id: str | None = None,
        is_remix: bool = False,
    ) -> ApiError:
        """What the table of `refusals` says that this answer means."""
        answer = refusals.read(status, text)
        row = refusals.decide(answer, method, job_id)
        meaning = row.meaning
        if is_remix and meaning is Meaning.ADDRESS:  # other requests may well be taken at this address
            meaning = Meaning.INVALID
        host = links.host(self.base_url)
        said = self._safe(answer.message) or f"HTTP {status}"
        wait = self._retry_after(headers)
        if meaning is Meaning.RATE:
            return RateLimited(said, retry_after_s=wait, status=status, code=answer.code)
        if 300 <= status < 400:
            said = f"{host} redirects instead of answering ({status})"
        kind, words = _ERRORS[meaning]
        message = words.format(host=host, status=status, said=said)
        return kind(message, status=status, code=answer.code, fix=row.fix)

    def _retry_after(self, headers: httpx.Headers) -> float | None:
        value = headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            return float(value)
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - self._now())
        except (TypeError, ValueError, OverflowError, IndexError):
            return None

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


_ERRORS: dict[Meaning, tuple[type[ApiError], str]] = {
    Meaning.CREDIT: (OutOfCredit, "the account has no credit left: {said}"),
    Meaning.MODERATION: (Moderated, "{said}"),
    Meaning.INVALID: (RequestRefused, "{said}"),
    Meaning.KEY: (KeyRefused, "{host} refuses the key ({status}): {said}"),
    Meaning.BLOCKED: (EndpointRefused, "something before the API blocks the request ({host} answers {status}): {said}"),
    Meaning.ADDRESS: (EndpointRefused, "{host} takes no requests at this address ({status}): {said}"),
    Meaning.UNSENT: (NotSent, "the gateway {host} cannot reach the API ({status}): {said}"),
    Meaning.UNKNOWN_JOB: (NotFound, "{said}"),
    Meaning.LOST: (AnswerLost, "{host} answered {status}: {said}"),
}


def _located(headers: httpx.Headers) -> Job | None:
    """The job that an answer without a readable body names in its Location (RFC 9110, 10.2.2)."""
    found = re.search(r"/(?:videos|tasks|generations|jobs)/([^/?#\s]+)/?$", headers.get("Location", ""))
    return Job(unquote(found[1]), JobStatus.RUNNING, "") if found else None


async def _text(answer: httpx.Response) -> str:
    chunks, count = [], 0
    async for chunk in answer.aiter_bytes():
        chunks.append(chunk)
        count += len(chunk)
        if count > MAX_JSON_BYTES:
            raise ValueError(f"the answer has more than {MAX_JSON_BYTES} bytes")
    return b"".join(chunks).decode("utf-8", "replace")
