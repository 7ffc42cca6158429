"""`storyreel resolve`: settle a take that is held, or still in flight."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import closing

from storyreel.api.answers import Job
from storyreel.api.client import Client
from storyreel.api.matching import differences, matches
from storyreel.cli.request import prepare
from storyreel.errors import ApiError, NotFound, UsageError
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State, Take
from storyreel.run.request import Prepared, require_scene
from storyreel.run.session import SIMULATOR

OPEN = (State.AMBIGUOUS, State.IN_FLIGHT, State.COMPLETED)  # states that are not final


def run(args: argparse.Namespace) -> int:
    """Adopt, resubmit or abandon; without one of these, describe the held take."""
    prepared = prepare(args)
    require_scene(prepared.storyboard, args.scene)
    if not prepared.has_ledger():
        raise UsageError(
            f"nothing was ever sent for scene `{args.scene}`", fix="run the storyboard first"
        )
    with prepared.workspace.locked(), closing(prepared.open_ledger()) as ledger:
        ledger.interrupted(prepared.storyboard.id, "")
        take = _open_take(ledger, prepared, args)
        return _settle(ledger, prepared, args, take)


def _open_take(ledger: Ledger, prepared: Prepared, args: argparse.Namespace) -> Take:
    """Return the scene's held take, else the one in flight or without its clip on disk."""
    takes = [
        t
        for t in ledger.takes(prepared.storyboard.id)
        if t.scene == args.scene and args.take in (None, t.take)
    ]
    held = [t for t in takes if t.state is State.AMBIGUOUS]
    candidates = held or [t for t in takes if t.state in OPEN]
    if not candidates:
        raise UsageError(
            f"no take of scene `{args.scene}` is held, or in flight",
            fix=f"see `storyreel status {args.file}`",
        )
    if len(candidates) > 1:
        numbers = ", ".join(str(t.take) for t in candidates)
        raise UsageError(
            f"takes {numbers} of scene `{args.scene}` are {'held' if held else 'in flight'}",
            fix="name one with --take N",
        )
    return candidates[0]


def _settle(ledger: Ledger, prepared: Prepared, args: argparse.Namespace, take: Take) -> int:
    name = f"{take.scene} take {take.take}"
    if args.adopt:
        _check_free(ledger, prepared, args, take)
        job = asyncio.run(_known_to_api(prepared, args.adopt))
        for words in differences(take, job) if job else ():
            print(f"storyreel: warning: {words}", file=sys.stderr)
        ledger.adopted(
            take.id,
            args.adopt,
            SIMULATOR if prepared.request.simulate else prepared.settings.base_url,
        )
        print(
            f"{name}: job {args.adopt} is adopted; the next run waits for it and downloads its clip"
        )
    elif args.resubmit:
        ledger.abandoned(take.id, charged=True)
        price = f" ({take.price} {take.currency})" if take.price is not None else ""
        first = f"its job {take.job_id}" if take.job_id else "the first one"
        print(
            f"{name}: the next run sends it once more; if {first} was made it is charged "
            f"twice{price}"
        )
    elif args.abandon:
        is_paid = take.job_id is not None  # a job that the API accepted stays paid for
        ledger.abandoned(take.id, charged=is_paid)
        kept = f"; job {take.job_id} stays counted as paid" if is_paid else ""
        print(f"{name}: given up{kept}; the next run makes it again, as a new job")
    elif take.state is State.AMBIGUOUS:
        raise UsageError(
            f"{name} is held: {take.error_message}", fix=_advice(ledger, prepared, args, take)
        )
    else:
        raise UsageError(
            f"{name} is not held: job {take.job_id} is "
            f"{'finished' if take.completed_at else 'in flight'}",
            fix=f"`storyreel run {args.file}` or `storyreel rescue {args.file}` checks it "
            "and downloads its clip; "
            "or --adopt VIDEO_ID, --resubmit or --abandon",
        )
    return 0


def _check_free(ledger: Ledger, prepared: Prepared, args: argparse.Namespace, take: Take) -> None:
    """Raise `UsageError` if another take of the ledger has the job."""
    for board in ledger.storyboards():
        for other in ledger.takes(board):
            if other.job_id == args.adopt and other.id != take.id:
                whose = "" if board == prepared.storyboard.id else f" of storyboard `{board}`"
                raise UsageError(
                    f"job {args.adopt} is that of scene `{other.scene}` take "
                    f"{other.take}{whose} already ({other.state})",
                    fix="look in the provider's console for the job that was made of this "
                    "scene's prompt",
                )


def _advice(ledger: Ledger, prepared: Prepared, args: argparse.Namespace, take: Take) -> str:
    """Return the next command to type, with the jobs that may be this take's if the server lists
    its jobs.
    """
    if take.job_id:
        return (
            f"`storyreel rescue {args.file}` checks job {take.job_id} again; look for "
            "it in the provider's console, "
            "then --adopt VIDEO_ID, --resubmit or --abandon"
        )
    usual = "look for it in the provider's console, then --adopt VIDEO_ID, --resubmit or --abandon"
    try:
        jobs = asyncio.run(_listed(prepared))
    except ApiError as error:
        return f"{usual} (the request for the list of jobs failed: {error.message})"
    if jobs is None:
        return usual
    recorded = [t.job_id for t in ledger.takes(prepared.storyboard.id) if t.job_id]
    likely = matches(take, jobs, recorded)
    if not likely:
        return (
            "the API lists no job that could be this take's: --abandon (the next run makes it "
            "again), or --adopt VIDEO_ID"
        )
    lines = [f"the API lists {len(likely)} that may be it:"]
    for job in likely[:5]:
        apart = (job.created_at or 0) - take.created_at
        words = (
            f"{job.word}, created {apart:+.0f} s from the "
            f"request{', the same prompt' if job.prompt else ''}"
        )
        lines.append(
            f"  storyreel resolve {args.file} {take.scene} --take {take.take} --adopt "
            f"{job.id}   # {words}"
        )
    return "\n".join(lines)


async def _listed(prepared: Prepared) -> list[Job] | None:
    if prepared.request.simulate or prepared.settings.api_key is None:
        return None
    async with Client(prepared.settings) as client:
        client.endpoint = prepared.catalog.endpoint
        return await client.latest()


async def _known_to_api(prepared: Prepared, job_id: str) -> Job | None:
    """Return the job from the API, None if the answer does not show it.

    Raises:
        UsageError: the API says that there is no such job.
    """
    if prepared.request.simulate:
        return None
    async with Client(prepared.settings) as client:
        client.endpoint = prepared.catalog.endpoint
        try:
            return await client.retrieve(job_id)
        except NotFound as error:
            raise UsageError(
                f"the API does not know a job {job_id}",
                fix="check the id in the provider's console",
            ) from error
        except ApiError:
            return None
