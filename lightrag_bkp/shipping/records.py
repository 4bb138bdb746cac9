"""What became of sending copies: one record for each attempt to bring one graph to one target."""

import enum
from dataclasses import dataclass, field
from datetime import datetime

INTERRUPTED = "it was interrupted"
"""Said of an attempt whose work, or whose whole process, was ended before it was over."""


class ReplicationStatus(enum.Enum):
    """How far an attempt has come."""

    PENDING = "PENDING"
    """It waits: for its turn, or until it is tried again."""
    RUNNING = "RUNNING"
    """Something is being sent."""
    COMPLETED = "COMPLETED"
    """The target has recomputed every hash, and says that it has everything."""
    FAILED = "FAILED"
    """It was given up; asking again may help."""
    REFUSED = "REFUSED"
    """The target will not have it, and asking again does not help: somebody has to look."""


@dataclass(frozen=True, slots=True)
class ReplicationLog:
    """One attempt.

    Attributes:
        target_id, graph_id: what went where. snapshot_id: what was asked for, else the newest when last tried; None: it
            was not tried yet.
        status: how far it came. timestamp: when it began, aware, UTC.
        error_message: one sentence where something was wrong.
        bytes: of packs and log entries that were sent. seconds: how long it took.
    """

    target_id: str
    status: ReplicationStatus
    timestamp: datetime
    error_message: str | None = None
    graph_id: str = field(default="", kw_only=True)
    snapshot_id: str | None = field(default=None, kw_only=True)
    bytes: int = field(default=0, kw_only=True)
    seconds: float = field(default=0.0, kw_only=True)
