"""Make the takes of a scene: take each from its state in the ledger to its clip and stills."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence

from storyreel.api.client import AT_ONCE
from storyreel.errors import Stage, Status
from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Scene, SceneImage
from storyreel.plan import make as plans
from storyreel.plan.make import Action, Plan, ScenePlan, Snapshot, TakePlan
from storyreel.run import slots
from storyreel.run.outcomes import Outcomes
from storyreel.run.session import Progress, Session
from storyreel.run.steps import Order, Steps

Sources = Mapping[str, Take]  # the used take of each upstream scene


class Takes:
    """Make the takes of every scene of a plan.

    `snapshot` is the latest reading of ledger and disk. Replace it after a change.
    """

    def __init__(
        self, session: Session, plan: Plan, snapshot: Snapshot, steps: Steps, outcomes: Outcomes
    ) -> None:
        self.session = session
        self.snapshot = snapshot
        self.steps = steps
        self.outcomes = outcomes
        self._stills = wanted_stills(plan)
        # A step begins when a slot is free. Across processes the ledger counts the slots.
        self._slots = asyncio.Semaphore(session.settings.max_in_flight)
        # Few takes submit at once, each to its end: the ledger records every answer at once.
        self._submitting = asyncio.Semaphore(AT_ONCE)

    async def make(self, scene_plan: ScenePlan, sources: Sources) -> ScenePlan:
        """Make every take of a scene side by side. Return the plan with what became of each."""
        numbers = self._numbers(scene_plan)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._fill(scene_plan, take_plan, number, sources))
                for take_plan, number in zip(scene_plan.takes, numbers, strict=True)
            ]
        return dataclasses.replace(
            scene_plan, takes=in_order(scene_plan.scene, [task.result() for task in tasks])
        )

    async def _fill(
        self, scene_plan: ScenePlan, take_plan: TakePlan, number: int, sources: Sources
    ) -> TakePlan:
        """Make one take. Return what became of it, or the take that it fails to replace."""
        take = await self.make_one(scene_plan, take_plan, number, sources)
        if take is not None and take.state is State.COLLECTED:
            is_in_place = take_plan.row is None and take_plan.replaces is None
            place = take.ordinal if is_in_place else take_plan.place
            return TakePlan(Action.REUSE, take_plan.reason, take.ordinal, take, place=place)
        if take_plan.instead and take_plan.instead.row:
            kept = await self.make_one(
                scene_plan, take_plan.instead, take_plan.instead.row.take, sources
            )
            if kept is not None:
                return dataclasses.replace(take_plan.instead, place=take_plan.place)
        ordinal = take.ordinal if take else take_plan.ordinal
        return TakePlan(Action.FAILED, take_plan.reason, ordinal, take, place=take_plan.place)

    def _numbers(self, scene_plan: ScenePlan) -> list[int]:
        """Return the take numbers to show: the ledger's, then the next free ones."""
        earlier = self.snapshot.by_scene.get(scene_plan.scene.id, [])
        next_free = max((take.take for take in earlier), default=0) + 1
        numbers = []
        for take_plan in scene_plan.takes:
            if take_plan.row:
                numbers.append(take_plan.row.take)
            else:
                numbers.append(next_free)
                next_free += 1
        return numbers

    async def make_one(
        self, scene_plan: ScenePlan, take_plan: TakePlan, number: int, sources: Sources
    ) -> Take | None:
        """Take one take from its state to its stills, and record its outcome.

        Return the take as the ledger has it; None if there is none, or its clip cannot be fetched.
        """
        take, outcomes = take_plan.row, self.outcomes
        try:
            if take_plan.action in (Action.HELD, Action.FAILED) and take:
                outcomes.add_take(scene_plan, take, take_plan.reason)
                return take
            if take_plan.action is Action.HELD:
                outcomes.add_held_elsewhere(scene_plan, take_plan, number)
                return None
            take = await self._run_steps(scene_plan, take_plan, number, sources)
            if take is None:
                outcomes.add_held(scene_plan, number, "another run is making this take")
                return None
            outcomes.add_take(
                scene_plan, take, take_plan.reason, reused=take_plan.action is Action.REUSE
            )
            return take
        except Exception as error:  # fails this take only: its siblings go on
            outcomes.add_error(scene_plan, take, number, error)
        return None if take is None or take.state is State.COLLECTED else take

    async def _run_steps(
        self, scene_plan: ScenePlan, take_plan: TakePlan, number: int, sources: Sources
    ) -> Take | None:
        """Run the steps that are left: submit, wait, collect, write stills."""
        scene = scene_plan.scene
        take = await self._finish_job(scene_plan, take_plan, number, sources)
        if take is None:
            return None
        stills = self._stills[scene.id]
        is_absent = take.state is State.COLLECTED and take.id in self.snapshot.missing
        collects = take.state is State.COMPLETED or is_absent
        if collects:
            with self.session.first_look.of(scene.model, take.id):
                take = await self.steps.collect(take, stills)
                self.session.first_look.compare(self.session, scene, take)
        if take.state is not State.COLLECTED:
            return take
        self.session.first_look.compare(self.session, scene, take)
        is_reused = take_plan.action is Action.REUSE
        if not collects and not (is_reused and self._has_stills(take, stills)):
            await self.steps.write_stills(take, stills)
        self._show(scene, take.take, Status.REUSED if is_reused else Status.COMPLETED)
        return take

    async def _finish_job(
        self, scene_plan: ScenePlan, take_plan: TakePlan, number: int, sources: Sources
    ) -> Take | None:
        """Submit a take that was not sent yet, and wait for a job in flight."""
        scene, take = scene_plan.scene, take_plan.row
        if take_plan.action is Action.SUBMIT:
            if self._slots.locked():
                self._show(
                    scene,
                    number,
                    Stage.WAITING,
                    slots.words((), self.session.settings.max_in_flight),
                )
            async with self._slots:
                order = Order(scene_plan, number, sources, resend=take, replaces=take_plan.replaces)
                return await self._submit_and_wait(order)
        if scene_plan.forced and take_plan.action is Action.RESUME:
            self._show(scene, number, Stage.WAITING, take_plan.reason)
        if take is not None and take.state is State.IN_FLIGHT:
            return await self.steps.wait(take)
        return take

    async def _submit_and_wait(self, order: Order) -> Take | None:
        scene = order.scene_plan.scene
        async with self._submitting:
            take = await self.steps.submit(order)
        if take is None:
            return None
        self.outcomes.begun[scene.id, order.number] = take.id
        if take.state is State.IN_FLIGHT:
            take = await self.steps.wait(take)
        if take.state is State.COMPLETED:
            self.session.first_look.finished(scene.model, take.id)
        return take

    def _has_stills(self, take: Take, names: Sequence[str]) -> bool:
        return all(
            self.session.workspace.frame(take.scene, take.take, name).exists() for name in names
        )

    def _show(self, scene: Scene, number: int, state: Stage | Status, detail: str = "") -> None:
        self.session.on_progress(Progress(scene.id, number, state, detail))


def in_order(scene: Scene, takes: Sequence[TakePlan]) -> tuple[TakePlan, ...]:
    """Return the takes in the order of the next plan.

    Takes made side by side get their ordinals as the ledger reserves them. The next plan must find
    the same take first. Otherwise the scenes made from it would be stale, and paid for again.
    """
    return tuple(
        sorted(
            takes,
            key=lambda take: plans.take_order(scene.id, take) if take.row else (True, take.ordinal),
        )
    )


def wanted_stills(plan: Plan) -> dict[str, list[str]]:
    """Return the stills to write of each scene's clip: `last`, and those that other scenes use."""
    names = {scene_plan.scene.id: {"last"} for scene_plan in plan.scenes}
    for scene_plan in plan.scenes:
        for _, image in scene_plan.scene.images:
            if isinstance(image, SceneImage):
                names[image.scene].add(image.still)
    return {scene: sorted(stills) for scene, stills in names.items()}
