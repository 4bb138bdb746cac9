"""The same as `lightrag_bkp.backup` without `await`; to be had as `lightrag_bkp.sync`."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from .. import backup
from ..graph import READERS_WAIT_S
from ..models import (
    BackupSnapshot,
    KeySlot,
    ProgressCallback,
    PruneOutcome,
    RestoreOutcome,
    RetentionPolicy,
    VerifyLevel,
    VerifyOutcome,
)
from ..verdicts import Validation
from .running import refuse_deadlock, run


class GraphBackup:
    """`lightrag_bkp.GraphBackup` without `await`; `graph` is the original, with all settings."""

    def __init__(self, graph: backup.GraphBackup) -> None:
        self.graph = graph

    @property
    def graph_id(self) -> str:
        """The graph's name."""
        return self.graph.graph_id

    @property
    def source_dir(self) -> str | None:
        """LightRAG's working directory, or any other; None when nobody said."""
        return self.graph.source_dir

    @property
    def workspace(self) -> str:
        """The workspace of LightRAG; "" is the unnamed one."""
        return self.graph.workspace

    @property
    def input_dir(self) -> str | None:
        """LightRAG's INPUT_DIR, or None."""
        return self.graph.input_dir

    @property
    def rag(self) -> Any:
        """The running LightRAG, or None."""
        return self.graph.rag

    @property
    def server_url(self) -> str | None:
        """Of the LightRAG server that has the graph open, or None."""
        return self.graph.server_url

    @property
    def retention_days(self) -> int:
        """How long its next snapshots are wanted."""
        return self.graph.retention_days

    @property
    def retention(self) -> RetentionPolicy:
        """Which snapshots its clean-ups keep."""
        return self.graph.retention

    def create_snapshot(
        self,
        source_dir: str | os.PathLike[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        on_busy: str = "wait",
        deadline_s: float = 300,
        partial: bool = False,
        server_url: str | None = None,
        validate: str = "on",
        progress: ProgressCallback | None = None,
    ) -> BackupSnapshot:
        """As the original; `progress` is called on another thread.

        Raises:
            InvalidInputError: the graph's LightRAG runs on the loop this call would block.
        """
        self._refuse_deadlock("create_snapshot")
        return run(
            self.graph.create_snapshot(
                source_dir,
                metadata,
                on_busy=on_busy,
                deadline_s=deadline_s,
                partial=partial,
                server_url=server_url,
                validate=validate,
                progress=progress,
            )
        )

    def restore(
        self,
        snapshot_id: str,
        target_dir: str | os.PathLike[str],
        *,
        items: Sequence[str] | None = None,
        dry_run: bool = False,
        workspace: str | None = None,
        input_dir: str | os.PathLike[str] | None = None,
        replace: bool = False,
        allow_unusable: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreOutcome:
        """As the original; `progress` is called on another thread.

        Raises:
            InvalidInputError: the graph's LightRAG runs on the loop this call would block.
        """
        self._refuse_deadlock("restore")
        return run(
            self.graph.restore(
                snapshot_id,
                target_dir,
                items=items,
                dry_run=dry_run,
                workspace=workspace,
                input_dir=input_dir,
                replace=replace,
                allow_unusable=allow_unusable,
                progress=progress,
            )
        )

    def restore_snapshot(self, snapshot_id: str, target_dir: str | os.PathLike[str]) -> bool:
        """As the original."""
        return run(self.graph.restore_snapshot(snapshot_id, target_dir))

    def unpack(self, snapshot_id: str, directory: str | os.PathLike[str]) -> None:
        """As the original."""
        run(self.graph.unpack(snapshot_id, directory))

    def bring_home(
        self,
        snapshot_id: str,
        *,
        items: Sequence[str] | None = None,
        dry_run: bool = False,
        workspace: str | None = None,
        replace: bool = False,
        allow_unusable: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreOutcome:
        """As the original; `progress` is called on another thread.

        Raises:
            InvalidInputError: the graph's LightRAG runs on the loop this call would block.
        """
        self._refuse_deadlock("bring_home")
        return run(
            self.graph.bring_home(
                snapshot_id,
                items=items,
                dry_run=dry_run,
                workspace=workspace,
                replace=replace,
                allow_unusable=allow_unusable,
                progress=progress,
            )
        )

    def undo_restore(self, outcome: RestoreOutcome) -> None:
        """As the original.

        Raises:
            InvalidInputError: the graph's LightRAG runs on the loop this call would block.
        """
        self._refuse_deadlock("undo_restore")
        run(self.graph.undo_restore(outcome))

    def finish_restore(self, target_dir: str | os.PathLike[str] | None = None) -> bool:
        """As the original."""
        return run(self.graph.finish_restore(target_dir))

    def log_damage(self) -> str | None:
        """As the original."""
        return self.graph.log_damage()

    def log_alarm(self) -> str | None:
        """As the original."""
        return self.graph.log_alarm()

    def list_snapshots(self) -> list[BackupSnapshot]:
        """As the original."""
        return self.graph.list_snapshots()

    def get_snapshot(self, snapshot_id: str) -> BackupSnapshot | None:
        """As the original."""
        return self.graph.get_snapshot(snapshot_id)

    def find_snapshot(self, beginning: str) -> BackupSnapshot:
        """As the original."""
        return self.graph.find_snapshot(beginning)

    def delete_snapshot(self, snapshot_id: str) -> bool:
        """As the original."""
        return run(self.graph.delete_snapshot(snapshot_id))

    def hold(self, snapshot_id: str, holder: str = "user") -> bool:
        """As the original."""
        return run(self.graph.hold(snapshot_id, holder))

    def release(self, snapshot_id: str, holder: str = "user") -> bool:
        """As the original."""
        return run(self.graph.release(snapshot_id, holder))

    def verify_snapshot(
        self,
        snapshot_id: str | None = None,
        level: VerifyLevel | str = VerifyLevel.DIGESTS,
        *,
        scratch_dir: str | os.PathLike[str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> VerifyOutcome:
        """As the original; `progress` is called on another thread."""
        return run(self.graph.verify_snapshot(snapshot_id, level, scratch_dir=scratch_dir, progress=progress))

    def validate_snapshot(
        self, snapshot_id: str, *, embedding_dim: int | None = None, progress: ProgressCallback | None = None
    ) -> Validation:
        """As the original; `progress` is called on another thread."""
        return run(self.graph.validate_snapshot(snapshot_id, embedding_dim=embedding_dim, progress=progress))

    def prune(
        self,
        *,
        dry_run: bool = False,
        retention: RetentionPolicy | None = None,
        now: datetime | None = None,
        wait_s: float = READERS_WAIT_S,
        progress: ProgressCallback | None = None,
    ) -> PruneOutcome:
        """As the original; `progress` is called on another thread."""
        return run(self.graph.prune(dry_run=dry_run, retention=retention, now=now, wait_s=wait_s, progress=progress))

    def cleanup_old_snapshots(self) -> int:
        """As the original."""
        return run(self.graph.cleanup_old_snapshots())

    def stats(self) -> dict[str, Any]:
        """As the original."""
        return self.graph.stats()

    def close(self) -> None:
        """As the original."""
        self.graph.close()

    def _refuse_deadlock(self, method: str) -> None:
        refuse_deadlock(self.graph, method)


class BackupManager:
    """`lightrag_bkp.BackupManager` without `await`; takes the same arguments. `manager` is the original."""

    def __init__(
        self,
        storage_path: str | os.PathLike[str] | None = None,
        retention_days: int | None = None,
        *,
        retention: RetentionPolicy | None = None,
        passphrase: str | bytes | None = None,
        passphrase_file: str | os.PathLike[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self.manager = backup.BackupManager(
            storage_path,
            retention_days,
            retention=retention,
            passphrase=passphrase,
            passphrase_file=passphrase_file,
            key_file=key_file,
        )
        self._twins: dict[str, GraphBackup] = {}

    @property
    def storage_path(self) -> str:
        """Where the repositories lie."""
        return self.manager.storage_path

    def register_graph(
        self,
        graph_id: str,
        source_dir: str | os.PathLike[str] | None = None,
        *,
        workspace: str | None = None,
        rag: Any = None,
        input_dir: str | os.PathLike[str] | None = None,
        server_url: str | None = None,
    ) -> GraphBackup:
        """As the original."""
        return self._twin(
            self.manager.register_graph(
                graph_id, source_dir, workspace=workspace, rag=rag, input_dir=input_dir, server_url=server_url
            )
        )

    def get_graph(self, graph_id: str) -> GraphBackup | None:
        """As the original."""
        graph = self.manager.get_graph(graph_id)
        return None if graph is None else self._twin(graph)

    get_graph_backup = get_graph

    def require_graph(self, graph_id: str) -> GraphBackup:
        """As the original."""
        return self._twin(self.manager.require_graph(graph_id))

    def graph_ids(self) -> list[str]:
        """As the original."""
        return self.manager.graph_ids()

    def get_total_stats(self) -> dict[str, Any]:
        """As the original."""
        return self.manager.get_total_stats()

    def cleanup_all_graphs(self) -> int:
        """As the original."""
        return run(self.manager.cleanup_all_graphs())

    cleanup_old_backups = cleanup_all_graphs

    def list_key_slots(self) -> list[KeySlot]:
        """As the original."""
        return run(self.manager.list_key_slots())

    def add_passphrase(self, passphrase: str | bytes) -> str:
        """As the original."""
        return run(self.manager.add_passphrase(passphrase))

    def remove_passphrase(self, slot_id: str) -> str:
        """As the original."""
        return run(self.manager.remove_passphrase(slot_id))

    def recovery_kit(self) -> str:
        """As the original."""
        return run(self.manager.recovery_kit())

    def close(self) -> None:
        """As the original."""
        self.manager.close()

    def _twin(self, graph: backup.GraphBackup) -> GraphBackup:
        """The same one every time, as the original manager has one object of each graph."""
        return self._twins.setdefault(graph.graph_id, GraphBackup(graph))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
