"""Run the steps of a take that have effects outside the run.

`tasks/` runs them as Prefect tasks, tests as plain coroutines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.plan.make import ScenePlan
from storyreel.report.model import CutReport
from storyreel.run import collection, finishing, inputs, submission, waiting
from storyreel.run.finishing import Shown
from storyreel.run.session import Progress, Session


@dataclass(frozen=True, slots=True)
class Order:
    """Name one take to pay for.

    `number` is the take's number to show. `sources` holds the used take of each upstream scene.
    `resend` is a held take that the policy sends once more. `replaces` is the ledger id of the take
    that is used until this one's clip is on disk.
    """

    scene_plan: ScenePlan
    number: int
    sources: Mapping[str, Take]
    resend: Take | None = None
    replaces: int | None = None


class Steps(Protocol):
    """Define the steps that have effects outside the run.

    Each returns the take as the ledger has it afterwards.
    """

    async def submit(self, order: Order) -> Take | None:
        """Reserve one take in the ledger, and pay for it.

        Return None if another run has paid for it.
        """

    async def wait(self, take: Take) -> Take:
        """Poll the job until it is final."""

    async def collect(self, take: Take, stills: Sequence[str]) -> Take:
        """Download the clip, verify it, move it into the workspace.

        Write the stills that other scenes start from.
        """

    async def write_stills(self, take: Take, stills: Sequence[str]) -> None:
        """Write these stills of a clip that is on disk already."""

    async def cut(self, clips: Shown) -> CutReport:
        """Make the film and the contact sheet."""


class PlainSteps:
    """Run the steps as coroutines on an open session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._links: dict[int, str | None] = {}  # signed, so never written down

    async def submit(self, order: Order) -> Take | None:
        """See `Steps`."""
        session, scene_plan = self.session, order.scene_plan
        ready = await inputs.prepare(session, scene_plan, dict(order.sources))
        if order.resend is not None:
            return await submission.resubmit(session, scene_plan, ready, order.resend)
        return await submission.submit(session, scene_plan, order.number, ready, order.replaces)

    async def wait(self, take: Take) -> Take:
        """See `Steps`."""
        with self.session.slots.watching(take.id):
            take, self._links[take.id] = await waiting.wait(self.session, self._way_of(take), take)
        return take

    def _way_of(self, take: Take) -> Scene:
        """Return the scene with the model that the take was asked of."""
        scene = self.session.storyboard.scene(take.scene)
        return next((w for w in scene.ways if w.model == take.request.get("model")), scene)

    async def collect(self, take: Take, stills: Sequence[str]) -> Take:
        """See `Steps`."""
        take = await collection.collect(self.session, take, self._links.pop(take.id, None), stills)
        await collection.take_frames(self.session, take, list(stills))
        return take

    async def write_stills(self, take: Take, stills: Sequence[str]) -> None:
        """See `Steps`."""
        await collection.take_frames(self.session, take, list(stills))

    async def cut(self, clips: Shown) -> CutReport:
        """See `Steps`."""
        session = self.session
        return await session.media(
            finishing.make, session.storyboard, session.workspace, clips, tell=cut_progress(session)
        )


def cut_progress(session: Session) -> Callable[[int, int], None]:
    """Report the cut's progress once for each percent."""
    last: int | None = None

    def report(done: int, total: int) -> None:
        nonlocal last
        progress = Progress.cutting(done, total)
        if progress.percent != last:
            last = progress.percent
            session.on_progress(progress)

    return report
