"""The tables of the current version, and how a row becomes a `Take`.

Migrations bring older ledgers to this version; a test compares the two.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from storyreel.ledger import decode
from storyreel.ledger.rows import Take

META = sa.MetaData()
TAKES = sa.Table(
    "takes",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("storyboard", sa.String(64), nullable=False),
    sa.Column("scene", sa.String(64), nullable=False),
    sa.Column("take", sa.Integer, nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("superseded", sa.Boolean, nullable=False, default=False),
    sa.Column("account", sa.String(200), nullable=False),
    sa.Column("endpoint", sa.String(512)),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("price", sa.String(32)),
    sa.Column("currency", sa.String(3)),
    sa.Column("submissions", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("submitted_at", sa.Float),
    sa.Column("completed_at", sa.Float),
    sa.Column("collected_at", sa.Float),
    sa.Column("expires_at", sa.Float),
    sa.Column("polls", sa.Integer, nullable=False, default=0),
    sa.Column("job_id", sa.String(256)),
    sa.Column("error_class", sa.String(32)),
    sa.Column("error_code", sa.String(128)),
    sa.Column("error_message", sa.Text),
    sa.Column("clip", sa.Text),
    sa.Column("model", sa.String(64)),
    sa.Column("seconds", sa.Integer),
    sa.Column("replaces", sa.Integer),
    sa.Column("watched_s", sa.Float),
    sa.UniqueConstraint("project", "storyboard", "scene", "take"),
    sa.UniqueConstraint("project", "storyboard", "scene", "key", "ordinal"),
    sa.Index("takes_by_account", "account", "state"),
    sa.Index("takes_by_key", "project", "storyboard", "key"),
    sa.Index("takes_by_duration", "account", "model", "seconds", "completed_at"),
)

RETAKES = sa.Table(
    "retakes",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("storyboard", sa.String(64), nullable=False),
    sa.Column("scene", sa.String(64), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("project", sa.String(128), nullable=False),
)

ACCOUNTS = sa.Table(
    "accounts",
    META,
    sa.Column("account", sa.String(200), primary_key=True),
    sa.Column("cool_until", sa.Float, nullable=False, default=0.0),
    sa.Column("stopped_at", sa.Float),
    sa.Column("stopped_why", sa.Text),
)


def take_of(row: sa.Row[Any]) -> Take:
    """Return the take of a row of `TAKES`."""
    return decode.take_of(dict(row._mapping))
