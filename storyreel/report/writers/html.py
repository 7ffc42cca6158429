"""Write a RunReport as one self-contained HTML file."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from storyreel.errors import Status, StoryreelError, Tone
from storyreel.ledger.clip import Clip
from storyreel.report.advice import advice
from storyreel.report.model import RunReport, SceneReport, SeamReport
from storyreel.workspace.folder import Workspace


def render(report: RunReport, workspace: Workspace) -> Iterator[str]:
    """Yield the page, piece by piece.

    It contains its pictures. It links to clips, relative to `report/`.
    """
    spans = _spans(report)
    orders = _orders(report)
    clips = {scene.id: scene.clip for scene in report.scenes if scene.used and scene.clip}

    def outer(seam: SeamReport) -> list[dict[str, str]]:
        """Return the last picture above the seam and the first below it, each an end of a strip."""
        found = []
        for name, end, word in ((seam.above, "right", "last"), (seam.below, "left", "first")):
            if pictures := _strip_of(clips.get(name), workspace):
                shape = f"{clips[name].width} / {clips[name].height}"
                found.append(
                    {"src": pictures, "end": end, "shape": shape, "words": f"{word} of {name}"}
                )
        return found if len(found) == 2 else []

    return template().generate(
        report=report,
        outer=outer,
        strip=lambda scene: _strip_of(scene.clip, workspace),
        scenes=[
            {"s": s, "next": advice(s, "FILE"), "pick": _pick(s, orders)} for s in report.scenes
        ],
        counts=report.totals.nonzero,
        statuses=list(Status),
        tones=list(Tone),
        spans=spans,
        path=" > ".join(critical_path(report)),
        money=_money(report),
        took=_clock((report.finished_at - report.started_at).total_seconds()),
        film="../final.mp4" if report.cut else None,
        sheet="../contact-sheet.jpg" if workspace.sheet.exists() else None,
    )


@cache
def template() -> jinja2.Template:
    """Return the page's template, which escapes every value."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html")


def _orders(report: RunReport) -> dict[tuple[str, int | None], int]:
    """Number each take within its scene (1, 2, …), as `pick` does; for scenes with several
    takes.
    """
    counts = Counter(scene.id for scene in report.scenes)
    seen: Counter[str] = Counter()
    found: dict[tuple[str, int | None], int] = {}
    for scene in report.scenes:
        seen[scene.id] += 1
        if counts[scene.id] > 1:
            found[scene.id, scene.take] = seen[scene.id]
    return found


def critical_path(report: RunReport) -> list[str]:
    """Return the scenes that decided the run's length, from the first to the last collected."""
    ends: dict[str, float] = {}
    above: dict[str, list[str]] = {}
    for scene in report.scenes:
        if _is_of_run(scene, report):
            end = _time(scene.timing.collected_at or scene.timing.completed_at)
            ends[scene.id] = max(end, ends.get(scene.id, 0.0))
            above[scene.id] = scene.upstream
    path: list[str] = []
    at = max(ends, key=lambda name: ends[name], default=None)
    while at is not None and at not in path:
        path.insert(0, at)
        at = max(
            (name for name in above[at] if name in ends), key=lambda name: ends[name], default=None
        )
    return path


def _is_of_run(scene: SceneReport, report: RunReport) -> bool:
    """Did this run make or resume the take? Only such takes are in the timeline."""
    return bool(scene.timing.submitted_at) and (
        scene.status is not Status.REUSED or scene.run_id == report.run_id
    )


def _money(report: RunReport) -> list[dict[str, Any]]:
    """Return the number, seconds and estimates of this report's takes, by model."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for scene in report.scenes:
        if not scene.price.estimate or scene.status in (Status.SKIPPED, Status.BLOCKED):
            continue
        key = scene.model, scene.price.currency or ""
        line = found.setdefault(
            key,
            {
                "model": key[0],
                "currency": key[1],
                "takes": 0,
                "seconds": 0,
                "estimate": Decimal(0),
                "lost": Decimal(0),
            },
        )
        line["takes"] += 1
        line["seconds"] += scene.seconds
        line["estimate"] += Decimal(scene.price.estimate)
        if not scene.status.is_good:
            line["lost"] += Decimal(scene.price.estimate)
    return list(found.values())


def _pick(scene: SceneReport, orders: dict[tuple[str, int | None], int]) -> str:
    """Return the advice to use this take, if another one is used."""
    order = orders.get((scene.id, scene.take))
    if not order or not scene.clip or scene.used:
        return ""
    return f"write `pick: {order}` in scene {scene.id}, then run again"


def _strip_of(clip: Clip | None, workspace: Workspace) -> str:
    """Return the clip's first, middle and last picture as one data URL; empty if it is
    unreadable.
    """
    if not clip:
        return ""
    path = workspace.root / clip.path
    kept = workspace.strip(path)
    try:
        if not kept.exists():
            from storyreel.film.media import thumbnail

            thumbnail.keep(path, kept)
        return "data:image/jpeg;base64," + base64.b64encode(kept.read_bytes()).decode()
    except (OSError, ValueError, StoryreelError):
        return ""


def _spans(report: RunReport) -> list[dict[str, Any]]:
    """Return the timeline's bars in percent of the run: waiting for the API, then collecting."""
    marks: list[tuple[SceneReport, float, float, float]] = [
        (scene, _time(t.submitted_at), _time(t.completed_at), _time(t.collected_at))
        for scene in report.scenes
        if _is_of_run(scene, report) and (t := scene.timing)
    ]
    if not marks:
        return []
    start = min(m[1] for m in marks)
    end = max(max(m[1:]) for m in marks)
    whole = max(1.0, end - start)
    path = critical_path(report)
    found = []
    for scene, submitted, completed, collected in marks:
        done = completed or end
        found.append(
            {
                "name": f"{scene.id} {scene.take or ''}",
                "is_critical": scene.id in path,
                "status": scene.status,
                "tone": scene.status.tone
                if scene.status in (Status.FAILED, Status.HELD)
                else Tone.BUSY,
                "left": round(100 * (submitted - start) / whole, 2),
                "wait": round(100 * max(0.0, done - submitted) / whole, 2),
                "fetch": round(100 * max(0.0, (collected or done) - done) / whole, 2),
                "text": _clock(done - submitted),
            }
        )
    return found


def _time(stamp: str | None) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
