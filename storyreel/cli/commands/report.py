"""`storyreel report`: write the report again from the ledger and the clips on disk."""

from __future__ import annotations

import argparse
import os

from storyreel.cli.request import prepare
from storyreel.report.writers import files
from storyreel.run import finishing, planning


def run(args: argparse.Namespace) -> int:
    """Write the report's files."""
    prepared = prepare(args)
    prepared.workspace.prepare()
    planned = planning.make_plan(prepared, planning.snapshot(prepared))
    film = finishing.Film.on_disk(prepared.workspace)
    files.write_all(finishing.describe(prepared, planned, film), prepared.workspace)
    print(os.path.relpath(prepared.workspace.report_folder / "report.html"))
    return 0
