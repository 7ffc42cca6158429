"""Submits a take: through the ledger's gate, then one POST, then the job's id into the ledger."""

from __future__ import annotations

from typing import Any

from storyreel import wire
from storyreel.errors import (
    AnswerLost,
    ApiError,
    BudgetReached,
    KeyRefused,
    NotSent,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    ServerFault,
    Stopped,
    Unreachable,
)
from storyreel.inputs import Ready
from storyreel.ledger import AlreadyPaid, CoolingDown, SlotsFull
from storyreel.ledger_rows import Intent, State, Take
from storyreel.plan import ScenePlan
from storyreel.session import Progress, Session

TRIES_NOT_SENT = 5
TRIES_SERVER_FAULT = 3
SLOT_PAUSE_S = 1.0
COOL_DOWN_S = 15.0


async def submit(session: Session, planned: ScenePlan, number: int, ready: Ready) -> Take | None:
    """Pay for one take of `planned` and return its row: in flight, ambiguous, or refused (released, failed).

    `number` is for display. Returns None where another run has paid for it meanwhile.

    Raises:
        Stopped: the run was stopped, before or by this request; nothing was paid for by it.
    """
    intent = _intent(session, planned, ready)
    unsent = faults = 0
    told = ""
    while True:
        session.check()
        try:
            row = await session.uninterrupted(_attempt(session, planned, ready, intent, number))
        except AlreadyPaid:
            return None
        except NotSent as error:
            unsent += 1
            if unsent == TRIES_NOT_SENT:
                stop = Unreachable(error.message, fix="check OPENAI_BASE_URL and the network, then run again")
                session.stop(stop)
                raise stop from error
            await session.sleep(2.0**unsent * _scale(session))
        except RateLimited as error:
            wait = error.retry_after_s if error.retry_after_s is not None else COOL_DOWN_S * _scale(session)
            until = session.now() + wait * session.rng.uniform(1.0, 1.25)
            await session.write(session.ledger.cool_down, session.account, until)
        except ServerFault as error:
            faults += 1
            if faults == TRIES_SERVER_FAULT:
                return await session.write(session.ledger.find, intent)
            session.tell(Progress(intent.scene, number, "waiting", f"the API says {error.message}; tried again"))
            await session.sleep(3.0**faults * _scale(session))
        except SlotsFull:
            told = _wait(session, intent, number, told, f"{session.settings.max_in_flight} jobs are in flight")
            await session.sleep(SLOT_PAUSE_S * _scale(session))
        except CoolingDown as error:
            pause = max(0.01, error.until - session.now())
            told = _wait(session, intent, number, told, f"the API asks to wait {pause:.0f} s")
            await session.sleep(min(pause, 5.0))
        except (OutOfCredit, KeyRefused) as error:
            session.stop(error)
            await session.write(session.ledger.stop_account, session.account, error.message)
            raise
        except Stopped as error:
            session.stop(error)
            raise
        else:
            if row.state is State.AMBIGUOUS and _may_resubmit(session, row):
                return await resubmit(session, planned, ready, row)
            return row


async def _attempt(session: Session, planned: ScenePlan, ready: Ready, intent: Intent, number: int) -> Take:
    """Reserve, POST once, and write the answer down; never left half done by a cancellation.

    Returns the row: in flight, ambiguous, refused (released) or moderated (failed). Raises what the caller may try again
    after it was written down as not accepted.
    """
    session.check()
    take = await session.write(
        session.ledger.reserve,
        intent,
        slots=session.settings.max_in_flight,
        budget=session.budget,
        currency=session.currency,
        caps=session.caps,
        stop_mark=session.stop_mark,
    )
    if session.stopped:  # meanwhile; nothing was sent
        await session.write(session.ledger.released, take.id, "transient", None, session.stopped.message)
        session.check()
    session.tell(Progress(planned.scene.id, number, "submitting"))
    try:
        job = await _post(session, planned, ready)
    except AnswerLost as error:
        return await session.write(session.ledger.lost, take.id, error.message)
    except RequestRefused as error:
        kind = "moderation" if wire.failure_class(error.code, error.message) == "moderation" else "invalid"
        note = session.ledger.failed if kind == "moderation" else session.ledger.released
        return await session.write(note, take.id, kind, error.code, error.message)
    except ApiError as error:
        await session.write(
            session.ledger.released, take.id, _KINDS.get(type(error), "transient"), error.code, error.message
        )
        raise
    return await session.write(session.ledger.submitted, take.id, job.id)


_KINDS: dict[type[ApiError], str] = {RateLimited: "rate", OutOfCredit: "quota", KeyRefused: "auth"}


def _may_resubmit(session: Session, take: Take) -> bool:
    """Under `on_ambiguous: resubmit` exactly one more request may follow a lost answer."""
    return session.storyboard.policy.on_ambiguous == "resubmit" and take.submissions == 1 and not session.stopped


async def resubmit(session: Session, planned: ScenePlan, ready: Ready, take: Take) -> Take:
    """Send a held take once more, whatever became of the first request. The possible double charge is counted.

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
            budget=session.budget,
            currency=session.currency,
            caps=session.caps,
        )
    except BudgetReached as error:
        session.stop(error)
        raise
    try:
        job = await _post(session, planned, ready)
    except AnswerLost as error:
        return await session.write(session.ledger.lost, take.id, error.message)
    except ApiError as error:
        return await session.write(session.ledger.resubmission_refused, take.id, error.message)
    return await session.write(session.ledger.submitted, take.id, job.id)


def _wait(session: Session, intent: Intent, number: int, told: str, detail: str) -> str:
    """Tell once that a take waits, and for what; returns what was told."""
    kind = detail.partition(" ")[2][:8]
    if kind != told:
        session.tell(Progress(intent.scene, number, "waiting", detail))
    return kind


def _scale(session: Session) -> float:
    return max(0.02, min(1.0, session.settings.time_scale))


async def _post(session: Session, planned: ScenePlan, ready: Ready) -> wire.Job:
    scene = planned.scene
    if scene.remix:
        return await session.client.remix(ready.remix_of or "", wire.remix_body(scene.prompt))
    model = session.catalog.models[scene.model]
    return await session.client.create(wire.create_body(scene, model, ready.images, ready.video_url))


def _intent(session: Session, planned: ScenePlan, ready: Ready) -> Intent:
    scene = planned.scene
    return Intent(
        storyboard=session.storyboard.id,
        scene=scene.id,
        key=planned.key,
        account=session.account,
        run_id=session.run_id,
        request=describe(session, planned),
        inputs=ready.record,
        price=planned.price.high if planned.price else None,
        currency=planned.price.currency if planned.price else None,
        wanted=len(planned.takes),
        model=scene.model,
        seconds=scene.seconds,
    )


def describe(session: Session, planned: ScenePlan) -> dict[str, Any]:
    """The request as it may be shown and kept: pictures by where they are from, never by content or signed address."""
    scene = planned.scene
    if scene.remix:
        return wire.remix_body(scene.prompt)
    labels = {role: planned.inputs[role][0] for role, _ in scene.images}
    video = planned.inputs["reference_video"][0] if scene.video else None
    return wire.create_body(scene, session.catalog.models[scene.model], labels, video)
