"""The graphs of a server: `BackupManager` and `GraphBackup` through HTTP.

Where graphs and snapshots lie is the server's matter: whatever would name a place is refused here, before anything is
sent.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any, NotRequired, TypedDict, TypeVar

from ..arguments import check_snapshot_id, is_graph_id
from ..errors import InvalidInputError, NotFoundError
from ..graph.keeping import READERS_WAIT_S
from ..limits import RecoverySettings, ReplicationSettings
from ..models import (
    BackupSnapshot,
    BackupStatus,
    Item,
    ProgressCallback,
    PruneOutcome,
    RestoreOutcome,
    RetentionPolicy,
    SkippedItem,
    SnapshotBody,
    VerifyLevel,
    VerifyOutcome,
)
from .connection import Connection, Talk, in_path
from .operations import work
from .refusing import refuse_policy, unused

V = TypeVar("V")


class _Graph(TypedDict):
    """A graph as it is listed."""

    graph_id: str
    source_dir: str | None
    snapshots: int
    size_bytes: int
    stored_bytes: int
    latest: str | None
    error: str | None


class _Snapshot(TypedDict):
    """A snapshot as it is listed."""

    backup_id: str
    graph_id: str
    status: BackupStatus
    created_at: datetime
    checkpoint_path: str | None
    data_hash: str
    size_bytes: int
    stored_bytes: int
    item_count: int
    retention_days: int
    retention_reason: str
    consistency: str
    held_ms: NotRequired[float | None]
    verdict: str | None
    safety: bool
    holders: list[str]
    metadata: dict[str, Any] | None


_SAME = (
    *("backup_id", "graph_id", "status", "created_at", "data_hash", "size_bytes", "stored_bytes", "item_count"),
    *("retention_days", "retention_reason", "consistency", "verdict", "safety"),
)
"""Members a snapshot has under the same names."""


class _Body(TypedDict):
    """What a snapshot says besides."""

    items: list[Item]
    skipped: list[SkippedItem]
    facts: dict[str, Any]


class _Log(TypedDict):
    """How a graph's log is as a whole."""

    damage: str | None
    alarm: str | None


class RemoteManager:
    """As `BackupManager`.

    Attributes:
        keyring: None; what opens snapshots is the server's matter. recovery, replication: settings that bind nobody
            here: scratch directories are the server's, and it sends copies by itself where it is told to.
    """

    def __init__(self, connection: Connection, retention: RetentionPolicy | None = None) -> None:
        refuse_policy(retention)
        self.connection = connection
        self.keyring = None
        self.recovery = RecoverySettings()
        self.replication = ReplicationSettings()

    @property
    def storage_path(self) -> str | None:
        """Where snapshots lie on the server; None when it does not say."""
        return self._stats["storage_path"]

    def register_graph(
        self,
        graph_id: str,
        source_dir: str | None = None,
        *,
        workspace: str | None = None,
        input_dir: str | None = None,
    ) -> "RemoteGraph":
        """As `require_graph`: which graphs there are, and where, is configured on the server."""
        unused("where a graph lies", SOURCE_DIR=source_dir, workspace=workspace, input_dir=input_dir)
        return self.require_graph(graph_id)

    def get_graph(self, graph_id: str) -> "RemoteGraph":
        """As `require_graph`, for nobody here could make it known."""
        return self.require_graph(graph_id)

    def require_graph(self, graph_id: str) -> "RemoteGraph":
        """A graph the server knows.

        Raises:
            NotFoundError: it knows none of this id.
        """
        rows = {row["graph_id"]: row for row in self._rows}
        if graph_id not in rows:
            known = ", ".join(sorted(rows)) or "none"
            raise NotFoundError(
                f"no graph {graph_id!r} at {self.connection.url}: graphs there are {known}", target=graph_id
            )
        return RemoteGraph(self.connection, graph_id, rows[graph_id]["source_dir"])

    def graph_ids(self) -> list[str]:
        """Ids of all graphs the server knows, sorted."""
        return sorted(row["graph_id"] for row in self._rows)

    def get_total_stats(self) -> dict[str, Any]:
        """As `BackupManager.get_total_stats`."""
        found = self._stats
        names = ("snapshots", "size_bytes", "stored_bytes", "latest")
        graphs = {
            row["graph_id"]: {"error": row["error"]} if row["error"] else {name: row[name] for name in names}  # type: ignore[literal-required]
            for row in found["graphs"]
        }
        return {
            "total_graphs": found["total_graphs"],
            "total_snapshots": found["total_snapshots"],
            "total_size_bytes": found["total_size_bytes"],
            "stored_bytes": found["total_stored_bytes"],
            "graphs": graphs,
        }

    @cached_property
    def _rows(self) -> list[_Graph]:
        found = self.connection.now(lambda talk: talk.pages("/backup/graphs", "graphs", _Graph))
        if not all(is_graph_id(row["graph_id"]) for row in found):
            raise self.connection.strange("a graph's id is none")
        return found

    @cached_property
    def _stats(self) -> "_Stats":
        async def asked(talk: Talk) -> _Stats:
            return talk.read(_Stats, {"storage_path": None, **await talk.ask("GET", "/backup/stats")})

        return self.connection.now(asked)


class _Stats(TypedDict):
    """Figures of everything."""

    storage_path: str | None
    total_graphs: int
    total_snapshots: int
    total_size_bytes: int
    total_stored_bytes: int
    graphs: list[_Graph]


class RemoteGraph:
    """As `GraphBackup`.

    Attributes:
        source_dir: where the server says the graph lies; None when it does not say.
        retention: whether each snapshot's own days count is known once a snapshot was found; nothing else is.
        on_snapshot: of no meaning here.
    """

    def __init__(self, connection: Connection, graph_id: str, source_dir: str | None) -> None:
        self.graph_id = graph_id
        self.source_dir = source_dir
        self.retention = RetentionPolicy()
        self.on_snapshot: Callable[[str], None] | None = None
        self._connection = connection
        self._path = f"/backup/graphs/{graph_id}"
        self._log: _Log | None = None

    # ---- looking ----

    def list_snapshots(self) -> list[BackupSnapshot]:
        """As `GraphBackup.list_snapshots`."""
        rows = self._connection.now(lambda talk: talk.pages(f"{self._path}/snapshots", "snapshots", _Snapshot))
        return [self._snapshot(row) for row in reversed(rows)]  # the newest comes first there

    def get_snapshot(self, snapshot_id: str) -> BackupSnapshot | None:
        """As `GraphBackup.get_snapshot`."""
        try:
            found = self.find_snapshot(snapshot_id)
        except NotFoundError:
            return None
        return found if snapshot_id in ("latest", found.backup_id) else None

    def find_snapshot(self, beginning: str) -> BackupSnapshot:
        """As `GraphBackup.find_snapshot`."""
        check_snapshot_id(beginning)
        if not in_path(beginning):
            raise NotFoundError(
                f"graph {self.graph_id!r} has no snapshot {beginning!r}: a listing names all", target=beginning
            )

        async def asked(talk: Talk) -> BackupSnapshot:
            found = await talk.ask("GET", self._snapshot_path(beginning))
            self._log = talk.read(_Log, found)
            self.retention = RetentionPolicy(days=talk.read(bool, found.get("kept_by_days", True)))
            return self._snapshot(talk.read(_Snapshot, found))

        return self._connection.now(asked)

    def log_damage(self) -> str | None:
        """As `GraphBackup.log_damage`."""
        return self._known_log()["damage"]

    def log_alarm(self) -> str | None:
        """As `GraphBackup.log_alarm`."""
        return self._known_log()["alarm"]

    # ---- taking and bringing back ----

    async def create_snapshot(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        on_busy: str = "wait",
        deadline_s: float = 300,
        partial: bool = False,
        server_url: str | None = None,
        validate: str = "on",
        progress: ProgressCallback | None = None,
    ) -> BackupSnapshot:
        """As `GraphBackup.create_snapshot`, in the process of LightRAG, which knows what it is about."""
        unused("which LightRAG has the graph open", server_url=server_url)
        how = {"on_busy": on_busy, "deadline_s": deadline_s, "partial": partial, "validate": validate}
        body = {"metadata": dict(metadata or {}), **how}
        return await self._work("/snapshots", body, progress, self._taken)

    async def restore(
        self,
        snapshot_id: str,
        target_dir: str = "",
        *,
        items: Sequence[str] | None = None,
        dry_run: bool = False,
        workspace: str | None = None,
        input_dir: str | None = None,
        replace: bool = False,
        allow_unusable: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreOutcome:
        """As `GraphBackup.bring_home`: where the graph lives, while LightRAG goes on."""
        unused("where a graph comes back", TARGET_DIR=target_dir or None, input_dir=input_dir)
        body: dict[str, Any] = {"dry_run": dry_run, "replace": replace, "allow_unusable": allow_unusable}
        body |= {} if items is None else {"items": list(items)}
        body |= {} if workspace is None else {"workspace": workspace}
        return await self._work(f"/snapshots/{snapshot_id}/restore", body, progress, _outcome_of(RestoreOutcome))

    # ---- keeping ----

    async def verify_snapshot(
        self,
        snapshot_id: str | None = None,
        level: VerifyLevel | str = VerifyLevel.DIGESTS,
        *,
        scratch_dir: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> VerifyOutcome:
        """As `GraphBackup.verify_snapshot`; a drill uses the server's scratch directory."""
        if snapshot_id is None and level == VerifyLevel.DRILL:
            raise InvalidInputError("a drill is of one snapshot: name it, or 'latest'", op="verify")
        which = "" if snapshot_id is None else f"/snapshots/{snapshot_id}"
        return await self._work(f"{which}/verify", {"level": str(level)}, progress, _outcome_of(VerifyOutcome))

    async def hold(self, snapshot_id: str, holder: str = "user") -> bool:
        """As `GraphBackup.hold`."""
        return await self._change("hold", snapshot_id, holder)

    async def release(self, snapshot_id: str, holder: str = "user") -> bool:
        """As `GraphBackup.release`."""
        return await self._change("release", snapshot_id, holder)

    async def delete_snapshot(self, snapshot_id: str) -> bool:
        """As `GraphBackup.delete_snapshot`."""
        try:
            async with self._connection.talk() as talk:
                await talk.ask("DELETE", self._snapshot_path(snapshot_id))
        except NotFoundError:
            return False
        return True

    async def prune(
        self, *, dry_run: bool = False, wait_s: float = READERS_WAIT_S, progress: ProgressCallback | None = None
    ) -> PruneOutcome:
        """As `GraphBackup.prune`, by the server's policy."""
        body = {"graph_id": self.graph_id, "dry_run": dry_run, "now": wait_s == 0}

        def read(talk: Talk, document: Mapping[str, Any]) -> PruneOutcome:
            mine = talk.read(dict[str, Any], talk.read(dict[str, Any], document.get("graphs")).get(self.graph_id))
            if mine.get("error"):
                raise talk.error(talk.read(dict[str, Any], mine["error"]))
            return talk.read(PruneOutcome, mine)

        async with self._connection.talk() as talk:
            return read(talk, await work(talk, "/backup/cleanup", body, progress))

    # ---- how ----

    async def _work(
        self,
        path: str,
        body: Mapping[str, Any],
        progress: ProgressCallback | None,
        read: Callable[[Talk, Mapping[str, Any]], V],
    ) -> V:
        self._log = None
        async with self._connection.talk() as talk:
            return read(talk, await work(talk, self._path + path, body, progress))

    async def _change(self, verb: str, snapshot_id: str, holder: str) -> bool:
        async with self._connection.talk() as talk:
            path = f"{self._snapshot_path(snapshot_id)}/{verb}"
            return talk.read(bool, (await talk.ask("POST", path, document={"holder": holder})).get("changed"))

    def _snapshot_path(self, snapshot_id: str) -> str:
        return f"{self._path}/snapshots/{snapshot_id}"

    def _known_log(self) -> _Log:
        if self._log is None:

            async def asked(talk: Talk) -> _Log:
                first = {"page": "1", "page_size": "10"}
                return talk.read(_Log, await talk.ask("GET", f"{self._path}/snapshots", query=first))

            self._log = self._connection.now(asked)
        return self._log

    def _taken(self, talk: Talk, document: Mapping[str, Any]) -> BackupSnapshot:
        return self._snapshot(talk.read(_Snapshot, document))

    def _snapshot(self, row: _Snapshot) -> BackupSnapshot:
        if not in_path(row["backup_id"]):
            raise self._connection.strange("a snapshot's id is none")
        return BackupSnapshot(
            **{name: row[name] for name in _SAME},  # type: ignore[literal-required]
            checkpoint_path=row["checkpoint_path"] or "",
            holders=tuple(row["holders"]),
            held_ms=row.get("held_ms"),
            metadata_json=json.dumps(row["metadata"]),  # "null", damaged, is damaged here, too
            load_body=partial(self._body, row["backup_id"]),
        )

    def _body(self, backup_id: str) -> SnapshotBody:
        async def asked(talk: Talk) -> SnapshotBody:
            found = talk.read(_Body, await talk.ask("GET", self._snapshot_path(backup_id), query={"items": "all"}))
            return SnapshotBody(tuple(found["items"]), tuple(found["skipped"]), found["facts"])

        return self._connection.now(asked)


def _outcome_of(kind: type[V]) -> Callable[[Talk, Mapping[str, Any]], V]:
    return lambda talk, document: talk.read(kind, document)
