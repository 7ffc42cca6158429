"""Gets a finished clip's bytes: by which link, and for how long to ask again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from storyreel.api import links
from storyreel.api.answers import Job, JobStatus
from storyreel.api.part import Fetched
from storyreel.errors import ApiError, DownloadError, LinkExpired, NoLink, NotFound
from storyreel.ledger.rows import Take
from storyreel.run.session import Session
from storyreel.run.waiting import check_home

# Some servers say `completed` seconds before the bytes can be had, and CDNs fail for a minute
# (gateways.md 1.10).
PAUSES_S = (2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 61.0)


async def fetch(
    session: Session, take: Take, url: str | None, part: Path, pauses_s: Sequence[float] = PAUSES_S
) -> Fetched:
    """Download a completed take's clip into `part`; each time that fails, the job is asked for a
    fresh link.

    Raises:
        MadeElsewhere: the job is another endpoint's.
        LinkExpired: the links that the API gives are dead, for as long as `pauses_s` together.
        NoLink: its answer has no link, or several.
        DownloadError: the bytes did not arrive, for as long.
    """
    check_home(session, take)
    error: DownloadError | None = None
    finals = 0
    for pause in (0.0, *pauses_s):
        if pause:
            await session.clock.sleep(pause * session.pace)
        job = None
        try:
            if url is None:
                job = await _asked(session, take)
            return await session.client.download(url or _link(session, take, job), part)
        except DownloadError as caught:
            error = _explained(session, job, caught)
            finals += caught.is_final
            if finals > 1:  # of a fresh link, too
                break
        url = None
    assert error is not None
    raise error


async def _asked(session: Session, take: Take) -> Job:
    """The job as it is now. Raises `DownloadError` where it cannot be had, or is not completed."""
    try:
        job = await session.client.retrieve(take.job)
    except NotFound as error:
        raise LinkExpired(f"the API does not know job {take.job_id}: {error.message}") from error
    except ApiError as error:
        raise DownloadError(
            f"the job could not be asked for a fresh link: {error.message}", fix=error.fix
        ) from error
    if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise DownloadError(
            f"the API now says that the job is {job.word}: "
            f"{job.error_message or 'no reason is given'}"
        )
    return job


def _link(session: Session, take: Take, job: Job | None) -> str:
    """The job's link; a server of OpenAI's own shape has none and hands the bytes out itself."""
    if job is not None and job.candidates:
        shown = ", ".join(links.unsigned(url) for url in job.candidates[:5])
        raise NoLink(
            f"the API's answer has {len(job.candidates)} links that may be the clip, and "
            f"none that surely is: {shown}",
            fix="tell us of this server: its answer is not one that Storyreel can read",
        )
    return (job.url if job else None) or session.client.content_url(take.job)


def _explained(session: Session, job: Job | None, error: DownloadError) -> DownloadError:
    """A failure of `/content` is said to be what it is: the job's answer had no link at all."""
    if job is None or job.url or isinstance(error, NoLink):
        return error
    if job.by_content and not isinstance(error, LinkExpired):
        return error
    return NoLink(
        f"the API says `{job.word}`, but its answer has no link to a clip; it has "
        f"{', '.join(job.keys) or 'nothing'}; "
        f"asked at {links.host(session.client.base_url)} itself: "
        f"{error.message.removesuffix(': the link is dead')}",
        fix="run again later; the job is paid for, and is asked about again for nothing",
    )
