"""`make bench`: each line is a ratio of two things measured in this same run; machines are noisy, ratios less so."""

from __future__ import annotations

import io
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import imageio_ffmpeg
from ruamel.yaml import YAML

from storyreel import catalog, manifest, plan
from storyreel.media.cut import Piece, Style, assemble
from storyreel.plan import Snapshot
from storyreel.polling import Expected, next_delay
from storyreel.simulator.picture import Shot, render

TIMES = 5


def median(work: Callable[[], object], times: int = TIMES) -> float:
    """Median wall-clock seconds of a few calls."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def board(scenes: int) -> str:
    """A storyboard of chains of four."""
    lines = ["version: 1", "id: bench", "defaults: {model: kling-video-o1}", "scenes:"]
    for i in range(scenes):
        lines += [f"  - id: s{i}", f'    prompt: "the keeper climbs step {i}"', "    seconds: 5"]
        if i % 4:
            lines.append("    first_frame: previous")
    return "\n".join(lines) + "\n"


def told(what: str, value: float, beside: str, other: float, aim: str) -> None:
    print(
        f"{what:<44} {value * 1000:9.1f} ms   {beside:<40} {other * 1000:9.1f} ms   ratio {value / other:5.2f}   aim {aim}"
    )


def help_text() -> None:
    ours = median(
        lambda: subprocess.run([sys.executable, "-m", "cli.main", "--help"], check=True, stdout=subprocess.DEVNULL)
    )
    plain = median(lambda: subprocess.run([sys.executable, "-c", "import argparse, json"], check=True))
    told("storyreel --help", ours, "python -c 'import argparse, json'", plain, "<= 3")


def reading(folder: Path) -> None:
    path = folder / "bench.yaml"
    path.write_text(board(1000))
    known = catalog.load()
    text = path.read_text()
    ours = median(lambda: manifest.check(path, known))
    told(
        "validate, 1,000 scenes",
        ours,
        "ruamel (libyaml) reading it",
        median(lambda: YAML(typ="safe").load(text)),
        "<= 2",
    )
    told("validate, 1,000 scenes", ours, "ruamel (its own parser) reading it",
         median(lambda: YAML(typ="safe", pure=True).load(text)), "<= 2")  # fmt: skip


def planning(folder: Path) -> None:
    known = catalog.load()
    seconds = {}
    for count in (100, 1000):
        path = folder / f"plan-{count}.yaml"
        path.write_text(board(count))
        storyboard = manifest.load(path, known)
        seconds[count] = median(lambda storyboard=storyboard: plan.make(storyboard, known, Snapshot()))  # type: ignore[misc]
    told("plan, 1,000 scenes", seconds[1000], "the same, 100 scenes", seconds[100], "<= 10")


def asking() -> None:
    """Requests per clip and lag, on a virtual clock: waits drawn evenly from the documented ranges, and heavy-tailed ones."""
    for low, high in ((120, 300), (300, 600), (600, 900)):
        middle = math.sqrt(low * high)
        evenly = partial(random.Random.uniform, a=low, b=high)
        _ask(f"{low} to {high} s, as documented", evenly, low, high, learned=False)
        _ask(f"{low} to {high} s, learned", evenly, low, high, learned=True)
        tailed = partial(_tailed, middle=middle)
        _ask(f"about {middle:.0f} s with a long tail, learned", tailed, low, high, learned=True)


def _tailed(rng: random.Random, middle: float) -> float:
    return middle * math.exp(rng.gauss(0, 0.35))


def _ask(what: str, draw: Callable[[random.Random], float], low: float, high: float, *, learned: bool) -> None:
    rng = random.Random(1)
    requests, lags, waits = [], [], []
    for _ in range(2000):
        history = [draw(rng) for _ in range(50)] if learned else []
        expected = Expected.of(low, high, history)
        ends, at, count = draw(rng), 0.0, 0
        while at < ends:
            at += next_delay(at, expected)
            count += 1
        requests.append(count)
        waits.append(ends)
        lags.append((at - ends) / ends)
    lags.sort()
    print(
        f"polling, {what}: {statistics.mean(requests):.1f} requests a clip (a 5 s loop: {statistics.mean(waits) / 5:.0f}, the "
        f"SDK's 1 s: {statistics.mean(waits):.0f}), lag median {lags[1000]:.1%}, p95 {lags[1900]:.1%}   aim <= 10, 2 %, 5 %"
    )


def cutting(folder: Path) -> None:
    """The film beside ffmpeg's own command doing the same, both with every core."""
    clips = []
    for i in range(6):
        path = folder / f"{i}.mp4"
        render(Shot(prompt=f"scene {i}", label="bench", width=1280, height=720, seconds=5, sound_s=5), path)
        clips.append(path)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    inputs = [part for path in clips for part in ("-i", str(path))]
    joined = f"concat=n={len(clips)}:v=1:a=1"
    encode = [
        *ffmpeg,
        *inputs,
        "-filter_complex",
        joined,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "18",
        "-c:a",
        "aac",
    ]
    theirs = median(lambda: subprocess.run([*encode, str(folder / "theirs.mp4")], check=True), 3)
    pieces = [
        Piece(clips[0]),
        *(Piece(path, leave_out_last=1) for path in clips[1:]),
    ]  # a picture left out: all is encoded
    ours = median(lambda: assemble(pieces, folder / "ours.mp4", Style((1280, 720))), 3)
    told("cut by re-encode, 6 clips of 5 s, 720p", ours, "ffmpeg, concat filter, the same encoder", theirs, "<= 1.15")

    (folder / "list.txt").write_text("".join(f"file '{clips[i % 6]}'\n" for i in range(100)))
    copy = [*ffmpeg, "-f", "concat", "-safe", "0", "-i", str(folder / "list.txt"), "-c:v", "copy", "-c:a", "aac"]
    theirs = median(lambda: subprocess.run([*copy, str(folder / "theirs.mp4")], check=True), 3)
    pieces = [Piece(clips[i % 6]) for i in range(100)]
    ours = median(lambda: assemble(pieces, folder / "ours.mp4", Style((1280, 720))), 3)
    told("cut by stream copy, 100 clips of 5 s, 720p", ours, "ffmpeg, concat demuxer, sound encoded", theirs, "seconds")


def simulating(folder: Path) -> None:
    """Distinct small clips, two at a time as the simulator does it."""
    shots = [Shot(prompt=f"p {i}", label="x", width=320, height=180, seconds=2, sound_s=2) for i in range(200)]
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: render(item[1], folder / f"sim-{item[0]}.mp4"), enumerate(shots)))
    wall = time.perf_counter() - started
    print(f"simulator: 200 distinct clips of 2 s, 320x180, in {wall:.1f} s, {200 / wall:.0f} a second")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, redirect_stderr(io.StringIO()):
        help_text()
        reading(Path(place))
        planning(Path(place))
        cutting(Path(place))
        simulating(Path(place))
        asking()
