"""JSON documents for the program and the HTTP API: snapshots as the public members of `BackupSnapshot`, targets of
copies, and what became of sending. Times in ISO 8601.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .errors import DamagedError
from .models import Listing

if TYPE_CHECKING:
    from .models import BackupSnapshot
    from .replication import ReplicationLog, ReplicationTarget


def snapshot_document(one: "BackupSnapshot", *, body: bool = False) -> dict[str, Any]:
    """One snapshot; `body` adds what it holds, which is read from the repository."""
    until = one.retention_until
    document: dict[str, Any] = {
        "backup_id": one.backup_id,
        "graph_id": one.graph_id,
        "status": one.status,
        "created_at": one.created_at.isoformat(),
        "checkpoint_path": one.checkpoint_path,
        "data_hash": one.data_hash,
        "size_bytes": one.size_bytes,
        "stored_bytes": one.stored_bytes,
        "item_count": one.item_count,
        "retention_days": one.retention_days,
        "retention_until": until and until.isoformat(),
        "retention_reason": one.retention_reason,
        "consistency": one.consistency,
        **({} if one.held_ms is None else {"held_ms": one.held_ms}),
        "verdict": one.verdict,
        "safety": one.safety,
        "held": one.held,
        "holders": list(one.holders),
        "metadata": tags(one),
    }
    if body:
        document |= {
            "facts": one.facts,
            "items": Listing(one.items, members),
            "skipped": Listing(one.skipped, members),
        }
    return document


def tags(one: "BackupSnapshot") -> dict[str, Any] | None:
    """The metadata; None when they are damaged, which says nothing against the snapshot."""
    try:
        return one.metadata
    except DamagedError:
        return None


def members(value: Any) -> dict[str, Any]:
    """The members of a dataclass by their names; those of members stay what they are."""
    return {member.name: getattr(value, member.name) for member in fields(value)}


def target_document(target: "ReplicationTarget") -> dict[str, Any]:
    """An instance copies can go to, without its key."""
    return {
        "target_id": target.target_id,
        "name": target.name,
        "base_url": target.base_url,
        "enabled": target.enabled,
        "created_at": target.created_at.isoformat(),
    }


def replication_document(log: "ReplicationLog", name: str | None) -> dict[str, Any]:
    """What became of an attempt to send; `name` is its target's."""
    return {
        "target_id": log.target_id,
        "name": name,
        "snapshot_id": log.snapshot_id,
        "status": log.status.value,
        "is_there": log.status.value == "COMPLETED",
        "error_message": log.error_message,
        "timestamp": log.timestamp.isoformat(),
        "bytes": log.bytes,
        "seconds": log.seconds,
    }
