"""Read the ledger. Nothing here takes a write lock."""

from __future__ import annotations

import sqlalchemy as sa

from storyreel.ledger.engine import Database
from storyreel.ledger.rows import PAID_FOR, Intent, Take
from storyreel.ledger.tables import RETAKES, TAKES, take_of


class Reading(Database):
    """Finds takes by storyboard, intent or id."""

    def find(self, intent: Intent) -> Take:
        """Return the newest take of an intent's scene and key."""
        with self._guard(), self._read() as connection:
            row = connection.execute(
                sa.select(TAKES)
                .where(
                    self._own(TAKES, intent.storyboard),
                    TAKES.c.scene == intent.scene,
                    TAKES.c.key == intent.key,
                )
                .order_by(TAKES.c.id.desc())
                .limit(1)
            ).one()
            return take_of(row)

    def storyboards(self) -> list[str]:
        """Return the ids of this project's storyboards that have takes."""
        names = sa.select(TAKES.c.storyboard).where(self._visible(TAKES)).distinct()
        with self._guard(), self._read() as connection:
            return list(connection.execute(names.order_by(TAKES.c.storyboard)).scalars())

    def projects(self) -> list[str]:
        """Return the names of the projects that share this ledger."""
        names = sa.select(TAKES.c.project).distinct().order_by(TAKES.c.project)
        with self._guard(), self._read() as connection:
            return list(connection.execute(names).scalars())

    def takes(self, storyboard: str) -> list[Take]:
        """Return every take of a storyboard, oldest first."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(TAKES).where(self._own(TAKES, storyboard)).order_by(TAKES.c.id)
            ).all()
            return [take_of(row) for row in rows]

    def others(self, storyboard: str) -> list[Take]:
        """Return the paid takes of this project's other storyboards, oldest first."""
        wanted = (
            self._visible(TAKES),
            TAKES.c.storyboard != storyboard,
            TAKES.c.superseded.is_(False),
            TAKES.c.state.in_(PAID_FOR),
        )
        with self._guard(), self._read() as connection:
            rows = connection.execute(sa.select(TAKES).where(*wanted).order_by(TAKES.c.id)).all()
            return [take_of(row) for row in rows]

    def retakes(self, storyboard: str) -> dict[tuple[str, str], int]:
        """Return how many takes `storyreel retake` asked for, by (scene, key)."""
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(RETAKES.c.scene, RETAKES.c.key, sa.func.max(RETAKES.c.wanted))
                .where(self._own(RETAKES, storyboard))
                .group_by(RETAKES.c.scene, RETAKES.c.key)
            ).all()
            return {(scene, key): wanted for scene, key, wanted in rows}

    def durations(self, account: str, model: str, seconds: int, limit: int = 50) -> list[float]:
        """Return how many seconds the latest watched jobs of a model and length took.

        The newest comes first.
        """
        with self._guard(), self._read() as connection:
            rows = connection.execute(
                sa.select(TAKES.c.watched_s)
                .where(
                    TAKES.c.account == account,
                    TAKES.c.model == model,
                    TAKES.c.seconds == seconds,
                    TAKES.c.watched_s > 0,
                )
                .order_by(TAKES.c.id.desc())
                .limit(limit)
            )
            return [float(seconds) for (seconds,) in rows]

    def take(self, take_id: int) -> Take:
        """Return one take. Raise `KeyError` if there is none."""
        with self._guard(), self._read() as connection:
            row = connection.execute(sa.select(TAKES).where(TAKES.c.id == take_id)).one_or_none()
            if row is None:
                raise KeyError(take_id)
            return take_of(row)
