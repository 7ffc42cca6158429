"""`storyreel approve`: resume a run that waits for approval of its price."""

from __future__ import annotations

import argparse

from storyreel.errors import UsageError


def run(args: argparse.Namespace) -> int:
    """Resume the run of that name or id; without one, list the runs that wait."""
    from storyreel.flows.server import backend

    server = backend.start()
    try:
        server.wait_until_ready()
        from storyreel.flows.server import approval

        waiting = approval.waiting()
        if args.run is None:
            for one in waiting:
                print(f"{one.id}  {one.name}")
            if not waiting:
                print("nothing waits for approval")
            return 0
        found = [one for one in waiting if args.run in (str(one.id), one.name)]
        if len(found) != 1:
            problem = "no run" if not found else f"{len(found)} runs"
            raise UsageError(f"{problem} of that name waits for approval", fix="see `storyreel approve` for their ids")
        approval.approve(found[0].id)
        print(f"{found[0].name}: approved; the worker takes it up")
        return 0
    finally:
        server.release()
