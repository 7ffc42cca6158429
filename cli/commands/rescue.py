"""`storyreel rescue`: bring home what is paid for, before its links expire. Submits nothing."""

from __future__ import annotations

import argparse
import asyncio
import uuid
from pathlib import Path

from cli.complaint import complain
from cli.request import catalog_file, variables
from storyreel import opening, rescue
from storyreel.errors import StoryreelError, UsageError


def run(args: argparse.Namespace) -> int:
    """Fetch every finished clip of every storyboard; 1 if one could not be fetched."""
    if args.workspace and len(args.files) > 1:
        raise UsageError("--workspace goes with one storyboard", fix="name one FILE, or leave --workspace out")
    good = True
    for file in args.files:
        request = opening.Request(
            storyboard=Path(file),
            workspace=Path(args.workspace) if args.workspace else None,
            variables=variables(args),
            catalog=catalog_file(args),
        )
        try:
            good = asyncio.run(_one(request)) and good
        except StoryreelError as error:
            complain(file, error)
            good = False
    return 0 if good else 1


async def _one(request: opening.Request) -> bool:
    prepared = opening.prepare(request)
    if not prepared.has_ledger():
        print(f"{prepared.storyboard.id}: nothing was ever sent")
        return True
    async with opening.open_session(prepared, uuid.uuid4().hex[:12]) as session:
        outcomes = await rescue.bring_home(session)
    for one in outcomes:
        print(f"{prepared.storyboard.id}: {one.scene} take {one.take}: {one.words}")
    if not outcomes:
        print(f"{prepared.storyboard.id}: everything that is paid for is here")
    return all(one.is_good for one in outcomes)
