"""The same as `lightrag_bkp.recovery` without `await`; to be had as `lightrag_bkp.sync`."""

from collections.abc import Sequence
from typing import Any

from .. import recovery
from ..backup import BackupManager
from ..limits import RecoverySettings
from ..models import VerifyLevel
from ..recovering.history import FailoverOutcome, PastFailover
from ..recovery import DrillOutcome, RecoveryPoint
from ..replication import ReplicationManager
from .backup import BackupManager as SyncBackupManager
from .replication import ReplicationManager as SyncReplicationManager
from .running import refuse_deadlock, run

AnyManager = BackupManager | SyncBackupManager | None
AnyReplication = ReplicationManager | SyncReplicationManager | None


class HealthValidator:
    """`lightrag_bkp.recovery.HealthValidator` without `await`; `validator` is the original."""

    def __init__(
        self, backup: AnyManager = None, replication: AnyReplication = None, *, settings: RecoverySettings | None = None
    ) -> None:
        self.validator = recovery.HealthValidator(_original(backup), _original_of(replication), settings=settings)

    def validate_graph(self, graph_id: str) -> dict[str, Any]:
        """As the original."""
        return run(self.validator.validate_graph(graph_id))

    def validate_backups(self, graph_id: str) -> dict[str, Any]:
        """As the original."""
        return run(self.validator.validate_backups(graph_id))

    def validate_replication(self, graph_id: str) -> dict[str, Any]:
        """As the original."""
        return run(self.validator.validate_replication(graph_id))


class DisasterRecoveryManager:
    """`lightrag_bkp.recovery.DisasterRecoveryManager` without `await`; `manager` is the original.

    What touches a graph whose LightRAG may run on the calling loop raises InvalidInputError.
    """

    def __init__(self, backup: AnyManager = None, replication: AnyReplication = None) -> None:
        self.manager = recovery.DisasterRecoveryManager(_original(backup), _original_of(replication))

    def create_recovery_point(self, graph_ids: Sequence[str], description: str = "") -> RecoveryPoint:
        """As the original."""
        self._refuse_deadlock("create_recovery_point")
        return run(self.manager.create_recovery_point(graph_ids, description))

    def list_recovery_points(self) -> list[RecoveryPoint]:
        """As the original."""
        return self.manager.list_recovery_points()

    def get_recovery_point(self, checkpoint_id: str) -> RecoveryPoint | None:
        """As the original."""
        return self.manager.get_recovery_point(checkpoint_id)

    def find_recovery_point(self, beginning: str) -> RecoveryPoint:
        """As the original."""
        return self.manager.find_recovery_point(beginning)

    def find_recovery_id(self, beginning: str) -> str:
        """As the original."""
        return self.manager.find_recovery_id(beginning)

    def delete_recovery_point(self, checkpoint_id: str) -> bool:
        """As the original."""
        return run(self.manager.delete_recovery_point(checkpoint_id))

    def validate_recovery_point(self, checkpoint_id: str, level: VerifyLevel | str = "digests") -> bool:
        """As the original."""
        return run(self.manager.validate_recovery_point(checkpoint_id, level))

    def problems(self, checkpoint_id: str) -> list[tuple[str, str]]:
        """As the original."""
        return self.manager.problems(checkpoint_id)

    def run_drill(self, checkpoint_id: str) -> DrillOutcome:
        """As the original."""
        return run(self.manager.run_drill(checkpoint_id))

    def initiate_failover(self, checkpoint_id: str) -> bool:
        """As the original."""
        self._refuse_deadlock("initiate_failover")
        return run(self.manager.initiate_failover(checkpoint_id))

    def failover(self, checkpoint_id: str, *, dry_run: bool = False) -> FailoverOutcome:
        """As the original."""
        self._refuse_deadlock("failover")
        return run(self.manager.failover(checkpoint_id, dry_run=dry_run))

    def undo_failover(self, checkpoint_id: str, *, elsewhere: bool = False, dry_run: bool = False) -> FailoverOutcome:
        """As the original."""
        self._refuse_deadlock("undo_failover")
        return run(self.manager.undo_failover(checkpoint_id, elsewhere=elsewhere, dry_run=dry_run))

    def failovers(self, checkpoint_id: str) -> list[PastFailover]:
        """As the original."""
        return self.manager.failovers(checkpoint_id)

    def health_check(self) -> dict[str, Any]:
        """As the original."""
        return run(self.manager.health_check())

    def get_recovery_status(self) -> dict[str, Any]:
        """As the original."""
        return self.manager.get_recovery_status()

    def _refuse_deadlock(self, method: str) -> None:
        for graph_id in self.manager.backup.graph_ids():
            refuse_deadlock(self.manager.backup.require_graph(graph_id), method)


def _original(backup: AnyManager) -> BackupManager | None:
    return backup.manager if isinstance(backup, SyncBackupManager) else backup


def _original_of(replication: AnyReplication) -> ReplicationManager | None:
    return replication.manager if isinstance(replication, SyncReplicationManager) else replication
