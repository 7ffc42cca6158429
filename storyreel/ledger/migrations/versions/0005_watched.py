"""How long a job took, of those that were watched to their end on our own clock: what later waits
learn from.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("takes", sa.Column("watched_s", sa.Float))
