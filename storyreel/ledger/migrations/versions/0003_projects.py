"""A take's project and endpoint: on a shared ledger, rows belong to (project, storyboard).

The unique constraints get the project too, so the table is made new and its rows are copied.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEPT = (
    "id",
    "storyboard",
    "scene",
    "take",
    "key",
    "ordinal",
    "state",
    "superseded",
    "account",
    "run_id",
    "request",
    "inputs",
    "price",
    "currency",
    "submissions",
    "created_at",
    "submitted_at",
    "completed_at",
    "collected_at",
    "expires_at",
    "polls",
    "job_id",
    "error_class",
    "error_code",
    "error_message",
    "clip",
    "model",
    "seconds",
)


def upgrade() -> None:
    op.create_table(
        "takes_3",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.String(128), nullable=False, server_default=""),
        sa.Column("storyboard", sa.String(64), nullable=False),
        sa.Column("scene", sa.String(64), nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("endpoint", sa.String(512)),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("price", sa.String(32)),
        sa.Column("currency", sa.String(3)),
        sa.Column("submissions", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("submitted_at", sa.Float),
        sa.Column("completed_at", sa.Float),
        sa.Column("collected_at", sa.Float),
        sa.Column("expires_at", sa.Float),
        sa.Column("polls", sa.Integer, nullable=False),
        sa.Column("job_id", sa.String(256)),
        sa.Column("error_class", sa.String(32)),
        sa.Column("error_code", sa.String(128)),
        sa.Column("error_message", sa.Text),
        sa.Column("clip", sa.Text),
        sa.Column("model", sa.String(64)),
        sa.Column("seconds", sa.Integer),
        sa.UniqueConstraint("project", "storyboard", "scene", "take"),
        sa.UniqueConstraint("project", "storyboard", "scene", "key", "ordinal"),
    )
    columns = ", ".join(_KEPT)
    op.execute(f"INSERT INTO takes_3 ({columns}) SELECT {columns} FROM takes")
    op.drop_table("takes")
    op.rename_table("takes_3", "takes")
    op.create_index("takes_by_account", "takes", ["account", "state"])
    op.create_index("takes_by_key", "takes", ["project", "storyboard", "key"])
    op.create_index("takes_by_duration", "takes", ["account", "model", "seconds", "completed_at"])
    op.add_column(
        "retakes", sa.Column("project", sa.String(128), nullable=False, server_default="")
    )
    if op.get_bind().dialect.name == "postgresql":
        top = "SELECT COALESCE(MAX(id), 0) + 1 FROM takes"
        op.execute(f"SELECT setval(pg_get_serial_sequence('takes', 'id'), ({top}), false)")
