"""`storyreel up`: server, UI, deployments and worker on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def run(args: argparse.Namespace) -> int:
    """Bring up what is not up yet, and say where."""
    from flows import upkeep

    print(upkeep.up(Path(args.dir).resolve(), lambda line: print(line, file=sys.stderr, flush=True)))
    return 0
