"""`storyreel doctor` says what a run would meet."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from storyreel.catalog.dialect import Auth, Endpoint, Paths
from storyreel.cli import probe
from storyreel.cli.commands import doctor
from storyreel.cli.main import main
from storyreel.workspace.settings import Settings
from tests.server import live

Answer = tuple[int, str, str]


@pytest.fixture
def answers() -> Iterator[tuple[str, dict[str, Answer]]]:
    """A server that gives these answers: to a question about a job, and to anything else."""
    given: dict[str, Answer] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = given["job" if "/videos/" in self.path else "else"]
            self.send_response(status)
            self.send_header("Location" if 300 <= status < 400 else "Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", given
        server.shutdown()


def error(message: str, code: str = "not_found") -> str:
    return json.dumps({"error": {"code": code, "message": message}})


def ask(url: str) -> probe.Finding:
    return probe.endpoint(Settings(OPENAI_BASE_URL=url, OPENAI_API_KEY=SecretStr("k")))  # type: ignore[call-arg]


NO_ROUTE = (404, "application/json", '{"detail": "Not Found"}')


@pytest.mark.parametrize(
    "job",
    [
        (404, "application/json", error("video not found")),
        (404, "application/json", error("Task storyreel-doctor does not exist")),
        (400, "application/json", error("任务不存在")),
        (404, "application/json", '{"error": "nothing of that name"}'),
    ],
)
def test_the_apis_own_word_that_it_knows_no_such_job_is_good(
    answers: tuple[str, dict[str, Answer]], job: Answer
) -> None:
    url, given = answers
    given |= {"job": job, "else": NO_ROUTE}
    assert ask(url)[0] is True


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ((404, "text/plain", "default backend - 404"), "not as the API: text/plain"),
        ((404, "text/html", "<html>not here</html>"), "text/html"),
        ((200, "text/html", "<html>welcome</html>"), "text/html"),
        ((200, "application/json", '{"id": "x"}'), "not as the API"),
        ((404, "application/json", error("no such route")), "no word about a job"),
        (
            (404, "application/json", error("Invalid URL (GET /videos/storyreel-doctor)")),
            "no word about a job",
        ),
        (NO_ROUTE, "no word about a job"),
        (
            (301, "https://api.example/v2/videos/storyreel-doctor", ""),
            "redirects to https://api.example/v2",
        ),
        ((401, "application/json", error("bad key")), "refuses the key"),
        ((503, "text/html", "busy"), "has trouble (503)"),
        ((407, "text/html", ""), "proxy"),
    ],
)
def test_any_other_answer_is_not(
    answers: tuple[str, dict[str, Answer]], job: Answer, words: str
) -> None:
    url, given = answers
    given |= {"job": job, "else": NO_ROUTE}
    fine, what, fix = ask(url)
    assert fine is False and words in what and fix


def test_the_simulator_is_known_by_its_answer_and_its_address_without_v1_is_not(
    tmp_path: Path,
) -> None:
    with live(tmp_path) as api:
        assert ask(api.url)[0] is True
        assert ask(api.url.removesuffix("/v1"))[0] is False


@pytest.mark.parametrize("end", ["#x", "/a b"])
def test_an_address_with_what_does_not_belong_there_is_refused(end: str) -> None:
    try:
        assert ask(f"http://127.0.0.1:1/v1{end}")[0] is False
    except Exception as refused:  # by the settings already
        assert "OPENAI_BASE_URL" in str(refused)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, ["FAIL the Prefect server", "unset PREFECT_API_URL"]),
        ({"PREFECT_API_URL": "", "PROFILE": "http://127.0.0.1:1/api"}, ["FAIL the Prefect server", "profile `old`"]),
        ({"STORYREEL_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"}, ["FAIL the ledger", "u:***@", "start the database"]),
        ({"STORYREEL_DATABASE_URL": "ledger.db"}, ["FAIL the settings", "postgresql://USER"]),
        ({"STORYREEL_STORE": "stills=http://127.0.0.1:1/"}, ["FAIL store for stills", "does not give it back"]),
        ({"STORYREEL_STORE": "s3://b/p?endpoint=http://127.0.0.1:1&path_style=true"}, ["FAIL the store"]),
        ({"STORYREEL_CATALOG": "none.yaml"}, ["FAIL the catalogue"]),
        ({"PREFECT_HOME": "/proc/nowhere"}, ["FAIL Prefect's home", "PREFECT_HOME"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_a_run_would_stumble_over_fails(
    variables: dict[str, str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PREFECT_API_URL", "STORYREEL_STORE", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    (tmp_path / "stills").mkdir()
    if profile := variables.get("PROFILE"):
        (tmp_path / "prefect").mkdir()
        text = f'active = "old"\n[profiles.old]\nPREFECT_API_URL = "{profile}"\n'
        (tmp_path / "prefect/profiles.toml").write_text(text)
        code, told = _apart(tmp_path)
    else:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code, told = main(["doctor"]), capsys.readouterr().out
    assert code == 1
    for word in words:
        assert word in told, told
    assert "secret" not in told and told.count("FAIL") == 1, told
    assert "not tried" in told


def _apart(folder: Path) -> tuple[int, str]:
    """In a process of its own: Prefect reads its profile once."""
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "storyreel", "doctor"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_store_is_written_read_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, directory=str(tmp_path), **options)  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            pass

    from storyreel.cli.commands import doctor

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(
            "STORYREEL_STORE", f"{tmp_path}=http://127.0.0.1:{server.server_address[1]}/"
        )
        fine, what, _ = doctor._store()
        server.shutdown()
    assert fine is True and "written, read and deleted" in what and not list(tmp_path.iterdir())


def test_an_endpoint_is_asked_in_its_own_way() -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("api-key"), self.headers.get("Authorization")))
            text = error("job not found").encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    shape = Endpoint(auth=Auth(header="api-key", scheme=""), paths=Paths(get="/jobs/{id}"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        probe.endpoint(Settings(OPENAI_BASE_URL=url, OPENAI_API_KEY=SecretStr("k")), shape)  # type: ignore[call-arg]
        server.shutdown()
    assert seen[0] == ("/v1/jobs/storyreel-doctor", "k", None)


@pytest.mark.parametrize("place", ["s3://films", "/proc/films"])
def test_a_folder_of_results_that_cannot_be_used_fails(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYREEL_WORKSPACE", place)
    fine, what, fix = doctor._safely("the folder of results", doctor._results)
    assert fine is False and fix and place.split("/")[0] in what
