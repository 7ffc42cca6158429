"""`storyreel status`: show every scene's state from the ledger."""

from __future__ import annotations

import argparse
import json
import sys
import time

from storyreel.cli.complaint import said
from storyreel.cli.request import prepare
from storyreel.errors import Status
from storyreel.ledger.rows import State
from storyreel.report.outcome import Outcome, from_ledger
from storyreel.run import planning

MOVES = (State.SUBMITTING, State.IN_FLIGHT, State.COMPLETED)


def run(args: argparse.Namespace) -> int:
    """Print a line for each take. With --watch, repeat until no take is in flight."""
    while True:
        prepared = prepare(args)
        planned = planning.make_plan(prepared, planning.snapshot(prepared))
        outcomes = from_ledger(planned)
        _show(args, outcomes)
        if not args.watch or not any(o.row and o.row.state in MOVES for o in outcomes):
            return 0
        time.sleep(1.0)


def _show(args: argparse.Namespace, outcomes: list[Outcome]) -> None:
    rows = [
        {
            "scene": o.scene.id,
            "take": o.take,
            "status": "not made"
            if o.row is None
            else Status.COMPLETED
            if o.status is Status.REUSED
            else o.status,
            "job_id": o.row.job_id if o.row else None,
            "used": o.used,
            "reason": o.reason,
        }
        for o in outcomes
    ]
    if args.json:
        print(json.dumps(rows, ensure_ascii=False, indent=None if args.watch else 1), flush=True)
        return
    if args.watch and sys.stdout.isatty():
        print("\033[H\033[2J", end="")
    width = max((len(str(r["scene"])) for r in rows), default=5)
    for r in rows:
        take = f"take {r['take']}" if r["take"] else ""
        print(
            f"{r['scene']!s:<{width}}  {take:<8} {r['status']!s:<10} "
            f"{said(str(r['status']), str(r['reason']))}",
            flush=True,
        )
