"""The webhook's words arrive, signed as the standard's own libraries check them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from storyreel.api import webhook
from storyreel.errors import ApiError, UsageError
from storyreel.workspace.settings import Settings
from storyreel.workspace.settings import read as read_settings

SECRET = "whsec_" + base64.b64encode(b"a key of ours").decode()


class Listener:
    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.answers = [200]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(
                    outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                )
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.settings = Settings(
            webhook_url=f"http://127.0.0.1:{self.server.server_address[1]}/hook",
            webhook_secret=SECRET,
        )  # type: ignore[arg-type,call-arg]


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    async def at_once(seconds: float) -> None:
        pass

    monkeypatch.setattr("storyreel.api.webhook.asyncio.sleep", at_once)
    one = Listener()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()


async def test_an_event_is_signed_and_sent_again_under_the_same_id(listener: Listener) -> None:
    listener.answers = [500, 200]
    await webhook.send(listener.settings, "storyreel.run.completed", {"storyboard": "守"}, "run-1")
    assert len(listener.seen) == 2
    headers, body = listener.seen[1]
    assert headers["webhook-id"] == listener.seen[0][0]["webhook-id"] == "run-1"
    signed = f"run-1.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(b"a key of ours", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert json.loads(body)["type"] == "storyreel.run.completed" and json.loads(body)["data"] == {
        "storyboard": "守"
    }


async def test_a_listener_that_never_takes_it_is_told_without_its_secret(
    listener: Listener,
) -> None:
    listener.answers = [404]
    with pytest.raises(ApiError, match="answers 404") as caught:
        await webhook.send(listener.settings, "storyreel.run.failed", {}, "run-1")
    assert len(listener.seen) == 3 and SECRET not in str(caught.value)


async def test_without_an_address_nothing_is_sent() -> None:
    await webhook.send(Settings(), "storyreel.run.completed", {}, "run-1")  # type: ignore[call-arg]


@pytest.mark.parametrize("url", ["http://example.com/hook", "ftp://x.example", "hook"])
def test_an_address_that_would_tell_everybody_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("STORYREEL_WEBHOOK_URL", url)
    with pytest.raises(UsageError, match="STORYREEL_WEBHOOK_URL"):
        read_settings()
