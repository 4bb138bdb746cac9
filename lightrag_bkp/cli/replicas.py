"""Commands about what others sent here: `replica list`, `verify`, `restore`, `prune`."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DamagedError, LightragBkpError, NotFoundError
from . import bring
from .failures import Exit, failure_of
from .session import Session
from .text import behind, counted, size, table, when

if TYPE_CHECKING:
    from ..receiving.replica import Replica
    from ..receiving.replicas import Replicas

SenderName = Annotated[str, typer.Argument(metavar="SENDER", help="Name of the sender's key.")]
SomeSender = Annotated[str | None, typer.Argument(metavar="SENDER", help="Name of the sender's key  [default: all]")]
Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="Name of the graph.")]
SomeGraph = Annotated[str | None, typer.Argument(metavar="GRAPH", help="Name of the graph  [default: all]")]


def list_(session: Session, sender: SomeSender = None) -> int:
    """List what others sent here, and how far each copy is behind."""
    replicas = _replicas(session)
    found = [(name, replica, _seen(replica)) for name, replica in _chosen(replicas, sender, None)]

    def lines() -> Iterator[str]:
        if not found:
            return iter(["no replicas are here"])
        rows = (
            (
                name,
                replica.graph_id,
                "sealed" if seen["sealed"] else "",
                str(seen["snapshots"]),
                (seen["newest"] and when(seen["newest"])) or "none",
                size(seen["bytes"]),
                _behind(seen["lag"]),
            )
            for name, replica, seen in found
        )
        return table(("SENDER", "GRAPH", "SEALED", "SNAPSHOTS", "NEWEST (UTC)", "SIZE", "BEHIND"), rows)

    return session.answer(lambda: {"replicas": [_document(*one) for one in found]}, lines)


def verify(
    session: Session,
    sender: SomeSender = None,
    graph: SomeGraph = None,
    send_again: Annotated[
        bool,
        typer.Option("--send-again", help="Put rotten packs aside, so that a sender that is there sends them again."),
    ] = False,
) -> int:
    """Hash everything of a replica again; no passphrase is needed. Exit code 3: something is damaged."""
    from ..receiving.inspection import inspect

    done = [
        (name, replica, inspect(replica, send_again=send_again))
        for name, replica in _chosen(_replicas(session), sender, graph)
    ]

    def document() -> dict[str, Any]:
        return {
            "replicas": [
                {
                    "sender": name,
                    "graph_id": replica.graph_id,
                    "ok": seen.ok,
                    "findings": [{"object": what, "message": said} for what, said in seen.findings],
                    "entries": seen.entries,
                    "snapshots": seen.snapshots,
                    "packs": seen.packs,
                    "bytes_read": seen.bytes_read,
                }
                for name, replica, seen in done
            ]
        }

    def lines() -> Iterator[str]:
        for name, replica, seen in done:
            looked = (
                f"{counted(seen.snapshots, 'snapshot')}, {counted(seen.packs, 'pack')}, {size(seen.bytes_read)} read"
            )
            yield f"{name} {replica.graph_id}: {'no damage' if seen.ok else 'damaged'}, {looked}"
            yield from (f"  {what}: {said}" for what, said in seen.findings)

    if all(seen.ok for _, _, seen in done):
        return session.close(document, lines)
    session.answer(document, lines)
    return Exit.DAMAGE


def restore(
    session: Session,
    sender: SenderName,
    graph: Graph,
    snapshot: Annotated[str, typer.Argument(metavar="ID", help="Snapshot id, a unique beginning of one, or 'latest'.")],
    target_dir: Annotated[str, typer.Argument(metavar="TARGET_DIR", help="A directory; made when missing.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a directory that is not empty.")] = False,
) -> int:
    """Bring a snapshot back, byte for byte, its sender here or gone.

    TARGET_DIR must hold no graph yet: what it held could be kept nowhere, since only the sender adds to a replica.
    """
    replicas = _replicas(session)
    _chosen(replicas, sender, graph)
    session.storage = os.path.join(replicas.root, sender)
    return bring.restore(session, graph, snapshot, target_dir, dry_run=dry_run, yes=yes)


def prune(
    session: Session,
    sender: SomeSender = None,
    graph: SomeGraph = None,
    keep_days: Annotated[int, typer.Option(metavar="N", help="Keep what came within N days; 0: everything.")] = 30,
    minimum: Annotated[int, typer.Option(metavar="N", help="Keep the newest N in any case.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Free space at once: only when no restore is under way.")] = False,
) -> int:
    """Remove what replicas need not keep, by this host's rules. A running receiver does so by itself.

    Snapshots the sender held when it was heard last stay, and so does what it deleted itself, until these rules let it
    go. What only a dropped snapshot needed is freed by the next prune an hour later. Of a damaged replica nothing goes:
    it is named, the others are pruned, and the exit code is 1.
    """
    from ..graph import READERS_WAIT_S
    from ..receiving.retention import Rules, thin

    rules, wait_s = Rules(keep_days, minimum), 0.0 if now else READERS_WAIT_S
    done = []
    for name, replica in _chosen(_replicas(session), sender, graph):
        try:
            done.append((name, replica, thin(replica, rules, dry_run=dry_run, wait_s=wait_s)))
        except (OSError, LightragBkpError) as error:
            session.note(f"{name}/{replica.graph_id}", failure_of(error))

    def document() -> dict[str, Any]:
        return {
            "replicas": [
                {
                    "sender": name,
                    "graph_id": replica.graph_id,
                    "dry_run": dry_run,
                    "dropped": list(gone.dropped),
                    "kept": list(gone.kept),
                    "packs": gone.packs,
                    "bytes_freed": gone.freed_bytes,
                    "bytes_waiting": gone.waiting_bytes,
                }
                for name, replica, gone in done
            ]
        }

    would = "would be " if dry_run else ""

    def lines() -> Iterator[str]:
        for name, replica, gone in done:
            said = f"{name} {replica.graph_id}: {counted(len(gone.dropped), 'snapshot')} {would}dropped,"
            said += f" {len(gone.kept)} kept; {size(gone.freed_bytes)} {would}freed"
            yield said + (f", {size(gone.waiting_bytes)} once readers had their hour" if gone.waiting_bytes else "")

    return (session.answer if dry_run else session.close)(document, lines)


def _replicas(session: Session) -> "Replicas":
    from ..receiving.here import replicas_path
    from ..receiving.replicas import Replicas

    session.use_storage()
    return Replicas(replicas_path())


def _chosen(replicas: "Replicas", sender: str | None, graph: str | None) -> "list[tuple[str, Replica]]":
    found = [
        (name, replica)
        for name, replica in replicas.all()
        if sender in (None, name) and graph in (None, replica.graph_id)
    ]
    if not found and (sender or graph):
        what = " ".join(filter(None, (sender, graph)))
        raise NotFoundError(f"there is no replica {what!r} below {replicas.root!r}: a listing names all", target=what)
    return found


def _seen(replica: "Replica") -> dict[str, Any]:
    from ..models import moment
    from ..receiving.replicas import lag

    receipts, packs = replica.good_receipts(), replica.packs()
    try:
        head, behind = replica.head(), lag(replica)
    except DamagedError:
        head, behind = None, None
    return {
        "sealed": head is not None and head.sealed,
        "snapshots": len(receipts),
        "newest": moment(receipts[-1].time_us * 1000) if receipts else None,
        "packs": len(packs),
        "bytes": sum(packs.values()),
        "lag": behind,
    }


def _behind(lag: dict[str, Any] | None) -> str:
    if lag is None:
        return "unknown: damaged, see `replica verify`"
    if not lag["heard_us"]:
        return "unknown: never heard"
    return behind(lag)


def _document(sender: str, replica: "Replica", seen: dict[str, Any]) -> dict[str, Any]:
    newest = seen["newest"]
    told = seen | {"newest": None if newest is None else newest.isoformat()}
    return {"sender": sender, "graph_id": replica.graph_id, "path": replica.directory, **told}


COMMANDS = (list_, verify, restore, prune)
