"""What cannot be read from repositories: replication targets, what was sent to them, keys of those who send here, long
work asked for over HTTP, and who changed what; in one small database.

SQLite beside the repositories by default; PostgreSQL where several hosts share it. The only package that imports
SQLAlchemy and Alembic, and it is imported when it is needed: they come with `pip install lightrag-bkp[replication]`.
"""

from .database import State, StoredTarget
from .events import Events, NewEvent, StoredEvent
from .operations import NewOperation, Operations, StoredOperation
from .receive_keys import ReceiveKeys, StoredKey
from .shipments import Shipments, StoredLog, StoredReplica

__all__ = [
    "Events", "NewEvent", "NewOperation", "Operations", "ReceiveKeys", "Shipments", "State", "StoredEvent",
    "StoredKey", "StoredLog", "StoredOperation", "StoredReplica", "StoredTarget",
]  # fmt: skip
