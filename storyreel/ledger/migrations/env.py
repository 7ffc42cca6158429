"""Run by alembic, on the connection that `storyreel.migrations.upgrade` hands over."""

from alembic import context

from storyreel.ledger.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
