"""Waits for a job: asks the API until its status is final."""

from __future__ import annotations

from dataclasses import dataclass

from storyreel.api.answers import Job, JobStatus
from storyreel.api.polling import Expected, next_delay
from storyreel.api.refusals import failure_class
from storyreel.api.verdict import Doubt, pace
from storyreel.errors import (
    ApiError,
    DeadlinePassed,
    KeyRefused,
    MadeElsewhere,
    NotFound,
    RateLimited,
    Stage,
)
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.run.session import Progress, Session

NO_URL_TIMES = 4
FRESH_S = 5.0  # a wait that begins so soon after its job was sent has seen all of it
UNPLANNED_S = 5.0  # a pause beyond what was planned, from which nothing is learned
LAST_CHANCE_S = 60.0  # a job that is past its deadline already is still asked about for so long


async def wait(session: Session, scene: Scene, take: Take) -> tuple[Take, str | None]:
    """Ask about the take's job until it is final; return its row and the result URL.

    The row is completed, failed, or, where the API says for minutes that it does not know the job,
    held with its id.

    Raises:
        MadeElsewhere: the job is another endpoint's; nothing was asked.
        DeadlinePassed: see there; nothing is lost.
        KeyRefused: the run is stopped; the job stays in flight in the ledger.
    """
    check_home(session, take)
    model = session.catalog.models[scene.model]
    low, high = (wait * session.settings.time_scale for wait in model.wait(scene.seconds))
    seen = await session.write(
        session.ledger.durations, session.account, scene.model, scene.seconds
    )
    expected = Expected.of(low, high, seen)
    watch = _Watch.begun(session, take, model.deadline_s * max(session.settings.time_scale, 0.02))
    doubt = Doubt(session.clock, session.settings.time_scale)
    no_url = polls = 0
    try:
        while True:
            if polls or no_url or watch.elapsed(session) < expected.waits_s[0]:
                await watch.sleep(session, next_delay(watch.elapsed(session), expected))
            polls += 1
            job = await _ask(session, scene, take, watch)
            if isinstance(job, NotFound):
                watch.heard(job)
                if doubt.heard():
                    row, polls = await set_apart(session, take, job, polls), 0
                    return row, None
                continue
            if job is None:
                watch.check_deadline(session)
                continue
            doubt.clear()
            watch.noted(session, scene, take, job)
            is_unlinked = (
                job.status is JobStatus.COMPLETED and job.url is None and not job.by_content
            )
            if is_unlinked and no_url < NO_URL_TIMES:
                no_url += 1
                continue
            if job.status.is_final:
                watched = None if no_url else watch.seen_done(session)
                row, polls = await conclude(session, take, job, polls, watched_s=watched), 0
                return row, job.url
            watch.check_deadline(session)
    finally:
        if polls:
            await session.write(session.ledger.polled, take.id, polls)


def check_home(session: Session, take: Take) -> None:
    """Raises `MadeElsewhere` where the take's job was made at another endpoint.

    A different key at the same one is fine.
    """
    home = getattr(take, "endpoint", None)
    if home and home.rstrip("/") != session.endpoint.rstrip("/"):
        raise MadeElsewhere(
            f"job {take.job_id} was made at {home}; {session.endpoint} is not asked about it",
            fix=f"set OPENAI_BASE_URL to {home} and run again",
        )


async def _ask(session: Session, scene: Scene, take: Take, watch: _Watch) -> Job | NotFound | None:
    """One question: the job, the API's word that it does not know it, or None where the answer says
    nothing.
    """
    try:
        return await session.client.retrieve(take.job)
    except NotFound as error:
        return error
    except KeyRefused as error:
        session.stop(error)
        raise
    except RateLimited as error:
        watch.heard(error)
        await session.sleep(min(error.retry_after_s or 5.0, 60.0))
    except ApiError as error:
        watch.heard(error)
        session.tell(
            Progress(scene.id, take.take, Stage.GENERATING, f"asking again: {error.message}")
        )
    return None


@dataclass(slots=True)
class _Watch:
    """The clock of one wait: since when, until when, what the API said last, and whether all of it
    was seen.

    How long a job took is learned only from a wait that saw all of it, on our own clock: neither a
    server's clock that is an hour off nor a night's pause teaches anything.
    """

    began: float
    ends: float
    deadline_s: float
    is_whole: bool
    due: float
    last: str = ""
    new_word: str = ""

    @classmethod
    def begun(cls, session: Session, take: Take, deadline_s: float) -> _Watch:
        sent_ago = session.now() - (take.submitted_at or session.now())
        clock = session.clock()
        began = clock - max(0.0, sent_ago)
        ends = max(began + deadline_s, clock + LAST_CHANCE_S * pace(session.settings.time_scale))
        return cls(began, ends, deadline_s, 0 <= sent_ago <= FRESH_S, clock)

    def elapsed(self, session: Session) -> float:
        return session.clock() - self.began

    async def sleep(self, session: Session, seconds: float) -> None:
        self.due = session.clock() + seconds
        await session.sleep(seconds)

    def heard(self, error: ApiError) -> None:
        """Remember what the API said instead of answering; how long the job takes is not seen
        meanwhile.
        """
        self.last = error.message
        self.is_whole = False

    def noted(self, session: Session, scene: Scene, take: Take, job: Job) -> None:
        """Remember, and show, what the API says of the job; a word that is new to us is shown as
        such, once.
        """
        self.last = job.word or "a job without a status"
        self.is_whole = self.is_whole and session.clock() <= self.due + UNPLANNED_S
        if job.is_new_word and job.word != self.new_word and not job.status.is_final:
            self.new_word = job.word
            words = (
                f"the API says `{job.word}`, a word that Storyreel does not know: taken for running"
            )
            session.tell(Progress(scene.id, take.take, Stage.GENERATING, words))
            return
        session.tell(Progress(scene.id, take.take, Stage.GENERATING, _detail(job)))

    def seen_done(self, session: Session) -> float | None:
        """How long the job took from sent to seen done, in seconds; None where not all of it was
        seen.
        """
        return self.elapsed(session) if self.is_whole else None

    def check_deadline(self, session: Session) -> None:
        if session.clock() > self.ends:
            last = f"; the API's last answer: {self.last}" if self.last else ""
            raise DeadlinePassed(
                f"not finished after {_long(self.deadline_s)}{last}; the job stays adopted",
                fix="run again later: it is asked about again, and not paid for again",
            )


def _long(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"


async def conclude(
    session: Session, take: Take, job: Job, polls: int, watched_s: float | None = None
) -> Take:
    """Write down that a job is over; returns the row, completed or failed."""
    if job.status is JobStatus.COMPLETED:
        return await session.write(
            session.ledger.finished,
            take.id,
            completed_at=_plausible(session, take, job.completed_at),
            expires_at=job.expires_at,
            polls=polls,
            watched_s=watched_s,
        )
    message = job.error_message or f"the API ended the job as {job.word}"
    kind = failure_class(job.error_code, job.error_message)
    return await session.write(
        session.ledger.failed, take.id, kind, job.error_code, message, polls=polls
    )


async def set_apart(session: Session, take: Take, error: NotFound, polls: int) -> Take:
    """Write down that the API does not know a job any more: held, counted as paid, made again by a
    person's word only.
    """
    message = (
        f"the API has said for minutes that it does not know job {take.job_id}: {error.message} "
        "(Fix: `storyreel rescue` asks about it again; `storyreel resolve` gives it up, "
        "or adopts another job)"
    )
    return await session.write(session.ledger.unknown, take.id, error.code, message, polls=polls)


def _plausible(session: Session, take: Take, completed_at: float | None) -> float | None:
    """The API's time of completion, if our own clock does not speak against it."""
    if completed_at is None or not (take.submitted_at or 0.0) <= completed_at <= session.now():
        return None
    return completed_at


def _detail(job: Job) -> str:
    return (
        f"{job.word} {job.progress:.0f} %" if job.progress and 0 < job.progress <= 100 else job.word
    )
