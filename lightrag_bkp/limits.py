"""Settings that belong to one part: what recovery is measured against, where replication keeps its targets, what a
server is started with.
"""

from dataclasses import dataclass, field

from .errors import InvalidInputError

RECOVERY_VARIABLES = {
    "max_backup_age_hours": "LIGHTRAG_RECOVERY_MAX_BACKUP_AGE_HOURS",
    "max_drill_age_days": "LIGHTRAG_RECOVERY_MAX_DRILL_AGE_DAYS",
    "scratch_dir": "LIGHTRAG_RECOVERY_SCRATCH_DIR",
}
"""The environment's name of each member of `RecoverySettings`."""

_LONGEST = 1_000_000
_MOST_BYTES_PER_S = 1e12


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """When a graph counts as in danger.

    Attributes:
        max_backup_age_hours: an older newest backup is a problem. max_drill_age_days: so is an older newest drill.
        scratch_dir: where drills restore to; the system's directory for temporary files by default.
    """

    max_backup_age_hours: float = 26
    max_drill_age_days: float = 31
    scratch_dir: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_backup_age_hours", "max_drill_age_days"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST:
                raise InvalidInputError(f"{name} {value!r} must be a number above 0 and at most {_LONGEST}")
        if not isinstance(self.scratch_dir, str | None):
            raise InvalidInputError(f"scratch_dir {self.scratch_dir!r} must be a text")


REPLICATION_VARIABLES = {
    "database_url": "LIGHTRAG_REPLICATION_DATABASE_URL",
    "key_file": "LIGHTRAG_REPLICATION_KEY_FILE",
    "bytes_per_second": "LIGHTRAG_REPLICATION_BYTES_PER_SECOND",
    "after_snapshot": "LIGHTRAG_REPLICATION_AFTER_SNAPSHOT",
}
"""The environment's name of each member of `ReplicationSettings`."""


@dataclass(frozen=True, slots=True)
class ReplicationSettings:
    """Where replication targets are kept, and how copies are sent.

    Attributes:
        database_url: of SQLAlchemy's kind, never part of a `repr`: it may hold a password. key_file: what seals the API
            keys there. Both are below the storage path by default.
        bytes_per_second: of everything one process sends; None: as fast as it goes.
        after_snapshot: whether each snapshot is sent to its graph's targets as soon as it is there.
    """

    database_url: str | None = field(default=None, repr=False)
    key_file: str | None = None
    bytes_per_second: float | None = None
    after_snapshot: bool = False

    def __post_init__(self) -> None:
        for name in ("database_url", "key_file"):
            if not isinstance(getattr(self, name), str | None):
                raise InvalidInputError(f"{name} must be a text")
        check_rate(self.bytes_per_second, "bytes_per_second")
        if not isinstance(self.after_snapshot, bool):
            raise InvalidInputError(f"after_snapshot {self.after_snapshot!r} must be true or false")


SERVER_VARIABLES = {
    "enabled": "LIGHTRAG_BACKUP_ENABLED",
    "allow_open": "LIGHTRAG_BACKUP_ALLOW_OPEN",
    "uploads": "LIGHTRAG_BACKUP_UPLOADS",
}
"""The environment's name of each member of `ServerSettings`."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What LightRAG's server is started with.

    Attributes:
        enabled: False starts LightRAG's own server and nothing else.
        allow_open: offer the routes where LightRAG asks nobody for a key or a password.
        uploads: snapshots of the served graph take the server's input directory as well.
    """

    enabled: bool = True
    allow_open: bool = False
    uploads: bool = False

    def __post_init__(self) -> None:
        for name in SERVER_VARIABLES:
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise InvalidInputError(f"{name} {value!r} must be true or false")


def check_rate(value: float | None, name: str) -> float | None:
    """Bytes per second, or None for no limit.

    Raises:
        InvalidInputError: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= _MOST_BYTES_PER_S:
        raise InvalidInputError(f"{name} {value!r} must be a number of bytes per second, at least 1")
    return value
