"""Takes, wishes for more takes, accounts.

A ledger from before versions has some of them, or all.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    there = set(sa.inspect(op.get_bind()).get_table_names())
    if "storyreel_schema" in there:
        op.drop_table("storyreel_schema")
    if "takes" not in there:
        _takes()
    if "retakes" not in there:
        _retakes()
    if "accounts" not in there:
        _accounts()


def _takes() -> None:
    op.create_table(
        "takes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("storyboard", sa.String(64), nullable=False),
        sa.Column("scene", sa.String(64), nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("price", sa.String(32)),
        sa.Column("currency", sa.String(3)),
        sa.Column("submissions", sa.Integer, nullable=False),
        sa.Column("lost_answers", sa.Integer, nullable=False),
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
        sa.UniqueConstraint("storyboard", "scene", "take"),
        sa.UniqueConstraint("storyboard", "scene", "key", "ordinal"),
    )
    op.create_index("takes_by_account", "takes", ["account", "state"])
    op.create_index("takes_by_key", "takes", ["storyboard", "key"])


def _retakes() -> None:
    op.create_table(
        "retakes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("storyboard", sa.String(64), nullable=False),
        sa.Column("scene", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
    )


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.String(200), primary_key=True),
        sa.Column("cool_until", sa.Float, nullable=False),
        sa.Column("stopped_at", sa.Float),
        sa.Column("stopped_why", sa.Text),
    )
