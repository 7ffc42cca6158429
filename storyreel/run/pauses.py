"""Pause between the attempts to submit one take: no answer, rate limits, no free slot."""

from __future__ import annotations

from storyreel.errors import NotSent, RateLimited, Stage, StillLimited, Unreachable
from storyreel.ledger.gate import CoolingDown, SlotsFull
from storyreel.ledger.rows import Intent, State
from storyreel.run import slots
from storyreel.run.session import Progress, Session

TRIES_NOT_SENT = 5
SLOT_PAUSE_S = 1.0
COOL_DOWN_S = 15.0
LIMITED_S = 900.0  # stop after so long of "too many requests" while no job of ours is running


class Pauses:
    """Pause between the attempts of one take, and show why. Give up where no pause helps."""

    def __init__(self, session: Session, intent: Intent, number: int) -> None:
        self._session = session
        self._intent = intent
        self._number = number
        self._since: float | None = None
        self._shown = ""  # the kind of limit that was shown last
        self._holders = ""  # the kind of slot holders that was shown last
        self._unsent = 0

    async def before_next(self, error: NotSent | RateLimited | SlotsFull | CoolingDown) -> None:
        """Wait as long as the error requires.

        Raises:
            Unreachable: five requests did not reach the API.
            StillLimited: the API has limited us for minutes, while none of our jobs was running.
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
        """Show once which jobs hold the slots, and free the slots of jobs that have ended."""
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
            StillLimited: the API has limited us for minutes, while none of our jobs was running.
        """
        session = self._session
        retry_after_s = error.retry_after_s
        wait_s = COOL_DOWN_S * session.pace
        if retry_after_s is not None:
            wait_s = max(retry_after_s, SLOT_PAUSE_S * session.pace)
        await self._check_limited(error)
        waits = (
            f"the API asks to wait {_seconds(wait_s)}"
            if retry_after_s
            else f"next attempt in {_seconds(wait_s)}"
        )
        self._show(f"{waits}; it says: {error.message}", error.message)
        until = session.clock.now() + wait_s * session.clock.rng.uniform(1.0, 1.25)
        await session.write(session.ledger.cool_down, session.account, until)

    async def _check_limited(self, error: RateLimited) -> None:
        """Stop the run after 15 minutes of limits during which no job of ours was running."""
        session, limit_s = self._session, LIMITED_S * self._session.pace
        holding = await session.write(session.ledger.in_flight, session.account)
        if any(take.state is State.IN_FLIGHT for take in holding):
            self._since = None
        elif self._since is None:
            self._since = session.clock.monotonic()
        elif session.clock.monotonic() - self._since > limit_s:
            stop = StillLimited(
                f"the API has answered for {limit_s:.0f} s that there are too "
                "many requests, while no job of yours "
                f"was running: {error.message}",
                fix="look at the account's quota and its plan, and whether others use this "
                "key; then run again",
            )
            session.stop(stop)
            raise stop from error

    async def _cooling(self, until: float) -> None:
        """Wait for at most 5 s of the account's cool-down. Any take or run may have begun it."""
        pause = max(0.01, until - self._session.clock.now())
        if not self._shown:
            self._show(
                f"the account waits {_seconds(pause)}: the API limits its requests",
                "the account",
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
