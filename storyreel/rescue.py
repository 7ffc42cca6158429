"""Brings clips home that are paid for and not here, of one or many ledgers: what expires first comes first. Submits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from storyreel import collection
from storyreel.errors import ApiError, DownloadError, LinkExpired, MediaError, NotFound
from storyreel.ledger_rows import State, Take
from storyreel.session import Session
from storyreel.waiting import conclude
from storyreel.wire import SEVEN_DAYS_S

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Rescued:
    """What became of one take."""

    storyboard: str
    scene: str
    take: int
    words: str
    is_good: bool


async def bring_home(
    sessions: Iterable[Session], tell: Callable[[Rescued], None] = lambda rescued: None
) -> list[Rescued]:
    """Ask about every job that is in flight, and fetch every clip that is finished or missing on disk.

    A few at a time, begun in the order of the hours that are left. `tell` hears of each as it is done.
    """
    rows = [(s, t) for s in sessions for t in s.ledger.takes(s.storyboard.id) if _is_wanted(s, t)]
    rows.sort(key=lambda row: row[1].expires_at or (row[1].submitted_at or row[1].created_at) + SEVEN_DAYS_S)
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(session: Session, take: Take) -> Rescued:
        async with turn:
            rescued = await _one(session, take)
            tell(rescued)
            return rescued

    return list(await asyncio.gather(*(one(session, take) for session, take in rows)))


def _is_wanted(session: Session, take: Take) -> bool:
    if take.state is State.COLLECTED:
        return not (session.workspace.root / (take.clip or {}).get("path", "?")).exists()
    return take.job_id is not None and take.state in (State.IN_FLIGHT, State.COMPLETED)


async def _one(session: Session, take: Take) -> Rescued:
    def told(words: str, good: bool) -> Rescued:
        return Rescued(take.storyboard, take.scene, take.take, words, good)

    try:
        job = await session.client.retrieve(take.job_id or "")
        if not job.status.is_final:
            return told(f"still running ({job.word})", True)
        row = take if take.state is State.COLLECTED else await conclude(session, take, job, polls=1)
        if row.state is State.FAILED:
            return told(f"failed: {row.error_message}", True)
        row = await collection.collect(session, row, job.url)
    except (NotFound, LinkExpired) as error:
        price = f"; made again it would cost about {take.price} {take.currency}" if take.price is not None else ""
        return told(f"gone: {error.message}{price}", False)
    except (ApiError, DownloadError, MediaError) as error:
        return told(f"not fetched: {error.message}", False)
    except OSError as error:
        return told(f"not fetched: the disk failed: {error.strerror}", False)
    return told(f"fetched {(row.clip or {}).get('path')}", True)
