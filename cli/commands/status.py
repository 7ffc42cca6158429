"""`storyreel status`: every scene's state from the ledger."""

from __future__ import annotations

import argparse
import json

from cli.request import from_args
from storyreel import opening, report


def run(args: argparse.Namespace) -> int:
    """Print one line a take."""
    prepared = opening.prepare(from_args(args))
    planned = opening.make_plan(prepared, opening.snapshot(prepared))
    outcomes = report.from_ledger(planned)
    rows = [
        {
            "scene": o.scene.id,
            "take": o.take,
            "status": "not made" if o.row is None else "completed" if o.status == "reused" else o.status,
            "job_id": o.row.job_id if o.row else None,
            "used": o.used,
            "reason": o.reason,
        }
        for o in outcomes
    ]
    if args.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    width = max((len(str(r["scene"])) for r in rows), default=5)
    for r in rows:
        take = f"take {r['take']}" if r["take"] else ""
        print(f"{r['scene']!s:<{width}}  {take:<8} {r['status']!s:<10} {r['reason']}")
    return 0
