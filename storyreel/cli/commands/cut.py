"""`storyreel cut`: make the film again from the clips on disk."""

from __future__ import annotations

import argparse
import os

from storyreel.cli.display import cutting
from storyreel.cli.request import prepare
from storyreel.run import finishing, planning


def run(args: argparse.Namespace) -> int:
    """Write final.mp4 and the contact sheet from the clips on disk."""
    prepared = prepare(args)
    planned = planning.make_plan(prepared, planning.snapshot(prepared))
    with cutting() as tell:
        film = finishing.cut(prepared, planned, only=bool(args.only or args.start), tell=tell)
    print(f"{os.path.relpath(prepared.workspace.film)} ({film.frames} frames, {film.duration_s} s)")
    for note in film.notes:
        print(f"  warning: {note}")
    return 0
