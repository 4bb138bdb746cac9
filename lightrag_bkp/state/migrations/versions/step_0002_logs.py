"""What was sent to replication targets, and what each has acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "replication_logs",
        sa.Column("log_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("graph_id", sa.String(255), nullable=False),
        sa.Column("target_id", sa.String(63), sa.ForeignKey("targets.target_id", ondelete="CASCADE"), nullable=False),
        sa.Column("snapshot_id", sa.String(63)),
        sa.Column("status", sa.String(15), nullable=False),
        sa.Column("begun_us", sa.BigInteger, nullable=False),
        sa.Column("error_message", sa.Text),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_index("replication_logs_by_place", "replication_logs", ["graph_id", "target_id", "log_id"])
    op.create_table(
        "replicas",
        sa.Column("graph_id", sa.String(255), primary_key=True),
        sa.Column("target_id", sa.String(63), sa.ForeignKey("targets.target_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger),
        sa.Column("confirmed_us", sa.BigInteger),
        sa.Column("acknowledgement", sa.Text),
        sa.Column("refusal", sa.Text),
    )
