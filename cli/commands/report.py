"""`storyreel report`: the report again, from what is there."""

from __future__ import annotations

import argparse
import os
import time

from cli.request import from_args
from storyreel import finishing, opening


def run(args: argparse.Namespace) -> int:
    """Write the report's files."""
    prepared = opening.prepare(from_args(args))
    prepared.workspace.prepare()
    planned = opening.make_plan(prepared, opening.snapshot(prepared))
    known = finishing.recorded(prepared.workspace)
    film = known[1] if known else None
    finishing.write_report(prepared, planned, time.time(), film, None)
    print(os.path.relpath(prepared.workspace.report_folder / "report.html"))
    return 0
