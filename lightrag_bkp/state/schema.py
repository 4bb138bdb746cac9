"""The tables. What they are made of is migrations/versions; a test holds the two against each other. Some columns are
sealed where the repositories are (cover.py).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

HEAD = "0006"
"""The newest migration: a database that says so needs no look at the others."""

metadata = MetaData()

targets = Table(
    "targets",
    metadata,
    Column("target_id", String(63), primary_key=True),
    Column("name", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("api_key", LargeBinary),  # sealed (sealing.py); NULL: none
    Column("enabled", Boolean, nullable=False),
    Column("created_us", BigInteger, nullable=False),  # microseconds since 1970
    Column("connection", Text, nullable=False),  # JSON: how it may be connected to
)

replicators = Table(
    "replicators",
    metadata,
    Column("graph_id", String(255), primary_key=True),
    Column("target_id", String(63), ForeignKey("targets.target_id", ondelete="CASCADE"), primary_key=True),
)

replication_logs = Table(
    "replication_logs",
    metadata,
    Column("log_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # SQLite numbers no others
    Column("graph_id", String(255), nullable=False),
    Column("target_id", String(63), ForeignKey("targets.target_id", ondelete="CASCADE"), nullable=False),
    Column("snapshot_id", Text),  # NULL: whatever was the newest
    Column("status", String(15), nullable=False),
    Column("begun_us", BigInteger, nullable=False),
    Column("error_message", Text),
    Column("bytes", BigInteger, nullable=False),  # sent
    Column("seconds", Float, nullable=False),
    Column("owner", Text),  # the process it is of (processes.py); NULL: of a version that did not say
    Index("replication_logs_by_place", "graph_id", "target_id", "log_id"),
)

replicas = Table(
    "replicas",
    metadata,
    Column("graph_id", String(255), primary_key=True),
    Column("target_id", String(63), ForeignKey("targets.target_id", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger),  # of the log entry up to which the target has acknowledged; NULL: nothing yet
    Column("confirmed_us", BigInteger),  # when it last said so
    Column("acknowledgement", Text),  # JSON, as it was signed
    Column("refusal", Text),  # why nothing is sent until somebody asks for it; NULL: nothing stands against it
)

receive_keys = Table(
    "receive_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("name", String(128), nullable=False),  # of the sender; rotation gives one name two keys for a while
    Column("scope", String(31), nullable=False),
    Column("graph_id", String(128)),  # NULL: any graph
    Column("quota_bytes", BigInteger),  # of all the sender's replicas; NULL: none
    Column("secret_sha256", LargeBinary, nullable=False),  # of 256 random bits, which need no slower hash
    Column("created_us", BigInteger, nullable=False),
    Column("last_used_us", BigInteger),  # NULL: never
    Column("revoked_us", BigInteger),  # NULL: it is good
)

operations = Table(
    "operations",
    metadata,
    Column("operation_id", String(32), primary_key=True),
    Column("kind", String(31), nullable=False),
    Column("graph_id", String(128)),  # NULL: of no single graph
    Column("target", Text),  # the snapshot, checkpoint or target it is about; NULL: none, or not made yet
    Column("state", String(15), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),  # NULL: it is under way
    Column("progress", Text),  # JSON, as are result and error
    Column("result", Text),
    Column("location", Text),  # of what was made
    Column("error", Text),
    Column("requested_by", Text, nullable=False),
    Column("idempotency_key", String(128)),
    Column("fingerprint", LargeBinary),  # of the request that came with the key
    Column("owner", String(255), nullable=False),  # the process that works on it
    Column("heartbeat_us", BigInteger, nullable=False),  # when that last said so
    Column("end_asked", Boolean, nullable=False),  # somebody wants it to end
    Index("operations_by_time", "created_us", "operation_id"),
    Index("operations_by_state", "state", "created_us"),
    Index("operations_by_key", "requested_by", "idempotency_key", unique=True),
)

events = Table(
    "events",
    metadata,
    Column("event_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", String(31), nullable=False),
    Column("actor", Text, nullable=False),
    Column("graph_id", String(128)),
    Column("target", Text),
    Column("outcome", String(15), nullable=False),
    Column("detail", Text, nullable=False),
    Index("events_by_graph", "graph_id", "event_id"),
)
