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
            for flow_run in waiting:
                print(f"{flow_run.id}  {flow_run.name}")
            if not waiting:
                print("no run waits for approval")
            return 0
        named = [r for r in waiting if args.run in (str(r.id), r.name)]
        if len(named) != 1:
            problem = "no run" if not named else f"{len(named)} runs"
            raise UsageError(
                f"{problem} of that name {'wait' if named else 'waits'} for approval",
                fix="see `storyreel approve` for their ids",
            )
        approval.approve(named[0].id)
        print(f"{named[0].name}: approved; the worker resumes it")
        return 0
    finally:
        server.release()
