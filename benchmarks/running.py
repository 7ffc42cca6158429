"""`python -m benchmarks.running [SCENES…]`: wall-clock, CPU and memory of whole runs beside what
others would write.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from storyreel.catalog import load as catalog
from storyreel.simulator.picture import Shot, render

JOB_S = 60.0
CHAIN_JOB_S = 6.0
SIZE = "160x288"


@dataclass(frozen=True)
class Cost:
    """What a process cost: seconds of wall-clock and CPU, MB of memory at its peak."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(command: list[str], environment: dict[str, str]) -> Cost:
    """Run it and wait for it; its own children that it waits for are counted, servers it leaves are
    not.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    noise = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(noise.decode()[-2000:])
    return Cost(
        time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    )


@contextmanager
def stub(folder: Path, job_s: float) -> Iterator[str]:
    """The server, in a process of its own."""
    width, height = map(int, SIZE.split("x"))
    render(
        Shot(prompt="x", label="bench", width=width, height=height, seconds=4), folder / "clip.mp4"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "benchmarks.stub",
        str(port),
        str(job_s),
        str(folder / "clip.mp4"),
    ]
    with subprocess.Popen(command) as server:
        try:
            for _ in range(200):
                try:
                    httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def models(folder: Path, job_s: float) -> Path:
    """A catalogue whose only model is small and as quick as the stub."""
    model = catalog.load().models["sora-2"].model_dump(mode="json", exclude_none=True)
    model |= {"sizes": [SIZE], "defaults": {"seconds": 4, "size": SIZE}}
    model["waits"] = [model["waits"][0] | {"seconds": 4, "low_s": job_s, "high_s": job_s * 1.05}]
    path = folder / "models.yaml"
    path.write_text(json.dumps({"version": 1, "models": {"sora-2": model}}))
    return path


def board(folder: Path, scenes: int, chain: int = 1) -> Path:
    """So many scenes; each but the first of `chain` begins on the last frame of the one above."""
    lines = [
        "version: 1",
        f"id: bench-{scenes}-{chain}",
        f"defaults: {{model: sora-2, seconds: 4, size: {SIZE}}}",
        "cut: {enabled: false}",
        "scenes:",
    ]
    for i in range(scenes):
        above = ", first_frame: previous" if i % chain else ""
        lines.append(f'  - {{id: s{i}, prompt: "step {i}"{above}}}')
    path = folder / f"bench-{scenes}-{chain}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def ours(folder: Path, url: str, job_s: float, scenes: int, chain: int = 1) -> Cost:
    command = [sys.executable, "-m", "storyreel", "run", str(board(folder, scenes, chain)), "--yes"]
    command += [
        "--catalog",
        str(models(folder, job_s)),
        "--workspace",
        str(folder / f"ws-{scenes}-{chain}-{job_s}"),
    ]
    return measure(command, environment(folder, url))


def environment(folder: Path, url: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": "k",
        "STORYREEL_MAX_IN_FLIGHT": "5000",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }


def theirs(folder: Path, url: str, kind: str, scenes: int, job_s: float) -> Cost:
    place = folder / f"{kind}-{scenes}-{job_s}"
    place.mkdir()
    command = [
        sys.executable,
        "-m",
        "benchmarks.others",
        kind,
        str(scenes),
        str(job_s),
        url,
        str(place),
    ]
    return measure(command, environment(folder, url))


def say(what: str, cost: Cost, ideal_s: float, scenes: int) -> None:
    print(
        f"{what:<42} wall {cost.wall_s:6.1f} s, {cost.wall_s / ideal_s:5.2f} x the jobs   "
        f"cpu {cost.cpu_s:6.1f} s, "
        f"{1000 * cost.cpu_s / scenes:6.1f} ms a scene   peak {cost.peak_mb:5.0f} MB",
        flush=True,
    )


def main(counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with stub(folder, CHAIN_JOB_S) as url:
            ours(folder, url, CHAIN_JOB_S, 2)  # makes Prefect's database
            say(
                "a chain of 20, jobs of 6 s",
                ours(folder, url, CHAIN_JOB_S, 20, 20),
                20 * CHAIN_JOB_S,
                20,
            )
            say(
                "50 chains of 4, jobs of 6 s",
                ours(folder, url, CHAIN_JOB_S, 200, 4),
                4 * CHAIN_JOB_S,
                200,
            )
            say(
                "plain asyncio, 100 scenes of 6 s",
                theirs(folder, url, "plain", 100, CHAIN_JOB_S),
                CHAIN_JOB_S,
                100,
            )
            say(
                "Prefect with .submit(), 100 scenes of 6 s",
                theirs(folder, url, "submit", 100, CHAIN_JOB_S),
                CHAIN_JOB_S,
                100,
            )
        with stub(folder, JOB_S) as url:
            say("50 chains of 4, jobs of 60 s", ours(folder, url, JOB_S, 200, 4), 4 * JOB_S, 200)
            for count in counts:
                say(
                    f"storyreel, {count} scenes of 60 s",
                    ours(folder, url, JOB_S, count),
                    JOB_S,
                    count,
                )
            for what, kind in (("plain asyncio", "plain"), ("Prefect with .submit()", "submit")):
                say(
                    f"{what}, 1000 scenes of 60 s",
                    theirs(folder, url, kind, 1000, JOB_S),
                    JOB_S,
                    1000,
                )


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1, 10, 100, 1000, 2000])
