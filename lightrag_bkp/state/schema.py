"""The tables. What they are made of is migrations/versions; a test holds the two against each other."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, LargeBinary, MetaData, String, Table, Text

HEAD = "0001"
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
