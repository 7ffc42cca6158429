"""The plan as data: scene by scene and take by take, what would run and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from storyreel.catalog.load import PriceRange
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene, Storyboard
from storyreel.plan.identity import Input, take_name
from storyreel.plan.request import Request
from storyreel.plan.snapshot import Elsewhere


class Action(StrEnum):
    """What a run will do with a scene or a take."""

    REUSE = "reuse"
    RESUME = "resume"
    SUBMIT = "submit"
    WAIT_UPSTREAM = "wait-upstream"
    BLOCKED = "blocked"
    HELD = "held"
    FAILED = "failed"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class TakePlan:
    """One take of a scene: an existing one, or one to make.

    `row`: the take in the ledger; None for one to make. `ordinal`: its number among the takes of
    its key, from 1. `source`: the take of another ledger that has paid for it already.
    `replaces`: the id of the take that it replaces once its clip is on disk. `instead`: the take
    to use until then. `place` sorts the takes of a scene; a replacement keeps the place of the
    take that it replaces.
    """

    action: Action
    reason: str
    ordinal: int
    row: Take | None = None
    source: Elsewhere | None = None
    replaces: int | None = None
    instead: TakePlan | None = None
    place: int = 0

    @property
    def usable(self) -> TakePlan | None:
        """Return this take if it can be used, else `instead`, which may be None."""
        return self.instead if self.action in (Action.HELD, Action.FAILED, Action.BLOCKED) else self


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """The plan of one scene.

    `key`: the key of its takes. It is its request's key, or an earlier one whose takes are kept.
    `price`: the price of one take. `dearest`: that of one by the dearest of its fallbacks.
    `wait_s`: (low, high) seconds that one job takes.
    `blocked_by`: the id of the first scene upstream that has no clip and gets none.
    """

    request: Request
    action: Action
    reason: str
    key: str
    takes: tuple[TakePlan, ...]
    price: PriceRange | None
    wait_s: tuple[float, float]
    forced: bool = False
    blocked_by: str | None = None
    dearest: PriceRange | None = None

    @property
    def scene(self) -> Scene:
        """Return the scene, with the prompt that is sent."""
        return self.request.scene

    @property
    def inputs(self) -> Mapping[str, Input]:
        """Return its pictures and videos by role."""
        return self.request.inputs

    @property
    def cost(self) -> PriceRange | None:
        """Return the price of every take to pay for; None where no price is known."""
        return self.dearest.times(self.to_make) if self.dearest else None

    @property
    def is_to_run(self) -> bool:
        """Is there anything to send, to wait for or to download?"""
        return self.action in (Action.SUBMIT, Action.WAIT_UPSTREAM, Action.RESUME)

    @property
    def to_make(self) -> int:
        """Return how many takes will be paid for."""
        return sum(1 for take in self.takes if take.action is Action.SUBMIT)

    @property
    def takes_over(self) -> bool:
        """Will a clip be copied from another ledger's workspace?"""
        return any(take.source and take.source.is_whole for take in self.takes)

    @property
    def used(self) -> TakePlan | None:
        """Return the take that other scenes and the cut use: the picked or the first good one."""
        usable = [take.usable for take in self.takes]
        if self.scene.pick is not None:
            return usable[self.scene.pick - 1] if self.scene.pick <= len(usable) else None
        for actions in ((Action.REUSE, Action.RESUME), (Action.SUBMIT,)):
            for take in usable:
                if take and take.action in actions:
                    return take
        return None

    @property
    def kept(self) -> Take | None:
        """Return the used take if its clip is already on disk."""
        used = self.used
        return used.row if used and used.action is Action.REUSE else None

    @property
    def identity(self) -> str | None:
        """Return the name of the used take. Scenes made from it have this name in their keys."""
        used = self.used
        if used is None:
            return None
        return take_name(used.row.key if used.row else self.key, used.ordinal)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a storyboard: its scenes in file order, and (low, high) wall-clock seconds."""

    storyboard: Storyboard
    scenes: tuple[ScenePlan, ...]
    critical_path: tuple[str, ...]
    expected_s: tuple[float, float]

    def scene(self, scene_id: str) -> ScenePlan:
        """Return the plan of one scene. Raise `KeyError` where there is none."""
        for scene_plan in self.scenes:
            if scene_plan.scene.id == scene_id:
                return scene_plan
        raise KeyError(scene_id)

    @property
    def jobs(self) -> int:
        """Return how many jobs will be paid for."""
        return sum(scene_plan.to_make for scene_plan in self.scenes)

    @property
    def has_work(self) -> bool:
        """Is there anything to send, to wait for or to download?"""
        return any(scene_plan.is_to_run for scene_plan in self.scenes)

    @property
    def unpriced(self) -> int:
        """Return how many of the jobs have no known price."""
        return sum(scene_plan.to_make for scene_plan in self.scenes if scene_plan.dearest is None)

    def cost(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return (low, high) by currency of what will be paid for."""
        totals: dict[str, tuple[Decimal, Decimal]] = {}
        for cost in (scene_plan.cost for scene_plan in self.scenes if scene_plan.to_make):
            if cost:
                low, high = totals.get(cost.currency, (Decimal(0), Decimal(0)))
                totals[cost.currency] = (low + cost.low, high + cost.high)
        return totals
