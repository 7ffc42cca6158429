"""Find the listed job whose answer was lost, on servers that list their jobs."""

from __future__ import annotations

from collections.abc import Iterable

from storyreel.api.answers import Job
from storyreel.api.bodies import clean
from storyreel.ledger.rows import Take

CLOCKS_APART_S = 120.0  # how far the server's clock may be from ours
LATEST_S = 900.0  # longer than any request may take


def matches(take: Take, jobs: Iterable[Job], known: Iterable[str]) -> list[Job]:
    """List the jobs that may be `take`'s, likeliest first: of the same time and request, and not in
    the ledger.

    `known` are the ids in the ledger. A field that a job lacks does not exclude it.
    """
    taken = set(known)
    likely = [job for job in jobs if job.id not in taken and _fits(take, job)]
    return sorted(likely, key=lambda job: abs((job.created_at or 0) - take.created_at))


def _fits(take: Take, job: Job) -> bool:
    sent = take.request
    if (
        job.created_at is None
        or not -CLOCKS_APART_S <= job.created_at - take.created_at <= LATEST_S
    ):
        return False
    said = (
        (job.prompt, sent.get("prompt")),
        (job.model, sent.get("model")),
        (job.seconds, sent.get("seconds")),
    )
    return all(theirs is None or ours is None or theirs == ours for theirs, ours in said)


def differences(take: Take, job: Job) -> list[str]:
    """Name each of prompt, model and length in which the job differs from the take: a sentence
    each.
    """
    pairs = (
        ("prompt", job.prompt, take.request.get("prompt")),
        ("model", job.model, take.request.get("model")),
        ("length", job.seconds, take.request.get("seconds")),
    )
    return [
        f"job {job.id} was made with another {name}: `{clean(theirs)}`, not `{clean(str(ours))}`"
        for name, theirs, ours in pairs
        if theirs is not None and ours is not None and theirs != str(ours)
    ]
