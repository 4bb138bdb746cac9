"""The same as `lightrag_bkp.replication` without `await`; to be had as `lightrag_bkp.sync`."""

import os
from types import TracebackType
from typing import Any, Self

from .. import replication
from ..keyring import Keyring
from ..models import ProgressCallback
from ..probing import TargetHealth, TargetStatus
from ..replication import PATIENCE_S, ReplicationLog, ReplicationTarget
from .running import run


class GraphReplicator:
    """`lightrag_bkp.replication.GraphReplicator` without `await`; `replicator` is the original."""

    def __init__(self, replicator: replication.GraphReplicator) -> None:
        self.replicator = replicator

    @property
    def graph_id(self) -> str:
        """The graph's name."""
        return self.replicator.graph_id

    def add_target(self, target: ReplicationTarget) -> bool:
        """As the original."""
        return self.replicator.add_target(target)

    def remove_target(self, target_id: str) -> bool:
        """As the original."""
        return self.replicator.remove_target(target_id)

    def list_targets(self) -> list[ReplicationTarget]:
        """As the original."""
        return self.replicator.list_targets()

    def get_target(self, target_id: str) -> ReplicationTarget | None:
        """As the original."""
        return self.replicator.get_target(target_id)

    def logs(self, target_id: str | None = None) -> list[ReplicationLog]:
        """As the original."""
        return self.replicator.logs(target_id)

    def check_target_health(self, target_id: str) -> TargetStatus:
        """As the original."""
        return run(self.replicator.check_target_health(target_id))

    def replicate(
        self,
        snapshot_id: str | None = None,
        target_id: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        progress: ProgressCallback | None = None,
    ) -> list[ReplicationLog]:
        """As the original; `progress` is called on another thread."""
        return run(self.replicator.replicate(snapshot_id, target_id, patience_s=patience_s, progress=progress))

    def get_replication_status(self) -> dict[str, Any]:
        """As the original."""
        return self.replicator.get_replication_status()


class ReplicationManager:
    """`lightrag_bkp.replication.ReplicationManager` without `await`; takes the same arguments. `manager` is the
    original.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        key_file: str | os.PathLike[str] | None = None,
        storage_path: str | os.PathLike[str] | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self.manager = replication.ReplicationManager(
            database_url, key_file=key_file, storage_path=storage_path, keyring=keyring
        )

    def register_target(self, target: ReplicationTarget) -> bool:
        """As the original."""
        return self.manager.register_target(target)

    def list_targets(self) -> list[ReplicationTarget]:
        """As the original."""
        return self.manager.list_targets()

    def get_target(self, target_id: str) -> ReplicationTarget | None:
        """As the original."""
        return self.manager.get_target(target_id)

    def require_target(self, target_id: str) -> ReplicationTarget:
        """As the original."""
        return self.manager.require_target(target_id)

    def update_target(
        self,
        target_id: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        enabled: bool | None = None,
    ) -> ReplicationTarget:
        """As the original."""
        return self.manager.update_target(target_id, name=name, base_url=base_url, api_key=api_key, enabled=enabled)

    def remove_target(self, target_id: str) -> bool:
        """As the original."""
        return self.manager.remove_target(target_id)

    def get_graph_replicator(self, graph_id: str) -> GraphReplicator:
        """As the original."""
        return GraphReplicator(self.manager.get_graph_replicator(graph_id))

    def check_target_health(self, target_id: str) -> TargetHealth:
        """As the original."""
        return run(self.manager.check_target_health(target_id))

    def check_all_targets(self) -> dict[str, TargetHealth]:
        """As the original."""
        return run(self.manager.check_all_targets())

    def close(self) -> None:
        """As the original."""
        self.manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
