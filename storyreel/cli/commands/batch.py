"""`storyreel batch`: render a storyboard once for each row of a table."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from storyreel.cli import asking, conduct
from storyreel.cli.complaint import said
from storyreel.cli.request import catalog_file, choose_profile, variables
from storyreel.errors import Status
from storyreel.run import batch, checks
from storyreel.run.request import Request
from storyreel.run.session import Progress


def run(args: argparse.Namespace) -> int:
    """Check every row, ask about the price of all, render, print the results."""
    choose_profile(args)
    rows = batch.read(Path(args.rows))
    folder = Path(
        args.workspace or batch.folder_of(Path(args.file), simulate=args.simulate)
    ).absolute()
    request = Request(
        storyboard=Path(args.file),
        simulate=args.simulate,
        speed=args.speed,
        variables=variables(args),
        catalog=catalog_file(args),
    )
    made = batch.prepare(request, rows, folder)
    for _, prepared, planned in made:
        checks.check_ready(prepared, planned)
    plans = [planned for _, _, planned in made]
    batch.check_budget(plans, Decimal(args.budget) if args.budget is not None else None)
    if not args.simulate and any(planned.jobs for planned in plans):
        asking.consent(batch.bill(plans), is_given=args.yes)
    return _render(args, request, folder, None if args.simulate else batch.agreement(plans))


def _render(args: argparse.Namespace, request: Request, folder: Path, agreed: str | None) -> int:
    from storyreel.flows.server import backend as backends

    backend = backends.start()
    try:
        from prefect.exceptions import FailedRun

        from storyreel.flows import batch as flows
        from storyreel.run.caller import Caller

        if not args.debug:
            conduct.quiet_prefect()
        backend.wait_until_ready()
        caller = Caller(progress=_say)

        async def flow() -> Any:
            call: Any = flows.called_by(caller)
            state = await call(
                storyboard=request.storyboard,
                rows=Path(args.rows),
                workspace=folder,
                simulate=args.simulate,
                speed=args.speed,
                variables=request.variables,
                parallel=args.parallel,
                catalog=request.catalog,
                budget_per_run=Decimal(args.budget) if args.budget is not None else None,
                agreed=agreed,
                accept_differences=args.accept_differences,
                return_state=True,
            )
            with contextlib.suppress(FailedRun):  # rows failed: the message names them
                await state.result()  # raises the error that came before the first row
            return state

        state = conduct.conduct(flow())
        if state is None:
            print("storyreel: interrupted; run the same command again to continue", file=sys.stderr)
            return 130
        if backend.is_ours:
            backend.drain(caller.task_runs)
        print(state.message)
        print(f"summary  {os.path.relpath(folder / 'summary.html')}")
        return 0 if state.is_completed() else 1
    finally:
        backend.release()


def _say(progress: Progress) -> None:
    state = progress.state
    if state is Status.COMPLETED or (isinstance(state, Status) and state.needs_a_person):
        detail = f": {said(progress.state, progress.detail)}" if progress.detail else ""
        print(
            f"{progress.scene} take {progress.take}: {progress.state}{detail}",
            file=sys.stderr,
            flush=True,
        )
