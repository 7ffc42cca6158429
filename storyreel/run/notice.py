"""Send the webhook's event at the end of a run."""

from __future__ import annotations

from typing import Any

from storyreel.api import webhook
from storyreel.report.model import RunReport
from storyreel.workspace.settings import Settings


def event(report: RunReport) -> tuple[str, dict[str, Any]]:
    """Return (event name, data): how a run ended, and each scene that failed or is held."""
    troubles = [
        scene.model_dump(mode="json", include={"id", "take", "status", "reason"})
        for scene in report.scenes
        if scene.status in ("failed", "held")
    ]
    name = "storyreel.run.completed" if report.status == "completed" else "storyreel.run.failed"
    return name, {
        "storyboard": report.storyboard,
        "run_id": report.run_id,
        "status": report.status,
        "stopped": report.stopped,
        "totals": report.totals.model_dump(mode="json"),
        "scenes": troubles,
    }


async def send(settings: Settings, report: RunReport) -> None:
    """POST how a run ended to STORYREEL_WEBHOOK_URL. Send nothing after a rehearsal.

    Raises:
        ApiError: the address refused the event three times.
    """
    if not report.simulated:
        name, data = event(report)
        await webhook.send(settings, name, data, report.run_id)
