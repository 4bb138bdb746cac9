"""What routes answer, as JSON documents; `schemas` says of which shape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .. import documents
from ..errors import LockedError
from ..models import BackupSnapshot, Progress, PruneOutcome, RestoreOutcome, VerifyOutcome, moment
from .places import without_places
from .problems import problem_of

if TYPE_CHECKING:
    from ..graph import GraphBackup
    from ..state import StoredEvent, StoredOperation
    from .auth import Caller

FIRST_ITEMS = 1000
MOST_RESTORED = 10_000
"""So many items of a restore are named; the answer is kept in the database."""

_ERROR = "error"


def at(us: int | None) -> str | None:
    """Microseconds since 1970 in ISO 8601."""
    return None if us is None else moment(us * 1000).isoformat()


def for_caller(document: Any, caller: "Caller") -> Any:
    """A document without the places it names on this host, unless the caller may know them."""
    return document if caller.sees_places else without_places(document)


# ---- operations, events ----


def operation(row: "StoredOperation", progress: Progress | None = None) -> dict[str, Any]:
    """An operation; `progress` is fresher than what is stored."""
    stored = None if row.progress is None else json.loads(row.progress)
    return {
        "operation_id": row.operation_id,
        "kind": row.kind,
        "graph_id": row.graph_id,
        "target": row.target,
        "state": row.state,
        "created_at": at(row.created_us),
        "started_at": at(row.created_us),
        "finished_at": at(row.finished_us),
        "progress": stored if progress is None else asdict(progress),
        "result": None if row.result is None else json.loads(row.result),
        "error": problem(row),
        "requested_by": row.requested_by,
    }


def problem(row: "StoredOperation") -> dict[str, Any] | None:
    """What was wrong with an operation, as a problem document; None: nothing, as far as it has come."""
    if row.error is None and row.state not in ("running", "succeeded"):
        return sealed_away(row)
    said: dict[str, Any] | None = None if row.error is None else json.loads(row.error)
    return said


def sealed_away(row: "StoredOperation") -> dict[str, Any]:
    """What an operation came to cannot be told: another key than this server's sealed it."""
    return problem_of(
        LockedError(
            f"what operation {row.operation_id} came to is sealed, and not with the key this server has",
            target=row.operation_id,
        )
    )


def event(row: "StoredEvent") -> dict[str, Any]:
    """An event."""
    return {
        "event_id": row.event_id,
        "at": at(row.at_us),
        "kind": row.kind,
        "actor": row.actor,
        "graph_id": row.graph_id,
        "target": row.target,
        "outcome": row.outcome,
        "detail": row.detail,
    }


# ---- snapshots ----


def snapshot(one: BackupSnapshot, caller: "Caller") -> dict[str, Any]:
    """One snapshot as a listing shows it."""
    said = documents.snapshot_document(one)
    metadata = said["metadata"]
    texts = {} if metadata is None else {name: value for name, value in metadata.items() if isinstance(value, str)}
    return said | {
        "checkpoint_path": one.checkpoint_path if caller.sees_places else None,
        "tags": None if metadata is None else texts,
    }


def details(one: BackupSnapshot, graph: "GraphBackup", caller: "Caller", *, every_item: bool) -> dict[str, Any]:
    """One snapshot with what it holds. Reads the repository."""
    found = one.validation
    items = one.items if every_item else one.items[:FIRST_ITEMS]
    return snapshot(one, caller) | {
        "items": [documents.members(item) for item in items],
        "items_complete": len(items) == len(one.items),
        "skipped": [documents.members(skipped) for skipped in one.skipped],
        "facts": for_caller(one.facts, caller),
        "validation": None if found is None else found.document(),
        "kept_by_days": one.safety or graph.retention.days,
        "damage": for_caller(graph.log_damage(), caller),
        "alarm": for_caller(graph.log_alarm(), caller),
    }


def restored(outcome: RestoreOutcome) -> dict[str, Any]:
    """What a restore did, or would do."""
    counts: dict[str, int] = {}
    for one in outcome.items:
        counts[one.action] = counts.get(one.action, 0) + 1
    named = outcome.items[:MOST_RESTORED]
    return documents.members(outcome) | {
        "items": [documents.members(one) for one in named],
        "items_complete": len(named) == len(outcome.items),
        "item_count": len(outcome.items),
        "counts": counts,
    }


def verified(outcome: VerifyOutcome) -> dict[str, Any]:
    """What a verification saw."""
    return {"ok": outcome.ok} | asdict(outcome)


def pruned(outcome: PruneOutcome, judged: Sequence[BackupSnapshot] | None) -> dict[str, Any]:
    """What a clean-up did with one graph, or would do; then `judged` are its snapshots as they were."""
    dropped = set(outcome.dropped)
    rows = None if judged is None else [_judged(one, one.backup_id not in dropped) for one in judged]
    return asdict(outcome) | {"snapshots": rows, _ERROR: None}


def not_pruned(problem: Mapping[str, Any]) -> dict[str, Any]:
    """A graph that could not be cleaned up."""
    return {_ERROR: dict(problem)}


def _judged(one: BackupSnapshot, keep: bool) -> dict[str, Any]:
    return {
        "backup_id": one.backup_id,
        "created_at": one.created_at.isoformat(),
        "keep": keep,
        "reason": one.retention_reason,
    }


def graph(figures: Mapping[str, Any], known: "GraphBackup", caller: "Caller") -> dict[str, Any]:
    """One graph, from its `stats` or the error that kept it from being read."""
    document = {
        "graph_id": known.graph_id,
        "registered": known.source_dir is not None,
        "source_dir": known.source_dir if caller.sees_places else None,
        "snapshots": 0,
        "size_bytes": 0,
        "stored_bytes": 0,
        "latest": None,
        "latest_at": None,
        _ERROR: None,
    }
    shown: dict[str, Any] = for_caller(dict(figures), caller)
    return document | shown
