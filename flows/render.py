"""The flow `render-storyboard`: one coroutine a scene, all started at once, each waiting only for its own upstream."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from storyreel.api import webhook
from storyreel.api.client import AT_ONCE
from storyreel.errors import (
    BudgetReached,
    DeadlinePassed,
    DownloadError,
    ErrorKind,
    LinkExpired,
    MadeElsewhere,
    MediaError,
    Stage,
    Status,
    Stopped,
    StoryreelError,
    UsageError,
    WorkspaceError,
)
from storyreel.flows.server import announce, approval, interruption, refusal, turn
from storyreel.ledger.rows import Caps, Take
from storyreel.ledger.rows import State as TakeState
from storyreel.manifest.storyboard import Scene, SceneImage
from storyreel.plan import make as plan
from storyreel.plan.make import Action, Plan, ScenePlan, Snapshot, TakePlan
from storyreel.report.build import build
from storyreel.report.model import CutReport, RunReport
from storyreel.report.outcome import Outcome, as_it_is, held_elsewhere, outcome_of
from storyreel.report.writers import files
from storyreel.run import collection, elsewhere, finishing, opening, slots
from storyreel.run.session import Progress, Session
from storyreel.tasks.desk import Desk, current
from storyreel.tasks.film import cut_film
from storyreel.tasks.scene import collect_clip, submit_job, take_frames, wait_for_job

listener: ContextVar[Callable[[Progress], None]] = ContextVar("storyreel_listener", default=lambda progress: None)
finished: ContextVar[Callable[[RunReport, StoryreelError | None], None]] = ContextVar(
    "storyreel_finished", default=lambda report, stopped: None
)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A film among others: its batch's id, its own, and what they share. Of a film by itself there is nothing to say."""

    batch: str | None = None
    name: str | None = None
    ledger: Path | None = None
    simulator: str | None = None


one_of: ContextVar[OneOf] = ContextVar("storyreel_one_of", default=OneOf())  # noqa: B039  (it is frozen)

Result = dict[str, Any]


_started: Counter[str] = Counter()


def tasks_started() -> dict[str, int]:
    """How many task runs this process has started, by flow run."""
    return dict(_started)


def _run_name() -> str:
    context = FlowRunContext.get()
    parameters = (context.parameters if context else None) or {}
    name = Path(str(parameters.get("storyboard", "storyboard"))).stem
    return f"{name}{' rehearsal' if parameters.get('simulate') else ''} {time.strftime('%m-%d %H:%M')}"


@flow(name="render-storyboard", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
@refusal.in_a_sentence
async def render_storyboard(
    storyboard: Path,
    workspace: Path | None = None,
    simulate: bool = False,
    speed: float = 60.0,
    only: list[str] | None = None,
    start: str | None = None,
    variables: dict[str, str] | None = None,
    budget: Decimal | None = None,
    budget_per_run: Decimal | None = None,
    budget_per_day: Decimal | None = None,
    force: list[str] | None = None,
    accept_differences: bool = False,
    catalog: Path | None = None,
    agreed: str | None = None,
) -> State[Any]:
    """Render a storyboard: do what is left of it, cut the film, write the report.

    Args:
        storyboard: The YAML file, on the machine that runs this.
        workspace: The folder of results; default `runs/<id>`.
        simulate: Rehearse on the built-in simulator; nothing is spent.
        speed: How much faster than the real API the simulator is.
        only: Only these scenes, with what they are made from.
        start: Only this scene and all that is made from it.
        variables: Values for the storyboard's vars.
        budget: What may be spent over the workspace's life, instead of the storyboard's own budget.
        budget_per_run: What this run may spend (of a batch: all of its runs together).
        budget_per_day: What the storyboard may spend within 24 hours.
        force: Make these scenes again.
        accept_differences: Go on where the first clip of a model is not as long, or not of the shape, that was asked for.
        catalog: A model catalogue of your own.
        agreed: Names the plan whose price a person agreed to; another one is refused. Leave it empty.
    """
    row = one_of.get()
    request = opening.Request(
        storyboard=storyboard,
        workspace=workspace,
        simulate=simulate,
        speed=speed,
        only=tuple(only or ()),
        start=start,
        variables=variables or {},
        budget=budget,
        force=tuple(force or ()),
        accept_differences=accept_differences,
        catalog=catalog,
        caps=Caps(budget_per_run, budget_per_day, row.batch),
        name=row.name,
        ledger=row.ledger,
        simulator=row.simulator,
    )
    prepared = opening.prepare(request)
    if agreed is not None:  # before --force sets anything aside
        opening.check_agreed(agreed, opening.make_plan(prepared, opening.snapshot(prepared)))
    if approval.is_wanted(prepared.storyboard):
        approved = opening.make_plan(prepared, opening.snapshot(prepared))
        await approval.await_approval(approved)
        agreed = plan.agreement(approved)
    run_id = f"{row.batch}.{uuid.uuid4().hex[:12]}" if row.batch else uuid.uuid4().hex[:12]
    opened = partial(opening.open_session, prepared, run_id, listener.get())
    async with interruption.held(), turn.taken(opened) as session:
        taken, planned = opening.plan_to_run(prepared, session.ledger, run_id)
        opening.check_agreed(agreed, planned)
        opening.check_ready(prepared, planned)
        session.currency = opening.budget_currency(prepared, planned) or session.currency
        rendering = Rendering(session, planned, taken, simulated=simulate)
        async with announce.progress(planned, rendering.percent):
            told = await rendering.run()
        await announce.report_markdown(told, session.workspace)
        finished.get()(told, session.stopped)
    message = announce.summary(told)
    if isinstance(session.stopped, BudgetReached):
        announce.budget_event(session, session.stopped.message)
    await _tell_webhook(session, told)
    if told.status == "completed":
        return Completed(message=message)
    if session.stopped is not None:
        name = "Budget reached" if isinstance(session.stopped, BudgetReached) else "Stopped"
        return Failed(name=name, message=f"{session.stopped.message}; {message}")
    return Failed(message=message)


async def _tell_webhook(session: Session, told: RunReport) -> None:
    """How the run ended, to the address of STORYREEL_WEBHOOK_URL; a rehearsal is nobody's news."""
    if told.simulated:
        return
    troubles = [
        s.model_dump(mode="json", include={"id", "take", "status", "reason"})
        for s in told.scenes
        if s.status in (Status.FAILED, Status.HELD)
    ]
    kind = "storyreel.run.completed" if told.status == "completed" else "storyreel.run.failed"
    data = {"storyboard": told.storyboard, "run_id": told.run_id, "status": told.status, "stopped": told.stopped,
            "totals": told.totals.model_dump(mode="json"), "scenes": troubles}  # fmt: skip
    try:
        await webhook.send(session.settings, kind, data, told.run_id)
    except StoryreelError as error:
        get_run_logger().warning("%s", error.message)


class Rendering:
    """One execution of a plan."""

    def __init__(self, session: Session, planned: Plan, taken: Snapshot, *, simulated: bool) -> None:
        self.session = session
        self.plan = planned
        self.taken = taken
        self.simulated = simulated
        self.desk = Desk(session)
        self.done: dict[str, asyncio.Future[ScenePlan | None]] = {}
        self.results: dict[str, Result] = {}
        self.outcomes: list[Outcome] = []
        self.used: set[int] = set()
        self.stills: dict[int, dict[str, str]] = {}
        self.wanted_stills = _wanted_stills(planned)
        self.begun: dict[tuple[str, int], int] = {}
        self.turn = asyncio.Semaphore(session.settings.max_in_flight)
        # Few go through `submit` at once, and each to its end: what is sent is in the ledger as soon as it is answered.
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.film: CutReport | None = None
        self.film_error: str | None = None
        self.film_warning: str | None = None

    def percent(self) -> float:
        """How many of the scenes are over, 0 to 100."""
        return round(100 * sum(1 for one in self.done.values() if one.done()) / max(1, len(self.done)), 1)

    async def run(self) -> RunReport:
        """Render every scene, cut, report. What is in flight when the run is stopped is still collected."""
        started = self.session.now()
        token = current.set(self.desk)
        loop = asyncio.get_running_loop()
        self.done = {p.scene.id: loop.create_future() for p in self.plan.scenes}
        try:
            async with asyncio.TaskGroup() as group:
                for planned in self.plan.scenes:
                    group.create_task(self._scene(planned))
            if self.plan.storyboard.cut.enabled:
                await self._cut()
        finally:
            told = self._report(started)
            try:
                files.write_all(told, self.session.workspace)
            except OSError as error:
                self._disk_failed(error)
            current.reset(token)
        return told

    # ---- one scene

    async def _scene(self, planned: ScenePlan) -> None:
        result: ScenePlan | None = None
        try:
            result = await self._render(planned)
        except Exception as error:  # a scene's fault is that scene's: its siblings go on
            self._unexpected(planned, None, None, error)
        finally:
            if not self.done[planned.scene.id].done():
                self.done[planned.scene.id].set_result(result)

    async def _render(self, planned: ScenePlan) -> ScenePlan | None:
        """Render one scene; returns its plan as it came out, or None where nothing can be made from it."""
        scene = planned.scene
        if planned.action is Action.SKIP:
            return self._as_it_is(planned)
        above: dict[str, ScenePlan] = {}
        for name in scene.upstream:
            ready = await self.done[name]
            if ready is None or ready.kept is None:
                return await self._without(planned, name)
            above[name] = ready
            self.desk.used[name] = ready.kept
        result = await self._takes(self._planned_now(scene, above, forced=planned.forced))
        if result.used is None and scene.fallback_prompt and _is_moderated(result):
            self.taken = dataclasses.replace(
                self.taken, takes=tuple(self.session.ledger.takes(self.plan.storyboard.id))
            )
            result = await self._takes(self._planned_now(scene, above))
        return self._handed_on(result)

    def _handed_on(self, result: ScenePlan) -> ScenePlan | None:
        """What the scenes below get: the plan as it came out, None where there is no clip."""
        if result.kept:
            self.used.add(result.kept.id)
            return result
        if self.plan.storyboard.policy.on_failure == "stop":
            self.session.stop(Stopped(f"scene `{result.scene.id}` failed and the policy is on_failure: stop"))
        return None

    def _as_it_is(self, planned: ScenePlan) -> ScenePlan | None:
        """A scene that was not asked for: its clip is shown, and nothing is made."""
        for outcome in as_it_is(planned):
            self._tell(outcome)
        if planned.kept is None:
            return None
        self.used.add(planned.kept.id)
        self.stills[planned.kept.id] = finishing.stills_of(planned.kept, self.session.workspace)
        return planned

    async def _without(self, planned: ScenePlan, name: str) -> ScenePlan | None:
        """A scene one of whose upstream scenes has no clip: nothing is sent, but what was paid for is fetched and used."""
        scene = planned.scene
        if any(one.action in (Action.SUBMIT, Action.BLOCKED) for one in planned.takes):
            self._tell(
                Outcome(
                    scene, Status.BLOCKED, f"scene `{name}` is not there to be made from",
                    error_class=ErrorKind.UPSTREAM, error_message=f"scene `{name}` has no usable clip", price=planned.price,
                )
            )  # fmt: skip
        rest = [one if one.row else one.instead for one in planned.takes]
        here = tuple(one for one in rest if one)
        if not here:
            return None
        self.desk.planned[scene.id] = planned
        result = await self._takes(dataclasses.replace(planned, takes=here))
        if result.kept is None:
            return None
        self.used.add(result.kept.id)
        return result

    def _planned_now(self, scene: Scene, above: dict[str, ScenePlan], *, forced: bool = False) -> ScenePlan:
        """The plan of a scene now that those above it are there."""
        board, catalog = self.plan.storyboard, self.session.catalog
        planned = plan.plan_scene(scene, board, catalog, self.taken, above, forced=forced)
        session = self.session
        taker = elsewhere.Taker(board.id, session.ledger, session.workspace, session.run_id)
        if taker.take_over([planned]):
            self.taken = dataclasses.replace(self.taken, takes=tuple(session.ledger.takes(board.id)))
            planned = plan.plan_scene(scene, board, catalog, self.taken, above, forced=forced)
        self.desk.planned[scene.id] = planned
        return planned

    async def _takes(self, planned: ScenePlan) -> ScenePlan:
        """Make every take of a scene side by side; returns the plan as it came out."""
        numbers = self._numbers(planned)
        async with asyncio.TaskGroup() as group:
            takes = [group.create_task(self._place(planned, one, numbers[i])) for i, one in enumerate(planned.takes)]
        made = [task.result() for task in takes]
        # Takes made side by side get their ordinals as they come to the gate. The next plan must find the same one to be
        # the first: else the scenes made from it would be stale, and paid for again.
        made.sort(key=lambda one: plan.take_order(planned.scene.id, one) if one.row else (True, one.ordinal))
        return dataclasses.replace(planned, takes=tuple(made))

    async def _place(self, planned: ScenePlan, one: TakePlan, number: int) -> TakePlan:
        """One take as it came out; where it has no clip, the one that it was to replace."""
        row = await self._take(planned, one, number)
        if row is not None and row.state is TakeState.COLLECTED:
            place = row.ordinal if one.row is None and one.replaces is None else one.place
            return TakePlan(Action.REUSE, one.reason, row.ordinal, row, place=place)
        if one.instead and one.instead.row:
            kept = await self._take(planned, one.instead, one.instead.row.take)
            if kept is not None:
                return dataclasses.replace(one.instead, place=one.place)
        return TakePlan(Action.FAILED, one.reason, row.ordinal if row else one.ordinal, row, place=one.place)

    def _numbers(self, planned: ScenePlan) -> list[int]:
        """The take numbers to show: those of the rows that are there, then the next free ones."""
        next_free = max((t.take for t in self.taken.by_scene.get(planned.scene.id, [])), default=0) + 1
        numbers = []
        for one in planned.takes:
            if one.row:
                numbers.append(one.row.take)
            else:
                numbers.append(next_free)
                next_free += 1
        return numbers

    async def _take(self, planned: ScenePlan, one: TakePlan, number: int) -> Take | None:
        """One take from where it stands to its stills; returns its row, None where it has none or its clip cannot be had, and
        notes the outcome."""
        scene, row = planned.scene, one.row
        try:
            if one.action in (Action.HELD, Action.FAILED) and row:
                self._outcome(planned, row, one.reason)
                return row
            if one.action is Action.HELD:
                self._tell(held_elsewhere(planned, one, number))
                return None
            row = await self._through(planned, one, number)
            if row is None:
                self._tell(
                    Outcome(scene, Status.HELD, "another run is making this take", take=number, price=planned.price)
                )
                return None
            self._outcome(planned, row, one.reason, reused=one.action is Action.REUSE)
            return row
        except WorkspaceError as error:
            self.session.stop(error)
            self._fail(planned, row, number, ErrorKind.TRANSIENT, self._placeless(error), error.fix)
        except Stopped as error:
            self._not_started(planned, row, number, error)
        except DeadlinePassed as error:
            self._fail(planned, row, number, ErrorKind.TIMEOUT, error.message, error.fix)
        except MadeElsewhere as error:
            words = f"held: {error.message}"
            held = Outcome(
                scene, Status.HELD, words, row, number, ErrorKind.AMBIGUOUS, None, error.message, planned.price
            )
            self._tell(dataclasses.replace(held, fix=error.fix))
        except LinkExpired as error:
            self._fail(planned, row, number, ErrorKind.EXPIRED, error.message + self._again(planned), error.fix)
        except DownloadError as error:
            self._fail(planned, row, number, ErrorKind.TRANSIENT, error.message, error.fix)
        except MediaError as error:
            self._fail(planned, row, number, ErrorKind.MEDIA, error.message, error.fix)
        except UsageError as error:
            self._fail(planned, row, number, ErrorKind.INVALID, error.message, error.fix)
        except OSError as error:
            self._disk_failed(error)
            self._fail(planned, row, number, ErrorKind.MEDIA, f"the disk failed: {error.strerror}")
        except Exception as error:
            self._unexpected(planned, row, number, error)
        return None if row is None or row.state is TakeState.COLLECTED else row

    def _not_started(self, planned: ScenePlan, row: Take | None, number: int, error: Stopped) -> None:
        row = self._row_now(planned.scene, number, row)
        reason = f"not started: {self.session.stopped.message if self.session.stopped else error.message}"
        if row is not None and row.job_id:
            reason = f"job {row.job_id} is in flight; the run stopped: {error.message}"
        self._tell(Outcome(planned.scene, Status.SKIPPED, reason, row, number, price=planned.price))

    def _again(self, planned: ScenePlan) -> str:
        """What a clip that is gone would cost, and the command that makes it again."""
        price = f"{planned.price.high} {planned.price.currency}" if planned.price else "a price that is not known"
        command = f"storyreel run {self.plan.storyboard.path.name} --force {planned.scene.id}"
        return f"; made again it would cost {price}: {command}"

    def _unexpected(self, planned: ScenePlan, row: Take | None, number: int | None, error: Exception) -> None:
        """An error that nothing foresaw fails its scene only. What was paid for is in the ledger."""
        if isinstance(error, WorkspaceError):
            self.session.stop(error)
        get_run_logger().error("scene %s: %r", planned.scene.id, error, exc_info=error)
        words = f"unexpected {type(error).__name__}: {error}"
        if isinstance(error, StoryreelError):
            words = self._placeless(error)
        self._fail(planned, row, number, ErrorKind.TRANSIENT, words, getattr(error, "fix", None))

    async def _through(self, planned: ScenePlan, one: TakePlan, number: int) -> Take | None:
        """Submit, wait, collect, frames: whatever of it is left. The tasks run one after the other in this coroutine."""
        scene = planned.scene
        if one.action is Action.SUBMIT:
            if self.turn.locked():
                self._progress(scene, number, Stage.WAITING, slots.words((), self.session.settings.max_in_flight))
            async with self.turn:  # the task begins when its turn has come; across processes the ledger decides
                result = await self._submit_and_wait(scene, one, number)
        else:
            if planned.forced and one.action is Action.RESUME:
                self._progress(scene, number, Stage.WAITING, one.reason)
            result = {"take_id": one.row.id, "take": number} if one.row else {"take_id": None}
            if one.row and one.row.state is TakeState.IN_FLIGHT:
                result = await self._run(wait_for_job, scene.id, number, result)
        if result["take_id"] is None:
            return None
        row = self.desk.row(result["take_id"])
        names = self.wanted_stills[scene.id]
        if row.state is TakeState.COMPLETED or (row.state is TakeState.COLLECTED and row.id in self.taken.missing):
            with self.session.looks_at(scene.model, row.id):
                result = await self._run(collect_clip, scene.id, row.take, names, result)
                row = self.desk.row(result["take_id"])
                collection.compare(self.session, scene, row)
        if row.state is not TakeState.COLLECTED:
            return row
        collection.compare(self.session, scene, row)
        if "frames" in result:
            paths = result["frames"]
        elif one.action is Action.REUSE and all(
            self.session.workspace.frame(row.scene, row.take, n).exists() for n in names
        ):
            paths = {
                n: self.session.workspace.relative(self.session.workspace.frame(row.scene, row.take, n)) for n in names
            }
        else:
            result = await self._run(take_frames, scene.id, row.take, names, result)
            paths = result["frames"]
        self.stills[row.id] = paths
        self.results[scene.id] = result
        self._progress(scene, row.take, Status.REUSED if one.action is Action.REUSE else Status.COMPLETED)
        return row

    async def _submit_and_wait(self, scene: Scene, one: TakePlan, number: int) -> Result:
        after = [self.results[name] for name in scene.upstream if name in self.results]
        async with self.gate:
            result = await self._run(submit_job, scene.id, number, after, one.row.id if one.row else None, one.replaces)
        if result["take_id"] is not None:
            self.begun[scene.id, number] = result["take_id"]
        if result.get("state") == TakeState.IN_FLIGHT:
            result = await self._run(wait_for_job, scene.id, result["take"], result)
        if result.get("state") == TakeState.COMPLETED:
            self.session.finished_first(scene.model, result["take_id"])
        return result

    async def _run(self, task: Any, *args: Any) -> Result:
        if (context := FlowRunContext.get()) and context.flow_run:
            _started[str(context.flow_run.id)] += 1
        result: Result = await task(*args)
        return result

    def _disk_failed(self, error: OSError) -> None:
        """Submit nothing more: its clip could not be kept. What is paid for stays in the ledger, to be fetched later."""
        why = f"the disk failed: {error.strerror}"
        self.session.stop(
            StoryreelError(why, fix="make room, then run again: what is paid for is fetched, not made again")
        )

    # ---- what came out

    def _outcome(self, planned: ScenePlan, row: Take, reason: str, *, reused: bool = False) -> None:
        self._tell(outcome_of(planned.scene, row, reason, planned.price, reused=reused))

    def _fail(
        self,
        planned: ScenePlan,
        row: Take | None,
        number: int | None,
        kind: ErrorKind,
        message: str,
        fix: str | None = None,
    ) -> None:
        now = self._row_now(planned.scene, number, row)
        self._tell(
            Outcome(
                planned.scene, Status.FAILED, f"{kind}: {message}", now, number, kind, None, message, planned.price, fix=fix
            )
        )  # fmt: skip

    def _row_now(self, scene: Scene, number: int | None, row: Take | None) -> Take | None:
        """The take's row as it is now, also if it was begun in this run; as it was, where the ledger cannot be read."""
        take_id = row.id if row else self.begun.get((scene.id, number or 0))
        try:
            return None if take_id is None else self.session.ledger.take(take_id)
        except WorkspaceError:
            return row

    def _tell(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        announce.scene_event(self.session, outcome)
        if not outcome.status.is_good:
            self._progress(outcome.scene, outcome.take or 1, outcome.status, outcome.reason)
            if outcome.status in (Status.FAILED, Status.HELD):
                get_run_logger().error("scene %s: %s", outcome.scene.id, outcome.reason)

    def _progress(self, scene: Scene, take: int, state: Stage | Status, detail: str = "") -> None:
        self.session.tell(Progress(scene.id, take, state, detail))

    # ---- the end

    async def _cut(self) -> None:
        """Make the film, unless something is missing for it: then the one that is here stays."""
        kept = {name: one.result() for name, one in self.done.items()}
        shown = [(p.scene.id, one.kept if (one := kept[p.scene.id]) else None) for p in self.plan.scenes]
        known = finishing.recorded(self.session.workspace)
        self.film = known[1] if known else None
        self.film_error, self.film_warning = finishing.why_not(self.plan, shown, self.film)
        if self.session.stopped and not self.film_error:
            self.film_error = "the run was stopped"
        if self.film_error or self.film_warning:
            return
        try:
            takes = {scene: take.id if take else None for scene, take in shown}
            key = finishing.key_of(self.plan.storyboard, shown)
            self.film = CutReport(**await self._run(cut_film, takes, list(self.results.values())))
            finishing.remember(self.session.workspace, key, self.film)
        except (StoryreelError, OSError) as error:
            self.film_error = error.message if isinstance(error, StoryreelError) else f"the disk failed: {error}"

    def _report(self, started: float) -> RunReport:
        told = [dataclasses.replace(o, used=True) if o.row and o.row.id in self.used else o for o in self.outcomes]
        seen = {o.scene.id for o in told}
        history = self._history()
        rows = {t.scene: t for t in history if not t.superseded}
        rest = [
            outcome_of(p.scene, rows[p.scene.id], "", p.price)
            if p.scene.id in rows and rows[p.scene.id].run_id == self.session.run_id
            else Outcome(p.scene, Status.SKIPPED, "the run ended before its turn", price=p.price)
            for p in self.plan.scenes
            if p.scene.id not in seen
        ]
        return build(
            self.plan.storyboard,
            [*told, *rest],
            run_id=self.session.run_id,
            simulated=self.simulated,
            endpoint="simulator" if self.simulated else self.session.settings.endpoint,
            started_at=started,
            finished_at=self.session.now(),
            stopped=self._placeless(self.session.stopped) if self.session.stopped else None,
            cut=self.film,
            cut_error=self.film_error,
            frames=self.stills,
            history=history,
            forced=[p.scene.id for p in self.plan.scenes if p.forced],
            left_out=[p.scene.id for p in self.plan.scenes if p.action is Action.SKIP],
            warnings=[self.film_warning] if self.film_warning else [],
        )

    def _placeless(self, error: StoryreelError) -> str:
        """What an error says, for the report: without where on this machine the workspace lies."""
        return error.message.replace(f"{self.session.workspace.root}{os.sep}", "")

    def _history(self) -> list[Take]:
        """Every take of the storyboard; where the ledger cannot be read any more, what this run knows."""
        try:
            return self.session.ledger.takes(self.plan.storyboard.id)
        except WorkspaceError as error:
            self.session.stop(error)
            return [outcome.row for outcome in self.outcomes if outcome.row]


def _wanted_stills(planned: Plan) -> dict[str, list[str]]:
    """For each scene `last`, and whatever other pictures the scenes below take."""
    names = {one.scene.id: {"last"} for one in planned.scenes}
    for one in planned.scenes:
        for _, image in one.scene.images:
            if isinstance(image, SceneImage):
                names[image.scene].add(image.still)
    return {scene: sorted(found) for scene, found in names.items()}


def _is_moderated(planned: ScenePlan) -> bool:
    return any(take.row and take.row.error_class == ErrorKind.MODERATION for take in planned.takes)
