"""`storyreel retake`: request one more take."""

from __future__ import annotations

import argparse
from contextlib import closing

from storyreel.cli.request import prepare
from storyreel.errors import UsageError
from storyreel.run import planning
from storyreel.run.request import require_scene


def run(args: argparse.Namespace) -> int:
    """Record the request in the ledger. The next run makes the take."""
    prepared = prepare(args)
    require_scene(prepared.storyboard, args.scene)
    if not prepared.has_ledger():
        raise UsageError(f"scene `{args.scene}` has no take yet", fix="run the storyboard first")
    planned = planning.make_plan(prepared, planning.snapshot(prepared)).scene(args.scene)
    count = len(planned.takes) + 1
    with prepared.workspace.locked(), closing(prepared.open_ledger()) as ledger:
        ledger.retake(prepared.storyboard.id, args.scene, planned.key, count)
    print(f"{args.scene}: the next run makes one more take, take {count} of this prompt")
    print(f"to use it: `takes: {count}` and `pick: {count}` in the scene")
    return 0
