"""What could be brought back, as far as it is written down: recovery points, failovers, holds. Nothing is checked."""

from datetime import UTC, datetime
from typing import Any

from ..backup import BackupManager
from ..errors import DamagedError, LightragBkpError
from ..holders import point_of
from . import drills
from .health import ComponentHealth, HealthStatus
from .history import PastFailover, history, unsettled
from .points import PointStore, Record, RecoveryPoint, unreadable


def of(backup: BackupManager, store: PointStore) -> dict[str, Any]:
    """As `DisasterRecoveryManager.get_recovery_status` says."""
    points, failed = store.points()
    records = _records_of(store, points)
    past = _failovers(records)
    waiting = unsettled(past, _graphs_of(points))
    died = waiting[-1] if waiting and not store.under_way() else None
    valid = [point.checkpoint_id for point in points if point.validated]
    return {
        "recovery_points": len(points),
        "latest": point_document(points[-1]) if points else None,
        "latest_validated": valid[-1] if valid else None,
        "last_drill": drills.newest(records),
        "failovers": [one.document() for one in past],
        "interrupted": died and died.checkpoint_id,
        "advice": died and died.advice,
        "unreadable": {name: str(error) for name, error in failed.items()},
        "left_held": left_held(backup, store),
        "graphs": {graph_id: _graph(backup, graph_id, points) for graph_id in backup.graph_ids()},
    }


def unsettled_failovers(store: PointStore) -> list[PastFailover]:
    """Of all points that can be read: those that are half done, oldest first."""
    return unsettled(*_past(store))


def settled_by(store: PointStore, checkpoint_id: str) -> list[PastFailover]:
    """Failovers that would be half done if there were no records of this point."""
    past, graphs = _past(store)
    without = unsettled([one for one in past if one.checkpoint_id != checkpoint_id], graphs)
    return [one for one in without if one not in unsettled(past, graphs)]


def _past(store: PointStore) -> tuple[list[PastFailover], dict[str, tuple[str, ...]]]:
    """The failovers of all points that can be read, and the graphs of each point."""
    points, _ = store.points()
    return _failovers(_records_of(store, points)), _graphs_of(points)


def _records_of(store: PointStore, points: list[RecoveryPoint]) -> dict[str, list[Record]]:
    return {point.checkpoint_id: store.records(point.checkpoint_id) for point in points}


def _failovers(records: dict[str, list[Record]]) -> list[PastFailover]:
    found = (one for name, written in records.items() for one in history(name, written))
    return sorted(found, key=lambda one: one.newest.at)


def _graphs_of(points: list[RecoveryPoint]) -> dict[str, tuple[str, ...]]:
    return {point.checkpoint_id: point.graphs for point in points}


def left_held(backup: BackupManager, store: PointStore) -> list[str]:
    """Ids of points that hold snapshots and of which no record is left, oldest first; none where nobody knows."""
    try:
        return sorted(_holding(backup) - set(store.ids()))
    except DamagedError:
        return []


def health(backup: BackupManager, store: PointStore) -> ComponentHealth:
    """How the recovery points stand."""
    status = of(backup, store)
    judged, said = _judge(status)
    return ComponentHealth("recovery points", judged, said, datetime.now(UTC))


def point_document(point: RecoveryPoint) -> dict[str, Any]:
    """A recovery point as a JSON object."""
    return {
        "checkpoint_id": point.checkpoint_id,
        "graphs": list(point.graphs),
        "description": point.description,
        "created_at": point.created_at.isoformat(),
        "validated": point.validated,
        "validation_timestamp": point.validation_timestamp and point.validation_timestamp.isoformat(),
        "level": point.level,
        "snapshots": {
            graph_id: {"id": one.id, "digest": one.digest, "created_at": one.created_at.isoformat()}
            for graph_id, one in point.snapshots.items()
        },
        "replication": dict(point.replication),
    }


def _judge(status: dict[str, Any]) -> tuple[HealthStatus, str]:
    if status["interrupted"]:
        return HealthStatus.CRITICAL, status["advice"]
    if status["unreadable"]:
        return HealthStatus.CRITICAL, unreadable(*min(status["unreadable"].items()))
    if status["left_held"]:
        said = f"recovery point {status['left_held'][0]} was never finished, or its records are lost,"
        said += " and holds snapshots: restore the records from a copy, or delete it"
        return HealthStatus.DEGRADED, said
    if status["latest_validated"] is None:
        return HealthStatus.DEGRADED, "there is no valid recovery point"
    return HealthStatus.HEALTHY, f"{status['latest_validated']} is valid"


def _holding(backup: BackupManager) -> set[str]:
    """Points on whose behalf snapshots are held."""
    found = set()
    for graph_id in backup.graph_ids():
        try:
            snapshots = backup.require_graph(graph_id).list_snapshots()
        except LightragBkpError:
            continue  # `validate_backups` says so
        found |= {point_of(holder) for snapshot in snapshots for holder in snapshot.holders}
    return {name for name in found if name is not None}


def _graph(backup: BackupManager, graph_id: str, points: list[RecoveryPoint]) -> dict[str, Any]:
    try:
        latest = backup.require_graph(graph_id).get_snapshot("latest")
    except LightragBkpError as error:
        return {"error": str(error)}
    return {
        "latest": latest and latest.backup_id,
        "latest_at": latest and latest.created_at.isoformat(),
        "points": [point.checkpoint_id for point in points if graph_id in point.graphs],
    }
