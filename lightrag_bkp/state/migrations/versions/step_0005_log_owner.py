"""Which process an attempt is of, so that one whose process died is not taken for one that goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("replication_logs", sa.Column("owner", sa.Text))
