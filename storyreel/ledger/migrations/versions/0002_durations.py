"""Model and seconds of a take in columns of their own, so that later waits can learn from earlier
ones.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("takes", sa.Column("model", sa.String(64)))
    op.add_column("takes", sa.Column("seconds", sa.Integer))
    op.drop_column("takes", "lost_answers")
    op.create_index("takes_by_duration", "takes", ["account", "model", "seconds", "completed_at"])
    takes = sa.table("takes", *(sa.column(name) for name in ("id", "request", "model", "seconds")))
    connection = op.get_bind()
    for take_id, text in connection.execute(sa.select(takes.c.id, takes.c.request)).all():
        request = json.loads(text)
        if "model" in request and str(request.get("seconds", "")).isdigit():
            values = {"model": request["model"], "seconds": int(request["seconds"])}
            connection.execute(sa.update(takes).where(takes.c.id == take_id).values(values))
