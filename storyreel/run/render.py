"""Render a plan: start one coroutine a scene, which waits only for its own upstream scenes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection

from storyreel.errors import Status, Stopped, StoryreelError, WorkspaceError
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.plan import make as plans
from storyreel.plan.make import Action, Plan, ScenePlan, Snapshot
from storyreel.report.model import RunReport
from storyreel.report.outcome import Outcome, as_it_is, outcome_of
from storyreel.report.writers import files
from storyreel.run import elsewhere, finishing, strays
from storyreel.run.finishing import Ending, Film, Shown
from storyreel.run.outcomes import Log, Observer, Outcomes
from storyreel.run.session import Session
from storyreel.run.steps import Steps
from storyreel.run.takes import Sources, Takes


class Run:
    """Execute a plan once."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        snapshot: Snapshot,
        steps: Steps,
        observer: Observer | None = None,
    ) -> None:
        self.session = session
        self.plan = plan
        self.steps = steps
        self.outcomes = Outcomes(session, observer or Log())
        self._takes = Takes(session, plan, snapshot, steps, self.outcomes)
        self._done: dict[str, asyncio.Future[ScenePlan | None]] = {}

    def percent(self) -> float:
        """Return the share of scenes that have ended, 0 to 100."""
        over = sum(1 for future in self._done.values() if future.done())
        return round(100 * over / max(1, len(self._done)), 1)

    async def render(self) -> RunReport:
        """Render every scene, cut the film, write the report.

        A stopped run still collects the jobs in flight.
        """
        started_at = self.session.clock.now()
        loop = asyncio.get_running_loop()
        self._done = {scene_plan.scene.id: loop.create_future() for scene_plan in self.plan.scenes}
        film, warnings = Film.on_disk(self.session.workspace), list[str]()
        try:
            async with asyncio.TaskGroup() as group:
                for scene_plan in self.plan.scenes:
                    group.create_task(self._scene(scene_plan))
            film = await self._cut()
            warnings = await strays.collect(self.session, self._in_plan())
        finally:
            result = self._report(started_at, film, warnings)
            try:
                files.write_all(result, self.session.workspace)
            except OSError as error:
                self.outcomes.disk_failed(error)
        return result

    # ---- one scene

    async def _scene(self, scene_plan: ScenePlan) -> None:
        result: ScenePlan | None = None
        try:
            result = await self._render_scene(scene_plan)
        except Exception as error:  # fails this scene only: its siblings go on
            self.outcomes.add_unexpected(scene_plan, None, None, error)
        finally:
            if not self._done[scene_plan.scene.id].done():
                self._done[scene_plan.scene.id].set_result(result)

    async def _render_scene(self, scene_plan: ScenePlan) -> ScenePlan | None:
        """Render one scene. Return its plan with what became of each take.

        Return None if no other scene can be made from it.
        """
        scene = self.plan.storyboard.scene(scene_plan.scene.id)
        if scene_plan.action is Action.SKIP:
            for outcome in as_it_is(scene_plan):
                self.outcomes.add(outcome)
            return scene_plan if scene_plan.kept else None
        upstream: dict[str, ScenePlan] = {}
        sources: dict[str, Take] = {}
        for name in scene.upstream:
            above = await self._done[name]
            if above is None or above.kept is None:
                return await self._render_without(scene_plan, name, sources)
            upstream[name], sources[name] = above, above.kept
        result = await self._takes.make(
            await self._replan(scene, upstream, forced=scene_plan.forced), sources
        )
        result = await self._fall_back(scene, result, upstream, sources)
        if result.kept is None and self.plan.storyboard.policy.on_failure == "stop":
            self.session.stop(
                Stopped(f"scene `{scene.id}` failed and the policy is on_failure: stop")
            )
        return result if result.kept else None

    async def _fall_back(
        self, scene: Scene, result: ScenePlan, upstream: dict[str, ScenePlan], sources: Sources
    ) -> ScenePlan:
        """Try the other ways to make the scene, each only after the one before has failed."""
        tried = {result.key}
        while result.used is None and scene.has_fallback:
            await self._read_takes()
            following = await self._replan(scene, upstream, tried=tried)
            if following.key in tried:
                return result
            tried.add(following.key)
            result = await self._takes.make(following, sources)
        return result

    async def _render_without(
        self, scene_plan: ScenePlan, upstream: str, sources: Sources
    ) -> ScenePlan | None:
        """Render a scene whose upstream scene has no clip.

        Submit nothing. Collect and use the takes that are paid for.
        """
        if any(take.action in (Action.SUBMIT, Action.BLOCKED) for take in scene_plan.takes):
            self.outcomes.add_blocked(scene_plan, upstream)
        paid = tuple(
            paid_take
            for take in scene_plan.takes
            if (paid_take := take if take.row else take.instead)
        )
        if not paid:
            return None
        result = await self._takes.make(dataclasses.replace(scene_plan, takes=paid), sources)
        return result if result.kept else None

    async def _replan(
        self,
        scene: Scene,
        upstream: dict[str, ScenePlan],
        *,
        forced: bool = False,
        tried: Collection[str] = (),
    ) -> ScenePlan:
        """Plan a scene again now that its upstream scenes have their clips."""
        session, board = self.session, self.plan.storyboard

        def plan_now() -> ScenePlan:
            return plans.plan_scene(
                scene,
                board,
                session.catalog,
                self._takes.snapshot,
                upstream,
                forced=forced,
                tried=tried,
            )

        scene_plan = plan_now()
        taker = elsewhere.Taker(board.id, session.ledger, session.workspace, session.run_id)
        if scene_plan.takes_over and await session.write(taker.take_over, [scene_plan]):
            await self._read_takes()
            scene_plan = plan_now()
        return scene_plan

    async def _read_takes(self) -> None:
        """Read the takes from the ledger again."""
        takes = await self.session.write(self.session.ledger.takes, self.plan.storyboard.id)
        self._takes.snapshot = dataclasses.replace(self._takes.snapshot, takes=tuple(takes))

    # ---- the end

    def _clips(self) -> Shown:
        """Return (scene id, its used take) of every scene, in film order.

        The take is None if the scene has no clip or has not ended.
        """
        results = {name: future.result() for name, future in self._done.items() if future.done()}
        scenes = [scene_plan.scene.id for scene_plan in self.plan.scenes]
        return [
            (scene, result.kept if (result := results.get(scene)) else None) for scene in scenes
        ]

    async def _cut(self) -> Film:
        """Make the film. Keep the one on disk if clips are missing or the run was stopped."""
        clips = self._clips()
        film = Film.before_cut(self.plan, clips, self.session.workspace)
        if film.is_wanted and self.session.stopped:
            film = film.failed("the run was stopped")
        if not film.is_wanted:
            return film
        try:
            return Film(await self.steps.cut(clips))
        except (StoryreelError, OSError) as error:
            return film.failed(error)

    def _in_plan(self) -> set[int]:
        """Return the ledger ids of all takes that the plan or this run has handled."""
        outcomes = {outcome.row.id for outcome in self.outcomes.all if outcome.row}
        return strays.ids_of(self.plan) | outcomes | set(self.outcomes.begun.values())

    def _report(self, started_at: float, film: Film, warnings: list[str]) -> RunReport:
        """Return the report of this run."""
        session, history = self.session, self._history()
        ending = Ending(
            run_id=session.run_id,
            simulated=session.simulated,
            endpoint="simulator" if session.simulated else session.settings.endpoint,
            started_at=started_at,
            finished_at=session.clock.now(),
            stopped=self.outcomes.without_place(session.stopped) if session.stopped else None,
            warnings=tuple(warnings),
        )
        outcomes = [*self.outcomes.all, *self._unfinished(history)]
        return finishing.report_of(
            self.plan, outcomes, self._clips(), film, ending, history, session.workspace
        )

    def _unfinished(self, history: list[Take]) -> list[Outcome]:
        """Return an outcome for each scene that has none because the run ended early."""
        seen = {outcome.scene.id for outcome in self.outcomes.all}
        takes = {
            take.scene: take
            for take in history
            if not take.superseded and take.run_id == self.session.run_id
        }
        return [
            outcome_of(scene_plan.scene, takes[scene_plan.scene.id], "", scene_plan.price)
            if scene_plan.scene.id in takes
            else Outcome(
                scene_plan.scene,
                Status.SKIPPED,
                "the run ended before this scene began",
                price=scene_plan.price,
            )
            for scene_plan in self.plan.scenes
            if scene_plan.scene.id not in seen
        ]

    def _history(self) -> list[Take]:
        """Return every take of the storyboard.

        If the ledger cannot be read any more, return the takes of this run's outcomes.
        """
        try:
            return self.session.ledger.takes(self.plan.storyboard.id)
        except WorkspaceError as error:
            self.session.stop(error)
            return [outcome.row for outcome in self.outcomes.all if outcome.row]
