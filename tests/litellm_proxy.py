"""LiteLLM's proxy in a virtual environment of its own: its pins and ours do not go together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

VERSION = "1.106.2"
ROOT = Path(__file__).parents[1]
HOME = Path(sys.prefix) / f"litellm-{VERSION}"


def _installed() -> Path:
    program = HOME / "bin" / "litellm"
    if not program.exists():
        command = [sys.executable, ROOT / ".ci" / "install.py", HOME, f"litellm[proxy]=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"LiteLLM cannot be installed here: {done.stderr[-300:]}")
    return program


@contextmanager
def proxy(folder: Path, upstream: str) -> Iterator[str]:
    """Run the proxy before `upstream`; yields its base URL."""
    program = _installed()
    entry = (
        "  - model_name: {0}\n    litellm_params: {{model: openai/{0}, api_base: '{1}', "
        "api_key: upstream}}\n"
    )
    models = "".join(entry.format(name, upstream) for name in ("sora-2", "kling-video-o1"))
    (folder / "litellm.yaml").write_text(f"model_list:\n{models}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    command = [
        program,
        "--config",
        folder / "litellm.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    log = folder / "litellm.log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])
