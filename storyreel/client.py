"""The HTTP client of the video API. With the simulator the only module that knows httpx."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import quote, urljoin, urlsplit

import httpx

from storyreel import __version__, wire
from storyreel.errors import (
    AnswerLost,
    BrokenOff,
    DownloadError,
    KeyRefused,
    LinkExpired,
    NotFound,
    NotSent,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    ServerFault,
)
from storyreel.settings import Settings

USER_AGENT = f"storyreel/{__version__} (python {platform.python_version()})"
MAX_JSON_BYTES = 4 * 1024 * 1024
MAX_CLIP_BYTES = 2 * 1024**3
REQUEST_DEADLINE_S = 120.0
DOWNLOAD_DEADLINE_S = 1800.0
MAX_REDIRECTS = 5
AT_ONCE = 16

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download: where the bytes lie and how many there are."""

    path: Path
    bytes: int
    sha256: str


class Client:
    """Speaks to one endpoint with one key. Use as an async context manager.

    The key goes to the API's own origin only: never to a result URL, never along a redirect, never into a message.
    """

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

    async def create(self, body: dict[str, Any]) -> wire.Job:
        """`POST /videos`: start a job. Only the ledger's gate may call this.

        Raises:
            NotSent, RateLimited, RequestRefused, KeyRefused, OutOfCredit, ServerFault: no job was made.
            AnswerLost: a job may have been made.
        """
        return await self._post("/videos", body)

    async def remix(self, video_id: str, body: dict[str, Any]) -> wire.Job:
        """`POST /videos/{id}/remix`; raises as `create` does."""
        return await self._post(f"/videos/{quote(video_id, safe='')}/remix", body)

    async def retrieve(self, job_id: str) -> wire.Job:
        """`GET /videos/{id}`.

        Raises:
            NotFound: the API does not know the job (or not yet).
            NotSent, AnswerLost, RateLimited, ServerFault: ask again later.
            KeyRefused, RequestRefused: asking again will not help.
        """
        status, headers, text = await self._request(self._http, "GET", f"/videos/{quote(job_id, safe='')}")
        if status != 200:
            self._raise(status, headers, text, post=False)
        job = wire.parse_job(_json(text))
        if job is None:
            raise AnswerLost("the answer about the job is not one the API should give", status=status)
        return job

    async def latest(self, limit: int = 300) -> list[wire.Job] | None:
        """`GET /videos`: the newest jobs of the account; None where the server cannot list them (Qiniu's does not).

        Raises:
            ApiError: it could, and did not.
        """
        found: list[wire.Job] = []
        while len(found) < limit:
            after = f"&after={quote(found[-1].id, safe='')}" if found else ""
            path = f"/videos?limit={min(100, limit - len(found))}&order=desc{after}"
            status, headers, text = await self._request(self._http, "GET", path)
            if status in (400, 404, 405, 501) and not found:
                return None
            if status != 200:
                self._raise(status, headers, text, post=False)
            page = wire.parse_list(_json(text))
            if page is None:
                return found or None
            found += page[0]
            if not page[0] or not page[1]:
                break
        return found

    def content_url(self, job_id: str) -> str:
        """Where servers of OpenAI's own shape hand out the bytes."""
        return f"{self.base_url}/videos/{quote(job_id, safe='')}/content"

    async def download(self, url: str, part: Path, *, max_bytes: int = MAX_CLIP_BYTES) -> Fetched:
        """Stream `url` into the file `part`, and return its size and hash once it is whole.

        Where the server offers ranges (RFC 9110, 14), a download that breaks off goes on where it was.

        Raises:
            LinkExpired: 403, 404 or 410.
            DownloadError: anything else; `part` is removed.
        """
        async with self._fetching:
            return await self._download(url, _Part(part, max_bytes))

    async def _download(self, url: str, growing: _Part) -> Fetched:
        whole = False
        try:
            async with asyncio.timeout(DOWNLOAD_DEADLINE_S):
                fetched = await self._whole(url, growing)
            whole = True
            return fetched
        except TimeoutError as error:
            raise DownloadError(f"the download took longer than {DOWNLOAD_DEADLINE_S:.0f} s") from error
        finally:
            growing.close(keep=whole)

    # ---- inside

    async def _post(self, path: str, body: dict[str, Any]) -> wire.Job:
        status, headers, text = await self._request(self._post_http, "POST", path, body)
        if status not in (200, 201, 202):
            self._raise(status, headers, text, post=True)
        job = wire.parse_job(_json(text))
        if job is None:
            raise AnswerLost(
                f"the API answered {status} with something that names no job: {self._safe(wire.clean(text)) or 'nothing'}",
                status=status,
            )
        return job

    async def _request(
        self, http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, httpx.Headers, str]:
        """(status, headers, body) of one request to the API; the body is cut at `MAX_JSON_BYTES`."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, ensure_ascii=False).encode()
        try:
            async with (
                self._asking,
                asyncio.timeout(REQUEST_DEADLINE_S),
                http.stream(method, self.base_url + path, headers=headers, content=content) as answer,
            ):
                return answer.status_code, answer.headers, await _text(answer)
        except _NEVER_SENT as error:
            raise NotSent(f"{_host(self.base_url)} cannot be reached: {_words(error)}") from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise AnswerLost(f"no answer from {_host(self.base_url)}: {_words(error)}") from error

    def _raise(self, status: int, headers: httpx.Headers, text: str, *, post: bool) -> NoReturn:
        code, message = wire.parse_error(text)
        message = self._safe(message) or f"HTTP {status}"
        is_json = _json(text) is not None
        if wire.is_out_of_credit(status, code, message):
            raise OutOfCredit(
                f"the account has no credit left: {message}",
                status=status,
                code=code,
                fix="top up the account, then run again",
            )
        if status == 429:
            raise RateLimited(message, retry_after_s=self._retry_after(headers), code=code)
        if status in (401, 403):
            raise KeyRefused(
                f"{_host(self.base_url)} refuses the key ({status}): {message}",
                status=status,
                code=code,
                fix="check OPENAI_API_KEY and OPENAI_BASE_URL",
            )
        if status == 404 and not post:
            raise NotFound(message, status=status, code=code)
        if 300 <= status < 400:
            raise RequestRefused(
                f"{_host(self.base_url)} redirects instead of answering ({status})",
                status=status,
                fix="set OPENAI_BASE_URL to the address it redirects to",
            )
        if status == 503 and ("price of the model" in message or code == "quota_exceeded_error"):
            raise RequestRefused(message, status=status, code=code or "unknown_model")
        if 400 <= status < 500 and status != 408:
            fix = "check that OPENAI_BASE_URL ends in /v1" if status in (404, 405) else None
            raise RequestRefused(message, status=status, code=code, fix=fix)
        if status in (500, 503) and is_json:
            raise ServerFault(message, status=status, code=code)
        raise AnswerLost(f"the gateway answered {status}: {message}", status=status, code=code)

    def _retry_after(self, headers: httpx.Headers) -> float | None:
        value = headers.get("Retry-After", "").strip()
        if value.isdigit():
            return float(value)
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - self._now())
        except (TypeError, ValueError):
            return None

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _allowed(self, url: str) -> None:
        """Refuse addresses that no honest result has: any https is fine, http only where the API itself is http."""
        parts = urlsplit(url)
        api = urlsplit(self.base_url).scheme
        if parts.scheme not in ("https", "http") or not parts.hostname or (parts.scheme == "http" and api != "http"):
            raise DownloadError(
                f"the result lies at a `{parts.scheme or 'strange'}:` address, which is not fetched",
                fix="tell the operator of the endpoint",
            )

    async def _whole(self, url: str, part: _Part) -> Fetched:
        """Fetch until the part is whole; go on after a break as long as each request brings something."""
        while True:
            before = part.count
            try:
                await self._fetch(url, part)
                return part.finish()
            except BrokenOff:
                if not part.can_go_on or part.count == before:
                    raise

    async def _fetch(self, url: str, part: _Part) -> None:
        """One request for what is not there yet, along its redirects."""
        for _ in range(MAX_REDIRECTS):
            self._allowed(url)
            own = _origin(url) == _origin(self.base_url) and url.startswith(self.base_url + "/videos/")
            headers = part.wish() | ({"Authorization": f"Bearer {self._key}"} if own and self._key else {})
            try:
                async with self._http.stream("GET", url, headers=headers) as answer:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers.get("Location", ""))
                        continue
                    part.accept(answer)
                    async for chunk in answer.aiter_bytes():
                        part.write(chunk)
                    return
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise BrokenOff(f"the download from {_host(url)} broke off: {_words(error)}") from error
        raise DownloadError(f"the result URL redirects more than {MAX_REDIRECTS} times")


class _Part:
    """A file that grows by one or several answers, and what is known about the whole of it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.count = 0
        self.can_go_on = False
        self._announced: int | None = None
        self._validator = ""
        self._digest = hashlib.sha256()
        self._out = path.open("wb")

    def wish(self) -> dict[str, str]:
        """The headers that ask for the rest, only if the file is still the same one."""
        if not self.count:
            return {"Accept": "*/*"}
        same = {"If-Range": self._validator} if self._validator else {}
        return {"Accept": "*/*", "Accept-Encoding": "identity", "Range": f"bytes={self.count}-", **same}

    def accept(self, answer: httpx.Response) -> None:
        """Look at the head of an answer: does it begin anew, or where this part ends?"""
        host = answer.url.host
        if answer.status_code in (403, 404, 410):
            raise LinkExpired(f"{host} answers {answer.status_code}: the link is dead")
        if answer.status_code == 206 and self.count:
            if answer.headers.get("Content-Range", "") != f"bytes {self.count}-{self._last}/{self._announced}":
                raise DownloadError(f"{host} answers with another part of the clip than was asked for")
            return
        if answer.status_code != 200:
            raise DownloadError(f"{host} answers {answer.status_code} instead of the clip")
        self._begin(answer.headers)

    @property
    def _last(self) -> int | None:
        return None if self._announced is None else self._announced - 1

    def _begin(self, headers: httpx.Headers) -> None:
        announced = headers.get("Content-Length", "")
        is_encoded = headers.get("Content-Encoding", "identity") != "identity"
        self._announced = int(announced) if announced.isdigit() and not is_encoded else None
        if self._announced and self._announced > self.max_bytes:
            raise DownloadError(
                f"the clip is said to have {self._announced / 1e9:.1f} GB; the limit is {self.max_bytes / 1e9:.1f}"
            )
        tag = headers.get("ETag", "")
        self._validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
        self.can_go_on = self._announced is not None and headers.get("Accept-Ranges", "").lower() == "bytes"
        self.count, self._digest = 0, hashlib.sha256()
        self._out.seek(0)
        self._out.truncate()

    def write(self, chunk: bytes) -> None:
        self.count += len(chunk)
        if self.count > self.max_bytes:
            raise DownloadError(f"the clip has more than {self.max_bytes / 1e9:.1f} GB")
        self._digest.update(chunk)
        self._out.write(chunk)

    def finish(self) -> Fetched:
        """Raises `DownloadError` where there are more or fewer bytes than were announced."""
        if self._announced is not None and self.count != self._announced:
            raise BrokenOff(f"the clip has {self.count} bytes, {self._announced} were announced")
        self._out.flush()
        return Fetched(self.path, self.count, self._digest.hexdigest())

    def close(self, *, keep: bool) -> None:
        self._out.close()
        if not keep:
            self.path.unlink(missing_ok=True)


async def _text(answer: httpx.Response) -> str:
    chunks, count = [], 0
    async for chunk in answer.aiter_bytes():
        chunks.append(chunk)
        count += len(chunk)
        if count > MAX_JSON_BYTES:
            raise ValueError(f"the answer has more than {MAX_JSON_BYTES} bytes")
    return b"".join(chunks).decode("utf-8", "replace")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _words(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}{f' ({text})' if text else ''}"
