"""`storyreel batch`: a storyboard once for each row of a table."""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli import asking, conduct
from cli.request import catalog_file, variables
from storyreel import batch, opening
from storyreel.errors import UsageError
from storyreel.plan import price
from storyreel.session import Progress


def run(args: argparse.Namespace) -> int:
    """Check every row, price them together, ask, render, tell."""
    rows = batch.read(Path(args.rows))
    folder = Path(args.workspace or batch.folder_of(Path(args.file), simulate=args.simulate)).absolute()
    request = opening.Request(
        storyboard=Path(args.file),
        simulate=args.simulate,
        speed=args.speed,
        variables=variables(args),
        catalog=catalog_file(args),
    )
    made = batch.prepare(request, rows, folder)
    for _, prepared, planned in made:
        opening.check_ready(prepared, planned)
    jobs = sum(planned.jobs for _, _, planned in made)
    if jobs and not args.simulate:
        _ask(args, len(made), jobs, batch.cost(planned for _, _, planned in made))
    return _render(args, request, folder)


def _ask(args: argparse.Namespace, films: int, jobs: int, cost: dict[str, tuple[Decimal, Decimal]]) -> None:
    print(f"{films} films, {jobs} jobs, about {price(cost)} (list prices)", file=sys.stderr)
    if args.yes or args.budget:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", fix="add --yes, or set a limit with --budget N")
    asking.go_ahead()


def _render(args: argparse.Namespace, request: opening.Request, folder: Path) -> int:
    from flows import backend as backends

    backend = backends.start()
    try:
        from flows.batch import render_batch
        from flows.render import listener, tasks_started

        if not args.debug:
            conduct.quiet_prefect()
        backend.wait_until_ready()
        listener.set(_say)
        call: Any = render_batch
        state = conduct.conduct(
            call(
                storyboard=request.storyboard, rows=Path(args.rows), workspace=folder, simulate=args.simulate,
                speed=args.speed, variables=request.variables, parallel=args.parallel, catalog=request.catalog,
                budget_per_run=Decimal(args.budget) if args.budget else None, return_state=True,
            )
        )  # fmt: skip
        if state is None:
            print("storyreel: interrupted; run the same command again to go on", file=sys.stderr)
            return 130
        if backend.is_ours:
            backend.drain(tasks_started())
        print(state.message)
        print(f"summary  {os.path.relpath(folder / 'summary.html')}")
        return 0 if state.is_completed() else 1
    finally:
        backend.release()


def _say(progress: Progress) -> None:
    if progress.state in ("completed", "failed", "held", "blocked"):
        detail = f": {progress.detail}" if progress.detail else ""
        print(f"{progress.scene} take {progress.take}: {progress.state}{detail}", file=sys.stderr, flush=True)
