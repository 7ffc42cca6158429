"""Free the account's slots: poll jobs that no run watches, while takes wait for a slot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from storyreel.api.verdict import Doubt
from storyreel.errors import ApiError, NotFound
from storyreel.ledger.rows import State, Take

if TYPE_CHECKING:
    from storyreel.run.session import Session

ASK_EVERY_S = 15.0
NAMED = 3


class Slots:
    """Free the slots of jobs that have ended, of every run and project that shares the ledger."""

    def __init__(self) -> None:
        self._polled_at: dict[int, float] = {}
        self._doubts: dict[int, Doubt] = {}
        self._watched: set[int] = set()
        self._one_at_a_time = asyncio.Lock()

    @contextlib.contextmanager
    def watching(self, take_id: int) -> Iterator[None]:
        """Leave this take's job alone inside the block: the caller polls it."""
        self._watched.add(take_id)
        try:
            yield
        finally:
            self._watched.discard(take_id)

    async def look(self, session: Session) -> list[Take]:
        """Poll every job in flight that this run does not watch, each at most once in 15 s.

        Record the jobs that have ended: they hold no slot any more. Return the takes that still
        hold one. A GET is free.
        """
        async with self._one_at_a_time:
            holders = await session.write(session.ledger.in_flight, session.account)
            due = [take for take in holders if self._is_due(session, take)]
            await asyncio.gather(*(self._poll(session, take) for take in due))
            if due:
                holders = await session.write(session.ledger.in_flight, session.account)
            return holders

    def _is_due(self, session: Session, take: Take) -> bool:
        if take.id in self._watched or take.run_id == session.run_id:
            return False
        every = ASK_EVERY_S * session.pace
        if session.clock.monotonic() - self._polled_at.get(take.id, -every) < every:
            return False
        self._polled_at[take.id] = session.clock.monotonic()
        return True

    async def _poll(self, session: Session, take: Take) -> None:
        if take.state is State.SUBMITTING:
            await session.write(session.ledger.hold_if_dead, take)
            return
        from storyreel.run import waiting  # it imports the session, which imports this module

        doubt = self._doubts.setdefault(
            take.id, Doubt(session.clock.monotonic, session.settings.time_scale)
        )
        try:
            job = await session.client.retrieve(take.job)
        except NotFound as error:
            if doubt.heard():
                await waiting.set_apart(session, take, error, polls=1)
        except ApiError:
            return
        else:
            doubt.clear()
            if job.status.is_final:
                await waiting.conclude(session, take, job, polls=1)


def words(holders: Sequence[Take], limit: int) -> str:
    """Name the jobs that a take waits for: `5 jobs are in flight: night/lamp (qvideo-1), …`."""
    names = [
        f"{take.storyboard}/{take.scene} ({take.job_id or 'being sent'})"
        for take in holders[:NAMED]
    ]
    more = f" and {len(holders) - NAMED} more" if len(holders) > NAMED else ""
    count = f"{limit} job{'s are' if limit != 1 else ' is'} in flight"
    return f"{count}: {', '.join(names)}{more}" if names else count
