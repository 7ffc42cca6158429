"""`storyreel report`: the report again, from what is there."""

from __future__ import annotations

import argparse
import json
import os
import time

from cli.request import from_args
from storyreel import finishing, opening
from storyreel.report import CutReport


def run(args: argparse.Namespace) -> int:
    """Write the report's files."""
    prepared = opening.prepare(from_args(args))
    prepared.workspace.prepare()
    planned = opening.make_plan(prepared, opening.snapshot(prepared))
    record = prepared.workspace.root / ".final.json"
    film = None
    if prepared.workspace.film.exists() and record.exists():
        known = json.loads(record.read_text("utf-8"))
        film = CutReport(path="final.mp4", frames=known["frames"], duration_s=known["duration_s"])
    finishing.write_report(prepared, planned, time.time(), film, None)
    print(os.path.relpath(prepared.workspace.report_folder / "report.html"))
    return 0
