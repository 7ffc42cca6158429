"""`storyreel rescue`: download what is paid for before its links expire. Submits nothing."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from storyreel.cli.complaint import complain
from storyreel.cli.request import catalog_file, variables
from storyreel.errors import StoryreelError, UsageError
from storyreel.run import finding, rescue
from storyreel.run.request import Prepared, Request
from storyreel.run.rescue import Rescued


def run(args: argparse.Namespace) -> int:
    """Download every finished clip of the storyboards and workspaces. Return 1 if one fails."""
    if args.workspace and len(args.files) > 1:
        raise UsageError(
            "--workspace goes with one storyboard", fix="name one FILE, or leave --workspace out"
        )
    boards: list[Prepared] = []
    good = True
    for name in args.files or finding.runs_here():
        request = Request(
            storyboard=Path(name),
            workspace=Path(args.workspace) if args.workspace else None,
            variables=variables(args),
            catalog=catalog_file(args),
        )
        try:
            boards += finding.prepare_rescue(request)
        except StoryreelError as error:
            complain(str(name), error)
            good = False
    for prepared in boards:
        if not prepared.has_ledger():
            print(f"{prepared.storyboard.id}: nothing was ever sent")
    ready = [prepared for prepared in boards if prepared.has_ledger()]
    failed: list[str] = []

    def report(name: str, error: StoryreelError) -> None:
        complain(name, error)
        failed.append(name)

    outcomes, lacking_nothing = asyncio.run(rescue.rescue(ready, _say, report))
    for name in lacking_nothing:
        print(f"{name}: everything that is paid for is here")
    return 0 if good and not failed and all(outcome.is_good for outcome in outcomes) else 1


def _say(clip: Rescued) -> None:
    print(f"{clip.storyboard}: {clip.scene} take {clip.take}: {clip.words}", flush=True)
