"""Submit a take: reserve it in the ledger, POST once, record the job's id."""

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
    Stopped,
    WorkspaceError,
)
from storyreel.ledger.gate import AlreadyPaid, CoolingDown, SlotsFull
from storyreel.ledger.rows import Intent, State, Take
from storyreel.plan.make import ScenePlan
from storyreel.run import comparison
from storyreel.run.inputs import Ready
from storyreel.run.pauses import Pauses
from storyreel.run.session import Progress, Session

# Between attempts to record a job's id.
RECORD_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

_KINDS: dict[type[ApiError], ErrorKind] = {
    RateLimited: ErrorKind.RATE,
    OutOfCredit: ErrorKind.QUOTA,
    KeyRefused: ErrorKind.AUTH,
    EndpointRefused: ErrorKind.AUTH,
}


async def submit(
    session: Session, scene_plan: ScenePlan, number: int, ready: Ready, replaces: int | None = None
) -> Take | None:
    """Pay for one take of the scene. Return it: in flight, ambiguous, released or failed.

    Return None if another run has paid for it meanwhile. `number` is the take's number to show.
    `replaces` is the ledger id of the take that is used until this one's clip is on disk.

    Raises:
        Stopped: the run was stopped, before or by this request; the request paid for nothing.
    """
    intent = replace(_intent(session, scene_plan, ready), replaces=replaces)
    pauses = Pauses(session, intent, number)
    while True:
        if differs := await session.first_look.wait(scene_plan.scene.model):
            session.stop(differs)
        session.check()
        try:
            take = await session.uninterrupted(_attempt(session, scene_plan, ready, intent, number))
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
                return await resubmit(session, scene_plan, ready, take)
            return take


async def _attempt(
    session: Session, scene_plan: ScenePlan, ready: Ready, intent: Intent, number: int
) -> Take:
    """Reserve the take, POST once, and record the answer. A cancellation does not interrupt it.

    Return the take: in flight, ambiguous, released (refused) or failed (moderated).

    Raises:
        ApiError: the API did not accept the request, and the ledger says so. The caller may retry.
    """
    take = await _reserve(session, intent)
    session.on_progress(Progress(scene_plan.scene.id, number, Stage.SUBMITTING))
    try:
        job = await _post(session, scene_plan, ready)
    except ApiError as error:
        return await _record_refusal(session, take, error)
    recorded = await _record_job(session, take, job)
    _warn_of_echo(session, scene_plan, take, job)
    return recorded


async def _reserve(session: Session, intent: Intent) -> Take:
    """Reserve the take in the ledger. Release it if the run was stopped meanwhile.

    Raises:
        Stopped: the run was stopped; nothing was sent.
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
    if session.stopped:
        await session.write(
            session.ledger.released, take.id, ErrorKind.TRANSIENT, None, session.stopped.message
        )
        session.check()
    return take


async def _record_refusal(session: Session, take: Take, error: ApiError) -> Take:
    """Record a request that returned no job. Raise `error` again where the caller may retry."""
    ledger, words = session.ledger, error.with_fix
    match error:
        case AnswerLost():
            return await session.write(ledger.lost, take.id, words)
        case Moderated():
            return await session.write(
                ledger.failed, take.id, ErrorKind.MODERATION, error.code, words
            )
        case RequestRefused():
            return await session.write(
                ledger.released, take.id, ErrorKind.INVALID, error.code, words
            )
    kind = _KINDS.get(type(error), ErrorKind.TRANSIENT)
    await session.write(ledger.released, take.id, kind, error.code, words)
    raise error


def _warn_of_echo(session: Session, scene_plan: ScenePlan, take: Take, job: Job) -> None:
    """Show a warning, once a model, if the answer names another length or size than the request."""
    differences = comparison.echoed(scene_plan.scene, job.seconds, job.size)
    if differences and session.first_look.needs_warning(scene_plan.scene.model):
        words = (
            f"warning: the answer for {scene_plan.scene.model} differs from the request: "
            f"{'; '.join(differences)}"
        )
        session.on_progress(Progress(take.scene, take.take, Stage.GENERATING, words))


async def _record_job(session: Session, take: Take, job: Job) -> Take:
    """Record the job's id, the one fact that nothing can restore. Retry for a minute.

    Raises:
        WorkspaceError: the ledger cannot be written; the message has the id, and how to adopt it.
    """
    name = f"scene `{take.scene}` take {take.take}"
    adopt = (
        f"storyreel resolve {session.storyboard.path} {take.scene} --take {take.take} --adopt "
        f"{job.id}"
    )
    for pause in (*RECORD_PAUSES_S, None):
        try:
            return await session.write(session.ledger.submitted, take.id, job.id)
        except Exception as error:  # of any kind: a job that is paid for must not be lost
            words = f"job {job.id} of {name} exists, but the ledger cannot record it: {error}"
            session.on_progress(Progress(take.scene, take.take, Stage.SUBMITTING, words))
            logging.getLogger(__name__).error("%s", words)
            if pause is None:
                raise WorkspaceError(
                    words, fix=f"make the ledger writable, then: {adopt}"
                ) from error
        await session.clock.sleep(pause or 0.0)
    raise AssertionError("not reached")


def _may_resubmit(session: Session, take: Take) -> bool:
    """Return True if the policy allows one more request after a lost answer, and none was sent."""
    return (
        session.storyboard.policy.on_ambiguous == "resubmit"
        and take.submissions == 1
        and not session.stopped
    )


async def resubmit(session: Session, scene_plan: ScenePlan, ready: Ready, take: Take) -> Take:
    """Send a held take once more, though its first request may have made a job.

    Count the possible second charge.

    Raises:
        Stopped: the budget does not cover it.
    """
    return await session.uninterrupted(_send_again(session, scene_plan, ready, take))


async def _send_again(session: Session, scene_plan: ScenePlan, ready: Ready, take: Take) -> Take:
    """Check the budget, POST, and record the answer."""
    intent = _intent(session, scene_plan, ready)
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
        job = await _post(session, scene_plan, ready)
    except AnswerLost as error:
        return await session.write(session.ledger.lost, take.id, error.with_fix)
    except ApiError as error:
        return await session.write(session.ledger.resubmission_refused, take.id, error.with_fix)
    recorded = await _record_job(session, take, job)
    _warn_of_echo(session, scene_plan, take, job)
    return recorded


async def _post(session: Session, scene_plan: ScenePlan, ready: Ready) -> Job:
    body = scene_plan.request.body(ready.sent)
    if scene_plan.scene.remix:
        return await session.client.remix(ready.remix_of or "", body)
    return await session.client.create(body)


def _intent(session: Session, scene_plan: ScenePlan, ready: Ready) -> Intent:
    """Return what the ledger records before the request is sent."""
    scene = scene_plan.scene
    return Intent(
        storyboard=session.storyboard.id,
        scene=scene.id,
        key=scene_plan.key,
        account=session.account,
        run_id=session.run_id,
        request=scene_plan.request.shown(),
        inputs=ready.record,
        price=scene_plan.price.high if scene_plan.price else None,
        currency=scene_plan.price.currency if scene_plan.price else None,
        wanted=len(scene_plan.takes),
        model=scene.model,
        seconds=scene.seconds,
        endpoint=session.endpoint,
    )
