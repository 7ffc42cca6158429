"""`storyreel rescue`: bring home what is paid for, before its links expire. Submits nothing."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import uuid
from pathlib import Path

from cli.complaint import complain
from cli.request import catalog_file, variables
from storyreel import opening, rescue
from storyreel.errors import StoryreelError, UsageError
from storyreel.opening import Prepared
from storyreel.rescue import Rescued


def run(args: argparse.Namespace) -> int:
    """Fetch every finished clip of every storyboard and workspace named; 1 if one could not be fetched."""
    if args.workspace and len(args.files) > 1:
        raise UsageError("--workspace goes with one storyboard", fix="name one FILE, or leave --workspace out")
    found: list[Prepared] = []
    good = True
    for name in args.files or ["runs"]:
        request = opening.Request(
            storyboard=Path(name),
            workspace=Path(args.workspace) if args.workspace else None,
            variables=variables(args),
            catalog=catalog_file(args),
        )
        try:
            found += opening.prepare_rescue(request)
        except StoryreelError as error:
            complain(name, error)
            good = False
    return 0 if asyncio.run(_all(found)) and good else 1


async def _all(found: list[Prepared]) -> bool:
    good = True
    async with contextlib.AsyncExitStack() as stack:
        sessions = []
        for prepared in found:
            if not prepared.has_ledger():
                print(f"{prepared.storyboard.id}: nothing was ever sent")
                continue
            try:
                session = await stack.enter_async_context(opening.open_session(prepared, uuid.uuid4().hex[:12]))
                sessions.append(session)
            except StoryreelError as error:  # one that is in use, or damaged, keeps no other from being rescued
                complain(prepared.storyboard.id, error)
                good = False
        outcomes = await rescue.bring_home(sessions, _say)
        for session in sessions:
            if all(one.storyboard != session.storyboard.id for one in outcomes):
                print(f"{session.storyboard.id}: everything that is paid for is here")
    return good and all(one.is_good for one in outcomes)


def _say(one: Rescued) -> None:
    print(f"{one.storyboard}: {one.scene} take {one.take}: {one.words}", flush=True)
