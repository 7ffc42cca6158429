"""Waits for a job: asks the API until its status is final."""

from __future__ import annotations

from storyreel import wire
from storyreel.errors import AnswerLost, ApiError, KeyRefused, NotFound, NotSent, RateLimited, ServerFault
from storyreel.ledger_rows import Take
from storyreel.manifest.faults import counted
from storyreel.manifest.storyboard import Scene
from storyreel.polling import Expected, next_delay
from storyreel.session import Progress, Session
from storyreel.wire import JobStatus

UNKNOWN_TIMES = 6
NO_URL_TIMES = 4


class DeadlinePassed(Exception):
    """The job is still running after its deadline; it stays adopted, and a later run asks again."""


async def wait(session: Session, scene: Scene, take: Take) -> tuple[Take, str | None]:
    """Ask about the take's job until it is final; return its row (completed or failed) and the result URL.

    Raises:
        DeadlinePassed: see there; nothing is lost.
        KeyRefused: the run is stopped; the job stays in flight in the ledger.
    """
    model = session.catalog.models[scene.model]
    low, high = (wait * session.settings.time_scale for wait in model.wait(scene.seconds))
    seen = await session.write(session.ledger.durations, session.account, scene.model, scene.seconds)
    expected = Expected.of(low, high, seen)
    deadline = model.deadline_s * max(session.settings.time_scale, 0.02)
    began = session.clock() - max(0.0, session.now() - (take.submitted_at or session.now()))
    unknown = no_url = polls = 0
    first = True
    try:
        while True:
            elapsed = session.clock() - began
            if not first or elapsed < expected.waits_s[0]:
                await session.sleep(next_delay(elapsed, expected))
            first = False
            polls += 1
            try:
                job = await session.client.retrieve(take.job_id or "")
            except NotFound as error:
                unknown += 1
                if unknown >= UNKNOWN_TIMES:
                    message = f"the API does not know job {take.job_id}: {error.message}"
                    row = await session.write(
                        session.ledger.failed, take.id, "expired", error.code, message, polls=polls
                    )
                    polls = 0
                    return row, None
                continue
            except KeyRefused as error:
                session.stop(error)
                raise
            except RateLimited as error:
                await session.sleep(min(error.retry_after_s or 5.0, 60.0))
                _check_deadline(session.clock() - began, deadline)
                continue
            except (NotSent, AnswerLost, ServerFault, ApiError) as error:
                session.tell(Progress(scene.id, take.take, "generating", f"asking again: {error.message}"))
                _check_deadline(session.clock() - began, deadline)
                continue
            unknown = 0
            session.tell(Progress(scene.id, take.take, "generating", _detail(job)))
            is_unlinked = job.status is JobStatus.COMPLETED and job.url is None and not job.by_content
            if is_unlinked and no_url < NO_URL_TIMES:
                no_url += 1
                continue
            if job.status.is_final:
                row, polls = await conclude(session, take, job, polls), 0
                return row, job.url
            _check_deadline(session.clock() - began, deadline)
    finally:
        if polls:
            await session.write(session.ledger.polled, take.id, polls)


def _check_deadline(elapsed_s: float, deadline_s: float) -> None:
    if elapsed_s > deadline_s:
        raise DeadlinePassed(
            f"not finished after {counted(deadline_s / 60, 'minute')}; the job stays adopted, run again later"
        )


async def conclude(session: Session, take: Take, job: wire.Job, polls: int) -> Take:
    """Write down that a job is over; returns the row, completed or failed."""
    if job.status is JobStatus.COMPLETED:
        return await session.write(
            session.ledger.finished, take.id, completed_at=job.completed_at, expires_at=job.expires_at, polls=polls
        )
    message = job.error_message or f"the API ended the job as {job.word}"
    kind = wire.failure_class(job.error_code, job.error_message)
    return await session.write(session.ledger.failed, take.id, kind, job.error_code, message, polls=polls)


def _detail(job: wire.Job) -> str:
    return f"{job.word} {job.progress:.0f} %" if job.progress else job.word
