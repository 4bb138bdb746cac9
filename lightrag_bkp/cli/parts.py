"""What commands work with, wherever it lies: the classes of this package on this machine, or those of `client` that
reach a server. The members are those commands use.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from ..keyring import Keyring
    from ..limits import RecoverySettings, ReplicationSettings
    from ..models import (
        BackupSnapshot,
        ProgressCallback,
        PruneOutcome,
        RestoreOutcome,
        RetentionPolicy,
        VerifyLevel,
        VerifyOutcome,
    )
    from ..probing import TargetHealth
    from ..recovering.drills import DrillOutcome
    from ..recovering.history import FailoverOutcome, PastFailover
    from ..recovering.points import RecoveryPoint
    from ..replication_targets import ReplicationTarget
    from ..shipping.records import ReplicationLog


class Graph(Protocol):
    """`GraphBackup`."""

    graph_id: str
    source_dir: str | None
    retention: "RetentionPolicy"
    on_snapshot: Callable[[str], None] | None

    def list_snapshots(self) -> "list[BackupSnapshot]": ...

    def get_snapshot(self, snapshot_id: str) -> "BackupSnapshot | None": ...

    def find_snapshot(self, beginning: str) -> "BackupSnapshot": ...

    def log_damage(self) -> str | None: ...

    def log_alarm(self) -> str | None: ...

    def create_snapshot(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        on_busy: str = "wait",
        deadline_s: float = 300,
        partial: bool = False,
        server_url: str | None = None,
        validate: str = "on",
        progress: "ProgressCallback | None" = None,
    ) -> "Coroutine[Any, Any, BackupSnapshot]": ...

    def restore(
        self,
        snapshot_id: str,
        target_dir: str,
        *,
        items: Sequence[str] | None = None,
        dry_run: bool = False,
        workspace: str | None = None,
        input_dir: str | None = None,
        replace: bool = False,
        allow_unusable: bool = False,
        progress: "ProgressCallback | None" = None,
    ) -> "Coroutine[Any, Any, RestoreOutcome]": ...

    def verify_snapshot(
        self,
        snapshot_id: str | None = None,
        level: "VerifyLevel | str" = ...,
        *,
        scratch_dir: str | None = None,
        progress: "ProgressCallback | None" = None,
    ) -> "Coroutine[Any, Any, VerifyOutcome]": ...

    def hold(self, snapshot_id: str, holder: str = "user") -> Coroutine[Any, Any, bool]: ...

    def release(self, snapshot_id: str, holder: str = "user") -> Coroutine[Any, Any, bool]: ...

    def delete_snapshot(self, snapshot_id: str) -> Coroutine[Any, Any, bool]: ...

    def prune(
        self, *, dry_run: bool = False, wait_s: float = ..., progress: "ProgressCallback | None" = None
    ) -> "Coroutine[Any, Any, PruneOutcome]": ...


class Manager(Protocol):
    """`BackupManager`."""

    recovery: "RecoverySettings"
    replication: "ReplicationSettings"

    @property
    def keyring(self) -> "Keyring | None": ...

    @property
    def storage_path(self) -> str | None: ...

    def register_graph(
        self,
        graph_id: str,
        source_dir: str | None = None,
        *,
        workspace: str | None = None,
        input_dir: str | None = None,
    ) -> Graph: ...

    def get_graph(self, graph_id: str) -> Graph | None: ...

    def require_graph(self, graph_id: str) -> Graph: ...

    def graph_ids(self) -> list[str]: ...

    def get_total_stats(self) -> dict[str, Any]: ...


class Recovery(Protocol):
    """`DisasterRecoveryManager`."""

    @property
    def backup(self) -> Manager: ...

    def create_recovery_point(
        self, graph_ids: Sequence[str], description: str = ""
    ) -> "Coroutine[Any, Any, RecoveryPoint]": ...

    def list_recovery_points(self) -> "list[RecoveryPoint]": ...

    def find_recovery_point(self, beginning: str) -> "RecoveryPoint": ...

    def find_recovery_id(self, beginning: str) -> str: ...

    def delete_recovery_point(self, checkpoint_id: str) -> Coroutine[Any, Any, bool]: ...

    def failovers(self, checkpoint_id: str) -> "list[PastFailover]": ...

    def validate_recovery_point(
        self, checkpoint_id: str, level: "VerifyLevel | str" = ...
    ) -> Coroutine[Any, Any, bool]: ...

    def problems(self, checkpoint_id: str) -> list[tuple[str, str]]: ...

    def run_drill(self, checkpoint_id: str) -> "Coroutine[Any, Any, DrillOutcome]": ...

    def failover(self, checkpoint_id: str, *, dry_run: bool = False) -> "Coroutine[Any, Any, FailoverOutcome]": ...

    def undo_failover(
        self, checkpoint_id: str, *, elsewhere: bool = False, dry_run: bool = False
    ) -> "Coroutine[Any, Any, FailoverOutcome]": ...

    def health_check(self) -> Coroutine[Any, Any, dict[str, Any]]: ...

    def get_recovery_status(self) -> dict[str, Any]: ...


class Replicator(Protocol):
    """`GraphReplicator`."""

    def add_target(self, target: "ReplicationTarget") -> bool: ...

    def list_targets(self) -> "list[ReplicationTarget]": ...

    def replicate(
        self,
        snapshot_id: str | None = None,
        target_id: str | None = None,
        *,
        patience_s: float = ...,
        progress: "ProgressCallback | None" = None,
    ) -> "Coroutine[Any, Any, list[ReplicationLog]]": ...


class Replication(Protocol):
    """`ReplicationManager`."""

    def register_target(self, target: "ReplicationTarget") -> bool: ...

    def list_targets(self) -> "list[ReplicationTarget]": ...

    def remove_target(self, target_id: str) -> bool: ...

    def get_graph_replicator(self, graph_id: str) -> Replicator: ...

    def check_target_health(self, target_id: str) -> "Coroutine[Any, Any, TargetHealth]": ...

    def check_all_targets(self) -> "Coroutine[Any, Any, dict[str, TargetHealth]]": ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: Any, at: Any, /) -> None: ...
