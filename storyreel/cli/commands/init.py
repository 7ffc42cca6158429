"""`storyreel init`: write a starter storyboard."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def run(args: argparse.Namespace) -> int:
    """Write the starter, and print the next command."""
    from storyreel.cli import starter

    path = starter.write(Path(args.dir))
    print(f"wrote {path} and its stills")
    print(f"next: storyreel run {shlex.quote(str(path))} --simulate    # rehearse it for free")
    return 0
