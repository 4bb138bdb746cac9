"""Commands that only read: `list`, `show`, `stats`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..models import Listing
from ..nesting import METADATA_MAX_DEPTH
from .documents import snapshot_document, tags
from .failures import Exit, Failure
from .session import Session
from .text import counted, shown, size, table, when
from .words import GraphId, SnapshotId, SomeGraphId

if TYPE_CHECKING:
    from ..models import BackupSnapshot, Item
    from .parts import Graph

_DAMAGED = f"its metadata are no JSON object of at most {METADATA_MAX_DEPTH} levels"


def list_(session: Session, graph: SomeGraphId = None) -> int:
    """List snapshots, oldest first.

    RETENTION is the rule that keeps a snapshot; "expired" ones go at the next prune.
    """

    def listed(known: "Graph") -> "list[BackupSnapshot]":
        found = known.list_snapshots()
        session.warn_of_log(known, fail_damaged=True)
        return found

    listings = session.on_each(session.manager(), graph, listed)
    found = [one for listing in listings for one in listing]
    for one in found:
        if tags(one) is None:
            said = f"{one.backup_id}: {_DAMAGED}"
            session.note(one.graph_id, Failure(Exit.FAILED, "DAMAGED", said, target=one.backup_id))
    return session.answer(
        lambda: {"snapshots": [snapshot_document(one) for one in found]},
        lambda: _listing(found) if found else [] if session.failures else ["no snapshots"],
    )


def show(session: Session, graph: GraphId, snapshot: SnapshotId) -> int:
    """Show what a snapshot holds.

    Besides: what was left out and why, how it was taken, how long it stays.
    """
    known = session.graph(graph)
    found = known.find_snapshot(snapshot)
    # What keeps a snapshot depends on the others: a listing knows it.
    one = next((listed for listed in known.list_snapshots() if listed.backup_id == found.backup_id), found)
    session.warn_of_log(known)
    by_days = one.safety or known.retention.days
    return session.answer(lambda: {"snapshot": snapshot_document(one, body=True)}, lambda: _details(one, by_days))


def stats(session: Session) -> int:
    """Show how many snapshots and bytes there are."""
    manager = session.manager()
    figures = manager.get_total_stats()
    unreadable = {graph_id: one["error"] for graph_id, one in figures["graphs"].items() if "error" in one}
    session.note_all(
        [(name, Failure(Exit.FAILED, "UNREADABLE", said, target=name)) for name, said in unreadable.items()]
    )
    for graph_id in figures["graphs"]:
        if graph_id not in unreadable:
            session.warn_of_log(manager.require_graph(graph_id), fail_damaged=True)
    return session.answer(lambda: {"storage_path": manager.storage_path, **figures}, lambda: _figures(figures))


def notes(one: "BackupSnapshot") -> str:
    """What is special about a snapshot: holds, a safety snapshot, tags."""
    said = [f"held by {holder}" for holder in one.holders]
    said += ["safety"] if one.safety else []
    found = tags(one)
    said += [_DAMAGED] if found is None else [f"{key}={value}" if value != "" else key for key, value in found.items()]
    return ", ".join(said)


def _listing(found: "list[BackupSnapshot]") -> Iterator[str]:
    heads = ("GRAPH", "ID", "TAKEN (UTC)", "SIZE", "ADDED", "CONSISTENCY", "VERDICT", "RETENTION", "NOTES")
    rows = (
        (
            one.graph_id,
            one.backup_id,
            when(one.created_at),
            size(one.size_bytes),
            size(one.stored_bytes),
            one.consistency,
            one.verdict or "-",
            one.retention_reason,
            notes(one),
        )
        for one in found
    )
    return table(heads, rows, ("SIZE", "ADDED"))


def kept_until(one: "BackupSnapshot", by_days: bool) -> str:
    """How long a snapshot stays: till the end of its retention days where the policy goes `by_days` and can believe
    its time, else as long as a rule says.
    """
    from ..repository import EXPIRED

    until, now = one.retention_until, datetime.now(UTC)
    if one.retention_reason == EXPIRED:
        return "the next prune"
    if by_days and until is None:
        return "for ever"
    if by_days and until is not None and until > now and one.created_at <= now + timedelta(days=1):
        return f"{when(until)} UTC"
    return f"no date: the policy keeps it ({one.retention_reason})"


def _details(one: "BackupSnapshot", by_days: bool) -> Iterator[str]:
    said = {
        "snapshot": one.backup_id,
        "graph": one.graph_id,
        "taken": f"{when(one.created_at)} UTC",
        "consistency": one.consistency,
        "verdict": one.verdict or "not validated",
        "size": f"{size(one.size_bytes)} in {counted(one.item_count, 'item')}, {size(one.stored_bytes)} added",
        "data hash": one.data_hash,
        "retention": one.retention_reason,
        "kept until": kept_until(one, by_days),
        "held by": ", ".join(one.holders) or "nobody",
        "log entry": one.checkpoint_path,
    }
    if one.safety:
        said["safety"] = "the state a restore replaced"
    found = tags(one)
    said |= {"tags": _DAMAGED} if found is None else {f"tag {key}": str(value) for key, value in found.items()}
    facts = {key: value for key, value in one.facts.items() if value not in ("", [], None) and key != "validation"}
    said |= {f"fact {key}": str(value) for key, value in facts.items()}
    width = max(map(len, said))
    yield from (f"{shown(key):{width}}  {shown(value)}" for key, value in said.items())
    yield ""
    yield from table(("SIZE", "MODE", "TYPE", "ITEM"), Listing(one.items, _item_cells), ("SIZE",))
    if one.validation is not None and one.validation.findings:
        yield ""
        yield from map(shown, one.validation.page())
    if one.skipped:
        yield ""
        yield from table(("LEFT OUT", "WHY"), ((left_out.name, left_out.reason) for left_out in one.skipped))


def _item_cells(item: "Item") -> tuple[str, str, str, str]:
    length = "" if item.type == "directory" else size(item.size_bytes)
    return length, f"{item.mode:04o}", item.type, item.name


def _figures(figures: dict[str, Any]) -> Iterator[str]:
    heads = ("GRAPH", "SNAPSHOTS", "SOURCES", "STORED", "LATEST")
    rows = [
        (graph_id, "", "", "", "cannot be read")
        if "error" in one
        else (graph_id, str(one["snapshots"]), size(one["size_bytes"]), size(one["stored_bytes"]), one["latest"] or "")
        for graph_id, one in figures["graphs"].items()
    ]
    total = str(figures["total_snapshots"]), size(figures["total_size_bytes"]), size(figures["stored_bytes"])
    return table(heads, [*rows, ("all", *total, "")], heads[1:4])
