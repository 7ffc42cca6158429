"""Publish stills so that the API can download them."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from storyreel.api import links
from storyreel.errors import UsageError
from storyreel.workspace.folder import write_whole
from storyreel.workspace.settings import Settings

SIGNED_FOR = timedelta(days=2)  # longer than any job waits and runs
_FIX = (
    "FOLDER=URL (a folder and the address that shows it), or "
    "s3://BUCKET/PREFIX?endpoint=https://…&region=…"
)
LOOK_EVERY_S = 0.02  # the end of a run waits so long for the server
CLOSED_WITHIN_S = 2.0
SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "mp4": ".mp4"}
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".mp4": "video/mp4"}


class Store(Protocol):
    """A place where the API can download bytes. The same bytes are published once."""

    def publish(self, data: bytes, kind: str) -> str:
        """Return the URL at which `data`, of format `kind` (png, jpeg, webp, mp4), can be
        fetched.
        """
        ...

    def withdraw(self, url: str) -> None:
        """Delete what was published at that address."""
        ...

    def close(self) -> None:
        """Release what the store holds open."""
        ...


class FolderStore:
    """A folder that a web server shows at `base_url`."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.base_url = base_url.rstrip("/")

    def publish(self, data: bytes, kind: str) -> str:
        """Write the file, unless it exists; return its address."""
        name = hashlib.sha256(data).hexdigest() + SUFFIX[kind]
        path = self.folder / name
        if not path.exists():
            write_whole(path, data)
        return f"{self.base_url}/{name}"

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def withdraw(self, url: str) -> None:
        """Delete what was published at that address."""
        (self.folder / url.rpartition("/")[2]).unlink(missing_ok=True)


class BucketStore:
    """Any S3-compatible bucket (Qiniu Kodo, AWS, MinIO, R2): private objects, addresses signed for
    two days.

    Reads the key pair from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Does not upload the same
    bytes twice.
    """

    def __init__(self, url: str) -> None:
        try:
            import obstore.store
        except ImportError as error:
            raise UsageError(
                "s3:// needs the package obstore", fix="pip install 'storyreel[s3]'"
            ) from error
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        unknown = set(options) - {"endpoint", "region", "path_style"}
        if unknown or not parts.netloc:
            raise UsageError(
                f"STORYREEL_STORE: {min(unknown) if unknown else 'a bucket'} is not understood",
                fix=_FIX,
            )
        endpoint = options.get("endpoint")
        if not endpoint:
            raise UsageError("STORYREEL_STORE names a bucket without its `endpoint`", fix=_FIX)
        path_style = options.get("path_style", "false") == "true"
        if not path_style:  # object_store wants the bucket in the endpoint's host then
            scheme, _, host = endpoint.partition("://")
            endpoint = f"{scheme}://{parts.netloc}.{host}"
        if not (os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY")):
            raise UsageError(
                "STORYREEL_STORE names a bucket, and AWS_ACCESS_KEY_ID or "
                "AWS_SECRET_ACCESS_KEY is not set",
                fix="export both: the bucket's key pair",
            )
        self._prefix = parts.path.strip("/")
        self._store = obstore.store.S3Store(
            parts.netloc,
            endpoint=endpoint,
            region=options.get("region", "us-east-1"),
            virtual_hosted_style_request=not path_style,
            client_options={"allow_http": endpoint.startswith("http://")},
        )

    def publish(self, data: bytes, kind: str) -> str:
        """Upload the bytes, unless they exist; return a signed address."""
        import obstore
        from obstore.exceptions import BaseError

        name = f"{self._prefix}/{hashlib.sha256(data).hexdigest()}{SUFFIX[kind]}".lstrip("/")
        try:
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                obstore.put(
                    self._store, name, data, attributes={"Content-Type": _TYPES[SUFFIX[kind]]}
                )
            return str(obstore.sign(self._store, "GET", name, SIGNED_FOR))
        except (BaseError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"the store refuses the picture: {reason}",
                fix="check STORYREEL_STORE and its key pair",
            ) from error

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def withdraw(self, url: str) -> None:
        """Delete what was published at that address."""
        import obstore
        from obstore.exceptions import BaseError

        name = f"{self._prefix}/{urlsplit(url).path.rpartition('/')[2]}".lstrip("/")
        try:
            obstore.delete(self._store, name)
        except (BaseError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"the store does not delete: {reason}",
                fix="allow its key pair to delete, or ignore this",
            ) from error


class LoopbackStore:
    """Serve stills on 127.0.0.1, for an API on this machine: the simulator, or a server of
    your own.
    """

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
        self._server.timeout = LOOK_EVERY_S
        self._prefix = f"/{secret}/"
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, name="loopback-store", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._is_open:
            self._server.handle_request()

    def publish(self, data: bytes, kind: str) -> str:
        """Serve the bytes; return their address."""
        path = f"{self._prefix}{hashlib.sha256(data).hexdigest()}{SUFFIX[kind]}"
        self._files[path] = data
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def withdraw(self, url: str) -> None:
        """Delete what was published at that address."""
        self._files.pop(urlsplit(url).path, None)

    def close(self) -> None:
        """Stop the server, within 2 s. Its thread may have ended with the interpreter already."""
        self._is_open = False
        self._thread.join(CLOSED_WITHIN_S)
        self._server.server_close()

    def __enter__(self) -> LoopbackStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(settings: Settings) -> Store | None:
    """Open the store of `STORYREEL_STORE`; for an API on this machine a loopback one; else return
    None.

    Raises:
        UsageError: the setting cannot be read.
    """
    if settings.store and settings.store.startswith("s3://"):
        return BucketStore(settings.store)
    if settings.store:
        folder, separator, base = settings.store.rpartition("=")
        if not separator or links.split(base) is None:
            raise UsageError(f"STORYREEL_STORE={settings.store} is not understood", fix=_FIX)
        return FolderStore(Path(folder), base)
    return LoopbackStore() if settings.is_local else None
