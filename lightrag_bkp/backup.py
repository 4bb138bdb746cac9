"""The package's front: `BackupManager` knows the graphs of one storage path, `GraphBackup` keeps one of them.

Truth lies in the repositories: objects of these classes hold settings only, so that a new process sees what any other
stored. All are safe under threads, tasks and several processes on one storage path. Constructors touch no file.
"""

import logging
import os
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import arguments, config, presence, secret
from .errors import ConfigurationError, ConflictError, InvalidInputError, LightragBkpError, NotFoundError
from .graph import GraphBackup
from .keyring import Keyring
from .models import BackupSnapshot, BackupStatus, KeySlot, RetentionPolicy
from .repository import gone, stored_graphs
from .threads import in_thread

if TYPE_CHECKING:
    from .replication import ReplicationManager
    from .shipping.dispatcher import Dispatcher

__all__ = ["BackupManager", "BackupSnapshot", "BackupStatus", "GraphBackup"]

logger = logging.getLogger("lightrag_bkp")


class BackupManager:
    """All graphs of one storage path. `with` and `async with` close it in the end.

    Args:
        storage_path: where repositories lie; made at the first snapshot. None: path, graphs and retention come from the
            environment and `lightrag-bkp.toml` (see `config`). How copies are sent is said there in any case.
        retention_days: given to new snapshots, 0 keeps them for ever; 30 unless configured.
        retention: the policy of clean-ups; each snapshot's own days by default.
        passphrase, passphrase_file, key_file: what seals repositories and opens sealed ones, at most one of them; a
            key file holds 32 random bytes and has mode 0600. By default what the environment names
            (LIGHTRAG_BACKUP_PASSPHRASE, LIGHTRAG_BACKUP_PASSPHRASE_FILE, LIGHTRAG_BACKUP_KEY_FILE), whatever
            storage_path is; without any, nothing is sealed.

    Raises:
        ConfigurationError: no storage path is given or configured, or a setting cannot be used. InvalidInputError: an
            argument cannot be used.
    """

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
        configured = config.load()
        settings = configured if storage_path is None else config.Settings(secret=secret.from_environment(os.environ))
        chosen = settings.storage_path if storage_path is None else arguments.check_path(storage_path, "storage_path")
        if chosen is None:
            raise ConfigurationError(
                f"no storage path: set {config.STORAGE_VARIABLE}, or storage_path in {config.CONFIG_FILE}, or pass one"
                " (--storage)",
                target=config.STORAGE_VARIABLE,
            )
        self.storage_path = chosen
        self.retention_days = arguments.check_retention_days(
            settings.retention_days if retention_days is None else retention_days
        )
        self.retention = arguments.check_retention(retention) or settings.retention
        self.recovery = settings.recovery
        self.keyring = Keyring(chosen, secret.named(passphrase, passphrase_file, key_file) or settings.secret)
        self._lock = threading.RLock()
        self._graphs: dict[str, GraphBackup] = {}
        self.replication = configured.replication
        self._dispatcher: Dispatcher | None = None
        self._was_there = False
        for graph in settings.graphs:
            self.register_graph(
                graph.graph_id,
                graph.source_dir,
                workspace=graph.workspace,
                input_dir=graph.input_dir,
                server_url=graph.server_url,
            )

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
        """Makes a graph known. Registering it again gives the same object, with what is said now added.

        Args:
            graph_id: 1 to 128 of A-Z a-z 0-9 _ . - beginning with a letter or digit.
            source_dir: LightRAG's working directory, or any other directory; taken from `rag` when that is given.
            workspace: of LightRAG; the unnamed one ("") unless said.
            rag: the running LightRAG of this process: snapshots are taken inside it, busy or not.
            input_dir: LightRAG's INPUT_DIR, to keep uploads and `__parsed__` as well.
            server_url: of a LightRAG server in another process that has the graph open.

        Raises:
            InvalidInputError: an argument cannot be used. ConflictError: the graph is registered already, and
                an argument given here differs.
        """
        if rag is not None:
            source_dir, workspace = _places_of(arguments.check_rag(rag), source_dir, workspace)
        wanted = GraphBackup(
            self.storage_path,
            graph_id,
            source_dir,
            workspace=workspace,
            rag=rag,
            input_dir=input_dir,
            server_url=server_url,
            retention_days=self.retention_days,
            retention=self.retention,
            keyring=self.keyring,
        )
        if self.replication.after_snapshot:
            wanted.on_snapshot = self._dispatch
        with self._lock:
            known = self._graphs.setdefault(graph_id, wanted)
            if known is not wanted:
                _merge(known, wanted)
            return known

    def get_graph(self, graph_id: str) -> GraphBackup | None:
        """The graph when it is registered, or has a repository here; else None."""
        arguments.check_text(graph_id, "graph_id")
        with self._lock:
            known = self._graphs.get(graph_id)
        if known is None and graph_id in stored_graphs(self.storage_path):
            known = self.register_graph(graph_id)
        return known

    get_graph_backup = get_graph

    def require_graph(self, graph_id: str) -> GraphBackup:
        """As `get_graph`.

        Raises:
            NotFoundError: there is none of this id. StorageError: as `graph_ids`.
        """
        check_place(self)
        graph = self.get_graph(graph_id)
        if graph is None:
            known = ", ".join(self.graph_ids()) or "none"
            raise NotFoundError(
                f"no graph {graph_id!r} below {self.storage_path!r}: graphs there are {known}", target=graph_id
            )
        return graph

    def graph_ids(self) -> list[str]:
        """Ids of all graphs that are registered or have a repository here, sorted.

        Raises:
            StorageError: the storage path was there, and leads nowhere now.
        """
        check_place(self)
        with self._lock:
            registered = set(self._graphs)
        return sorted(registered | set(stored_graphs(self.storage_path)))

    def get_total_stats(self) -> dict[str, Any]:
        """Figures of all graphs, read from their repositories.

        Returns:
            {total_graphs, total_snapshots, total_size_bytes (of all snapshots' sources), stored_bytes (on disk),
            graphs: {graph id: its figures as `GraphBackup.stats`, or {"error": why they cannot be read}}}.
        """
        graphs: dict[str, dict[str, Any]] = {}
        for graph_id in self.graph_ids():
            try:
                graphs[graph_id] = self._graph(graph_id).stats()
            except LightragBkpError as error:
                graphs[graph_id] = {"error": str(error)}
        return {
            "total_graphs": len(graphs),
            "total_snapshots": sum(figures.get("snapshots", 0) for figures in graphs.values()),
            "total_size_bytes": sum(figures.get("size_bytes", 0) for figures in graphs.values()),
            "stored_bytes": sum(figures.get("stored_bytes", 0) for figures in graphs.values()),
            "graphs": graphs,
        }

    async def cleanup_all_graphs(self) -> int:
        """`cleanup_old_snapshots` of every graph; a graph's failure is logged and does not stop the others.

        Returns:
            How many snapshots were dropped in all.
        """
        dropped = 0
        for graph_id in await in_thread(self.graph_ids):
            try:
                dropped += await self._graph(graph_id).cleanup_old_snapshots()
            except LightragBkpError as error:
                logger.error("event=cleanup_failed graph=%s error=%s", graph_id, error)
        return dropped

    cleanup_old_backups = cleanup_all_graphs

    async def list_key_slots(self) -> list[KeySlot]:
        """What opens this storage path, oldest first: passphrases, and a mark for a key file."""
        return await self.keyring.slots()

    async def add_passphrase(self, passphrase: str | bytes) -> str:
        """Adds a passphrase for all graphs, new ones too; returns the id of its slot.

        Raises:
            LockedError: the manager's own passphrase or key file is missing or wrong. InvalidInputError: it is empty.
        """
        return await self.keyring.add(secret.Secret.passphrase(passphrase))

    async def remove_passphrase(self, slot_id: str) -> str:
        """Closes a slot in all graphs, by its id or a unique beginning of it; returns its id. Who has seen the master
        key meanwhile keeps it: only a new storage path has a new one.

        Raises:
            NotFoundError: no such slot. InvalidInputError: it is the last one. LockedError: as `add_passphrase`.
        """
        return await self.keyring.remove(arguments.check_text(slot_id, "slot_id"))

    async def recovery_kit(self) -> str:
        """The master key as a text to keep elsewhere; saved with mode 0600 it is a key file."""
        return await self.keyring.kit()

    def close(self) -> None:
        """Lets go of all repositories, and ends copies that are under way; the next call opens them again."""
        with self._lock:
            graphs = list(self._graphs.values())
            dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.close()
        for graph in graphs:
            graph.close()

    def _dispatch(self, graph_id: str) -> None:
        """Has a graph sent to its targets, in the background."""
        with self._lock:
            if self._dispatcher is None:
                from .shipping.dispatcher import Dispatcher

                self._dispatcher = Dispatcher(self._sender)
            self._dispatcher.announce(graph_id)

    def _sender(self) -> "ReplicationManager":
        from .replication import ReplicationManager

        return ReplicationManager(storage_path=self.storage_path, keyring=self.keyring)

    def _graph(self, graph_id: str) -> GraphBackup:
        with self._lock:
            known = self._graphs.get(graph_id)
        return self.register_graph(graph_id) if known is None else known

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_place(manager: BackupManager) -> None:
    """A storage path that is not there yet is made by the first snapshot.

    Raises:
        StorageError: it was there, and leads nowhere now, or its disk is not mounted.
    """
    presence.require(manager.storage_path)
    if os.path.isdir(manager.storage_path):
        manager._was_there = True
    elif manager._was_there:
        raise gone(manager.storage_path)


def registered_at(manager: BackupManager, working_dir: str, workspace: str) -> GraphBackup | None:
    """The graph that is registered for a workspace of a directory, or None."""
    place = os.path.realpath(working_dir)
    with manager._lock:
        registered = list(manager._graphs.values())
    for graph in registered:
        there = None if graph.source_dir is None else os.path.realpath(graph.source_dir)
        if there == place and graph.workspace == workspace:
            return graph
    return None


def _places_of(
    rag: Any, source_dir: str | os.PathLike[str] | None, workspace: str | None
) -> tuple[str | os.PathLike[str], str]:
    """Directory and workspace of a running LightRAG, which must agree with what else was said."""
    working_dir, own_workspace = os.fspath(rag.working_dir), rag.workspace or ""
    given = None if source_dir is None else arguments.check_path(source_dir, "source_dir")
    if given is not None and os.path.realpath(given) != os.path.realpath(working_dir):
        raise InvalidInputError(f"source_dir {given!r} is not the working_dir {working_dir!r} of rag")
    if workspace not in (None, "", own_workspace):
        raise InvalidInputError(f"workspace {workspace!r} is not the workspace {own_workspace!r} of rag")
    return working_dir, own_workspace


def _merge(known: GraphBackup, wanted: GraphBackup) -> None:
    """Adds to a registered graph what was not known of it; refuses what differs. Once its directory is known, a
    workspace that was not said is the unnamed one.
    """
    settled = known.given_workspace is not None or known.source_dir is not None
    if settled and wanted.given_workspace not in (None, known.workspace):
        raise _conflict(known, "workspace", known.workspace, wanted.workspace)
    names = ("source_dir", "input_dir", "server_url", "rag")
    for name in names:
        old, new = getattr(known, name), getattr(wanted, name)
        if old is not None and new is not None and old is not new and old != new:
            raise _conflict(known, name, old, new)
    if not settled:
        known.given_workspace = wanted.given_workspace
    for name in names:
        if getattr(known, name) is None:
            setattr(known, name, getattr(wanted, name))


def _conflict(known: GraphBackup, name: str, old: object, new: object) -> ConflictError:
    shown = "another object" if name == "rag" else f"{new!r} instead of {old!r}"
    return ConflictError(
        f"graph {known.graph_id!r} is registered already, with another {name} ({shown}): take another id or manager",
        target=known.graph_id,
    )
