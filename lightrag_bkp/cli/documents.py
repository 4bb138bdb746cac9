"""Snapshots as JSON documents: the public members of `BackupSnapshot`, times in ISO 8601."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..models import BackupSnapshot


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
        "held_ms": one.held_ms,
        "verdict": one.verdict,
        "safety": one.safety,
        "held": one.held,
        "holders": list(one.holders),
        "metadata": one.metadata,
    }
    if body:
        document |= {
            "facts": one.facts,
            "items": [asdict(item) for item in one.items],
            "skipped": [asdict(left_out) for left_out in one.skipped],
        }
    return document
