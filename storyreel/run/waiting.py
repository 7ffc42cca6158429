"""Poll a job until its status is final, and record how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from storyreel.api.answers import Job, JobStatus
from storyreel.api.polling import Expected, next_delay
from storyreel.api.refusals import failure_class
from storyreel.api.verdict import Doubt
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
from storyreel.run.session import Clock, Progress, Session

UNLINKED_TIMES = 4  # so many more polls for the link of a completed job that has none
FRESH_S = 5.0  # a wait that begins at most so long after the submission sees all of the job
UNPLANNED_S = 5.0  # a pause that is longer than planned by this teaches nothing
LAST_CHANCE_S = 60.0  # poll for so long even if the deadline has passed already

Ended = tuple[Take, str | None]  # the take as the ledger has it, and the clip's URL


async def wait(session: Session, scene: Scene, take: Take) -> Ended:
    """Poll the take's job until it is final. Return the recorded take and the clip's URL.

    The take is then completed or failed. It is held with its job id where the API has answered for
    minutes that it does not know the job.

    Raises:
        MadeElsewhere: the job belongs to another endpoint; nothing was sent.
        DeadlinePassed: the job is not final in time; it stays in the ledger, and nothing is lost.
        KeyRefused: the run is stopped; the job stays in flight in the ledger.
    """
    check_home(session, take)
    rule = session.catalog.models[scene.model]
    scale = session.settings.time_scale
    low, high = (seconds * scale for seconds in rule.wait(scene.seconds))
    durations = await session.write(
        session.ledger.durations, session.account, scene.model, scene.seconds
    )
    watch = _Watch.begun(session, take, rule.deadline_s * max(scale, 0.02))
    return await _Poller(session, take, Expected.of(low, high, durations), watch).run()


def check_home(session: Session, take: Take) -> None:
    """Raise `MadeElsewhere` if the take's job was made at another endpoint.

    A different key at the same endpoint is fine.
    """
    home = take.endpoint
    if home and home.rstrip("/") != session.endpoint.rstrip("/"):
        raise MadeElsewhere(
            f"job {take.job_id} was made at {home}; {session.endpoint} is not asked about it",
            fix=f"set OPENAI_BASE_URL to {home} and run again",
        )


class _Poller:
    """Poll one take's job."""

    def __init__(self, session: Session, take: Take, expected: Expected, watch: _Watch) -> None:
        self._session = session
        self._take = take
        self._expected = expected
        self._watch = watch
        self._doubt = Doubt(session.clock.monotonic, session.settings.time_scale)
        self._polls = 0  # that are not in the ledger yet
        self._unlinked = 0  # answers that said completed and had no link
        self._new_word = ""  # the unknown status that was shown last

    async def run(self) -> Ended:
        """Poll until the job has ended; record the number of polls in any case."""
        try:
            while True:
                if ended := await self._poll():
                    return ended
        finally:
            if self._polls:
                await self._session.write(self._session.ledger.polled, self._take.id, self._polls)

    async def _poll(self) -> Ended | None:
        """Pause, poll once, and return how the job ended, None if it has not."""
        elapsed = self._watch.elapsed_s()
        if self._polls or elapsed < self._expected.waits_s[0]:
            await self._watch.sleep(next_delay(elapsed, self._expected))
        self._polls += 1
        answer = await self._retrieve()
        if isinstance(answer, NotFound):
            return await self._not_found(answer)
        if answer is None:
            self._watch.check_deadline()
            return None
        return await self._judge(answer)

    async def _retrieve(self) -> Job | NotFound | None:
        """Return the job, the API's answer that it does not know it, or None after an error."""
        session = self._session
        try:
            return await session.client.retrieve(self._take.job)
        except NotFound as error:
            return error
        except KeyRefused as error:
            session.stop(error)
            raise
        except RateLimited as error:
            self._watch.missed(error)
            await session.clock.sleep(min(error.retry_after_s or 5.0, 60.0))
        except ApiError as error:
            self._watch.missed(error)
            self._show(f"asking again: {error.message}")
        return None

    async def _not_found(self, error: NotFound) -> Ended | None:
        """Hold the take once the API has denied its job for minutes."""
        self._watch.missed(error)
        if not self._doubt.heard():
            return None
        take = await set_apart(self._session, self._take, error, self._polls)
        self._polls = 0
        return take, None

    async def _judge(self, job: Job) -> Ended | None:
        """Record the job if it is final; poll a completed job again while it has no link."""
        self._doubt.clear()
        self._watch.answered(job)
        self._show(self._words(job))
        is_unlinked = job.status is JobStatus.COMPLETED and job.url is None and not job.by_content
        if is_unlinked and self._unlinked < UNLINKED_TIMES:
            self._unlinked += 1
            return None
        if not job.status.is_final:
            self._watch.check_deadline()
            return None
        watched_s = None if self._unlinked else self._watch.watched_s()
        take = await conclude(self._session, self._take, job, self._polls, watched_s=watched_s)
        self._polls = 0
        return take, job.url

    def _words(self, job: Job) -> str:
        """Describe the job; explain a status that Storyreel does not know, once."""
        if job.is_new_word and job.word != self._new_word and not job.status.is_final:
            self._new_word = job.word
            return (
                f"the API says `{job.word}`, a word that Storyreel does not know: "
                "the job counts as running"
            )
        has_progress = job.progress and 0 < job.progress <= 100
        return f"{job.word} {job.progress:.0f} %" if has_progress else job.word

    def _show(self, words: str) -> None:
        take = self._take
        self._session.on_progress(Progress(take.scene, take.take, Stage.GENERATING, words))


@dataclass(slots=True)
class _Watch:
    """Measure one wait, and end it at its deadline.

    `is_whole` says whether the wait saw all of the job, on our own monotonic clock. Only then its
    duration is learned: a server's clock may be an hour off, and a laptop may sleep all night.
    """

    clock: Clock
    began: float
    ends: float
    deadline_s: float
    is_whole: bool
    due: float
    last_answer: str = ""

    @classmethod
    def begun(cls, session: Session, take: Take, deadline_s: float) -> _Watch:
        """Start now, and count from the moment when the job was submitted."""
        sent_ago = session.clock.now() - (take.submitted_at or session.clock.now())
        now = session.clock.monotonic()
        began = now - max(0.0, sent_ago)
        ends = max(began + deadline_s, now + LAST_CHANCE_S * session.pace)
        return cls(session.clock, began, ends, deadline_s, 0 <= sent_ago <= FRESH_S, now)

    def elapsed_s(self) -> float:
        """Return the time since the submission."""
        return self.clock.monotonic() - self.began

    async def sleep(self, seconds: float) -> None:
        """Pause, and note when the pause should end."""
        self.due = self.clock.monotonic() + seconds
        await self.clock.sleep(seconds)

    def missed(self, error: ApiError) -> None:
        """Note an error in place of an answer: part of the job was not seen."""
        self.last_answer = error.message
        self.is_whole = False

    def answered(self, job: Job) -> None:
        """Note an answer; one that comes far too late leaves a gap."""
        self.last_answer = job.word or "a job without a status"
        self.is_whole = self.is_whole and self.clock.monotonic() <= self.due + UNPLANNED_S

    def watched_s(self) -> float | None:
        """Return how long the job took, None if not all of it was seen."""
        return self.elapsed_s() if self.is_whole else None

    def check_deadline(self) -> None:
        """Raise `DeadlinePassed` if the time is up."""
        if self.clock.monotonic() > self.ends:
            last = f"; the API's last answer: {self.last_answer}" if self.last_answer else ""
            raise DeadlinePassed(
                f"not finished after {_long(self.deadline_s)}{last}; the job stays adopted",
                fix="run again later: the run polls the job again, and does not pay for it again",
            )


def _long(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"


async def conclude(
    session: Session, take: Take, job: Job, polls: int, watched_s: float | None = None
) -> Take:
    """Record a job that has ended. Return the take, completed or failed."""
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
    """Hold a take whose job the API does not know any more.

    It counts as paid. Only a person may have it made again.
    """
    message = (
        f"the API has said for minutes that it does not know job {take.job_id}: {error.message} "
        "(Fix: `storyreel rescue` asks about it again; `storyreel resolve` gives it up, "
        "or adopts another job)"
    )
    return await session.write(session.ledger.unknown, take.id, error.code, message, polls=polls)


def _plausible(session: Session, take: Take, completed_at: float | None) -> float | None:
    """Return the API's time of completion, None if it contradicts our own clock."""
    if completed_at is None:
        return None
    is_plausible = (take.submitted_at or 0.0) <= completed_at <= session.clock.now()
    return completed_at if is_plausible else None
