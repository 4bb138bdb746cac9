"""Commands about what stays: `delete`, `hold`, `release`, `prune`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInputError, NotFoundError
from ..models import RetentionPolicy
from .session import Session
from .text import age, counted, size, table, when
from .words import GraphId, SnapshotId, SomeGraphId

if TYPE_CHECKING:
    from ..models import BackupSnapshot, PruneOutcome
    from .parts import Graph

Holder = Annotated[str, typer.Option(metavar="NAME", help="On whose behalf; recovery: is for recovery points.")]


def delete(session: Session, graph: GraphId, snapshot: SnapshotId) -> int:
    """Delete a snapshot.

    The space it alone uses returns at the next prune.
    """
    known = session.graph(graph)
    wanted = known.find_snapshot(snapshot).backup_id
    if not session.run(known.delete_snapshot(wanted)):
        raise NotFoundError(f"snapshot {wanted} of graph {graph!r} is gone already", op="delete", target=wanted)
    return session.close(
        lambda: {"graph_id": graph, "backup_id": wanted, "deleted": True},
        lambda: [f"snapshot {wanted} of {graph} is deleted; its space returns at the next prune"],
    )


def hold(session: Session, graph: GraphId, snapshot: SnapshotId, holder: Holder = "user") -> int:
    """Keep a snapshot until it is released.

    Neither prune nor delete takes it before. Each holder has a hold of its own.
    """
    known = session.graph(graph)
    wanted = known.find_snapshot(snapshot).backup_id
    changed = session.run(known.hold(wanted, holder))
    return session.close(
        lambda: {"graph_id": graph, "backup_id": wanted, "holder": holder, "held": True, "changed": changed},
        lambda: [f"snapshot {wanted} of {graph} is held by {holder}" + ("" if changed else " already")],
    )


def release(session: Session, graph: GraphId, snapshot: SnapshotId, holder: Holder = "user") -> int:
    """End a hold."""
    known = session.graph(graph)
    wanted = known.find_snapshot(snapshot).backup_id
    changed = session.run(known.release(wanted, holder))
    left = known.find_snapshot(wanted).holders
    said = "no longer held" if changed else "not held"
    others = f"; still by {', '.join(left)}" if left else ""
    return session.close(
        lambda: {"graph_id": graph, "backup_id": wanted, "holder": holder, "held": bool(left), "changed": changed},
        lambda: [f"snapshot {wanted} of {graph} is {said} by {holder}{others}"],
    )


def prune(
    session: Session,
    graph: SomeGraphId = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would stay, what would go, and why.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="Skip the hour that readers of old packs are given.")] = False,
    keep_last: Annotated[int | None, typer.Option(metavar="N", min=0, help="Keep the newest N.")] = None,
    keep_hourly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Keep the last one of N hours.")] = None,
    keep_daily: Annotated[int | None, typer.Option(metavar="N", min=0, help="Keep the last one of N days.")] = None,
    keep_weekly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Keep the last one of N weeks.")] = None,
    keep_monthly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Keep the last one of N months.")] = None,
    keep_yearly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Keep the last one of N years.")] = None,
    keep_within: Annotated[
        str | None, typer.Option(metavar="AGE", help="Keep what is younger: 12h, 30d, 8w, 2y.")
    ] = None,
    days: Annotated[
        bool | None,
        typer.Option("--keep-days/--no-keep-days", help="Keep each for its own retention days  [default: keep-days]"),
    ] = None,
    minimum: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Never go below the newest N  [default: 1]")
    ] = None,
) -> int:
    """Drop what no rule keeps, and free its space.

    The rules are those given here, or the configured ones when none is given. A snapshot stays when any rule keeps it,
    or somebody holds it.
    """
    given = {
        "days": days,
        "keep_last": keep_last,
        "keep_hourly": keep_hourly,
        "keep_daily": keep_daily,
        "keep_weekly": keep_weekly,
        "keep_monthly": keep_monthly,
        "keep_yearly": keep_yearly,
        "keep_within_s": None if keep_within is None else _age(keep_within),
        "minimum": minimum,
    }
    manager = session.manager(_policy({name: value for name, value in given.items() if value is not None}))
    done = session.on_each(manager, graph, lambda known: _prune(session, known, dry_run, now))
    ending = session.answer if dry_run else session.close
    return ending(
        lambda: {"graphs": [one.document() for one in done]}, lambda: [line for one in done for line in one.lines()]
    )


@dataclass(frozen=True)
class _Pruned:
    """What became of one graph; `judged` are all its snapshots as they were, for a dry run; `waits`
    says that readers were given their hour.
    """

    graph_id: str
    outcome: "PruneOutcome"
    judged: "list[BackupSnapshot]"
    waits: bool

    def document(self) -> dict[str, Any]:
        document = {"graph_id": self.graph_id, **asdict(self.outcome)}
        if self.outcome.dry_run:
            dropped = set(self.outcome.dropped)
            document["snapshots"] = [
                {"backup_id": one.backup_id, "keep": one.backup_id not in dropped, "reason": one.retention_reason}
                for one in self.judged
            ]
        return document

    def lines(self) -> list[str]:
        outcome = self.outcome
        would = "would be " if outcome.dry_run else ""
        dropped = counted(len(outcome.dropped), "snapshot")
        ending = f"graph {self.graph_id}: {dropped} {would}dropped, {outcome.kept} kept"
        ending += f"; {size(outcome.bytes_freed)} {would}freed"
        if outcome.bytes_retired and self.waits:
            ending += f", {size(outcome.bytes_retired)} {would}free once readers had their hour"
        return [*(self._judgements() if outcome.dry_run else ()), ending]

    def _judgements(self) -> Iterator[str]:
        dropped = set(self.outcome.dropped)
        rows = (
            (
                "drop" if one.backup_id in dropped else "keep",
                one.retention_reason,
                self.graph_id,
                one.backup_id,
                when(one.created_at),
            )
            for one in self.judged
        )
        return table(("WOULD", "BECAUSE", "GRAPH", "ID", "TAKEN (UTC)"), rows)


def _prune(session: Session, known: "Graph", dry_run: bool, now: bool) -> _Pruned:
    from ..graph import READERS_WAIT_S

    judged = known.list_snapshots() if dry_run else []
    with session.progress() as progress:
        wait_s = 0.0 if now else READERS_WAIT_S
        outcome = session.run(known.prune(dry_run=dry_run, wait_s=wait_s, progress=progress))
    return _Pruned(known.graph_id, outcome, judged, waits=not now)


def _policy(given: dict[str, Any]) -> RetentionPolicy | None:
    return RetentionPolicy(**given) if given else None


def _age(text: str) -> float:
    try:
        return age(text)
    except ValueError as error:
        raise InvalidInputError(f"--keep-within: {error}") from None
