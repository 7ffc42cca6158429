"""`storyreel down`: stop what `storyreel up` started."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(args: argparse.Namespace) -> int:
    """Stop the project's worker, and the server after the last worker."""
    from storyreel.flows.server import upkeep

    ended = upkeep.down(Path(args.dir).resolve())
    print(f"ended: {', '.join(ended)}" if ended else "nothing was running")
    return 0
