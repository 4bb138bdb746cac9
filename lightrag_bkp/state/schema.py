"""The tables. What they are made of is migrations/versions; a test holds the two against each other."""

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

HEAD = "0003"
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
    Column("snapshot_id", String(63)),  # NULL: whatever was the newest
    Column("status", String(15), nullable=False),
    Column("begun_us", BigInteger, nullable=False),
    Column("error_message", Text),
    Column("bytes", BigInteger, nullable=False),  # sent
    Column("seconds", Float, nullable=False),
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
