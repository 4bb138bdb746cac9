"""JSON documents: snapshots as the public members of `BackupSnapshot`, times in ISO 8601; and how they are written."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..errors import DamagedError
from ..models import Listing

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


def written(value: Any, margin: str = "\n") -> Iterator[str]:
    """A document as `json.dumps` with an indentation of 2 writes it, in pieces: no listing is held whole."""
    if isinstance(value, Mapping) and value:
        yield from _enclosed("{}", margin, ((f"{json.dumps(key)}: ", one) for key, one in value.items()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _enclosed("[]", margin, (("", one) for one in value)) if value else ("[]",)
    else:
        yield json.dumps(value)


def _enclosed(brackets: str, margin: str, members: Iterable[tuple[str, Any]]) -> Iterator[str]:
    before = brackets[0]
    for name, value in members:
        if isinstance(value, str | int):  # most are, and are spared a generator
            yield f"{before}{margin}  {name}{json.dumps(value)}"
        else:
            yield f"{before}{margin}  {name}"
            yield from written(value, margin + "  ")
        before = ","
    yield f"{margin}{brackets[1]}"
