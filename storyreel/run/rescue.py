"""Downloads clips that are paid for and not on disk, of one or many ledgers: what expires first
comes first. Submits nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from storyreel.api.answers import SEVEN_DAYS_S, Job
from storyreel.api.verdict import ANSWERS, OVER_S, Doubt
from storyreel.errors import LinkExpired, NotFound, StoryreelError
from storyreel.ledger.rows import State, Take
from storyreel.run import collection
from storyreel.run.opening import open_session
from storyreel.run.request import Prepared
from storyreel.run.session import Session
from storyreel.run.waiting import check_home, conclude, set_apart

AT_ONCE = 4
PAUSES_S = (2.0,)  # rescue comes again: it does not wait minutes for one clip


@dataclass(frozen=True, slots=True)
class Rescued:
    """What became of one take."""

    storyboard: str
    scene: str
    take: int
    words: str
    is_good: bool
    is_fetched: bool = False


async def rescue_sessions(
    sessions: Iterable[Session], tell: Callable[[Rescued], None] = lambda rescued: None
) -> list[Rescued]:
    """Poll every job that is in flight, and download every clip that is finished or missing on
    disk.
    """
    takes = [(s, t) for s in sessions for t in s.ledger.takes(s.storyboard.id) if _is_wanted(s, t)]
    return await rescue_takes(takes, tell)


async def rescue_takes(
    takes: Iterable[tuple[Session, Take]],
    tell: Callable[[Rescued], None],
    *,
    is_patient: bool = True,
) -> list[Rescued]:
    """Poll these jobs and download what is final, a few at a time, begun in the order of the hours
    that are left.

    `tell` hears of each as it is done. A job in flight that the API does not know is asked about
    for minutes, and then held; without `is_patient` it is left as it is after one answer.
    """
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(session: Session, take: Take) -> Rescued:
        async with turn:
            rescued = await _one(session, take, is_patient=is_patient)
            tell(rescued)
            return rescued

    in_order = sorted(takes, key=lambda pair: _expires_at(pair[1]))
    return list(await asyncio.gather(*(one(session, take) for session, take in in_order)))


def _expires_at(take: Take) -> float:
    return take.expires_at or (take.submitted_at or take.created_at) + SEVEN_DAYS_S


async def rescue(
    found: Iterable[Prepared],
    tell: Callable[[Rescued], None],
    report_error: Callable[[str, StoryreelError], None],
) -> tuple[list[Rescued], list[str]]:
    """Open the ledgers of all of these, and download what is missing. Returns what became of each
    take, and the storyboards that lack nothing. One that is in use, or damaged, goes to
    `report_error` and keeps no other from being rescued.
    """
    outcomes: list[Rescued] = []
    opened: list[str] = []
    rest = list(found)
    while (
        rest
    ):  # a workspace is held once at a time: storyboards that share one come one after the other
        together = {prepared.workspace.root: prepared for prepared in reversed(rest)}
        rest = [prepared for prepared in rest if together[prepared.workspace.root] is not prepared]
        async with contextlib.AsyncExitStack() as stack:
            sessions = []
            for prepared in together.values():
                try:
                    session = await stack.enter_async_context(
                        open_session(prepared, uuid.uuid4().hex[:12])
                    )
                    sessions.append(session)
                except StoryreelError as error:
                    report_error(prepared.storyboard.id, error)
            opened += [session.storyboard.id for session in sessions]
            outcomes += await rescue_sessions(sessions, tell)
    names = {one.storyboard for one in outcomes}
    return outcomes, [name for name in opened if name not in names]


def _is_wanted(session: Session, take: Take) -> bool:
    if take.state is State.COLLECTED:
        return take.clip is None or not (session.workspace.root / take.clip.path).exists()
    return take.job_id is not None and take.state in (
        State.IN_FLIGHT,
        State.COMPLETED,
        State.AMBIGUOUS,
    )


async def _one(session: Session, take: Take, *, is_patient: bool) -> Rescued:
    def outcome(words: str, good: bool, *, is_fetched: bool = False) -> Rescued:
        return Rescued(take.storyboard, take.scene, take.take, words, good, is_fetched)

    try:
        check_home(session, take)
        job = await _asked(session, take, is_patient=is_patient)
        if isinstance(job, Take):
            return outcome(f"held: {job.error_message}", False)
        row = await _known(session, take, job)
        if not job.status.is_final:
            return outcome(f"still running ({job.word})", True)
        if row.state is State.FAILED:
            return outcome(f"failed: {row.error_message or 'the API gave no reason'}", True)
        row = await collection.collect(session, row, job.url, pauses_s=PAUSES_S)
    except NotYetFound as error:
        return outcome(f"{error.message}; `storyreel rescue` asks again, for minutes", False)
    except (NotFound, LinkExpired) as error:
        price = (
            f"; made again it would cost about {take.price} {take.currency}"
            if take.price is not None
            else ""
        )
        return outcome(f"gone: {error.message}{price}", False)
    except StoryreelError as error:
        return outcome(f"not fetched: {error.with_fix}", False)
    except OSError as error:
        return outcome(f"not fetched: the disk failed: {error.strerror}", False)
    except Exception as error:  # one clip's fault keeps no other from being rescued
        return outcome(f"not fetched: {type(error).__name__}: {error}", False)
    return outcome(f"fetched {row.here.path}", True, is_fetched=True)


class NotYetFound(NotFound):
    """The API does not know a job in flight, by one answer; that proves nothing yet."""


async def _asked(session: Session, take: Take, *, is_patient: bool) -> Job | Take:
    """The job; or, where the API says for minutes that it does not know it, the row that was set
    apart.

    Raises:
        NotFound: it does not know the job of a take that is not in flight.
        NotYetFound: it does not know one in flight, and one answer was to be enough.
    """
    doubt = Doubt(session.clock.monotonic, session.settings.time_scale)
    while True:
        try:
            return await session.client.retrieve(take.job)
        except NotFound as error:
            if take.state is not State.IN_FLIGHT:
                raise
            if not is_patient:
                raise NotYetFound(error.message, status=error.status, code=error.code) from error
            if doubt.heard():
                return await set_apart(session, take, error, polls=ANSWERS)
        await session.clock.sleep(OVER_S / (ANSWERS - 1) * session.pace * 1.01)


async def _known(session: Session, take: Take, job: Job) -> Take:
    """Write down what the answer says of the take."""
    if take.state is State.COLLECTED:
        return take
    if take.state is State.AMBIGUOUS:
        take = await session.write(session.ledger.known_again, take.id)
    if job.status.is_final:
        return await conclude(session, take, job, polls=1)
    return await session.write(session.ledger.polled, take.id, 1)
