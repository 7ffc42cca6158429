"""A file that one or several answers fill, and the facts about its whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storyreel.errors import BrokenOff, DownloadError, LinkExpired

AGAIN = "run again later: the job stays paid for, and its clip is fetched for nothing"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download: its path, size in bytes and hash."""

    path: Path
    bytes: int
    sha256: str


class Part:
    """The bytes on disk, and the headers that request the rest (RFC 9110, 14)."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.count = 0
        self.can_go_on = False
        self._announced: int | None = None
        self._validator = ""
        self._digest = hashlib.sha256()
        self._out = path.open("wb")

    def request_headers(self) -> dict[str, str]:
        """Return the headers that request the rest, on condition that the file is unchanged."""
        if not self.count:
            return {"Accept": "*/*"}
        same = {"If-Range": self._validator} if self._validator else {}
        return {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Range": f"bytes={self.count}-",
            **same,
        }

    def accept(self, status: int, headers: Mapping[str, str], host: str) -> None:
        """Check an answer's head: does it start from the beginning, or where this part ends?"""
        if status in (403, 404, 410):
            raise LinkExpired(f"{host} answers {status}: the link is dead", fix=AGAIN)
        if status == 206 and self.count:
            if (
                headers.get("Content-Range", "")
                != f"bytes {self.count}-{self._last}/{self._announced}"
            ):
                raise DownloadError(
                    f"{host} answers with another part of the clip than was asked for", fix=AGAIN
                )
            return
        if status != 200:
            raise DownloadError(f"{host} answers {status} instead of the clip", fix=AGAIN)
        self._begin(headers)

    @property
    def _last(self) -> int | None:
        return None if self._announced is None else self._announced - 1

    def _begin(self, headers: Mapping[str, str]) -> None:
        announced = headers.get("Content-Length", "")
        is_encoded = headers.get("Content-Encoding", "identity") != "identity"
        is_length = re.fullmatch(r"[0-9]{1,18}", announced) and not is_encoded
        self._announced = int(announced) if is_length else None
        if self._announced and self._announced > self.max_bytes:
            raise DownloadError(
                f"the clip is said to have {self._announced / 1e9:.1f} GB; the limit is "
                f"{self.max_bytes / 1e9:.1f}",
                is_final=True,
            )
        tag = headers.get("ETag", "")
        self._validator = (
            tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
        )
        self.can_go_on = (
            self._announced is not None and headers.get("Accept-Ranges", "").lower() == "bytes"
        )
        self.count, self._digest = 0, hashlib.sha256()
        self._out.seek(0)
        self._out.truncate()

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raise `DownloadError` above the limit."""
        self.count += len(chunk)
        if self.count > self.max_bytes:
            raise DownloadError(
                f"the clip has more than {self.max_bytes / 1e9:.1f} GB", is_final=True
            )
        self._digest.update(chunk)
        self._out.write(chunk)

    def finish(self) -> Fetched:
        """Return the whole file. Raise `BrokenOff` if its size is not the announced one."""
        if self._announced is not None and self.count != self._announced:
            raise BrokenOff(
                f"the clip has {self.count} bytes, {self._announced} were announced", fix=AGAIN
            )
        self._out.flush()
        return Fetched(self.path, self.count, self._digest.hexdigest())

    def close(self, *, keep: bool) -> None:
        """Close the file, and delete it unless it is to be kept."""
        try:
            self._out.close()
        finally:  # closing writes what is buffered: on a full disk it fails
            if not keep:
                self.path.unlink(missing_ok=True)
