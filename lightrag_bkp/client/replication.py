"""The replication targets of a server: `ReplicationManager` and `GraphReplicator` through HTTP. The server sends."""

import asyncio
import re
from datetime import datetime
from types import TracebackType
from typing import Self, TypedDict

from ..errors import InvalidInputError, NotFoundError
from ..models import ProgressCallback
from ..probing import ProbeSettings, TargetHealth
from ..replication_targets import ReplicationTarget
from ..shipping.records import ReplicationLog
from .connection import Connection, Talk
from .operations import work
from .refusing import unused

_TARGETS = "/replication/targets"
_PATIENCE_S = 60.0
_NOT_REPLICATED = "NOT_REPLICATED"
_ID = re.compile(r"(?!\.+$)[A-Za-z0-9_.:-]{1,63}")


class _Target(TypedDict):
    """A target as it is listed; its key never is."""

    target_id: str
    name: str
    base_url: str
    enabled: bool
    created_at: datetime


class _Linked(TypedDict):
    """A target of a graph."""

    target_id: str
    enabled: bool


class _Status(TypedDict):
    """Where copies of a graph go."""

    targets: list[_Linked]


class RemoteReplication:
    """As `ReplicationManager`. There is nothing to close."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def register_target(self, target: ReplicationTarget) -> bool:
        """As `ReplicationManager.register_target`; the key goes to the server, which keeps it sealed."""
        unused("whom to trust", ca_file=target.connection.ca_file)
        usual, given = ProbeSettings(), target.connection
        how = {name: getattr(given, name) for name in ("allow_http", "allow_private", "bytes_per_second")}
        body = {
            "target_id": target.target_id,
            "name": target.name,
            "base_url": target.base_url,
            "enabled": target.enabled,
            **({} if target.api_key is None else {"api_key": target.api_key}),
            **{name: value for name, value in how.items() if value != getattr(usual, name)},
        }

        async def asked(talk: Talk) -> bool:
            await talk.ask("POST", _TARGETS, document=body)
            return True

        return self._connection.now(asked)

    def list_targets(self) -> list[ReplicationTarget]:
        """As `ReplicationManager.list_targets`, without the keys."""
        return self._connection.now(_targets)

    def remove_target(self, target_id: str) -> bool:
        """As `ReplicationManager.remove_target`."""

        async def asked(talk: Talk) -> bool:
            await talk.ask("DELETE", f"{_TARGETS}/{target_id}")
            return True

        try:
            return self._connection.now(asked)
        except NotFoundError:
            return False

    def get_graph_replicator(self, graph_id: str) -> "RemoteReplicator":
        """As `ReplicationManager.get_graph_replicator`."""
        return RemoteReplicator(self, self._connection, graph_id)

    async def check_target_health(self, target_id: str) -> TargetHealth:
        """As `ReplicationManager.check_target_health`, asked by the server."""
        async with self._connection.talk() as talk:
            return await _health(talk, target_id)

    async def check_all_targets(self) -> dict[str, TargetHealth]:
        """As `ReplicationManager.check_all_targets`."""
        async with self._connection.talk() as talk:
            ids = [one.target_id for one in await _targets(talk)]
            return dict(zip(ids, await asyncio.gather(*(_health(talk, one) for one in ids)), strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is open."""


class RemoteReplicator:
    """As `GraphReplicator`."""

    def __init__(self, manager: RemoteReplication, connection: Connection, graph_id: str) -> None:
        self.graph_id = graph_id
        self._manager = manager
        self._connection = connection
        self._path = f"/replication/graphs/{graph_id}"

    def add_target(self, target: ReplicationTarget) -> bool:
        """As `GraphReplicator.add_target`, of one that is registered."""
        known = any(one.target_id == target.target_id for one in self.list_targets())

        async def asked(talk: Talk) -> bool:
            await talk.ask("PUT", f"{self._path}/targets/{target.target_id}")
            return not known

        return self._connection.now(asked)

    def list_targets(self) -> list[ReplicationTarget]:
        """As `GraphReplicator.list_targets`."""

        linked = {one["target_id"] for one in self._connection.now(self._linked)}
        return [one for one in self._manager.list_targets() if one.target_id in linked]

    async def replicate(
        self,
        snapshot_id: str | None = None,
        target_id: str | None = None,
        *,
        patience_s: float = _PATIENCE_S,
        progress: ProgressCallback | None = None,
    ) -> list[ReplicationLog]:
        """As `GraphReplicator.replicate`."""
        named = {"snapshot_id": snapshot_id, "target_id": target_id}
        body = {name: value for name, value in named.items() if value is not None} | {"patience_s": patience_s}
        async with self._connection.talk() as talk:
            if target_id is None and not any(one["enabled"] for one in await self._linked(talk)):
                return []
            found = await work(talk, f"{self._path}/replicate", body, progress, telling=_NOT_REPLICATED)
            return talk.read(list[ReplicationLog], found.get("replications"))

    async def _linked(self, talk: Talk) -> list[_Linked]:
        return talk.read(_Status, await talk.ask("GET", f"{self._path}/status"))["targets"]


async def _targets(talk: Talk) -> list[ReplicationTarget]:
    found = []
    for row in await talk.pages(_TARGETS, "targets", _Target):
        if not _ID.fullmatch(row["target_id"]):
            raise talk.strange("a target's id is none")
        try:
            found.append(ReplicationTarget(**{name: row[name] for name in _Target.__annotations__}))  # type: ignore[literal-required]
        except InvalidInputError as wrong:
            raise talk.strange(str(wrong)) from None
    return found


async def _health(talk: Talk, target_id: str) -> TargetHealth:
    return talk.read(TargetHealth, await talk.ask("GET", f"{_TARGETS}/{target_id}/health"))
