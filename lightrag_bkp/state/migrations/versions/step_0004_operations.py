"""Long work asked for over HTTP, and what was changed by whom."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("operation_id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(31), nullable=False),
        sa.Column("graph_id", sa.String(128)),
        sa.Column("target", sa.Text),
        sa.Column("state", sa.String(15), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("progress", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("location", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.String(128)),
        sa.Column("fingerprint", sa.LargeBinary),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("heartbeat_us", sa.BigInteger, nullable=False),
        sa.Column("end_asked", sa.Boolean, nullable=False),
    )
    op.create_index("operations_by_time", "operations", ["created_us", "operation_id"])
    op.create_index("operations_by_state", "operations", ["state", "created_us"])
    op.create_index("operations_by_key", "operations", ["requested_by", "idempotency_key"], unique=True)
    op.create_table(
        "events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(31), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("graph_id", sa.String(128)),
        sa.Column("target", sa.Text),
        sa.Column("outcome", sa.String(15), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("events_by_graph", "events", ["graph_id", "event_id"])
