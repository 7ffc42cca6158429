"""One clip's download: which address is asked, with which headers, along which redirects."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import urljoin

import httpx

from storyreel.api import links
from storyreel.api.part import Fetched, Part
from storyreel.errors import BrokenOff, DownloadError

DOWNLOAD_DEADLINE_S = 1800.0
MAX_REDIRECTS = 5
_CONTENT = re.compile(r"/videos/[^/]+/content$")


class Download:
    """Fetches from result URLs. The key goes to the API's own origin only, and only where it is wanted.

    `auth` is the header that carries it; `contents` what the addresses begin with at which the API hands out clips.
    """

    def __init__(self, http: httpx.AsyncClient, base_url: str, auth: Mapping[str, str], contents: str) -> None:
        self._http = http
        self.base_url = base_url
        self._auth = auth
        self._contents = contents

    async def fetch(self, url: str, part: Part) -> Fetched:
        """Stream `url` into `part`, and return its size and hash once it is whole.

        Where the server offers ranges (RFC 9110, 14), a download that breaks off goes on where it was.

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
        """The address to ask for a link's bytes: any https is fine, http only where the API itself is http.

        Elsewhere https is tried in its stead: gateways put their own http address into links, and answer https, too.
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
        """Is this where the API itself hands out the bytes? The key goes to its own origin alone."""
        if links.origin(url) != links.origin(self.base_url):
            return False
        return url.startswith((self.base_url + "/videos/", self._contents)) or bool(
            _CONTENT.search(url.partition("?")[0])
        )

    async def _whole(self, url: str, part: Part) -> Fetched:
        """Fetch until the part is whole; go on after a break as long as each request brings something."""
        while True:
            before = part.count
            try:
                await self._fetch(url, part)
                return part.finish()
            except BrokenOff:
                if not part.can_go_on or part.count == before:
                    raise

    async def _fetch(self, url: str, part: Part) -> None:
        """One request for what is not there yet, along its redirects."""
        asked = url
        with_key = False
        for _ in range(MAX_REDIRECTS + 1):
            url = self._allowed(url)
            with_key = with_key or self._wants_key(url)
            headers = {**part.wish(), **(self._auth if with_key else {})}
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
        """Was a link of the API's own origin refused that has no signature? It may be one that wants the key."""
        is_own = links.origin(url) == links.origin(self.base_url)
        return is_own and bool(self._auth) and (status == 401 or (status == 403 and "?" not in url))

    def _broken_off(self, asked: str, url: str, error: Exception) -> DownloadError:
        message = f"the download from {links.host(url)} broke off: {words(error)}"
        if asked.startswith("http:") and url.startswith("https:"):
            return BrokenOff(
                f"the clip's link is an `http:` address, and by https {message}",
                fix="ask the operator of the endpoint: its links must answer https, as its API does",
            )
        return BrokenOff(message)


def words(error: BaseException) -> str:
    """What went wrong, with its kind: many of httpx's errors have no text."""
    text = str(error)
    return f"{type(error).__name__}{f' ({text})' if text else ''}"
