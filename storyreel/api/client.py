"""The HTTP client of the video API. tests/unit/test_layers.py lists what may import httpx."""

from __future__ import annotations

import asyncio
import platform
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

import httpx

from storyreel import __version__
from storyreel.api import encoding, error_bodies, links, refusals
from storyreel.api.answers import Job, JobStatus, parse_job, parse_list
from storyreel.api.bodies import loads
from storyreel.api.download import Download, words
from storyreel.api.exceptions import exception, retry_after_s
from storyreel.api.part import Fetched, Part
from storyreel.api.refusals import Meaning
from storyreel.catalog.dialect import Endpoint
from storyreel.errors import AnswerLost, ApiError, NotSent
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
    """A client of one endpoint with one key. Use it as an async context manager.

    The key goes to the API's own origin only: never to a result URL, never along a redirect, never
    into a message. `endpoint` says how its header, its paths and its bodies differ from OpenAI's.
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

        def open_pool(limits: httpx.Limits) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                transport=transport,
                headers=headers,
                timeout=timeout,
                limits=limits,
                follow_redirects=False,
                trust_env=not settings.is_local,
            )

        # Use a fresh connection for a POST: on a reused one that the server has closed, the answer
        # is lost.
        self._post_http = open_pool(
            httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
        )
        self._http = open_pool(
            httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=AT_ONCE)
        )
        # Jobs whose POST was answered with the finished clip, by id; ids that `retrieve` returned.
        self._at_once: dict[str, Job] = {}
        self._returned: set[str] = set()
        # httpx's pool is O(waiting) on each request and each answer. Queue here, so that a thousand
        # jobs do not cost a million scans.
        self._requesting = asyncio.Semaphore(AT_ONCE)
        self._downloading = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._post_http.aclose()
        await self._http.aclose()

    async def create(self, body: dict[str, Any]) -> Job:
        """`POST /videos`: start a job. Only the ledger's gate may call this.

        Raises:
            NotSent, RateLimited, RequestRefused, KeyRefused, EndpointRefused, OutOfCredit: no job
            was made.
            AnswerLost: a job may have been made.
        """
        return await self._post(self.endpoint.paths.create, body)

    async def remix(self, video_id: str, body: dict[str, Any]) -> Job:
        """`POST /videos/{id}/remix`; raises as `create` does."""
        return await self._post(
            encoding.path_of(self.endpoint.paths.remix, video_id), body, is_remix=True
        )

    async def retrieve(self, job_id: str) -> Job:
        """`GET /videos/{id}`. Send no request for a job that its POST answered with the finished
        clip, unless its link failed: LocalAI keeps no jobs.

        Raises:
            NotFound: the API itself says that it does not know the job, or not yet.
            KeyRefused: a retry will not help.
            ApiError: anything else; retry later.
        """
        made = self._at_once.get(job_id)
        if made is None:
            return await self._retrieve(job_id)
        if job_id not in self._returned:
            self._returned.add(job_id)
            return made
        try:
            return await self._retrieve(job_id)  # the first link failed: get a new one
        except ApiError:
            return made

    async def _retrieve(self, job_id: str) -> Job:
        path = encoding.path_of(self.endpoint.paths.get, job_id)
        status, headers, text = await self._request(self._http, "GET", path)
        payload = loads(text)
        if status == 200:
            job = parse_job(payload, asked=job_id, base=self.base_url)
            if job is not None:
                return job
            if not error_bodies.has_refusal(payload):
                raise AnswerLost(
                    "the answer to the request for the job describes no job", status=status
                )
        # vLLM-Omni answers with the HTTP status of the job's failure.
        failed = parse_job(payload, base=self.base_url)
        if failed is not None and failed.id == job_id and failed.status is JobStatus.FAILED:
            return failed
        raise self._error("GET", status, headers, text, job_id=job_id)

    async def latest(self, limit: int = 300) -> list[Job] | None:
        """`GET /videos`: the newest jobs of the account; None if the server does not list jobs
        (Qiniu's does not).

        Raises:
            ApiError: the request for the list failed.
        """
        jobs: list[Job] = []
        while len(jobs) < limit:
            after = f"&after={quote(jobs[-1].id, safe='')}" if jobs else ""
            count = min(100, limit - len(jobs))
            path = f"{self.endpoint.paths.create}?limit={count}&order=desc{after}"
            status, headers, text = await self._request(self._http, "GET", path)
            if status in (400, 404, 405, 501) and not jobs:
                return None
            if status != 200:
                raise self._error("GET", status, headers, text)
            page = parse_list(loads(text))
            if page is None:
                return jobs or None
            jobs += page[0]
            if not page[0] or not page[1]:
                break
        return jobs

    def content_url(self, job_id: str) -> str:
        """Return the address at which servers of OpenAI's own shape serve the bytes."""
        return self.base_url + encoding.path_of(self.endpoint.paths.content, job_id)

    async def download(self, url: str, part: Path, *, max_bytes: int = MAX_CLIP_BYTES) -> Fetched:
        """Stream `url` into the file `part`. Return its size and hash once it is whole."""
        async with self._downloading:
            contents = self.base_url + self.endpoint.paths.content.partition("{id}")[0]
            return await Download(self._http, self.base_url, self._auth, contents).fetch(
                url, Part(part, max_bytes)
            )

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
                if job.status is JobStatus.COMPLETED and job.url:
                    self._at_once[job.id] = job
                return job
            if not error_bodies.has_refusal(payload):
                said = self._safe(error_bodies.read(status, text).message) or "nothing"
                raise AnswerLost(
                    f"the API answered {status}, but named no job: {said}",
                    status=status,
                )
            status = 200
        elif (
            status >= 500
            and job is not None
            and job.status is JobStatus.RUNNING
            and job.word
            and not job.error_message
        ):
            return job  # the answer reports an error, and the job that was made
        raise self._error("POST", status, headers, text, is_remix=is_remix)

    async def _request(
        self, http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, httpx.Headers, str]:
        """Send one request to the API. Return (status, headers, body); a body over
        `MAX_JSON_BYTES` is an error.
        """
        if links.split(self.base_url) is None:  # httpx raises undocumented errors for it
            raise NotSent("OPENAI_BASE_URL is no http address", fix="correct OPENAI_BASE_URL")
        headers, content = self._auth, None
        if body is not None:
            headers["Content-Type"], content = encoding.encode(body, self.endpoint)
        try:
            async with (
                self._requesting,
                asyncio.timeout(REQUEST_DEADLINE_S),
                http.stream(
                    method, self.base_url + path, headers=headers, content=content
                ) as answer,
            ):
                return answer.status_code, answer.headers, await _text(answer)
        except _NEVER_SENT as error:
            raise NotSent(
                f"{links.host(self.base_url)} cannot be reached: {words(error)}"
            ) from error
        except Exception as error:  # any error is an error of this request
            raise AnswerLost(
                f"no answer from {links.host(self.base_url)}: {words(error)}"
            ) from error

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
        """Return the exception that the table of `refusals` gives for this answer."""
        answer = error_bodies.read(status, text)
        row = refusals.decide(answer, method, job_id)
        if is_remix and row.meaning is Meaning.ADDRESS:
            # The address accepts other requests: only this one is refused.
            row = replace(row, meaning=Meaning.INVALID)
        return exception(
            row,
            answer,
            host=links.host(self.base_url),
            said=self._safe(answer.message) or f"HTTP {status}",
            retry_after_s=retry_after_s(headers.get("Retry-After", ""), self._now),
        )

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _located(headers: httpx.Headers) -> Job | None:
    """Return the job that an answer without a readable body names in its Location (RFC 9110,
    10.2.2).
    """
    match = re.search(
        r"/(?:videos|tasks|generations|jobs)/([^/?#\s]+)/?$", headers.get("Location", "")
    )
    return Job(unquote(match[1]), JobStatus.RUNNING, "") if match else None


async def _text(answer: httpx.Response) -> str:
    chunks, count = [], 0
    async for chunk in answer.aiter_bytes():
        chunks.append(chunk)
        count += len(chunk)
        if count > MAX_JSON_BYTES:
            raise ValueError(f"the answer has more than {MAX_JSON_BYTES} bytes")
    return b"".join(chunks).decode("utf-8", "replace")
