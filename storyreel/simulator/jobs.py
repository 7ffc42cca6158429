"""The simulator's jobs: their status, their clips and the file that keeps them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from storyreel.catalog.load import Catalog, parse_size
from storyreel.simulator import rules
from storyreel.simulator.picture import FPS, Shot, render

ODD = {"wrong", "silent", "long_sound", "odd_rate"}
ODD_FPS = Fraction(30000, 1001)
SHORT_SIDE_PX = 324  # at least; stills need 300, and 16:9 is exact at 576x324
RESULT_LIFE_S = 7 * 24 * 3600
_STAGES = (
    (0.03, "initializing"),
    (0.15, "queued"),
    (0.90, "in_progress"),
    (0.95, "downloading"),
    (1.0, "uploading"),
)


@dataclass(slots=True)
class SimJob:
    """One accepted job.

    `stills` are sha256 of the given pictures by role; times are Unix seconds.
    """

    id: str
    model: str
    prompt: str
    seconds: int
    size: str
    mode: str | None
    created_at: float
    takes_s: float
    stills: dict[str, str] = field(default_factory=dict)
    remixed_from: str | None = None
    fails: dict[str, str] | None = None
    flags: list[str] = field(default_factory=list)
    account: str = ""
    take: int = 1
    billed: str | None = None


class Jobs:
    """Keep the jobs in memory and in `folder`, so that they outlive a restart."""

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        *,
        speed: float,
        scale: float = 1.0,
        seed: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.catalog = catalog
        self.folder = folder
        self.speed = speed
        self.scale = scale  # factor for the width and height of clips
        self.now = now
        self._seed = seed
        self.number_ids = False
        self.at_once = False  # a job is completed from its first moment
        self.jobs: dict[str, SimJob] = {}
        self._open: list[SimJob] = []
        self._lock = threading.Lock()
        self._rendering = asyncio.Semaphore(2)
        self._one_each: dict[str, asyncio.Lock] = {}
        self._number = 0
        self.billed = Decimal(0)  # the prices of jobs that do not fail, summed across currencies
        self._alike: Counter[tuple[str, str]] = Counter()  # by account and prompt
        (folder / "stills").mkdir(parents=True, exist_ok=True)
        (folder / "clips").mkdir(exist_ok=True)
        self._journal = folder / "jobs.jsonl"
        if self._journal.exists():
            for line in self._journal.read_text("utf-8").splitlines():
                entry = json.loads(line)
                if "deleted" in entry:
                    self.jobs.pop(entry["deleted"], None)
                else:
                    job = SimJob(**entry)
                    self.jobs[job.id] = job
                    self.billed += Decimal(job.billed or 0)
            self._open = list(self.jobs.values())
            self._number = len(self.jobs)
            self._alike = Counter((job.account, job.prompt) for job in self._open)

    def accept(self, **facts: Any) -> SimJob:
        """Create a job, record it in the journal and return it."""
        with self._lock:
            number = self._number
            self._number += 1
            alike = facts.get("account", ""), facts["prompt"]
            self._alike[alike] += 1
            take = self._alike[alike]
        model = self.catalog.models[facts["model"]]
        low, high = model.wait(facts["seconds"])
        draw = random.Random(f"{self._seed}:{number}").uniform(low, high)
        now = self.now()
        job = SimJob(
            id=f"{int(now * 1e3)}{number:04d}"
            if self.number_ids
            else f"qvideo-sim-{int(now * 1e9)}{number:04d}",
            created_at=now,
            takes_s=0.0 if self.at_once else draw / self.speed,
            take=take,
            **facts,
        )
        with self._lock:
            self.jobs[job.id] = job
            self._open.append(job)
            self.billed += Decimal(job.billed or 0)
            self._note(asdict(job))
        return job

    def delete(self, job: SimJob) -> None:
        """Remove a job."""
        with self._lock:
            self.jobs.pop(job.id, None)
            self._note({"deleted": job.id})

    def _note(self, entry: dict[str, Any]) -> None:
        with self._journal.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def status(self, job: SimJob) -> str:
        """Return the status of a job in the API's words."""
        share = (self.now() - job.created_at) / job.takes_s if job.takes_s else 1.0
        for until, word in _STAGES:
            if share < until:
                return word
        return "failed" if job.fails else "completed"

    def running(self) -> int:
        """Return how many jobs are not final. A final job is not checked again."""
        with self._lock:
            self._open = [
                job for job in self._open if self.status(job) not in ("completed", "failed")
            ]
            return len(self._open)

    def progress(self, job: SimJob) -> int:
        """Return the percentage that is done, 0 to 100."""
        share = (self.now() - job.created_at) / job.takes_s if job.takes_s else 1.0
        return max(0, min(100, int(100 * share)))

    def keep_still(self, data: bytes) -> str:
        """Store a picture of a request. Return its sha256."""
        name = hashlib.sha256(data).hexdigest()
        path = self.folder / "stills" / name
        if not path.exists():
            path.write_bytes(data)
        return name

    async def clip(self, job: SimJob) -> Path:
        """Return the file of a job's clip. Render it on the first call, once for all jobs that look
        the same.
        """
        odd = sorted(set(job.flags) & ODD)
        parts = [job.model, job.prompt, job.seconds, job.size, job.mode, job.stills, job.take, odd]
        look = json.dumps(parts, sort_keys=True)
        path = self.folder / "clips" / f"{hashlib.sha256(look.encode()).hexdigest()}.mp4"
        if not path.exists():
            async with self._one_each.setdefault(path.name, asyncio.Lock()), self._rendering:
                if not path.exists():
                    await asyncio.to_thread(self._render, job, path)
            self._one_each.pop(path.name, None)
        return path

    def _render(self, job: SimJob, path: Path) -> None:
        model = self.catalog.models[job.model]
        by_size = (
            job.model in rules.MODELS and job.model != "kling-video-o1"
        )  # the document gives a size in pixels
        size = parse_size(job.size) if by_size else model.output_size(job.size, job.mode)
        if "wrong" in job.flags:
            size = (size[1], size[0])
        size = _scaled(size, self.scale)
        shot = Shot(
            prompt=job.prompt if "wrong" not in job.flags else "not what was asked for",
            label=f"{job.model} · take {job.take}",
            width=size[0],
            height=size[1],
            seconds=job.seconds,
            sound_s=_sound_s(job, model.sound),
            fps=ODD_FPS if "odd_rate" in job.flags else FPS,
            first=self._still(job, "first_frame"),
            last=self._still(job, "end_frame"),
        )
        part = path.with_suffix(".part")
        render(shot, part)
        part.replace(path)

    def _still(self, job: SimJob, role: str) -> Image.Image | None:
        name = job.stills.get(role)
        if name is None:
            return None
        return Image.open(io.BytesIO((self.folder / "stills" / name).read_bytes())).convert("RGB")


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Scale (width, height) in pixels down, to multiples of 4.

    A side stays as long as the API requires of a still.
    """
    if scale == 1:
        return size
    scale = min(1.0, max(scale, SHORT_SIDE_PX / min(size)))
    width, height = (round(side * scale / 4) * 4 for side in size)
    return width, height


def _sound_s(job: SimJob, has_sound: bool) -> float:
    """Return the length of the sound in seconds. The fault `long_sound` adds two."""
    if "long_sound" in job.flags:
        return job.seconds + 2
    return job.seconds if has_sound and "silent" not in job.flags else 0
