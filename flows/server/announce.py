"""Show a run in Prefect: its plan, progress, events and report.

A slow or dead server must neither delay a run nor end it. Each call waits for at most 15 s, and its
failure is logged.
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
    """Return the counts and the money of a report, in one line."""
    totals = report.totals
    money = totals.currency or ""
    spent = f"about {totals.spent_this_run} {money}".rstrip() + " spent"
    if totals.spent_this_run != totals.spent_estimate:
        spent += f" by this run, {totals.spent_estimate} {money}".rstrip() + " in all"
    return f"{counted(totals.scenes, 'scene')}: {totals.words}; {spent}"


async def send(call: Coroutine[Any, Any, Any]) -> Any:
    """Await a Prefect call for at most 15 s. Log a warning and return None if it fails."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await call
    except Exception as error:
        logging.getLogger(__name__).warning(
            "Prefect's server did not accept a call: %s", type(error).__name__
        )
        return None


async def plan_table(plan: Plan) -> None:
    """Create the table artifact of a plan with its prices."""
    rows = [
        {
            "scene": scene_plan.scene.id,
            "action": str(scene_plan.action),
            "why": scene_plan.reason,
            "model": scene_plan.scene.model,
            "takes to make": scene_plan.to_make,
            "price": str(scene_plan.cost.high) if scene_plan.cost and scene_plan.to_make else "",
        }
        for scene_plan in plan.scenes[:MAX_ROWS]
    ]
    await send(
        acreate_table_artifact(
            key=f"plan-{plan.storyboard.id}",
            table=rows,
            description=f"{plan.storyboard.title}: {bill(plan)}",
        )
    )


@asynccontextmanager
async def progress(plan: Plan, percent: Callable[[], float]) -> AsyncIterator[None]:
    """Show the plan and a progress artifact while the run goes on beside.

    Update the progress every 5 s, and at the end.
    """
    storyboard = plan.storyboard.id

    async def update() -> None:
        await plan_table(plan)
        artifact = await send(
            acreate_progress_artifact(
                progress=percent(),
                key=f"progress-{storyboard}",
                description=f"Scenes of {storyboard}",
            )
        )
        sent = percent()
        while artifact:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), PROGRESS_EVERY_S)
            if percent() != sent:
                sent = percent()
                await send(aupdate_progress_artifact(artifact_id=artifact, progress=sent))
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
    """Sends each outcome of a run to Prefect: an event, and a line in the flow run's log."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def outcome(self, outcome: Outcome) -> None:
        """Emit `storyreel.scene.completed`, `.failed` or `.held`; log the last two."""
        scene_event(self._session, outcome)
        if outcome.status in (Status.FAILED, Status.HELD):
            get_run_logger().error("scene %s: %s", outcome.scene.id, outcome.reason)

    def unexpected(self, scene: str, error: Exception) -> None:
        """Log an error that no code foresaw, with its traceback."""
        get_run_logger().error("scene %s: %r", scene, error, exc_info=error)


def scene_event(session: Session, outcome: Outcome) -> None:
    """Emit `storyreel.scene.completed`, `.failed` or `.held`, for automations."""
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
    """Emit `storyreel.budget.reached`, for automations."""
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
    """Create the markdown artifact of a report, with its contact sheet inside.

    It has no links: the files are on this machine only.
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
    await send(
        acreate_markdown_artifact(
            key=f"report-{report.storyboard}",
            markdown="\n".join(lines),
            description=summary(report),
        )
    )


def _sheet(path: Path) -> str:
    """Return the contact sheet, made smaller, as markdown; empty if it is too large for the UI."""
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
    """Escape a text for one cell of a markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
