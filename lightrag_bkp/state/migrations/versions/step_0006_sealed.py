"""Room for a snapshot's id that is sealed. Whoever knows no more than the steps before would read what is sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("replication_logs") as table:
        table.alter_column("snapshot_id", type_=sa.Text, existing_type=sa.String(63), existing_nullable=True)
