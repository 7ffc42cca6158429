"""Where stills are published so that the API can fetch them."""

from __future__ import annotations

import hashlib
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from storyreel.errors import UsageError
from storyreel.settings import Settings
from storyreel.workspace import write_whole

SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "mp4": ".mp4"}
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".mp4": "video/mp4"}


class Store(Protocol):
    """Makes bytes reachable for the API. The same bytes are published once."""

    def publish(self, data: bytes, kind: str) -> str:
        """Return the URL at which `data`, of format `kind` (png, jpeg, webp, mp4), can be fetched."""
        ...

    def close(self) -> None: ...


class FolderStore:
    """A folder that a web server makes public at `base_url`."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.base_url = base_url.rstrip("/")

    def publish(self, data: bytes, kind: str) -> str:
        name = hashlib.sha256(data).hexdigest() + SUFFIX[kind]
        path = self.folder / name
        if not path.exists():
            write_whole(path, data)
        return f"{self.base_url}/{name}"

    def close(self) -> None:
        pass


class LoopbackStore:
    """Hands stills out on 127.0.0.1, for an API on this machine: the simulator, or a server of your own."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._secret = secrets.token_urlsafe(12)
        files, secret = self._files, self._secret

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", _TYPES["." + self.path.rpartition(".")[2]])
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._prefix = f"/{secret}/"
        threading.Thread(target=self._server.serve_forever, name="loopback-store", daemon=True).start()

    def publish(self, data: bytes, kind: str) -> str:
        path = f"{self._prefix}{hashlib.sha256(data).hexdigest()}{SUFFIX[kind]}"
        self._files[path] = data
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> LoopbackStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(settings: Settings) -> Store | None:
    """The store of `STORYREEL_STORE`; for an API on this machine a loopback one; else None.

    Raises:
        UsageError: the setting cannot be read.
    """
    if settings.store:
        folder, separator, base = settings.store.rpartition("=")
        if not separator or urlsplit(base).scheme not in ("http", "https"):
            raise UsageError(
                "STORYREEL_STORE must be FOLDER=URL: a folder, and the address at which a web server shows it",
                fix="e.g. STORYREEL_STORE=/srv/stills=https://stills.example.com",
            )
        return FolderStore(Path(folder), base)
    return LoopbackStore() if settings.is_local else None
