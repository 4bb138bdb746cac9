"""Where copies of graphs go: replication targets, and whether they can receive.

Nothing is sent yet: a target can be registered, given to graphs, and asked for its health. What is registered lies
in a small database (`state/`), so that every process of the installation sees the same; the API keys in it are sealed.
"""

import asyncio
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import arguments, state_place
from .errors import InvalidInputError, NotFoundError
from .probing import Prober, ProbeSettings, TargetHealth, TargetStatus
from .shipping.records import ReplicationLog, ReplicationStatus

if TYPE_CHECKING:
    from .state import Shipments, State, StoredLog, StoredTarget

__all__ = [
    "GraphReplicator", "ReplicationLog", "ReplicationManager", "ReplicationStatus", "ReplicationTarget", "TargetHealth",
    "TargetStatus",
]  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NAME = 200


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class ReplicationTarget:
    """Another instance that copies can be sent to.

    Attributes:
        name: for people. base_url: https://host:port, with the path below which its server is mounted.
        api_key: made for this instance there; never part of a `repr`.
        enabled: whether copies go there. created_at: aware, UTC. target_id: what it is known by.
        connection: how it may be connected to, and what is asked of it.

    Raises:
        InvalidInputError: an argument cannot be used; of the URL and the key, when the target is registered.
    """

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    enabled: bool = True
    created_at: datetime = field(default_factory=_now)
    target_id: str = field(default_factory=_new_id)
    connection: ProbeSettings = field(default_factory=ProbeSettings, kw_only=True)

    def __post_init__(self) -> None:
        arguments.check_text(self.name, "name")
        arguments.check_text(self.base_url, "base_url")
        arguments.check_text(self.target_id, "target_id")
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InvalidInputError(f"a target's name has 1 to {_LONGEST_NAME} printable characters", target="name")
        if not isinstance(self.created_at, datetime) or self.created_at.tzinfo is None:
            raise InvalidInputError("created_at must be a datetime with a time zone", target="created_at")
        if self.api_key is not None:
            arguments.check_text(self.api_key, "api_key")


class ReplicationManager:
    """All targets of an installation, and the graphs that go to each. `with` and `async with` close it in the end.

    Safe under threads, tasks and several processes. Constructors touch no file and no network.

    Args:
        database_url: of SQLAlchemy's kind; by default what LIGHTRAG_REPLICATION_DATABASE_URL or `[replication]` in
            `lightrag-bkp.toml` say, else SQLite in `state/` below the storage path.
        key_file: what seals the API keys there; likewise LIGHTRAG_REPLICATION_KEY_FILE, else beside that.
        storage_path: by default the configured one.

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
    ) -> None:
        self._place = state_place.find(database_url, key_file, storage_path)
        self._opened: State | None = None
        self._prober = Prober()

    @property
    def _state(self) -> "State":
        if self._opened is None:
            self._opened = self._place.open()
        return self._opened

    @property
    def _shipments(self) -> "Shipments":
        from .state import Shipments

        return Shipments(self._state)

    def register_target(self, target: ReplicationTarget) -> bool:
        """Keeps a target. Returns False when there is one of this id.

        Raises:
            InvalidInputError: its URL or its key cannot be used; the sentence says why.
        """
        if not isinstance(target, ReplicationTarget):
            raise InvalidInputError(f"a ReplicationTarget is needed, and this is a {type(target).__name__}")
        if self._state.target(target.target_id) is not None:
            return False
        self._tell(target)  # who is asked for health judges URL and key
        return self._state.add_target(_stored(target))

    def list_targets(self) -> list[ReplicationTarget]:
        """All targets, oldest first."""
        return [_target(row) for row in self._state.targets()]

    def get_target(self, target_id: str) -> ReplicationTarget | None:
        """One target; None when it is unknown."""
        row = self._state.target(arguments.check_text(target_id, "target_id"))
        return None if row is None else _target(row)

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
        self._tell(await asyncio.to_thread(self._known, target_id))
        return await self._prober.check(target_id)

    async def check_all_targets(self) -> dict[str, TargetHealth]:
        """Probes all targets now, all at once. Returns what was found, by target id."""
        for target in await asyncio.to_thread(self.list_targets):
            self._tell(target)
        return await self._prober.check_all()

    def close(self) -> None:
        """Ends probes; idempotent. The next use begins anew."""
        self._prober.stop()

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

    def _known(self, target_id: str) -> ReplicationTarget:
        target = self.get_target(target_id)
        if target is None:
            raise NotFoundError(f"there is no replication target {target_id!r}: a listing names all", target=target_id)
        return target

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
            InvalidInputError: its URL or its key cannot be used.
        """
        self._manager.register_target(target)
        return self._manager._state.link(self.graph_id, target.target_id)

    def remove_target(self, target_id: str) -> bool:
        """No more copies go there. Returns False when none did. The target stays registered."""
        return self._manager._state.unlink(self.graph_id, arguments.check_text(target_id, "target_id"))

    def list_targets(self) -> list[ReplicationTarget]:
        """Where copies of this graph go, oldest target first."""
        return [_target(row) for row in self._manager._state.targets(self.graph_id)]

    def get_target(self, target_id: str) -> ReplicationTarget | None:
        """One of them; None when copies of this graph do not go there."""
        row = self._manager._state.target(arguments.check_text(target_id, "target_id"), self.graph_id)
        return None if row is None else _target(row)

    def logs(self, target_id: str | None = None) -> list[ReplicationLog]:
        """The newest attempts to bring this graph to its targets, or to one of them, the newest first: at most 1,000,
        and no more are kept of each target."""
        if target_id is not None:
            arguments.check_text(target_id, "target_id")
        return [_log(row) for row in self._manager._shipments.logs(self.graph_id, target_id)]

    async def check_target_health(self, target_id: str) -> TargetStatus:
        """Probes one of them now.

        Raises:
            NotFoundError: copies of this graph do not go there.
        """
        if await asyncio.to_thread(self.get_target, target_id) is None:
            raise NotFoundError(f"graph {self.graph_id!r} has no replication target {target_id!r}", target=target_id)
        return (await self._manager.check_target_health(target_id)).status

    def get_replication_status(self) -> dict[str, Any]:
        """{graph_id, total_targets, enabled_targets, targets: [{target_id, name, base_url, enabled, status, reason,
        checked_at}]}: what is known without asking anybody; `status` is UNKNOWN before the first probe."""
        found = self.list_targets()
        return {
            "graph_id": self.graph_id,
            "total_targets": len(found),
            "enabled_targets": sum(one.enabled for one in found),
            "targets": [self._row(one) for one in found],
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


def resolve(targets: Sequence[ReplicationTarget], beginning: str) -> ReplicationTarget:
    """The one target whose id begins with this, or that is called this.

    Raises:
        NotFoundError: there is none. InvalidInputError: there are several.
    """
    called = [one for one in targets if beginning in (one.target_id, one.name)]
    found = called or [one for one in targets if beginning and one.target_id.startswith(beginning)]
    if not found:
        raise NotFoundError(f"there is no replication target {beginning!r}: a listing names all", target=beginning)
    if len(found) > 1:
        raise InvalidInputError(f"{len(found)} replication targets are meant by {beginning!r}: write the whole id")
    return found[0]


def _stored(target: ReplicationTarget) -> "StoredTarget":
    from .state import StoredTarget

    created_us = (target.created_at - _EPOCH) // timedelta(microseconds=1)
    told = {name: value for name, value in asdict(target.connection).items() if value != getattr(ProbeSettings(), name)}
    return StoredTarget(
        target.target_id, target.name, target.base_url, target.api_key, target.enabled, created_us, json.dumps(told)
    )


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _log(row: "StoredLog") -> ReplicationLog:
    return ReplicationLog(
        row.target_id,
        ReplicationStatus(row.status),
        _moment(row.begun_us),
        row.error_message,
        graph_id=row.graph_id,
        snapshot_id=row.snapshot_id,
        bytes=row.bytes,
        seconds=row.seconds,
    )


def _target(row: "StoredTarget") -> ReplicationTarget:
    return ReplicationTarget(
        row.name,
        row.base_url,
        row.api_key,
        row.enabled,
        _moment(row.created_us),
        row.target_id,
        connection=replace(ProbeSettings(), **json.loads(row.connection)),
    )
