"""What Prefect shows of a run besides its graph: the plan before, progress while it runs, events,
the report after.

Nothing here may hold a run up or end it: a slow or dead server costs these words, never a clip.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from prefect import get_run_logger
from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.context import FlowRunContext
from prefect.events import emit_event

from storyreel.errors import Status
from storyreel.film.media import thumbnail
from storyreel.manifest.faults import counted
from storyreel.plan.make import Plan, bill
from storyreel.report.model import RunReport
from storyreel.report.outcome import Outcome
from storyreel.run.session import Session
from storyreel.workspace.folder import Workspace

MAX_ROWS = 500
PATIENCE_S = 15.0
PROGRESS_EVERY_S = 5.0
SHEET_WIDTH_PX = 800
MAX_SHEET_BYTES = 400_000
_EVENTS = (Status.COMPLETED, Status.FAILED, Status.HELD)


def summary(report: RunReport) -> str:
    """One line that counts."""
    totals = report.totals
    money = totals.currency or ""
    spent = f"about {totals.spent_this_run} {money}".rstrip() + " spent"
    if totals.spent_this_run != totals.spent_estimate:
        spent += f" by this run, {totals.spent_estimate} {money}".rstrip() + " in all"
    return f"{counted(totals.scenes, 'scene')}: {totals.words}; {spent}"


async def patiently(words: Coroutine[Any, Any, Any]) -> Any:
    """What Prefect's server made of it, None if it took too long or could not."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await words
    except Exception as error:
        logging.getLogger(__name__).warning(
            "Prefect's server did not take it: %s", type(error).__name__
        )
        return None


async def plan_table(plan: Plan) -> None:
    """The plan with its prices, as a table artifact."""
    rows = [
        {
            "scene": planned.scene.id,
            "action": str(planned.action),
            "why": planned.reason,
            "model": planned.scene.model,
            "takes to make": planned.to_make,
            "price": str(planned.cost.high) if planned.cost and planned.to_make else "",
        }
        for planned in plan.scenes[:MAX_ROWS]
    ]
    await patiently(
        acreate_table_artifact(
            key=f"plan-{plan.storyboard.id}",
            table=rows,
            description=f"{plan.storyboard.title}: {bill(plan)}",
        )
    )


@asynccontextmanager
async def progress(planned: Plan, percent: Callable[[], float]) -> AsyncIterator[None]:
    """Beside the run: the plan, and a progress artifact that is brought up to date every few
    seconds, and at the end.
    """
    storyboard = planned.storyboard.id

    async def update() -> None:
        await plan_table(planned)
        artifact = await patiently(
            acreate_progress_artifact(
                progress=percent(),
                key=f"progress-{storyboard}",
                description=f"Scenes of {storyboard}",
            )
        )
        told = percent()
        while artifact:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), PROGRESS_EVERY_S)
            if percent() != told:
                told = percent()
                await patiently(aupdate_progress_artifact(artifact_id=artifact, progress=told))
            if done.is_set():
                return

    done = asyncio.Event()
    task = asyncio.create_task(update())
    try:
        yield
    finally:
        done.set()
        await asyncio.wait([task], timeout=PATIENCE_S)
        task.cancel()


class Announcer:
    """Sends each outcome of a run to Prefect: an event for automations, and a line in the flow
    run's log.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def outcome(self, outcome: Outcome) -> None:
        """Emit `storyreel.scene.completed`, `.failed` or `.held`; log the last two."""
        scene_event(self._session, outcome)
        if outcome.status in ("failed", "held"):
            get_run_logger().error("scene %s: %s", outcome.scene.id, outcome.reason)

    def unexpected(self, scene: str, error: Exception) -> None:
        """Log an error that no code foresaw, with its traceback."""
        get_run_logger().error("scene %s: %r", scene, error, exc_info=error)


def scene_event(session: Session, outcome: Outcome) -> None:
    """`storyreel.scene.completed`, `.failed` or `.held`, for automations."""
    if outcome.status not in _EVENTS:
        return
    scene = outcome.scene
    _emit(
        f"storyreel.scene.{outcome.status}",
        f"storyreel.scene.{session.storyboard.id}.{scene.id}",
        f"{session.storyboard.id} {scene.id}",
        {
            "storyboard": session.storyboard.id,
            "scene": scene.id,
            "take": outcome.take,
            "reason": outcome.reason,
            "error": outcome.error_class and str(outcome.error_class),
            "run_id": session.run_id,
        },
    )


def budget_event(session: Session, why: str) -> None:
    """`storyreel.budget.reached`."""
    name = session.storyboard.id
    _emit(
        "storyreel.budget.reached",
        f"storyreel.storyboard.{name}",
        name,
        {"storyboard": name, "reason": why, "run_id": session.run_id},
    )


def _emit(event: str, resource: str, name: str, payload: dict[str, Any]) -> None:
    if FlowRunContext.get() is not None:
        with contextlib.suppress(Exception):
            emit_event(
                event,
                {"prefect.resource.id": resource, "prefect.resource.name": name},
                payload=payload,
            )


async def report_markdown(report: RunReport, workspace: Workspace) -> None:
    """The report as a markdown artifact, its contact sheet inside; it links to nothing that only
    this machine has.
    """
    lines = [f"# {_cell(report.title)}", "", summary(report), ""]
    if report.stopped:
        lines += [f"**Stopped:** {_cell(report.stopped)}", ""]
    if report.cut and (picture := await asyncio.to_thread(_sheet, workspace.sheet)):
        lines += [picture, ""]
    lines += ["| scene | take | status | why | waited s | estimate |", "|---|---|---|---|---|---|"]
    for s in report.scenes[:MAX_ROWS]:
        waited = "" if s.timing.waited_s is None else s.timing.waited_s
        lines.append(
            f"| {s.id} | {s.take or ''} | {s.status} | {_cell(s.reason)} | {waited} | "
            f"{s.price.estimate or ''} |"
        )
    await patiently(
        acreate_markdown_artifact(
            key=f"report-{report.storyboard}",
            markdown="\n".join(lines),
            description=summary(report),
        )
    )


def _sheet(path: Path) -> str:
    """The contact sheet as markdown, made smaller; nothing where it would still be too large for
    the UI.
    """
    try:
        with Image.open(path) as sheet:
            sheet.thumbnail((SHEET_WIDTH_PX, SHEET_WIDTH_PX * 4))
            data = thumbnail.jpeg(sheet, 70)
    except OSError:
        return ""
    return (
        f"![contact sheet](data:image/jpeg;base64,{base64.b64encode(data).decode()})"
        if len(data) < MAX_SHEET_BYTES
        else ""
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
