"""A graph as its settings and its repository know it: what is listed, and how a snapshot is found."""

import os
from collections.abc import Callable
from typing import Any

from .. import _bridge, arguments, config
from ..beginnings import meant, several
from ..errors import DamagedError, InvalidInputError, NotFoundError
from ..keyring import Keyring
from ..models import BackupSnapshot, RetentionPolicy
from ..repository import GraphRepository
from ..sources.files import Kind, Layout
from ..threads import in_thread

LATEST = "latest"


class KnownGraph:
    """Settings and repository of one graph; see `GraphBackup`."""

    def __init__(
        self,
        storage_path: str | os.PathLike[str],
        graph_id: str,
        source_dir: str | os.PathLike[str] | None = None,
        *,
        workspace: str | None = None,
        rag: Any = None,
        input_dir: str | os.PathLike[str] | None = None,
        server_url: str | None = None,
        retention_days: int = config.DEFAULT_RETENTION_DAYS,
        retention: RetentionPolicy | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self.graph_id = arguments.check_graph_id(graph_id)
        self.source_dir = None if source_dir is None else arguments.check_path(source_dir, "source_dir")
        self.given_workspace = None if workspace is None else arguments.check_workspace(workspace)
        self.input_dir = None if input_dir is None else arguments.check_path(input_dir, "input_dir")
        self.rag = None if rag is None else arguments.check_rag(rag)
        self.server_url = None if server_url is None else arguments.check_server_url(server_url)
        self.retention_days = arguments.check_retention_days(retention_days)
        self.retention = arguments.check_retention(retention) or RetentionPolicy()
        if not isinstance(keyring, Keyring | None):
            raise InvalidInputError(f"keyring must be a BackupManager's keyring, and is a {type(keyring).__name__}")
        self.on_snapshot: Callable[[str], None] | None = None
        """Told the graph's id after each snapshot; must return at once and never raise."""
        self._repository = GraphRepository(arguments.check_path(storage_path, "storage_path"), self.graph_id, keyring)

    @property
    def workspace(self) -> str:
        """The workspace of LightRAG; "" is the unnamed one."""
        return self.given_workspace or ""

    def list_snapshots(self) -> list[BackupSnapshot]:
        """All snapshots in the order of the log, oldest first; each says why the retention policy keeps it. Of a
        damaged log those whose entries are intact (see `log_damage`).

        Raises:
            DamagedError: nothing of the log can be read.
        """
        core = self._repository.open_now()
        return [] if core is None else self._repository.snapshots(core, self.retention)

    def get_snapshot(self, snapshot_id: str) -> BackupSnapshot | None:
        """The snapshot of this id, or of "latest" (which passes over safety snapshots); None when there is none.

        Raises:
            InvalidInputError: this cannot be an id.
        """
        arguments.check_snapshot_id(snapshot_id)
        core = self._repository.open_now()
        return None if core is None else self._find(core, snapshot_id)

    def find_snapshot(self, beginning: str) -> BackupSnapshot:
        """The one snapshot whose id is `beginning`, or begins with it; or that of "latest".

        Raises:
            NotFoundError: there is none. DamagedError: nor is it known, since entries of the log are damaged.
            InvalidInputError: there are several; the message names them.
        """
        arguments.check_snapshot_id(beginning)
        core = self._repository.open_now()
        if core is None:
            raise self._unknown(core, beginning)
        exact = self._find(core, beginning)
        if exact is not None:
            return exact
        rows = {row[0]: row for row in core.snapshots()}
        found = meant(rows, beginning)
        if not found:
            raise self._unknown(core, beginning)
        if len(found) > 1:
            raise several(f"snapshots of graph {self.graph_id!r}", found, beginning)
        return self._repository.snapshot(core, rows[found[0]])

    def log_damage(self) -> str | None:
        """None, or a sentence that names what of the log is damaged and what to do. Then listings show what is intact,
        which can be restored and verified by its id; whatever would write raises DamagedError.
        """
        core = self._repository.open_now()
        return None if core is None else core.damage

    def log_alarm(self) -> str | None:
        """None, or a sentence: the log ends before, or differs from, what had been written here. Snapshots can be
        taken and restored; `prune` refuses until that is settled.
        """
        core = self._repository.open_now()
        return None if core is None else core.alarm

    def stats(self) -> dict[str, Any]:
        """{snapshots, size_bytes (of all sources), stored_bytes (on disk), latest (id or None)}."""
        core = self._repository.open_now()
        if core is None:
            return {"snapshots": 0, "size_bytes": 0, "stored_bytes": 0, "latest": None}
        rows = core.snapshots()
        known, retired, _ = core.usage()
        latest = None if core.damage is not None else self._find(core, LATEST)
        return {
            "snapshots": len(rows),
            "size_bytes": sum(row[3] for row in rows),
            "stored_bytes": known + retired,
            "latest": None if latest is None else latest.backup_id,
        }

    def close(self) -> None:
        """Lets go of the repository; the next call opens it again."""
        self._repository.close()

    def _source(self, given: str | os.PathLike[str] | None) -> tuple[str, bool]:
        """The directory to work on, and whether it is the registered one: a running LightRAG speaks for no other."""
        if given is None:
            if self.source_dir is None:
                raise InvalidInputError(
                    f"graph {self.graph_id!r} has no source_dir: pass a directory here or to register_graph",
                    target=self.graph_id,
                )
            return self.source_dir, True
        named = arguments.check_path(given, "source_dir")
        is_own = self.source_dir is not None and os.path.realpath(named) == os.path.realpath(self.source_dir)
        return named, is_own

    def _find(self, core: _bridge.Repository, snapshot_id: str) -> BackupSnapshot | None:
        if snapshot_id == LATEST:
            if core.damage is not None:
                raise DamagedError(
                    f"which snapshot is the latest is not known, name one by its id: {core.damage}",
                    target=self.graph_id,
                )
            row = next((row for row in reversed(core.snapshots()) if not row[10]), None)
        else:
            row = core.snapshot(snapshot_id)
        return None if row is None else self._repository.snapshot(core, row)

    async def _require(self, snapshot_id: str) -> BackupSnapshot:
        arguments.check_snapshot_id(snapshot_id)
        core = await self._repository.open()
        snapshot = None if core is None else await in_thread(self._find, core, snapshot_id)
        if snapshot is None:
            raise self._unknown(core, snapshot_id)
        return snapshot

    def _unknown(self, core: _bridge.Repository | None, snapshot_id: str) -> NotFoundError | DamagedError:
        if core is not None and core.damage is not None:
            return DamagedError(
                f"graph {self.graph_id!r} has no intact snapshot {snapshot_id!r}, and damaged entries: {core.damage}",
                target=snapshot_id,
            )
        return NotFoundError(
            f"graph {self.graph_id!r} has no snapshot {snapshot_id!r}: a listing names all", target=snapshot_id
        )


def root_of(directory: str, workspace: str) -> str:
    """The directory of a workspace's files."""
    return Layout.at(Kind.LIGHTRAG, directory, workspace).root
