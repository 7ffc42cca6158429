"""Submits a take: through the ledger's gate, then one POST, then the job's id into the ledger."""

from __future__ import annotations

import logging
from dataclasses import replace

from storyreel.api.answers import Job
from storyreel.errors import (
    AnswerLost,
    ApiError,
    BudgetReached,
    EndpointRefused,
    ErrorKind,
    KeyRefused,
    Moderated,
    NotSent,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    Stage,
    StillLimited,
    Stopped,
    Unreachable,
    WorkspaceError,
)
from storyreel.ledger.gate import AlreadyPaid, CoolingDown, SlotsFull
from storyreel.ledger.rows import Intent, State, Take
from storyreel.plan.make import ScenePlan
from storyreel.run import comparison, slots
from storyreel.run.inputs import Ready
from storyreel.run.session import Progress, Session

TRIES_NOT_SENT = 5
SLOT_PAUSE_S = 1.0
COOL_DOWN_S = 15.0
LIMITED_S = 900.0  # so long may the API say "too many" while no job of ours is running
NOTE_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # between attempts to write a job's id down


async def submit(
    session: Session, planned: ScenePlan, number: int, ready: Ready, replaces: int | None = None
) -> Take | None:
    """Pay for one take of `planned` and return its row: in flight, ambiguous, or refused (released,
    failed).

    `number` is for display; `replaces` is the row that is used until this take's clip is here.
    Returns None where another run has paid for it meanwhile.

    Raises:
        Stopped: the run was stopped, before or by this request; nothing was paid for by it.
    """
    intent = replace(_intent(session, planned, ready), replaces=replaces)
    pauses = _Pauses(session, intent, number)
    while True:
        if differs := await session.first_look.wait(planned.scene.model):
            session.stop(differs)
        session.check()
        try:
            take = await session.uninterrupted(_attempt(session, planned, ready, intent, number))
        except AlreadyPaid:
            return None
        except (NotSent, RateLimited, SlotsFull, CoolingDown) as error:
            await pauses.before_next(error)
        except (Stopped, WorkspaceError) as error:
            session.stop(error)
            if isinstance(error, (OutOfCredit, KeyRefused)):
                await session.write(session.ledger.stop_account, session.account, error.message)
            raise
        else:
            if take.state is State.AMBIGUOUS and _may_resubmit(session, take):
                return await resubmit(session, planned, ready, take)
            return take


class _Pauses:
    """Waits between the attempts of one take, says why, and ends them where that has no end."""

    def __init__(self, session: Session, intent: Intent, number: int) -> None:
        self._session = session
        self._intent = intent
        self._number = number
        self._since: float | None = None
        self._shown = ""  # what kind of limit was shown last
        self._holders = ""  # and of what kind the holders of the slots were
        self._unsent = 0

    async def before_next(self, error: NotSent | RateLimited | SlotsFull | CoolingDown) -> None:
        """Wait as long as the reason asks for.

        Raises:
            Unreachable: five requests did not reach the API.
            StillLimited: see `_refused`.
        """
        match error:
            case NotSent():
                await self._not_sent(error)
            case RateLimited():
                await self._refused(error)
            case CoolingDown():
                await self._cooling(error.until)
            case SlotsFull():
                await self._slots_full()

    async def _not_sent(self, error: NotSent) -> None:
        session = self._session
        self._unsent += 1
        if self._unsent == TRIES_NOT_SENT:
            stop = Unreachable(
                error.message, fix="check OPENAI_BASE_URL and the network, then run again"
            )
            session.stop(stop)
            raise stop from error
        await session.clock.sleep(2.0**self._unsent * session.pace)

    async def _slots_full(self) -> None:
        """Show once which jobs are waited for, and free the slots of those that have ended."""
        session = self._session
        holders = await session.slots.look(session)
        words = slots.words(holders, session.settings.max_in_flight)
        kind = words.partition(" ")[2][:8]
        if kind != self._holders:
            session.on_progress(Progress(self._intent.scene, self._number, Stage.WAITING, words))
        self._holders = kind
        await session.clock.sleep(SLOT_PAUSE_S * session.pace)

    async def _refused(self, error: RateLimited) -> None:
        """Show the API's own words, and let the account cool down.

        Raises:
            StillLimited: it has said so for minutes, while none of our jobs was running.
        """
        session = self._session
        scale = session.pace
        wish = error.retry_after_s
        wait = max(wish, SLOT_PAUSE_S * scale) if wish is not None else COOL_DOWN_S * scale
        holding = await session.write(session.ledger.in_flight, session.account)
        if any(take.state is State.IN_FLIGHT for take in holding):
            self._since = None
        elif self._since is None:
            self._since = session.clock.monotonic()
        elif session.clock.monotonic() - self._since > LIMITED_S * scale:
            stop = StillLimited(
                f"the API has answered for {LIMITED_S * scale:.0f} s that there are too "
                "many requests, while no job of yours "
                f"was running: {error.message}",
                fix="look at the account's quota and its plan, and whether others use this "
                "key; then run again",
            )
            session.stop(stop)
            raise stop from error
        asks = (
            f"the API asks to wait {_seconds(wait)}" if wish else f"asked again in {_seconds(wait)}"
        )
        self._show(f"{asks}; it says: {error.message}", error.message)
        until = session.clock.now() + wait * session.clock.rng.uniform(1.0, 1.25)
        await session.write(session.ledger.cool_down, session.account, until)

    async def _cooling(self, until: float) -> None:
        """Wait for a part of the account's cool-down, whoever's request began it."""
        pause = max(0.01, until - self._session.clock.now())
        if not self._shown:
            self._show(
                f"the account waits {_seconds(pause)}: the API had too many requests", "the account"
            )
        await self._session.clock.sleep(min(pause, 5.0))

    def _show(self, words: str, kind: str) -> None:
        if kind != self._shown:
            self._shown = kind
            self._session.on_progress(
                Progress(self._intent.scene, self._number, Stage.WAITING, words)
            )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"


async def _attempt(
    session: Session, planned: ScenePlan, ready: Ready, intent: Intent, number: int
) -> Take:
    """Reserve, POST once, and write the answer down; never left half done by a cancellation.

    Returns the row: in flight, ambiguous, refused (released) or moderated (failed). Raises what the
    caller may try again after it was written down as not accepted.
    """
    session.check()
    take = await session.write(
        session.ledger.reserve,
        intent,
        slots=session.settings.max_in_flight,
        budget=session.money.budget,
        currency=session.money.currency,
        caps=session.money.caps,
        stop_mark=session.stop_mark,
    )
    if session.stopped:  # meanwhile; nothing was sent
        await session.write(
            session.ledger.released, take.id, ErrorKind.TRANSIENT, None, session.stopped.message
        )
        session.check()
    session.on_progress(Progress(planned.scene.id, number, Stage.SUBMITTING))
    try:
        job = await _post(session, planned, ready)
    except AnswerLost as error:
        return await session.write(session.ledger.lost, take.id, error.with_fix)
    except Moderated as error:
        return await session.write(
            session.ledger.failed, take.id, ErrorKind.MODERATION, error.code, error.with_fix
        )
    except RequestRefused as error:
        return await session.write(
            session.ledger.released, take.id, ErrorKind.INVALID, error.code, error.with_fix
        )
    except ApiError as error:
        await session.write(
            session.ledger.released,
            take.id,
            _KINDS.get(type(error), ErrorKind.TRANSIENT),
            error.code,
            error.with_fix,
        )
        raise
    noted = await _note(session, take, job)
    _warn_of_echo(session, planned, take, job)
    return noted


def _warn_of_echo(session: Session, planned: ScenePlan, take: Take, job: Job) -> None:
    """Show at once, and once a model, where the answer names another length or size than was asked
    for.
    """
    found = comparison.echoed(planned.scene, job.seconds, job.size)
    if found and session.first_look.needs_warning(planned.scene.model):
        words = (
            f"warning: the answer for {planned.scene.model} differs from the request: "
            f"{'; '.join(found)}"
        )
        session.on_progress(Progress(take.scene, take.take, Stage.GENERATING, words))


async def _note(session: Session, take: Take, job: Job) -> Take:
    """Write the job's id down: the one fact that cannot be had again. Tried for a minute, then
    said.

    Raises:
        WorkspaceError: it cannot be written; the message has the id, and how to adopt it.
    """
    name = f"scene `{take.scene}` take {take.take}"
    adopt = (
        f"storyreel resolve {session.storyboard.path} {take.scene} --take {take.take} --adopt "
        f"{job.id}"
    )
    for pause in (*NOTE_PAUSES_S, None):
        try:
            return await session.write(session.ledger.submitted, take.id, job.id)
        except Exception as error:  # whatever it is: what was paid for must not be lost with it
            words = (
                f"job {job.id} of {name} was made, and cannot be written into the ledger: {error}"
            )
            session.on_progress(Progress(take.scene, take.take, Stage.SUBMITTING, words))
            logging.getLogger(__name__).error("%s", words)
            if pause is None:
                raise WorkspaceError(
                    words, fix=f"make the ledger writable, then: {adopt}"
                ) from error
        await session.clock.sleep(pause or 0.0)
    raise AssertionError("not reached")


_KINDS: dict[type[ApiError], ErrorKind] = {
    RateLimited: ErrorKind.RATE,
    OutOfCredit: ErrorKind.QUOTA,
    KeyRefused: ErrorKind.AUTH,
    EndpointRefused: ErrorKind.AUTH,
}


def _may_resubmit(session: Session, take: Take) -> bool:
    """Under `on_ambiguous: resubmit` exactly one more request may follow a lost answer."""
    return (
        session.storyboard.policy.on_ambiguous == "resubmit"
        and take.submissions == 1
        and not session.stopped
    )


async def resubmit(session: Session, planned: ScenePlan, ready: Ready, take: Take) -> Take:
    """Send a held take once more, whatever became of the first request. The possible double charge
    is counted.

    Raises:
        Stopped: the budget does not cover it.
    """
    return await session.uninterrupted(_again(session, planned, ready, take))


async def _again(session: Session, planned: ScenePlan, ready: Ready, take: Take) -> Take:
    intent = _intent(session, planned, ready)
    try:
        await session.write(
            session.ledger.resubmitted,
            take.id,
            intent,
            budget=session.money.budget,
            currency=session.money.currency,
            caps=session.money.caps,
        )
    except BudgetReached as error:
        session.stop(error)
        raise
    try:
        job = await _post(session, planned, ready)
    except AnswerLost as error:
        return await session.write(session.ledger.lost, take.id, error.with_fix)
    except ApiError as error:
        return await session.write(session.ledger.resubmission_refused, take.id, error.with_fix)
    noted = await _note(session, take, job)
    _warn_of_echo(session, planned, take, job)
    return noted


async def _post(session: Session, planned: ScenePlan, ready: Ready) -> Job:
    body = planned.request.body(ready.sent)
    if planned.scene.remix:
        return await session.client.remix(ready.remix_of or "", body)
    return await session.client.create(body)


def _intent(session: Session, planned: ScenePlan, ready: Ready) -> Intent:
    scene = planned.scene
    return Intent(
        storyboard=session.storyboard.id,
        scene=scene.id,
        key=planned.key,
        account=session.account,
        run_id=session.run_id,
        request=planned.request.shown(),
        inputs=ready.record,
        price=planned.price.high if planned.price else None,
        currency=planned.price.currency if planned.price else None,
        wanted=len(planned.takes),
        model=scene.model,
        seconds=scene.seconds,
        endpoint=session.endpoint,
    )
