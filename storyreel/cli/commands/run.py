"""`storyreel run`: render a storyboard."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storyreel.cli import asking, conduct
from storyreel.cli.complaint import complain
from storyreel.cli.request import choose_profile, prepare
from storyreel.errors import StoryreelError
from storyreel.plan import make as plan
from storyreel.plan.make import Action, Plan
from storyreel.report.advice import advice
from storyreel.report.model import RunReport
from storyreel.run import checks, finishing, planning
from storyreel.run.request import Prepared

if TYPE_CHECKING:
    from storyreel.flows.server.backend import Backend


def run(args: argparse.Namespace) -> int:
    """Check the storyboard, ask about the price, render, print the results."""
    choose_profile(args)
    prepared = prepare(args)
    for fault in prepared.warnings:
        print(fault, file=sys.stderr)
    with _unlocked(prepared):
        planned = planning.make_plan(prepared, planning.snapshot(prepared))
    checks.check_ready(prepared, planned)
    if not planned.has_work:
        planned = planning.take_over(prepared, planned)
        print(_idle(planned), file=sys.stderr)
        prepared.workspace.prepare()
        report = finishing.finish(prepared, planned)
        return _show(args, prepared, report, None)
    from storyreel.flows.server import backend as backends

    pays = planned.jobs and not args.simulate
    if pays:
        asking.check_can_ask(plan.bill(planned), is_given=args.yes)
    backend = backends.start()
    try:
        if pays:
            asking.consent(plan.bill(planned), is_given=args.yes)
        return _render(args, prepared, planned, backend)
    finally:
        backend.release()


@contextlib.contextmanager
def _unlocked(prepared: Prepared) -> Iterator[None]:
    """Fail early if another run holds the workspace. The run itself locks it again."""
    if prepared.workspace.root.exists():
        with prepared.workspace.locked():
            yield
    else:
        yield


def _idle(planned: Plan) -> str:
    """Return why there is no job to send or to wait for, and no clip to download."""
    asked = [p for p in planned.scenes if p.action is not Action.SKIP]
    if any(p.kept is None for p in asked):
        return "nothing can be rendered now"
    held = [p.scene.id for p in asked if any(take.action is Action.HELD for take in p.takes)]
    more = f"; a take is held of {', '.join(held)}" if held else ""
    return f"nothing to render: every clip is here already{more}"


def _render(args: argparse.Namespace, prepared: Prepared, planned: Plan, backend: Backend) -> int:
    from storyreel.cli.display import Display
    from storyreel.flows import render
    from storyreel.run.caller import Caller

    if not args.debug:
        conduct.quiet_prefect()
    if not prepared.has_ledger():
        # A new ledger needs it. Import it while the server starts.
        importlib.import_module("alembic.command")
    backend.wait_until_ready()
    results: list[tuple[RunReport, StoryreelError | None]] = []
    display = Display(planned)
    caller = Caller(
        progress=display.tell, ended=lambda report, stopped: results.append((report, stopped))
    )

    async def flow() -> Any:
        # Untyped: Prefect's overloads lose the `async` of a flow that returns its state.
        call: Any = render.called_by(caller)
        state = await call(**_parameters(prepared, planned), return_state=True)
        if not results:
            await state.result()  # raises the error that came before the first scene
        return state

    with display:
        try:
            state = conduct.conduct(flow(), results)
        except conduct.ServerLost as error:
            if not results:
                raise
            print(
                f"storyreel: {error}: its UI does not show how the run ended; the report does",
                file=sys.stderr,
            )
            return _show(args, prepared, *results[0])
    if state is None:
        return _interrupted(args, prepared)
    if backend.is_ours:
        backend.drain(caller.task_runs)
    report, stopped = results[0]
    return _show(args, prepared, report, stopped)


def _parameters(prepared: Prepared, planned: Plan) -> dict[str, Any]:
    """Return the parameters of the flow."""
    request = prepared.request
    return {
        "storyboard": request.storyboard.absolute(),
        "workspace": prepared.workspace.root,
        "simulate": request.simulate,
        "speed": request.speed,
        "only": list(request.only),
        "start": request.start,
        "variables": request.variables,
        "budget": request.budget,
        "force": list(request.force),
        "accept_differences": request.accept_differences,
        "catalog": request.catalog,
        "agreed": None if request.simulate else plan.agreement(planned),
    }


def _interrupted(args: argparse.Namespace, prepared: Prepared) -> int:
    planned = planning.make_plan(prepared, planning.snapshot(prepared))
    in_flight = [
        p.scene.id
        for p in planned.scenes
        if any(t.row and t.row.job_id and t.row.collected_at is None for t in p.takes)
    ]
    print("storyreel: interrupted; no more jobs were submitted", file=sys.stderr)
    if in_flight:
        print(f"  in flight, and in the ledger: {', '.join(in_flight)}", file=sys.stderr)
        print(
            "  Fix: run the same command again; it resumes them without paying again",
            file=sys.stderr,
        )
    return 130


def _show(
    args: argparse.Namespace, prepared: Prepared, report: RunReport, stopped: StoryreelError | None
) -> int:
    """Print the results on stdout. Return the exit code."""
    root = prepared.workspace.root
    if args.json:
        print(report.model_dump_json(indent=1, by_alias=True))
    else:
        print(f"{report.storyboard}: {report.totals.words}")
        for scene in report.scenes:
            if scene.status.needs_a_person:
                print(f"  {scene.id}: {scene.reason}")
                if fix := advice(scene, args.file):
                    print(f"    Fix: {fix}")
        for warning in report.warnings:
            print(f"  warning: {warning}")
        if report.cut_error:
            print(f"  no {'new ' if report.cut else ''}film: {report.cut_error}")
        if report.cut:
            print(f"film           {_relative(root / 'final.mp4')} ({report.cut.duration_s} s)")
        if (root / "contact-sheet.jpg").exists() and report.cut:
            print(f"contact sheet  {_relative(root / 'contact-sheet.jpg')}")
        print(f"report         {_relative(root / 'report' / 'report.html')}")
    if stopped is not None:
        complain("storyreel: stopped", stopped)
        return stopped.exit_code
    return 0 if report.status == "completed" and not report.cut_error else 1


def _relative(path: Path) -> str:
    return os.path.relpath(path)
