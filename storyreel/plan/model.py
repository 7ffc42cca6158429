"""The plan: what would run and why, scene by scene and take by take."""

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
    """One take: an existing row of the ledger, or (row None) one to be made, the `ordinal`-th of
    its key.

    `source` holds it where another ledger has paid for it already. `replaces` is the row whose
    place it takes once its clip is here; until then `instead` is used. `place` sorts the takes of a
    scene: one that replaces another has the other's place.
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
        """The take that can be counted on in this place, None where there is none."""
        return self.instead if self.action in (Action.HELD, Action.FAILED, Action.BLOCKED) else self


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """One scene. `key` names the takes it shows: that of its request, or of an earlier one where
    these are kept.

    `price` is that of one take, `dearest` that of one by the dearest of its fallbacks. `blocked_by`
    is the scene at the beginning of why it cannot go on.
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
        """The scene as its request has it."""
        return self.request.scene

    @property
    def inputs(self) -> Mapping[str, Input]:
        """Its pictures and videos by role."""
        return self.request.inputs

    @property
    def cost(self) -> PriceRange | None:
        """The price of all that will be paid for, None where no price is known."""
        return self.dearest.times(self.to_make) if self.dearest else None

    @property
    def is_to_run(self) -> bool:
        """Is there anything to send, to wait for or to download?"""
        return self.action in (Action.SUBMIT, Action.WAIT_UPSTREAM, Action.RESUME)

    @property
    def to_make(self) -> int:
        """How many takes will be paid for."""
        return sum(1 for take in self.takes if take.action is Action.SUBMIT)

    @property
    def takes_over(self) -> bool:
        """Is a clip of it to be taken over from another ledger?"""
        return any(take.source and take.source.is_whole for take in self.takes)

    @property
    def used(self) -> TakePlan | None:
        """The take that others use and the cut shows: the picked one, else the first good one."""
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
        """The row of the used take where its clip is here already."""
        used = self.used
        return used.row if used and used.action is Action.REUSE else None

    @property
    def identity(self) -> str | None:
        """Names the used take by content: what a scene made from it has in its own key."""
        used = self.used
        if used is None:
            return None
        return take_name(used.row.key if used.row else self.key, used.ordinal)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan, scenes in file order."""

    storyboard: Storyboard
    scenes: tuple[ScenePlan, ...]
    critical_path: tuple[str, ...]
    expected_s: tuple[float, float]

    def scene(self, scene_id: str) -> ScenePlan:
        """Raises `KeyError`."""
        for planned in self.scenes:
            if planned.scene.id == scene_id:
                return planned
        raise KeyError(scene_id)

    @property
    def jobs(self) -> int:
        """How many jobs will be paid for."""
        return sum(planned.to_make for planned in self.scenes)

    @property
    def has_work(self) -> bool:
        """Is there anything to send, to wait for or to download?"""
        return any(planned.is_to_run for planned in self.scenes)

    @property
    def unpriced(self) -> int:
        """How many of the jobs have no known price."""
        return sum(planned.to_make for planned in self.scenes if planned.dearest is None)

    def cost(self) -> dict[str, tuple[Decimal, Decimal]]:
        """(low, high) by currency of what will be paid for."""
        totals: dict[str, tuple[Decimal, Decimal]] = {}
        for cost in (planned.cost for planned in self.scenes if planned.to_make):
            if cost:
                low, high = totals.get(cost.currency, (Decimal(0), Decimal(0)))
                totals[cost.currency] = (low + cost.low, high + cost.high)
        return totals
