"""`storyreel simulator`: the stand-in API by itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.request import catalog_file


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; the first line on stdout is the base URL."""
    from storyreel.simulator.serve import serve

    serve(
        port=args.port,
        speed=args.speed,
        folder=Path(args.folder) if args.folder else None,
        faults=Path(args.faults) if args.faults else None,
        max_running=args.max_running,
        extra_catalog=catalog_file(args),
    )
    return 0
