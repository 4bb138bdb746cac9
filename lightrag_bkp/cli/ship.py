"""The command that sends copies, `replicate`, and how far they are behind."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..documents import replication_document
from ..errors import InvalidInputError, LightragBkpError
from .completion import snapshot_ids
from .session import Session
from .text import behind, size, table, when
from .words import GraphId

if TYPE_CHECKING:
    from .parts import Manager


def replicate(
    session: Session,
    graph: GraphId,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TARGET", help="One target; the graph goes there from now on  [default: all]"),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot",
            metavar="ID",
            help="This one instead: its id, or a unique beginning of it  [default: the newest, and those held]",
            autocompletion=snapshot_ids,
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="S", min=0, help="How long to try after the last thing that got through; 0: once.")
    ] = 60,
) -> int:
    """Bring a graph's newest snapshot to its targets.

    Those that are held and the log go along; with --snapshot that one and the log. Only what a target lacks is sent; it
    is done when that has recomputed all hashes. Exit code 1: not all have it.
    """
    from ..replication import ReplicationStatus, resolve

    backup = session.manager()
    known = backup.require_graph(graph)
    wanted = None if snapshot is None else known.find_snapshot(snapshot).backup_id
    with session.replication(backup.keyring) as manager:
        replicator = manager.get_graph_replicator(graph)
        chosen = None if to is None else resolve(manager.list_targets(), to)
        if chosen is not None:
            replicator.add_target(chosen)
        elif not replicator.list_targets():
            raise InvalidInputError(
                f"no copies of graph {graph!r} go anywhere yet: name a target with --to", target=graph
            )
        names = {one.target_id: one.name for one in replicator.list_targets()}
        only = None if chosen is None else chosen.target_id
        with session.progress() as progress:
            logs = session.run(replicator.replicate(wanted, only, patience_s=patience, progress=progress))
    done = [replication_document(log, names[log.target_id]) for log in logs]
    session.answer(lambda: {"replications": done}, lambda: _lines(done))
    return 0 if all(log.status is ReplicationStatus.COMPLETED for log in logs) else 1


def _lines(done: list[dict[str, Any]]) -> list[str]:
    if not done:
        return ["all targets of this graph are disabled"]
    rows = (
        (one["name"], one["status"], size(one["bytes"]), f"{one['seconds']:.1f} s", one["error_message"] or "")
        for one in done
    )
    return [*table(("TARGET", "STATUS", "SENT", "TOOK", "REASON"), rows)]


def send_new(session: Session, backup: "Manager", graph: str) -> list[dict[str, Any]]:
    """Sends a snapshot that was just taken to the graph's targets. What fails is a warning: the snapshot is there."""
    try:
        with session.replication(backup.keyring) as manager:
            replicator = manager.get_graph_replicator(graph)
            names = {one.target_id: one.name for one in replicator.list_targets()}
            logs = session.run(replicator.replicate())
    except LightragBkpError as error:
        session.warn(graph, f"no copy was sent: {error}")
        return []
    done = [replication_document(log, names[log.target_id]) for log in logs]
    for one in done:
        if not one["is_there"]:
            session.warn(graph, f"target {one['name']} lacks this snapshot: {one['error_message']}")
    return done


def copies(targets: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """How far each target is behind, as a table; `targets` by graph, as `get_replication_status` has them."""
    rows = [
        (
            graph,
            one["name"],
            _behind(one),
            when(datetime.fromisoformat(one["confirmed_at"])) if one["confirmed_at"] else "never",
        )
        for graph, found in targets.items()
        for one in found
    ]
    if rows:
        yield ""
        yield from table(("GRAPH", "COPY AT", "BEHIND", "SAID SO (UTC)"), rows)


def _behind(target: dict[str, Any]) -> str:
    lag = target["lag"]
    if not target["enabled"]:
        return "disabled"
    if target["refusal"] is not None:
        return "refused"
    if target["acknowledged"] is None:
        return "no copy yet"
    return "unknown: the log here is damaged" if lag is None else behind(lag)
