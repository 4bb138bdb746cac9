"""Replication targets, and which graphs go to them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "targets",
        sa.Column("target_id", sa.String(63), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("api_key", sa.LargeBinary),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
    )
    op.create_table(
        "replicators",
        sa.Column("graph_id", sa.String(255), primary_key=True),
        sa.Column("target_id", sa.String(63), sa.ForeignKey("targets.target_id", ondelete="CASCADE"), primary_key=True),
    )
