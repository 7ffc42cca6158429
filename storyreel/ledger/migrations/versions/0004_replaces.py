"""Which take another one is to replace, once its clip is here: what is good is not given up
before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("takes", sa.Column("replaces", sa.Integer))
