"""The download of one clip: which address, which headers, which redirects."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urljoin

import httpx

from storyreel.api import links
from storyreel.api.bodies import clean, is_text, loads
from storyreel.api.error_bodies import read
from storyreel.api.part import AGAIN, Fetched, Part
from storyreel.errors import BrokenOff, DownloadError

DOWNLOAD_DEADLINE_S = 1800.0
MAX_TEXT_BYTES = 64 * 1024  # of an answer that is read instead of a clip
MAX_REDIRECTS = 5
_CONTENT = re.compile(r"/videos/[^/]+/content$")


class Download:
    """Download from result URLs. Send the key only to the API's own origin, and only if needed.

    `auth` is the header with the key. `contents` is the start of the addresses at which the API
    serves clips.
    """

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, auth: Mapping[str, str], contents: str
    ) -> None:
        self._http = http
        self.base_url = base_url
        self._auth = auth
        self._contents = contents

    async def fetch(self, url: str, part: Part) -> Fetched:
        """Stream `url` into `part`. Return its size and hash once it is whole.

        Continue a download that breaks off if the server offers ranges (RFC 9110, 14).

        Raises:
            LinkExpired: 403, 404 or 410.
            DownloadError: anything else; the file is removed.
        """
        whole = False
        try:
            async with asyncio.timeout(DOWNLOAD_DEADLINE_S):
                fetched = await self._whole(url, part)
            whole = True
            return fetched
        except TimeoutError as error:
            raise DownloadError(
                f"the download took longer than {DOWNLOAD_DEADLINE_S:.0f} s", fix=AGAIN
            ) from error
        finally:
            part.close(keep=whole)

    # ---- inside

    def _allowed(self, url: str) -> str:
        """Return the address to download from: any https, and http only if the API itself is http.

        Else use https: gateways write http addresses into links, but answer https too.
        """
        parts = links.split(url)
        if parts is None:
            scheme = url.partition(":")[0] if re.match(r"[a-z][a-z0-9+.-]*:", url) else ""
            at = (
                f"at a `{scheme}:` address"
                if scheme and scheme not in ("http", "https")
                else "at a malformed address"
            )
            raise DownloadError(
                f"the result is {at}, which is not fetched",
                fix="ask the operator of the endpoint",
                is_final=True,
            )
        if parts.scheme == "http" and self.base_url.startswith("https:"):
            return parts._replace(scheme="https").geturl()
        return url

    def _wants_key(self, url: str) -> bool:
        """Does the API itself serve the bytes at this address?"""
        if links.origin(url) != links.origin(self.base_url):
            return False
        return url.startswith((self.base_url + "/videos/", self._contents)) or bool(
            _CONTENT.search(url.partition("?")[0])
        )

    async def _whole(self, url: str, part: Part) -> Fetched:
        """Download until the part is whole. Continue after a break while each request adds
        bytes.
        """
        while True:
            before = part.count
            try:
                await self._fetch(url, part)
                return part.finish()
            except BrokenOff:
                if not part.can_go_on or part.count == before:
                    raise

    async def _fetch(self, url: str, part: Part) -> None:
        """Send one request for the missing bytes, and follow its redirects."""
        asked = url
        with_key = False
        for _ in range(MAX_REDIRECTS + 1):
            url = self._allowed(url)
            with_key = with_key or self._wants_key(url)
            headers = {**part.request_headers(), **(self._auth if with_key else {})}
            try:
                async with self._http.stream("GET", url, headers=headers) as answer:
                    if answer.is_redirect:
                        url, with_key = urljoin(url, answer.headers.get("Location", "")), False
                        continue
                    if not with_key and self._may_want_key(url, answer.status_code):
                        with_key = True
                        continue
                    part.accept(answer.status_code, answer.headers, answer.url.host)
                    chunks = answer.aiter_bytes()
                    start = await anext(chunks, b"")
                    if not part.count and is_text(start):
                        url, with_key = self._linked(url, await _all(start, chunks)), False
                        continue
                    part.write(start)
                    async for chunk in chunks:
                        part.write(chunk)
                    return
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:
                raise self._broken_off(asked, url, error) from error
        raise DownloadError(
            f"the result URL redirects more than {MAX_REDIRECTS} times", is_final=True
        )

    def _linked(self, url: str, text: str) -> str:
        """Return the one link in an answer that is JSON instead of a clip.

        Raises `DownloadError` if it has none.
        """
        payload = loads(text)
        layer = payload if isinstance(payload, dict) else {}
        found = links.in_places(layer, self.base_url)
        others = links.like_videos(payload, self.base_url)
        found = found or (others[0] if len(others) == 1 else None)
        if found and found != url:
            return found
        said = clean(read(200, text).message) or "nothing"
        raise DownloadError(
            f"{links.host(url)} answers with text instead of the clip: {said}", fix=AGAIN
        )

    def _may_want_key(self, url: str, status: int) -> bool:
        """Did the API's own origin refuse a link without a signature? Then it may need the key."""
        is_own = links.origin(url) == links.origin(self.base_url)
        return is_own and bool(self._auth) and (status == 401 or (status == 403 and "?" not in url))

    def _broken_off(self, asked: str, url: str, error: Exception) -> DownloadError:
        message = f"the download from {links.host(url)} broke off: {words(error)}"
        if asked.startswith("http:") and url.startswith("https:"):
            return BrokenOff(
                f"the clip's link is an `http:` address, and by https {message}",
                fix="ask the operator of the endpoint: its links must answer https, as its "
                "API does; then run again",
            )
        return BrokenOff(message, fix=AGAIN)


async def _all(start: bytes, rest: AsyncIterator[bytes]) -> str:
    """Return an answer as text, at most `MAX_TEXT_BYTES`."""
    text = start
    async for chunk in rest:
        text += chunk
        if len(text) > MAX_TEXT_BYTES:
            break
    return text[:MAX_TEXT_BYTES].decode("utf-8", "replace")


def words(error: BaseException) -> str:
    """Describe an error with its kind: many of httpx's errors have no text."""
    text = str(error)
    return f"{type(error).__name__}{f' ({text})' if text else ''}"
