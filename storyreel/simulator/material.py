"""Download, check and store the pictures and videos that requests name.

A rehearsal works without a network: a card replaces a file that cannot be downloaded, with a
warning.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import sys
from collections.abc import Callable

import httpx
from PIL import Image, UnidentifiedImageError

from storyreel.catalog.load import parse_size
from storyreel.errors import MediaError
from storyreel.film.media.clip import verify
from storyreel.simulator import offered, rules
from storyreel.simulator.jobs import Jobs
from storyreel.simulator.picture import card
from storyreel.simulator.rules import Refused, VideoRequest

MAX_VIDEO_BYTES = 200 * 2**20
PATIENCE_S = 20.0
REHEARSAL_PATIENCE_S = 5.0  # without a network, each address costs a rehearsal this long


def warn_on_stderr(words: str) -> None:
    """Print a warning for the person who started the rehearsal."""
    print(f"storyreel: warning: {words}", file=sys.stderr, flush=True)


class Material:
    """Download the inputs of requests.

    `with_cards`: a card replaces a file that cannot be downloaded. Else the request is refused.
    """

    def __init__(
        self, jobs: Jobs, *, with_cards: bool = False, warn: Callable[[str], None] = warn_on_stderr
    ) -> None:
        self._jobs = jobs
        self._with_cards = with_cards
        self._warn = warn
        self._warned: set[str] = set()
        self._patience_s = REHEARSAL_PATIENCE_S if with_cards else PATIENCE_S

    async def picture(self, given: rules.InputImage, wanted: VideoRequest) -> str:
        """Download a picture unless its bytes are given, check and store it. Return its sha256.

        Raises `Refused`.
        """
        try:
            data = (
                given.data
                if given.data is not None
                else await self._fetch(given.url or "", rules.MAX_IMAGE_BYTES)
            )
        except Refused as error:
            if not self._with_cards:
                raise
            return self._card(given.url or "", wanted.size, error)
        try:
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
                offered.check_image(
                    picture.format or "", picture.size, len(data), wanted, self._jobs.catalog
                )
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise Refused(f"{given.role} is not a picture") from error
        return self._jobs.keep_still(data)

    async def video(self, url: str, size: str) -> dict[str, str]:
        """Download a reference video. Return the sha256 of its first and last picture, by role.

        The new clip begins and ends on them. Raises `Refused`.
        """
        try:
            data = await self._fetch(url, MAX_VIDEO_BYTES)
        except Refused as error:
            if not self._with_cards:
                raise
            card = self._card(url, size, error)
            return {"first_frame": card, "end_frame": card}
        return await self._outer(data)

    async def _outer(self, data: bytes) -> dict[str, str]:
        path = self._jobs.folder / "stills" / f"{hashlib.sha256(data).hexdigest()}.mp4"
        path.write_bytes(data)
        try:
            opened = await asyncio.to_thread(verify, path)
        except MediaError as error:
            raise Refused(f"the reference video cannot be read: {error}") from error
        facts = opened.facts
        if not 3 <= facts.duration_s <= 10.1 or not 720 <= min(facts.width, facts.height) <= 2160:
            raise Refused("a reference video has 3 to 10 s and sides of 720 to 2160 px")
        kept = {}
        for role, picture in (("first_frame", opened.first), ("end_frame", opened.last)):
            out = io.BytesIO()
            picture.save(out, "PNG", compress_level=1)
            kept[role] = self._jobs.keep_still(out.getvalue())
        return kept

    async def _fetch(self, url: str, limit: int) -> bytes:
        try:
            async with (
                httpx.AsyncClient(timeout=self._patience_s, trust_env=False) as http,
                http.stream("GET", url) as answer,
            ):
                if answer.status_code != 200:
                    raise Refused(f"{url.partition('?')[0]} answers {answer.status_code}")
                data = b""
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > limit:
                        raise Refused("the file is too large")
                return data
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Refused(f"{url.partition('?')[0]} cannot be fetched") from error

    def _card(self, url: str, size: str, error: Refused) -> str:
        """Store a card in place of a picture. Warn once for each address."""
        name = url.partition("?")[0]
        if name not in self._warned:
            self._warned.add(name)
            self._warn(
                f"{error.message}; this rehearsal uses a card in its place. A real run sends the "
                "address itself"
            )
        return self._jobs.keep_still(card(name, *parse_size(size)))
