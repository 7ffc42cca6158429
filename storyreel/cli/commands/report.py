"""`storyreel report`: write the report again from the ledger and the clips on disk."""

from __future__ import annotations

import argparse
import os

from storyreel.cli.request import prepare
from storyreel.report.writers import files
from storyreel.run import finishing, opening


def run(args: argparse.Namespace) -> int:
    """Write the report's files."""
    prepared = prepare(args)
    prepared.workspace.prepare()
    planned = opening.make_plan(prepared, opening.snapshot(prepared))
    recorded = finishing.recorded(prepared.workspace)
    film = recorded[1] if recorded else None
    files.write_all(finishing.describe(prepared, planned, film, None), prepared.workspace)
    print(os.path.relpath(prepared.workspace.report_folder / "report.html"))
    return 0
