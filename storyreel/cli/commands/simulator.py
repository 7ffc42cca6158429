"""`storyreel simulator`: serve the stand-in API."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path

from storyreel.cli.request import catalog_file


def run(args: argparse.Namespace) -> int:
    """List the profiles, or print the base URL and serve until interrupted."""
    from storyreel.simulator import profiles
    from storyreel.simulator.serve import serve

    if args.profiles:
        for name, title in profiles.listed():
            print(f"{name:24} {title}")
        return 0
    serve(
        port=args.port,
        speed=args.speed,
        folder=Path(args.folder) if args.folder else None,
        faults=Path(args.faults) if args.faults else None,
        profile=args.profile,
        max_running=args.max_running,
        per_minute=args.per_minute,
        credit=Decimal(args.credit) if args.credit else None,
        extra_catalog=catalog_file(args),
    )
    return 0
