"""Behind somebody's proxy: our own servers on this machine are asked directly, and only the API
through it.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.flows.conftest import Project

BOARD = """\
version: 1
defaults: {model: kling-video-o1, seconds: 5, size: 1080x1080}
scenes: [{id: one, prompt: scene one}]
cut: {enabled: false}
"""


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A proxy that refuses everything: its address, and what it was asked for."""
    found: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            found.append(self.rfile.readline().decode("latin1"))
            self.wfile.write(b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", found
        server.shutdown()


@pytest.mark.parametrize(
    "variables",
    [
        ("HTTP_PROXY", "HTTPS_PROXY"),
        ("ALL_PROXY",),
        ("all_proxy", "http_proxy", "https_proxy", "NO_PROXY"),
    ],
    ids=" ".join,
)
def test_a_rehearsal_asks_no_proxy(
    project: Project, asked: tuple[str, list[str]], variables: tuple[str, ...]
) -> None:
    address, found = asked
    for name in variables:
        scheme = "socks5" if name.lower() == "all_proxy" else "http"
        project.environment[name] = (
            "other.example" if name == "NO_PROXY" else f"{scheme}://{address}"
        )
    project.write(BOARD)
    project.storyreel("run", "board.yaml", "--simulate", "--speed", "3000")
    port = json.loads((project.home / "storyreel-server.json").read_text())["port"]
    every = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    assert httpx.post(
        f"http://127.0.0.1:{port}/api/task_runs/count", json=every, timeout=30, trust_env=False
    ).json()
    assert found == []


def test_the_api_is_asked_through_it(project: Project, asked: tuple[str, list[str]]) -> None:
    address, found = asked
    project.environment |= {
        "HTTPS_PROXY": f"http://{address}",
        "OPENAI_BASE_URL": "https://api.example/v1",
    }
    project.write(BOARD)
    project.storyreel("doctor", code=1)
    assert any("api.example:443" in line for line in found)
