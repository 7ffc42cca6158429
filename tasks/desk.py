"""What the tasks of one run find lying ready: things that are no task parameters, because they are open, large or secret."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from storyreel.ledger.rows import Take
from storyreel.plan.make import ScenePlan
from storyreel.run.session import Session


@dataclass(slots=True)
class Desk:
    """The open session, the plan of each scene whose turn has come, and the take that each finished scene hands on."""

    session: Session
    planned: dict[str, ScenePlan] = field(default_factory=dict)
    used: dict[str, Take] = field(default_factory=dict)
    urls: dict[int, str | None] = field(default_factory=dict)
    rows: dict[int, Take] = field(default_factory=dict)

    def row(self, take_id: int) -> Take:
        """The take as this run knows it: what a task wrote last, else what the ledger says."""
        if take_id not in self.rows:
            self.rows[take_id] = self.session.ledger.take(take_id)
        return self.rows[take_id]


current: ContextVar[Desk] = ContextVar("storyreel_desk")
