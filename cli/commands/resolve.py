"""`storyreel resolve`: a person settles a held take."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import closing

from cli.request import prepare
from storyreel import opening
from storyreel.client import Client
from storyreel.errors import ApiError, NotFound, UsageError
from storyreel.ledger import Ledger
from storyreel.ledger_rows import State, Take
from storyreel.matching import matches
from storyreel.opening import Prepared
from storyreel.wire import Job


def run(args: argparse.Namespace) -> int:
    """Adopt, resubmit or abandon; without one of these, say what is held."""
    prepared = prepare(args)
    opening.known(prepared.storyboard, args.scene)
    if not prepared.has_ledger():
        raise UsageError(f"nothing was ever sent for scene `{args.scene}`", fix="run the storyboard first")
    with prepared.workspace.locked(), closing(prepared.open_ledger()) as ledger:
        ledger.interrupted(prepared.storyboard.id, "")
        take = _held(ledger, prepared, args)
        return _settle(ledger, prepared, args, take)


def _held(ledger: Ledger, prepared: Prepared, args: argparse.Namespace) -> Take:
    held = [
        t
        for t in ledger.takes(prepared.storyboard.id)
        if t.scene == args.scene and t.state is State.AMBIGUOUS and args.take in (None, t.take)
    ]
    if not held:
        raise UsageError(f"no take of scene `{args.scene}` is held", fix="see `storyreel status`")
    if len(held) > 1:
        numbers = ", ".join(str(t.take) for t in held)
        raise UsageError(f"takes {numbers} of scene `{args.scene}` are held", fix="name one with --take N")
    return held[0]


def _settle(ledger: Ledger, prepared: Prepared, args: argparse.Namespace, take: Take) -> int:
    name = f"{take.scene} take {take.take}"
    if args.adopt:
        asyncio.run(_known_to_api(prepared, args.adopt))
        ledger.adopted(take.id, args.adopt)
        print(f"{name}: job {args.adopt} is adopted; the next run waits for it and fetches its clip")
    elif args.resubmit:
        ledger.abandoned(take.id, charged=True)
        price = f" ({take.price} {take.currency})" if take.price is not None else ""
        print(f"{name}: the next run sends it once more; if the first one was made it is charged twice{price}")
    elif args.abandon:
        ledger.abandoned(take.id, charged=False)
        print(f"{name}: given up; the next run makes it anew")
    else:
        raise UsageError(f"{name} is held: {take.error_message}", fix=_advice(ledger, prepared, args, take))
    return 0


def _advice(ledger: Ledger, prepared: Prepared, args: argparse.Namespace, take: Take) -> str:
    """What to type next; where the server lists its jobs, with those that may be this one."""
    usual = "look for it in the provider's console, then --adopt VIDEO_ID, --resubmit or --abandon"
    try:
        jobs = asyncio.run(_listed(prepared))
    except ApiError as error:
        return f"{usual} (the API was asked for its jobs: {error.message})"
    if jobs is None:
        return usual
    known = [t.job_id for t in ledger.takes(prepared.storyboard.id) if t.job_id]
    found = matches(take, jobs, known)
    if not found:
        return "the API lists no job that could be it: --abandon (made anew by the next run), or --adopt VIDEO_ID"
    lines = [f"the API lists {len(found)} that may be it:"]
    for job in found[:5]:
        apart = (job.created_at or 0) - take.created_at
        words = f"{job.word}, begun {apart:+.0f} s from when it was sent{', the same prompt' if job.prompt else ''}"
        lines.append(f"  storyreel resolve {args.file} {take.scene} --take {take.take} --adopt {job.id}   # {words}")
    return "\n".join(lines)


async def _listed(prepared: Prepared) -> list[Job] | None:
    if prepared.request.simulate or prepared.settings.api_key is None:
        return None
    async with Client(prepared.settings) as client:
        return await client.latest()


async def _known_to_api(prepared: Prepared, job_id: str) -> None:
    """Raises `UsageError` where the API says that there is no such job; another answer is no reason to refuse."""
    if prepared.request.simulate:
        return
    async with Client(prepared.settings) as client:
        try:
            await client.retrieve(job_id)
        except NotFound as error:
            raise UsageError(
                f"the API does not know a job {job_id}", fix="check the id in the provider's console"
            ) from error
