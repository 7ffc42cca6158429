"""`storyreel up`: start server, UI, deployments and worker on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def run(args: argparse.Namespace) -> int:
    """Start what is not running, and print the address."""
    from storyreel.flows.server import upkeep

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(
        upkeep.up(Path(args.dir).resolve(), say, host=args.host, port=args.port, limit=args.limit)
    )
    return 0
