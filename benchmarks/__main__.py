"""`make bench`: each line is a ratio of two things measured in this same run; machines are noisy,
ratios less so.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, redirect_stderr
from functools import partial
from pathlib import Path
from unittest.mock import patch

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML

from storyreel import manifest
from storyreel.api.polling import Expected, next_delay
from storyreel.catalog import load as catalog
from storyreel.film.media import thumbnail
from storyreel.film.media.cut import Piece, Style, assemble
from storyreel.ledger.gate import Ledger
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot
from storyreel.run import placing
from storyreel.run.planning import make_plan, snapshot
from storyreel.run.request import Prepared, Request
from storyreel.simulator.picture import Shot, render
from storyreel.workspace.folder import write_whole

TIMES = 5
SPREAD = 0.35  # of the long-tailed waits: the deviation of their logarithm

Floats = NDArray[np.float64]


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
        f"{what:<44} {value * 1000:9.1f} ms   {beside:<40} {other * 1000:9.1f} ms   ratio "
        f"{value / other:5.2f}   aim {aim}"
    )


def help_text() -> None:
    ours = median(
        lambda: subprocess.run(
            [sys.executable, "-m", "storyreel", "--help"], check=True, stdout=subprocess.DEVNULL
        )
    )
    plain = median(
        lambda: subprocess.run([sys.executable, "-c", "import argparse, json"], check=True)
    )
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
    told(
        "validate, 1,000 scenes",
        ours,
        "ruamel (its own parser) reading it",
        median(lambda: YAML(typ="safe", pure=True).load(text)),
        "<= 2",
    )


def planning(folder: Path) -> None:
    """Planning by itself, then with what is on disk: ten takes a scene, of which the last one
    counts.
    """
    known = catalog.load()
    seconds, on_disk = {}, {}
    hashed = 0
    for count in (100, 1000):
        path = folder / f"plan-{count}.yaml"
        path.write_text(board(count))
        storyboard = manifest.load(path, known)
        seconds[count] = median(
            lambda storyboard=storyboard: plan.make(storyboard, known, Snapshot())
        )  # type: ignore[misc]
        prepared = paid(folder, count)
        with patch.object(hashlib, "file_digest", wraps=hashlib.file_digest) as digest:
            on_disk[count] = median(lambda p=prepared: make_plan(p, snapshot(p)))  # type: ignore[misc]
        hashed += digest.call_count
    told("plan, 1,000 scenes", seconds[1000], "the same, 100 scenes", seconds[100], "<= 10")
    told(
        "plan, 10,000 clips on disk", on_disk[1000], "the same, 1,000 clips", on_disk[100], "<= 10"
    )
    print(f"files hashed again by these: {hashed}")
    for count in (100, 1000):
        words = [str(folder / f"paid-{count}.yaml"), "--workspace", str(folder / f"paid-{count}")]
        ran, planned = (median(partial(command, verb, *words)) for verb in ("run", "plan"))
        told(f"run with nothing left to do, {count} scenes", ran, "plan", planned, "<= 1.2")


def command(*words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "storyreel", *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENAI_API_KEY": "k"},
    )


def paid(folder: Path, scenes: int, takes: int = 10) -> Prepared:
    """A storyboard and a workspace in which all of it is there: `takes` clips a scene, small, of
    which the last counts.
    """
    path = folder / f"paid-{scenes}.yaml"
    lines = [
        "version: 1",
        "defaults: {model: kling-video-o1, seconds: 5}",
        "cut: {enabled: false}",
        "scenes:",
    ]
    path.write_text(
        "\n".join([*lines, *(f"  - {{id: s{i}, prompt: step {i}}}" for i in range(scenes))]) + "\n"
    )
    prepared = placing.prepare(Request(path, folder / f"paid-{scenes}"))
    space = prepared.workspace
    space.prepare()
    Ledger.in_file(space.ledger_file).close()
    strip = thumbnail.beside([Image.effect_noise((320, 180), 60).convert("RGB")] * 3, 80)
    rows = []
    for planned in make_plan(prepared, Snapshot()).scenes:
        for number in range(1, takes + 1):
            clip = space.clip(planned.scene.id, number)
            write_whole(clip, b"x" * 2000)
            write_whole(space.strip(clip), strip)
            facts = {
                "path": space.relative(clip),
                "sha256": "0",
                "bytes": 2000,
                "mtime_ns": clip.stat().st_mtime_ns,
                "width": 1280,
                "height": 720,
                "fps": 24.0,
                "frames": 120,
                "duration_s": 5.0,
                "has_audio": False,
                "codec": "h264",
                "colour_assumed": False,
                "suspect": False,
            }
            rows.append(
                (
                    prepared.storyboard.id,
                    planned.scene.id,
                    number,
                    planned.key if number == takes else f"old {number}",
                    1,
                    "collected",
                    "a",
                    "r",
                    "{}",
                    "{}",
                    "4.00",
                    "CNY",
                    1,
                    1.0,
                    2.0,
                    3.0,
                    4.0,
                    9e9,
                    5,
                    f"q-{planned.scene.id}-{number}",
                    json.dumps(facts),
                )
            )
    names = (
        "storyboard scene take key ordinal state account run_id request inputs price "
        "currency submissions created_at"
    )
    names += " submitted_at completed_at collected_at expires_at polls job_id clip"
    with closing(sqlite3.connect(space.ledger_file)) as database, database:
        marks = ", ".join("?" * len(names.split()))
        database.executemany(
            f"INSERT INTO takes ({', '.join(names.split())}, superseded) VALUES ({marks}, 0)", rows
        )
    return prepared


def asking() -> None:
    """Requests per clip and lag, on a virtual clock: waits drawn evenly from the documented ranges,
    and heavy-tailed ones.
    """
    for low, high in ((120, 300), (300, 600), (600, 900)):
        middle = math.sqrt(low * high)
        evenly = partial(random.Random.uniform, a=low, b=high)
        _ask(f"{low} to {high} s, as documented", evenly, low, high, learned=False)
        _ask(f"{low} to {high} s, learned", evenly, low, high, learned=True)
        tailed = partial(_tailed, middle=middle)
        _ask(f"about {middle:.0f} s with a long tail, learned", tailed, low, high, learned=True)

    for what, share, low, high in (
        ("120 to 300 s evenly", partial(_even, low=120.0, high=300.0), 120.0, 310.0),
        ("300 to 600 s evenly", partial(_even, low=300.0, high=600.0), 300.0, 620.0),
        ("about 190 s with a long tail", partial(_bell, middle=190.0), 60.0, 600.0),
    ):
        print(
            f"polling, {what}: no schedule asks less than {_fewest(share, low, high):.1f} "
            "times at these lags"
        )


def _even(at: Floats, low: float, high: float) -> Floats:
    return np.clip((at - low) / (high - low), 0.0, 1.0)


def _bell(at: Floats, middle: float) -> Floats:
    return np.array(
        [0.5 * (1 + math.erf(math.log(max(t, 1e-9) / middle) / SPREAD / math.sqrt(2))) for t in at]
    )


def _fewest(share: Callable[[Floats], Floats], low: float, high: float) -> float:
    """The fewest requests a clip that keep half of all lags below 2 % and 19 of 20 below 5 %, over
    all schedules, for jobs of which `share(t)` are done by t: the best of the Lagrangian's lower
    bounds, each by dynamic programming over 400 moments.
    """
    at = np.concatenate([[0.0], np.linspace(low, high, 400)])
    done, late2, late5 = share(at), share(at / 1.02), share(at / 1.05)
    best = 0.0
    for price2 in range(15):
        for price5 in range(0, 141, 10):
            cost = np.zeros(len(at))
            for i in range(len(at) - 2, -1, -1):
                if done[i] < 1 - 1e-9:
                    lags = price2 * np.maximum(0, late2[i + 1 :] - done[i]) + price5 * np.maximum(
                        0, late5[i + 1 :] - done[i]
                    )
                    cost[i] = 1 - done[i] + float(np.min(lags + cost[i + 1 :]))
            best = max(best, cost[0] - price2 * 0.5 - price5 * 0.05)
    return best


def _tailed(rng: random.Random, middle: float) -> float:
    return middle * math.exp(rng.gauss(0, SPREAD))


def _ask(
    what: str, draw: Callable[[random.Random], float], low: float, high: float, *, learned: bool
) -> None:
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
        f"polling, {what}: {statistics.mean(requests):.1f} requests a clip (a 5 s loop: "
        f"{statistics.mean(waits) / 5:.0f}, the "
        f"SDK's 1 s: {statistics.mean(waits):.0f}), lag median {lags[1000]:.1%}, p95 "
        f"{lags[1900]:.1%}   aim <= 10, 2 %, 5 %"
    )


def cutting(folder: Path) -> None:
    """The film beside ffmpeg's own command doing the same, both with every core."""
    clips = []
    for i in range(6):
        path = folder / f"{i}.mp4"
        render(
            Shot(prompt=f"scene {i}", label="bench", width=1280, height=720, seconds=5, sound_s=5),
            path,
        )
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
    told(
        "cut by re-encode, 6 clips of 5 s, 720p",
        ours,
        "ffmpeg, concat filter, the same encoder",
        theirs,
        "<= 1.15",
    )

    (folder / "list.txt").write_text("".join(f"file '{clips[i % 6]}'\n" for i in range(100)))
    copy = [
        *ffmpeg,
        "-f",
        "concat",
        "-safe",
        "0",
        "-i",
        str(folder / "list.txt"),
        "-c:v",
        "copy",
        "-c:a",
        "aac",
    ]
    theirs = median(lambda: subprocess.run([*copy, str(folder / "theirs.mp4")], check=True), 3)
    pieces = [Piece(clips[i % 6]) for i in range(100)]
    ours = median(lambda: assemble(pieces, folder / "ours.mp4", Style((1280, 720))), 3)
    told(
        "cut by stream copy, 100 clips of 5 s, 720p",
        ours,
        "ffmpeg, concat demuxer, sound encoded",
        theirs,
        "seconds",
    )


def simulating(folder: Path) -> None:
    """Distinct small clips, two at a time as the simulator does it."""
    shots = [
        Shot(prompt=f"p {i}", label="x", width=320, height=180, seconds=2, sound_s=2)
        for i in range(200)
    ]
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(lambda item: render(item[1], folder / f"sim-{item[0]}.mp4"), enumerate(shots))
        )
    wall = time.perf_counter() - started
    print(
        f"simulator: 200 distinct clips of 2 s, 320x180, in {wall:.1f} s, {200 / wall:.0f} a second"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, redirect_stderr(io.StringIO()):
        help_text()
        reading(Path(place))
        planning(Path(place))
        cutting(Path(place))
        simulating(Path(place))
        asking()
