"""Write the report folder: report.json, scenes.csv and, with `html`, the page."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from storyreel.report.model import RunReport
from storyreel.workspace.folder import Workspace, write_whole


def write_all(report: RunReport, workspace: Workspace) -> Path:
    """Write report.json, scenes.csv and report.html. Return the path of report.html."""
    from storyreel.report.writers import html

    write_json(report, workspace)
    write_csv(report, workspace)
    path = workspace.report_folder / "report.html"
    write_whole(path, (piece.encode() for piece in html.render(report, workspace)))
    return path


def read(workspace: Workspace) -> RunReport | None:
    """Return the last report; None if a file is missing or another version wrote it."""
    folder = workspace.report_folder
    try:
        report = RunReport.model_validate_json((folder / "report.json").read_bytes())
    except (OSError, ValueError):
        return None
    return (
        report if all((folder / name).exists() for name in ("report.html", "scenes.csv")) else None
    )


def write_json(report: RunReport, workspace: Workspace) -> None:
    """Write report.json, format 1."""
    text = report.model_dump_json(indent=1, by_alias=True)
    write_whole(workspace.report_folder / "report.json", text.encode() + b"\n")


def write_csv(report: RunReport, workspace: Workspace) -> None:
    """Write scenes.csv, one line for each take."""
    rows = [
        {
            "scene": s.id,
            "take": s.take,
            "used": s.used,
            "status": s.status,
            "reason": s.reason,
            "model": s.model,
            "mode": s.mode,
            "seconds": s.seconds,
            "size": s.size,
            "job_id": s.job_id,
            "clip": s.clip.path if s.clip else None,
            "sha256": s.clip.sha256 if s.clip else None,
            "frames": s.clip.frames if s.clip else None,
            "duration_s": s.clip.duration_s if s.clip else None,
            "submitted_at": s.timing.submitted_at,
            "completed_at": s.timing.completed_at,
            "waited_s": s.timing.waited_s,
            "polls": s.timing.polls,
            "submissions": s.timing.submissions,
            "estimate": s.price.estimate,
            "currency": s.price.currency,
            "error_class": s.error.class_ if s.error else None,
            "error_code": s.error.code if s.error else None,
            "prompt": s.prompt,
        }
        for s in report.scenes
    ]
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0] if rows else [], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(workspace.report_folder / "scenes.csv", text.getvalue().encode())
