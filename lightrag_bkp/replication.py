"""Where copies of graphs go: replication targets, whether they can receive, and sending.

What is registered lies in a small database (`state/`), so that every process of the installation sees the same; the API
keys in it are sealed. How copies are sent is `shipping/`, and what both sides agree on docs/replication.md.
"""

import asyncio
import os
import threading
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import _bridge, arguments, config, state_place
from . import replication_targets as targets
from .errors import ConfigurationError, InvalidInputError, NotFoundError, RefusedError
from .keyring import Keyring
from .models import ProgressCallback, moment
from .probing import Prober, TargetHealth, TargetStatus
from .replication_targets import ReplicationTarget, resolve
from .repository import GraphRepository
from .shipping.records import INTERRUPTED, ReplicationLog, ReplicationStatus
from .threads import in_thread

if TYPE_CHECKING:
    from .shipping.courier import Courier, Destination
    from .state import Shipments, State, StoredLog, StoredReplica

__all__ = [
    "GraphReplicator", "ReplicationLog", "ReplicationManager", "ReplicationStatus", "ReplicationTarget", "TargetHealth",
    "TargetStatus", "resolve",
]  # fmt: skip

LATEST = "latest"
PATIENCE_S = 60.0
MOST_PATIENCE_S = 7 * 86400.0


class ReplicationManager:
    """All targets of an installation, and the graphs that go to each. `with` and `async with` close it in the end.

    Safe under threads, tasks and several processes. Constructors touch no file and no network.

    Args:
        database_url: of SQLAlchemy's kind; by default what LIGHTRAG_REPLICATION_DATABASE_URL or `[replication]` in
            `lightrag-bkp.toml` say, else SQLite in `state/` below the storage path.
        key_file: what seals the API keys there; likewise LIGHTRAG_REPLICATION_KEY_FILE, else beside that.
        storage_path: where the repositories lie; by default the configured one.
        keyring: what opens sealed ones, of a `BackupManager`; by default what the environment and the file name.

    Raises:
        ConfigurationError: nothing says where the database is, or a setting cannot be used.

    All methods that read or write targets also raise StateError: the database cannot be reached, read or written.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        key_file: str | os.PathLike[str] | None = None,
        storage_path: str | os.PathLike[str] | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        if not isinstance(keyring, Keyring | None):
            raise InvalidInputError(f"keyring must be a BackupManager's keyring, and is a {type(keyring).__name__}")
        settings = config.load()
        self.place = state_place.find(database_url, key_file, storage_path)
        storage = self.place.storage_path
        self.keyring = keyring or (None if storage is None else Keyring(storage, settings.secret))
        self._settings = settings.replication
        self._opened: State | None = None
        self._lock = threading.Lock()
        self._shipping: Courier | None = None
        self._repositories: dict[str, GraphRepository] = {}
        self._prober = Prober()

    @property
    def _state(self) -> "State":
        if self._opened is None:
            self._opened = self.place.open(self.keyring)
        return self._opened

    @property
    def _shipments(self) -> "Shipments":
        from .state import Shipments

        return Shipments(self._state)

    def _open_courier(self) -> "Courier":
        """Loads what sends: not everybody who looks after targets does."""
        from .shipping.courier import Courier

        with self._lock:
            if self._shipping is None:
                self._shipping = Courier(lambda: self._shipments, self._settings.bytes_per_second)
            return self._shipping

    def _repository(self, graph_id: str) -> GraphRepository:
        if self.place.storage_path is None:
            raise ConfigurationError(
                f"nothing says where snapshots lie: set {config.STORAGE_VARIABLE}, or storage_path in"
                f" {config.CONFIG_FILE}, or pass one (--storage)",
                target=config.STORAGE_VARIABLE,
            )
        return self._repositories.setdefault(graph_id, GraphRepository(self.place.storage_path, graph_id, self.keyring))

    def register_target(self, target: ReplicationTarget) -> bool:
        """Keeps a target. Returns False when there is one of this id.

        Raises:
            InvalidInputError: its URL, its key, its id or its file of certificates cannot be used; the sentence says
                why.
        """
        if not isinstance(target, ReplicationTarget):
            raise InvalidInputError(f"a ReplicationTarget is needed, and this is a {type(target).__name__}")
        if self._state.target(target.target_id) is not None:
            return False
        targets.check_id(target)
        targets.check_url(target)
        self._judge(target)
        targets.check_certificates(target)
        return self._state.add_target(targets.stored(target))

    def list_targets(self) -> list[ReplicationTarget]:
        """All targets, oldest first."""
        return [targets.target(row) for row in self._state.targets()]

    def get_target(self, target_id: str) -> ReplicationTarget | None:
        """One target; None when it is unknown."""
        row = self._state.target(arguments.check_text(target_id, "target_id"))
        return None if row is None else targets.target(row)

    def require_target(self, target_id: str) -> ReplicationTarget:
        """As `get_target`.

        Raises:
            NotFoundError: it is unknown.
        """
        target = self.get_target(target_id)
        if target is None:
            raise targets.unknown_target(target_id)
        return target

    def update_target(
        self,
        target_id: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        enabled: bool | None = None,
    ) -> ReplicationTarget:
        """Changes what is given of a target, and keeps the rest, its key as well. Returns it as it is then.

        Raises:
            NotFoundError: it is unknown. InvalidInputError: a value cannot be used, or the URL is of another server and
                no key for that is given.
        """
        arguments.check_text(target_id, "target_id")
        texts = {"name": name, "base_url": base_url, "api_key": api_key}
        given: dict[str, Any] = {one: said for one, said in texts.items() if said is not None}
        for one, said in given.items():
            arguments.check_text(said, one)
        if enabled is not None:
            arguments.check_flags(enabled=enabled)
            given["enabled"] = enabled
        known = self.require_target(target_id)
        changed = replace(known, **given)
        if api_key is None:
            targets.refuse_key_elsewhere(known, changed.base_url)
        if base_url is not None:
            targets.check_url(changed)
        self._judge(changed)
        if given and not self._state.update_target(target_id, **given):
            raise targets.unknown_target(target_id)
        return changed

    def remove_target(self, target_id: str) -> bool:
        """Forgets a target, for all graphs. Returns False when it is unknown. Copies that lie there stay there."""
        self._prober.remove(arguments.check_text(target_id, "target_id"))
        return self._state.remove_target(target_id)

    def get_graph_replicator(self, graph_id: str) -> "GraphReplicator":
        """The targets of one graph; any valid id, also of a graph that was never backed up."""
        arguments.check_graph_id(graph_id)
        return GraphReplicator(self, graph_id)

    async def check_target_health(self, target_id: str) -> TargetHealth:
        """Probes a target now.

        Raises:
            NotFoundError: it is unknown.
        """
        self._tell(await in_thread(self.require_target, target_id))
        return await self._prober.check(target_id)

    async def check_all_targets(self) -> dict[str, TargetHealth]:
        """Probes all targets now, all at once. Returns what was found, by target id."""
        for target in await in_thread(self.list_targets):
            self._tell(target)
        return await self._prober.check_all()

    def close(self) -> None:
        """Ends probes and lets go of repositories; idempotent. The next use begins anew."""
        self._prober.stop()
        while self._repositories:
            self._repositories.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _judge(self, target: ReplicationTarget) -> None:
        try:
            self._tell(target)  # who is asked for health judges URL and key
        except InvalidInputError as error:
            raise targets.named(error, target) from None

    def _tell(self, target: ReplicationTarget) -> None:
        self._prober.keep(target.target_id, target.base_url, target.api_key, target.connection)


class GraphReplicator:
    """Where copies of one graph go. Made by `ReplicationManager.get_graph_replicator`; holds nothing of its own."""

    def __init__(self, manager: ReplicationManager, graph_id: str) -> None:
        self._manager = manager
        self.graph_id = graph_id

    def add_target(self, target: ReplicationTarget) -> bool:
        """From now on copies go there too. Returns False when they do already. One that is not registered becomes it.

        Raises:
            InvalidInputError: its URL, its key or its id cannot be used.
        """
        self._manager.register_target(target)
        return self._manager._state.link(self.graph_id, target.target_id)

    def remove_target(self, target_id: str) -> bool:
        """No more copies go there. Returns False when none did. The target stays registered."""
        return self._manager._state.unlink(self.graph_id, arguments.check_text(target_id, "target_id"))

    def list_targets(self) -> list[ReplicationTarget]:
        """Where copies of this graph go, oldest target first."""
        return [targets.target(row) for row in self._manager._state.targets(self.graph_id)]

    def get_target(self, target_id: str) -> ReplicationTarget | None:
        """One of them; None when copies of this graph do not go there."""
        row = self._manager._state.target(arguments.check_text(target_id, "target_id"), self.graph_id)
        return None if row is None else targets.target(row)

    def logs(self, target_id: str | None = None) -> list[ReplicationLog]:
        """The newest attempts to bring this graph to its targets, or to one of them, the newest first: at most 1,000,
        and no more are kept of each target. Those whose process died before they ended have FAILED."""
        if target_id is not None:
            arguments.check_text(target_id, "target_id")
        table = self._manager._shipments
        table.bury(self.graph_id, ReplicationStatus.FAILED.value, INTERRUPTED)
        return [_log(row) for row in table.logs(self.graph_id, target_id)]

    async def check_target_health(self, target_id: str) -> TargetStatus:
        """Probes one of them now.

        Raises:
            NotFoundError: copies of this graph do not go there.
        """
        if await in_thread(self.get_target, target_id) is None:
            raise self._unknown(target_id)
        return (await self._manager.check_target_health(target_id)).status

    async def replicate(
        self,
        snapshot_id: str | None = None,
        target_id: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        progress: ProgressCallback | None = None,
    ) -> list[ReplicationLog]:
        """Brings the newest snapshot, those that are held, and the log to the targets: what each lacks, and nothing
        else. It is over when each has hashed everything and says so, or was given up.

        Args:
            snapshot_id: this snapshot and the log instead; "latest" is the newest one.
            target_id: to one target; by default to all that are enabled, all at once.
            patience_s: how long to go on trying, and to wait for an answer, after the last thing that got through, in
                seconds; 0: one try.
            progress: called on the loop's thread, at most 10 times a second and when a target has everything.

        Returns:
            What became of it, by target; a target that fails is a result, and disturbs no other.

        Raises:
            NotFoundError: no such snapshot or target, or the graph has no repository. RefusedError: the target is
                disabled. InvalidInputError: an argument cannot be used.
        """
        arguments.check_seconds(patience_s, "patience_s", MOST_PATIENCE_S)
        arguments.check_progress(progress)
        chosen = await in_thread(self._chosen, target_id)
        repository = self._manager._repository(self.graph_id)
        core = await repository.require()
        if snapshot_id == LATEST:
            snapshot_id = None
        elif snapshot_id is not None and not await in_thread(core.snapshot, arguments.check_snapshot_id(snapshot_id)):
            raise NotFoundError(
                f"graph {self.graph_id!r} has no snapshot {snapshot_id!r}: a listing names all", target=snapshot_id
            )
        courier = await in_thread(self._manager._open_courier)
        from .shipping.course import Watch

        watch = None if progress is None else Watch(progress, len(chosen))
        return await asyncio.gather(
            *(courier.bring(repository, _destination(one), snapshot_id, patience_s, watch) for one in chosen)
        )

    def _chosen(self, target_id: str | None) -> list[ReplicationTarget]:
        if target_id is None:
            return [one for one in self.list_targets() if one.enabled]
        found = self.get_target(target_id)
        if found is None:
            raise self._unknown(target_id)
        if not found.enabled:
            raise RefusedError(f"target {found.name} is disabled: nothing is sent there", target=found.name)
        return [found]

    def _unknown(self, target_id: str) -> NotFoundError:
        return NotFoundError(f"graph {self.graph_id!r} has no replication target {target_id!r}", target=target_id)

    def get_replication_status(self) -> dict[str, Any]:
        """{graph_id, total_targets, enabled_targets, targets: [{target_id, name, base_url, enabled, status, reason,
        checked_at, acknowledged, confirmed_at, refusal, lag}]}: what is known without asking anybody.

        `status` is UNKNOWN before the first probe. `acknowledged` is the number of the last entry of this log the
        target says it has, `confirmed_at` when it said so; `refusal` is why nothing is sent until somebody replicates
        by hand.
        `lag` is {entries, bytes, seconds, known}, None where the graph has no repository; not `known`: nothing was
        heard for an hour, and `seconds` grow.
        """
        found = self.list_targets()
        core = None if self._manager.place.storage_path is None else self._manager._repository(self.graph_id).open_now()
        replicas = self._manager._shipments.replicas(self.graph_id)
        return {
            "graph_id": self.graph_id,
            "total_targets": len(found),
            "enabled_targets": sum(one.enabled for one in found),
            "targets": [self._row(one) | _known(core, replicas.get(one.target_id)) for one in found],
        }

    def _row(self, target: ReplicationTarget) -> dict[str, Any]:
        health = self._manager._prober.look(target.target_id)
        return {
            "target_id": target.target_id,
            "name": target.name,
            "base_url": target.base_url,
            "enabled": target.enabled,
            "status": TargetStatus.UNKNOWN.value if health is None else health.status.value,
            "reason": "" if health is None else health.reason,
            "checked_at": None if health is None or health.checked_at is None else health.checked_at.isoformat(),
        }


def _destination(target: ReplicationTarget) -> "Destination":
    from .shipping.courier import Destination
    from .shipping.peer import Address

    address = Address(target.base_url, target.api_key, target.connection)
    return Destination(target.target_id, target.name, address, target.connection.bytes_per_second)


def _known(core: "_bridge.Repository | None", replica: "StoredReplica | None") -> dict[str, Any]:
    from .shipping.lag import lag, of_this_log

    if core is not None and core.damage is None:
        replica = of_this_log(core, replica)
    confirmed = None if replica is None or replica.confirmed_us is None else moment(replica.confirmed_us * 1000)
    return {
        "acknowledged": None if replica is None else replica.number,
        "confirmed_at": None if confirmed is None else confirmed.isoformat(),
        "refusal": None if replica is None else replica.refusal,
        "lag": None if core is None or core.damage is not None else lag(core, replica),
    }


def _log(row: "StoredLog") -> ReplicationLog:
    return ReplicationLog(
        row.target_id,
        ReplicationStatus(row.status),
        moment(row.begun_us * 1000),
        row.error_message,
        graph_id=row.graph_id,
        snapshot_id=row.snapshot_id,
        bytes=row.bytes,
        seconds=row.seconds,
    )
