"""The ledger's tables, version by version (alembic).

Never edit a version that was released: add the next one.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

HEAD = "0005"
VERSION_TABLE = (
    "storyreel_version"  # its own: a ledger may share a PostgreSQL database with Prefect's server
)


def current(connection: sa.Connection) -> str | None:
    """The version of the tables that are there; None where there are none, or only those from
    before versions.
    """
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return None if found is None else str(found)


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables up to `HEAD` within the connection's transaction.

    Raises:
        KeyError: the tables are of a version that this Storyreel does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise KeyError(current(connection)) from error
