"""The tables as they are now, and a row of them as a `Take`.

Migrations bring older ledgers here; a test compares the two.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from storyreel.errors import ErrorKind
from storyreel.ledger.clip import Clip
from storyreel.ledger.moments import LATEST_S, moment
from storyreel.ledger.rows import State, Take

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
    """Read a row of `TAKES`."""
    values = dict(row._mapping)
    values["state"] = State(values["state"])
    values["request"] = json.loads(values["request"])
    values["inputs"] = json.loads(values["inputs"])
    values["price"] = None if values["price"] is None else Decimal(values["price"])
    values["clip"] = Clip.read(values["clip"])
    values["error_class"] = ErrorKind.read(values["error_class"])
    for name in ("completed_at", "expires_at"):  # older versions kept the API's value unread
        values[name] = _time(values[name])
    return Take(**values)


def _time(seconds: float | None) -> float | None:
    """A time of a row: one that no calendar has is read as milliseconds, or as none."""
    if seconds is None or (isinstance(seconds, (int, float)) and 0 <= seconds <= LATEST_S):
        return seconds
    return moment(seconds)
