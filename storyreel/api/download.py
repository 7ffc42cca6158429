"""The download of one clip: which address, which headers, which redirects."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urljoin

import httpx

from storyreel.api import links
from storyreel.api.part import Fetched, Part
from storyreel.errors import BrokenOff, DownloadError

DOWNLOAD_DEADLINE_S = 1800.0
MAX_REDIRECTS = 5
_CONTENT = re.compile(r"/videos/[^/]+/content$")


class Download:
    """Downloads from result URLs. The key goes to the API's own origin only, and only if it is
    needed.
    """

    def __init__(self, http: httpx.AsyncClient, base_url: str, key: str | None) -> None:
        self._http = http
        self.base_url = base_url
        self._key = key

    async def fetch(self, url: str, part: Part) -> Fetched:
        """Stream `url` into `part`. Return its size and hash once it is whole.

        If the server offers ranges (RFC 9110, 14), a download that breaks off continues where it
        was.

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
            raise DownloadError(f"the download took longer than {DOWNLOAD_DEADLINE_S:.0f} s") from error
        finally:
            part.close(keep=whole)

    # ---- inside

    def _allowed(self, url: str) -> str:
        """Return the address to download from: any https, and http only if the API itself is http.

        Else try https: gateways write their own http address into links, and answer https, too.
        """
        parts = links.split(url)
        if parts is None:
            scheme = url.partition(":")[0] if re.match(r"[a-z][a-z0-9+.-]*:", url) else ""
            at = f"at a `{scheme}:` address" if scheme and scheme not in ("http", "https") else "at a malformed address"
            raise DownloadError(
                f"the result is {at}, which is not fetched", fix="ask the operator of the endpoint", is_final=True
            )
        if parts.scheme == "http" and self.base_url.startswith("https:"):
            return parts._replace(scheme="https").geturl()
        return url

    def _wants_key(self, url: str) -> bool:
        """Does the API itself serve the bytes here? Only its own origin gets the key."""
        if links.origin(url) != links.origin(self.base_url):
            return False
        return url.startswith(self.base_url + "/videos/") or bool(_CONTENT.search(url.partition("?")[0]))

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
            headers = part.request_headers() | (
                {"Authorization": f"Bearer {self._key}"} if with_key and self._key else {}
            )
            try:
                async with self._http.stream("GET", url, headers=headers) as answer:
                    if answer.is_redirect:
                        url, with_key = urljoin(url, answer.headers.get("Location", "")), False
                        continue
                    if not with_key and self._may_want_key(url, answer.status_code):
                        with_key = True
                        continue
                    part.accept(answer.status_code, answer.headers, answer.url.host)
                    async for chunk in answer.aiter_bytes():
                        part.write(chunk)
                    return
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:
                raise self._broken_off(asked, url, error) from error
        raise DownloadError(f"the result URL redirects more than {MAX_REDIRECTS} times", is_final=True)

    def _may_want_key(self, url: str, status: int) -> bool:
        """Did the API's own origin refuse a link without a signature? Then it may need the key."""
        is_own = links.origin(url) == links.origin(self.base_url)
        return is_own and self._key is not None and (status == 401 or (status == 403 and "?" not in url))

    def _broken_off(self, asked: str, url: str, error: Exception) -> DownloadError:
        message = f"the download from {links.host(url)} broke off: {words(error)}"
        if asked.startswith("http:") and url.startswith("https:"):
            return BrokenOff(
                f"the clip's link is an `http:` address, and by https {message}",
                fix="ask the operator of the endpoint: its links must answer https, as its API does",
            )
        return BrokenOff(message)


def words(error: BaseException) -> str:
    """Describe an error with its kind: many of httpx's errors have no text."""
    text = str(error)
    return f"{type(error).__name__}{f' ({text})' if text else ''}"
