"""The port of the server that `up` keeps, what it has written down, and the names of a project's
deployments.
"""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storyreel.errors import UsageError
from storyreel.flows.server import address
from storyreel.flows.server.backend import Backend
from storyreel.flows.server.processes import listen
from storyreel.flows.server.project import Project, project_in


def test_a_port_is_free_again_as_soon_as_its_server_has_ended() -> None:
    with listen(0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # it closes first, so its end of the connection lingers
    with listen(port) as again:
        assert again.getsockname()[1] == port


def test_a_port_that_is_taken_is_left_to_who_has_it() -> None:
    with listen(0) as server, listen(server.getsockname()[1]) as other:
        assert other.getsockname()[1] != server.getsockname()[1]


def test_a_port_that_was_asked_for_is_not_replaced_by_another() -> None:
    with listen(0) as server, pytest.raises(UsageError, match="in use") as told:
        listen(server.getsockname()[1], must=True)
    assert "--port" in str(told.value.fix)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        listen(0, host="192.0.2.1")


@pytest.fixture
def server() -> Iterator[str]:
    """Prefect's server after two flow runs, of 2 and 3 task runs; it knows nothing of others."""
    written = {"a": 2, "b": 3}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            count = sum(written.get(one, 0) for one in asked["flow_runs"]["id"]["any_"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(str(count).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_address[1]}"
        one.shutdown()


def test_a_batch_waits_for_the_task_runs_of_its_rows_and_no_longer(server: str) -> None:
    began = time.monotonic()
    assert Backend(server, is_ours=True).drain({"a": 2, "b": 3})
    assert time.monotonic() - began < 10


def test_the_fix_names_whatever_names_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert address.forget("http://127.0.0.1:1/api") == "unset PREFECT_API_URL"
    monkeypatch.delenv("PREFECT_API_URL")
    (tmp_path / "profiles.toml").write_text('active = "old"\n[profiles.old]\n')
    assert "prefect config unset PREFECT_API_URL" in address.forget("http://127.0.0.1:1/api")


def test_deployments_and_work_pools_bear_the_projects_name() -> None:
    written = {
        "deployments": [
            {"name": "render", "work_pool": {"name": "storyreel", "work_queue_name": "default"}},
            {"name": "film-nightly"},
            {"name": "far", "work_pool": {"name": "kubernetes"}},
        ]
    }
    made = Project(Path("/film"), "film", written).as_deployed()
    assert [one["name"] for one in made["deployments"]] == [
        "film-render",
        "film-nightly",
        "film-far",
    ]
    assert [one["work_pool"]["name"] for one in made["deployments"]] == [
        "storyreel-film",
        "storyreel-film",
        "kubernetes",
    ]
    assert made["deployments"][0]["work_pool"]["work_queue_name"] == "default"
    assert written["deployments"][0]["name"] == "render"


@pytest.mark.parametrize(
    "text", ["", "[]", "name: x", "deployments: [render]", "a: b: c", "deployments: []"]
)
def test_a_prefect_yaml_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"prefect\.yaml"):
        project_in(tmp_path)


def test_a_project_is_called_as_the_variable_the_file_or_the_folder_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "My Film"
    folder.mkdir()
    (folder / "prefect.yaml").write_text("deployments: [{name: render}]")
    monkeypatch.delenv("STORYREEL_PROJECT", raising=False)
    assert project_in(folder).name == "my-film"
    (folder / "prefect.yaml").write_text("name: The Lake\ndeployments: [{name: render}]")
    assert project_in(folder).name == "the-lake"
    monkeypatch.setenv("STORYREEL_PROJECT", "sea")
    assert project_in(folder).name == "sea"
