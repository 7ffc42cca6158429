"""Who holds the account's slots, and who still does: jobs that no run watches are asked about while
others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from storyreel.api.verdict import Doubt
from storyreel.errors import ApiError, NotFound
from storyreel.ledger.rows import State, Take

if TYPE_CHECKING:
    from storyreel.run.session import Session

ASK_EVERY_S = 15.0
NAMED = 3


class Slots:
    """Frees the slots of jobs that have ended, of every run, storyboard and project that shares the
    ledger.
    """

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}
        self._doubts: dict[int, Doubt] = {}
        self._one_at_a_time = asyncio.Lock()

    async def look(self, session: Session) -> list[Take]:
        """Ask about every job in flight that this run does not watch itself, each once in 15 s; a
        GET is free.

        What is final is written down, and holds no slot any more. Returns the takes that still hold
        one.
        """
        async with self._one_at_a_time:
            holders = await session.write(session.ledger.in_flight, session.account)
            due = [take for take in holders if self._is_due(session, take)]
            await asyncio.gather(*(self._ask(session, take) for take in due))
            if due:
                holders = await session.write(session.ledger.in_flight, session.account)
            return holders

    def _is_due(self, session: Session, take: Take) -> bool:
        if take.id in session.watched or take.run_id == session.run_id:
            return False
        every = ASK_EVERY_S * session.pace
        if session.clock() - self._asked.get(take.id, -every) < every:
            return False
        self._asked[take.id] = session.clock()
        return True

    async def _ask(self, session: Session, take: Take) -> None:
        if take.state is State.SUBMITTING:
            await session.write(session.ledger.hold_if_dead, take)
            return
        from storyreel.run import waiting

        doubt = self._doubts.setdefault(take.id, Doubt(session.clock, session.settings.time_scale))
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
    """Which jobs a take waits for: `5 jobs are in flight: night/lamp (qvideo-1), …`."""
    names = [
        f"{take.storyboard}/{take.scene} ({take.job_id or 'being sent'})"
        for take in holders[:NAMED]
    ]
    more = f" and {len(holders) - NAMED} more" if len(holders) > NAMED else ""
    count = f"{limit} job{'s are' if limit != 1 else ' is'} in flight"
    return f"{count}: {', '.join(names)}{more}" if names else count
