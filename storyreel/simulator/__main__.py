"""`python -m storyreel.simulator`: the process that a rehearsal starts."""

import argparse
from pathlib import Path

from storyreel.simulator.serve import serve

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--speed", type=float, default=1)
parser.add_argument("--folder", type=Path)
parser.add_argument("--catalog", type=Path)
parser.add_argument("--profile", default="strict")
parser.add_argument("--child", action="store_true")
args = parser.parse_args()
serve(
    port=args.port,
    speed=args.speed,
    folder=args.folder,
    extra_catalog=args.catalog,
    profile=args.profile,
    child=args.child,
)
