"""Whether a graph could be had again, part by part: the graph itself, its backups, its replicas.

Everything is read from repositories, recovery points and the file system; nothing is remembered.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .. import _bridge
from ..backup import BackupManager
from ..errors import ConfigurationError, InvalidInputError, LightragBkpError, StateError
from ..graph import GraphBackup
from ..limits import RecoverySettings
from ..models import BackupSnapshot, Consistency, age_of, moment
from ..place import try_writing
from ..restoring.staging import is_half_done
from ..sources import files
from ..threads import in_thread
from ..verdicts import Verdict
from . import live_verdict
from .points import DRILL, VALIDATION, PointStore, Record, proved, unreadable

if TYPE_CHECKING:
    from ..replication import ReplicationManager

_GROWTH_DAYS = 30
_FULL_SOON_DAYS = 14
_DAY_S = 86_400


class HealthStatus(StrEnum):
    """HEALTHY: nothing to do. DEGRADED: still safe, but something should be done. CRITICAL: what was promised is not so
    now.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One part: how it is, and why in one sentence. `last_check` is aware, UTC."""

    component: str
    status: HealthStatus
    message: str
    last_check: datetime

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"last_check": self.last_check.isoformat()}


_JUDGED = {
    Verdict.USABLE: HealthStatus.HEALTHY,
    Verdict.USABLE_WITH_REPROCESSING: HealthStatus.HEALTHY,
    Verdict.REPAIRABLE: HealthStatus.DEGRADED,
    Verdict.UNUSABLE: HealthStatus.CRITICAL,
    None: HealthStatus.HEALTHY,
}


def worst(parts: "list[HealthStatus]") -> HealthStatus:
    """The worst of several; HEALTHY when there are none."""
    order = list(HealthStatus)
    return max(parts, key=order.index, default=HealthStatus.HEALTHY)


def check_manager(backup: BackupManager | None) -> BackupManager:
    """Returns `backup`, or the manager of the configured graphs for None.

    Raises:
        InvalidInputError: it is something else. ConfigurationError: nothing is configured.
    """
    if backup is None:
        return BackupManager()
    if not isinstance(backup, BackupManager):
        raise InvalidInputError(f"backup must be a lightrag_bkp.BackupManager, and is a {type(backup).__name__}")
    return backup


def check_replication(replication: "ReplicationManager | None") -> "ReplicationManager | None":
    """Returns `replication` when it is a manager of targets, or None.

    Raises:
        InvalidInputError: it is something else.
    """
    if replication is not None:
        from ..replication import ReplicationManager

        if not isinstance(replication, ReplicationManager):
            said = type(replication).__name__
            raise InvalidInputError(f"replication must be a lightrag_bkp.replication.ReplicationManager, not a {said}")
    return replication


class HealthValidator:
    """Looks at the graphs of one storage path.

    Args:
        backup: knows the graphs; the configured ones when None. replication: knows the targets; None: there are none.
        settings: what counts as too old; as configured when None.
    """

    def __init__(
        self,
        backup: BackupManager | None = None,
        replication: "ReplicationManager | None" = None,
        *,
        settings: RecoverySettings | None = None,
    ) -> None:
        self.backup = check_manager(backup)
        self.replication = check_replication(replication)
        if not isinstance(settings, RecoverySettings | None):
            raise InvalidInputError(f"settings {settings!r} must be a RecoverySettings")
        self.settings = settings or self.backup.recovery
        self._store = PointStore(self.backup.storage_path, self.backup.keyring)

    async def validate_graph(self, graph_id: str) -> dict[str, Any]:
        """How the live graph is.

        Returns:
            {graph_id, status, message, checked_at, source_dir, files (number), changed_at (of the newest file but the
            LLM cache, or None), verdict (what its files are good for; None when they could not be judged)}.

        Raises:
            NotFoundError: no such graph.
        """
        graph = await in_thread(self._graph, graph_id)
        found: dict[str, Any] = {"source_dir": graph.source_dir, "files": 0, "changed_at": None, "verdict": None}
        status, message, layout = await in_thread(_look_at_graph, graph, found)
        if layout is not None:
            judged = await live_verdict.of(graph, layout)
            found["verdict"] = judged.verdict
            doubt = HealthStatus.DEGRADED if judged.doubtful else HealthStatus.HEALTHY
            status, message = worst([_JUDGED[judged.verdict], doubt]), judged.message
        return _answer(graph_id, status, message, found)

    async def validate_backups(self, graph_id: str) -> dict[str, Any]:
        """How the graph's backups are.

        Returns:
            {graph_id, status, message, checked_at, components: [ComponentHealth as objects], latest (id or None),
            latest_age_s (None also when it claims a time yet to come), not_counted (how many newer snapshots are no
            good backups, being of consistency "crash" or of an unusable graph), newest_not_counted (id or None),
            not_counted_why (a sentence, or ""), last_validation and last_drill ({at, ok, level, age_s, rto_s, ...} as
            far as this graph goes, or None), free_bytes, days_until_full (None when nothing grows)}.

        Raises:
            NotFoundError: no such graph.
        """
        graph = await in_thread(self._graph, graph_id)
        return await in_thread(self._look_at_backups, graph)

    async def validate_replication(self, graph_id: str) -> dict[str, Any]:
        """How the graph's replicas are.

        Returns:
            {graph_id, status, message, checked_at, targets: as `GraphReplicator.get_replication_status` has them}. A
            target that refuses, has nothing, or has been behind or silent for longer than a backup may be old, makes
            it DEGRADED, and so does a database of targets that cannot be read.

        Raises:
            NotFoundError: no such graph.
        """
        await in_thread(self._graph, graph_id)
        targets: list[dict[str, Any]] = []
        if self.replication is not None:
            replicator = self.replication.get_graph_replicator(graph_id)
            try:
                targets = (await in_thread(replicator.get_replication_status))["targets"]
            except (StateError, ConfigurationError) as error:
                unknown = f"nobody knows which copies there are: {error}"
                return _answer(graph_id, HealthStatus.DEGRADED, unknown, {"targets": []})
        expected = [one for one in targets if one["enabled"]]
        concerns = [said for one in expected if (said := self._concern(one)) is not None]
        status = HealthStatus.DEGRADED if concerns else HealthStatus.HEALTHY
        message = "; ".join(concerns) or (f"{len(expected)} have a copy" if expected else "none configured")
        return _answer(graph_id, status, message, {"targets": targets})

    def _concern(self, target: dict[str, Any]) -> str | None:
        """What is wrong with a copy, or None."""
        if target["refusal"] is not None:
            return f"target {target['name']} takes nothing: {target['refusal']}"
        if target["acknowledged"] is None:
            return f"target {target['name']} has no copy yet"
        hours = 0.0 if target["lag"] is None else target["lag"]["seconds"] / 3600
        if hours > self.settings.max_backup_age_hours:
            return f"target {target['name']} has been behind, or silent, for {hours:.0f} hours"
        return None

    def _graph(self, graph_id: str) -> GraphBackup:
        return self.backup.require_graph(graph_id)

    def _look_at_backups(self, graph: GraphBackup) -> dict[str, Any]:
        now = datetime.now(UTC)
        found: dict[str, Any] = {"latest": None, "latest_age_s": None, "not_counted": 0}
        found |= {"newest_not_counted": None, "not_counted_why": "", "last_validation": None, "last_drill": None}
        parts = [self._repository(graph, now)]
        if parts[0].status is not HealthStatus.CRITICAL:
            snapshots = graph.list_snapshots()
            parts += [
                self._age(snapshots, found, now),
                self._proof(graph.graph_id, found, now),
                self._space(snapshots, found, now),
            ]
        status = worst([part.status for part in parts])
        message = "; ".join(part.message for part in parts if part.status is status)
        return _answer(graph.graph_id, status, message, {"components": [part.document() for part in parts], **found})

    def _repository(self, graph: GraphBackup, now: datetime) -> ComponentHealth:
        """Whether the repository can be read and written."""
        if not os.path.isdir(self.backup.storage_path):
            return ComponentHealth("repository", HealthStatus.CRITICAL, "nothing was ever stored", now)
        try:
            trouble = graph.log_damage() or graph.log_alarm()
        except (LightragBkpError, OSError) as error:
            return ComponentHealth("repository", HealthStatus.CRITICAL, f"cannot be read: {error}", now)
        if trouble:
            return ComponentHealth("repository", HealthStatus.CRITICAL, trouble, now)
        try:
            try_writing(self.backup.storage_path)
        except OSError as error:
            return ComponentHealth("repository", HealthStatus.DEGRADED, f"cannot be written: {error.strerror}", now)
        return ComponentHealth("repository", HealthStatus.HEALTHY, "can be read and written", now)

    def _age(self, snapshots: list[BackupSnapshot], found: dict[str, Any], now: datetime) -> ComponentHealth:
        taken = [one for one in snapshots if not one.safety]
        good = [one for one in taken if one.consistency != Consistency.CRASH and one.verdict != Verdict.UNUSABLE]
        uncounted = taken[taken.index(good[-1]) + 1 :] if good else taken
        why = _not_counted(uncounted)
        found |= {"not_counted": len(uncounted), "newest_not_counted": uncounted[-1].backup_id if uncounted else None}
        found["not_counted_why"] = why
        beside = f"; {why}" if why else ""
        if not good:
            return ComponentHealth("age", HealthStatus.CRITICAL, f"there is no good backup{beside}", now)
        age = age_of(good[-1].created_at, now)
        found |= {"latest": good[-1].backup_id, "latest_age_s": None if age is None else age.total_seconds()}
        if age is None:
            said = f"nobody knows how old the newest good backup is: {_to_come(good[-1].created_at)}{beside}"
            return ComponentHealth("age", HealthStatus.DEGRADED, said, now)
        limit = timedelta(hours=self.settings.max_backup_age_hours)
        if age > 2 * limit:
            status = HealthStatus.CRITICAL
        else:
            status = HealthStatus.DEGRADED if age > limit else HealthStatus.HEALTHY
        said = f"the newest good backup is {_told(age)} old{beside}"
        return ComponentHealth("age", status, said, now)

    def _proof(self, graph_id: str, found: dict[str, Any], now: datetime) -> ComponentHealth:
        """When a backup of the graph was last proved good, by reading it or by bringing it back."""
        points, failed = self._store.points()
        proofs: dict[str, dict[str, Any]] = {}
        for point in points:
            if graph_id not in point.graphs:
                continue
            for record in self._store.records(point.checkpoint_id):
                if record.kind in (VALIDATION, DRILL):
                    kind = "last_drill" if record.kind == DRILL else "last_validation"
                    if kind not in proofs or proofs[kind]["at"] <= record.at:
                        proofs[kind] = _proof(record, point.checkpoint_id, graph_id)
        for kind, proof in proofs.items():
            age = age_of(proof["at"], now)
            age_s = None if age is None else age.total_seconds()
            found[kind] = proof | {"at": proof["at"].isoformat(), "age_s": age_s}
        if failed:
            said = unreadable(min(failed), failed[min(failed)])
            return ComponentHealth("proof", HealthStatus.CRITICAL, said, now)
        return self._judge_proof(found, now)

    def _judge_proof(self, found: dict[str, Any], now: datetime) -> ComponentHealth:
        newest = max((one for one in (found["last_validation"], found["last_drill"]) if one), key=_at, default=None)
        if newest is not None and not newest["ok"]:
            said = f"it would not come back from recovery point {newest['checkpoint_id']}: validate that to see why"
            return ComponentHealth("proof", HealthStatus.CRITICAL, said, now)
        drill = found["last_drill"]
        if drill is None:
            said = "no backup was ever brought back for trial: run a drill"
            return ComponentHealth("proof", HealthStatus.DEGRADED, said, now)
        if not drill["ok"]:
            point = drill["checkpoint_id"]
            said = (
                f"the last drill failed, that of recovery point {point}: repeat it, lightrag-bkp recovery drill {point}"
            )
            return ComponentHealth("proof", HealthStatus.DEGRADED, said, now)
        if drill["age_s"] is None:
            said = f"nobody knows when the last drill was: {_to_come(datetime.fromisoformat(drill['at']))}"
            return ComponentHealth("proof", HealthStatus.DEGRADED, said, now)
        age = timedelta(seconds=drill["age_s"])
        late = age > timedelta(days=self.settings.max_drill_age_days)
        status = HealthStatus.DEGRADED if late else HealthStatus.HEALTHY
        return ComponentHealth("proof", status, f"the last drill was {_told(age)} ago", now)

    def _space(self, snapshots: list[BackupSnapshot], found: dict[str, Any], now: datetime) -> ComponentHealth:
        free = _bridge.free_bytes(self.backup.storage_path)
        days = _days_until_full(snapshots, free, now)
        found |= {"free_bytes": free, "days_until_full": days}
        if free == 0:
            return ComponentHealth("space", HealthStatus.CRITICAL, "no room is left", now)
        if days is not None and days < _FULL_SOON_DAYS:
            said = f"the device is full in {days:.0f} days at this rate"
            return ComponentHealth("space", HealthStatus.DEGRADED, said, now)
        return ComponentHealth("space", HealthStatus.HEALTHY, f"{free / 1e9:.1f} GB are free", now)


def _not_counted(uncounted: list[BackupSnapshot]) -> str:
    """Why newer snapshots do not count as backups; "" when there are none."""
    unusable = [one for one in uncounted if one.verdict == Verdict.UNUSABLE]
    crash = [one for one in uncounted if one.verdict != Verdict.UNUSABLE]
    said = []
    for some, kind, advice in (
        (crash, "of consistency crash", "taken without waiting for LightRAG, so nobody knows if of one moment"),
        (unusable, "of an unusable graph", "`lightrag-bkp show` says why"),
    ):
        if some:
            number = "1 snapshot" if len(some) == 1 else f"{len(some)} snapshots"
            said.append(f"{number} {kind}, the last one {some[-1].backup_id}, newer than any good backup: {advice}")
    return "; ".join(said)


def _at(proof: Mapping[str, Any]) -> str:
    return str(proof["at"])


def _proof(record: Record, checkpoint_id: str, graph_id: str) -> dict[str, Any]:
    ok, rto_s = proved(record, graph_id)
    level = record.document["level"]
    return {"at": record.at, "checkpoint_id": checkpoint_id, "ok": ok, "level": level, "rto_s": rto_s}


def _answer(graph_id: str, status: HealthStatus, message: str, more: Mapping[str, Any]) -> dict[str, Any]:
    checked_at = datetime.now(UTC).isoformat()
    return {"graph_id": graph_id, "status": status, "message": message, "checked_at": checked_at, **more}


def interrupted(graph: GraphBackup) -> str | None:
    """A sentence when an interrupted restore waits in the graph's directory, else None."""
    root = os.path.join(graph.source_dir or "", graph.workspace)
    if graph.source_dir is not None and is_half_done(root):
        return "an interrupted restore waits there: finish it before LightRAG starts"
    return None


def _look_at_graph(graph: GraphBackup, found: dict[str, Any]) -> tuple[HealthStatus, str, files.Layout | None]:
    """What is wrong with the files as far as their names tell; or nothing, and where they lie, to be judged."""
    if graph.source_dir is None:
        return HealthStatus.DEGRADED, "where it lives is not configured", None
    waiting = interrupted(graph)
    if waiting is not None:
        return HealthStatus.CRITICAL, waiting, None
    try:
        layout = files.detect(graph.source_dir, graph.workspace)
    except LightragBkpError as error:
        return HealthStatus.CRITICAL, str(error), None
    if layout.kind is files.Kind.PLAIN:
        return HealthStatus.HEALTHY, "its directory is there", None
    pins = files.pin(layout)
    try:
        changed = [found_at[3] for name, found_at in pins.identities.items() if name != files.LLM_CACHE]
        found |= {"files": len(pins.names), "changed_at": moment(max(changed, default=0)).isoformat()}
        files.refuse_incomplete(pins)
    except LightragBkpError as error:
        return HealthStatus.CRITICAL, str(error), None
    finally:
        pins.close()
    return HealthStatus.HEALTHY, "", layout


def _days_until_full(snapshots: list[BackupSnapshot], free_bytes: int, now: datetime) -> float | None:
    """How long the room lasts at the rate of the last 30 days, in days; None when nothing was added.

    What was added in less than a day counts as a day's: two snapshots a second apart are no rate.
    """
    since = now - timedelta(days=_GROWTH_DAYS)
    recent = [one for one in snapshots if since < one.created_at <= now]
    if len(recent) < 2:
        return None
    added = sum(one.stored_bytes for one in recent[1:])
    took_s = (recent[-1].created_at - recent[0].created_at).total_seconds()
    return None if added <= 0 else free_bytes / (added / max(took_s, _DAY_S)) / _DAY_S


def _to_come(at: datetime) -> str:
    return f"it claims {at:%Y-%m-%d %H:%M} UTC, which is yet to come: set the clock, and take another"


def _told(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return (
        f"{hours * 60:.0f} minutes" if hours < 2 else f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    )
