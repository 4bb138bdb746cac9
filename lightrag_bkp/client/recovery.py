"""The recovery points of a server: `DisasterRecoveryManager` through HTTP. What is brought back goes on in the LightRAG
that runs there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from ..arguments import is_graph_id
from ..beginnings import meant, several
from ..errors import NotFoundError, RefusedError
from ..models import VerifyLevel
from ..recovering.drills import DrillOutcome
from ..recovering.health import HealthStatus
from ..recovering.history import FailoverOutcome, PastFailover
from ..recovering.points import FAILOVER, Record, RecoveryPoint
from .connection import Connection, Talk
from .graphs import RemoteManager
from .operations import work

_CHECKPOINTS = "/recovery/checkpoints"
_FAILED = "FAILOVER_FAILED"


class _Past(TypedDict):
    """A failover as it is told, and as `PastFailover.document` tells it."""

    checkpoint_id: str
    failover_id: str
    state: str
    ok: bool
    began_at: datetime
    rto_s: float | None
    rpo_s: float | None
    error: str
    rolled_back: bool


class _Told(TypedDict):
    """What became of a recovery point."""

    failovers: list[_Past]


class _Validated(TypedDict):
    """What a validation found."""

    ok: bool
    problems: list[list[str]]


class _Drill(TypedDict):
    """The last drill of a graph."""

    at: str
    ok: bool
    age_s: float | None
    rto_s: float | None


class _Component(TypedDict):
    """One part."""

    component: str
    status: HealthStatus
    message: str


class _LiveGraph(TypedDict):
    """A graph where it lives."""

    status: HealthStatus
    checked_at: datetime
    changed_at: datetime | None


class _Backups(TypedDict):
    """The backups of a graph."""

    status: HealthStatus
    latest: str | None
    latest_age_s: float | None
    not_counted_why: str
    last_validation: _Drill | None
    last_drill: _Drill | None


class _Lag(TypedDict):
    """How far a replica is behind."""

    entries: int
    bytes: int
    seconds: float
    known: bool


class _Replica(TypedDict):
    """One replica, as `GraphReplicator.get_replication_status` has it."""

    name: str
    enabled: bool
    refusal: str | None
    acknowledged: int | None
    confirmed_at: datetime | None
    lag: _Lag | None


class _Replicas(TypedDict):
    """The replicas of a graph."""

    status: HealthStatus
    targets: list[_Replica]


class _Health(TypedDict):
    """How everything is."""

    overall_status: HealthStatus
    timestamp: str
    components: list[_Component]
    graphs: dict[str, _LiveGraph]
    backups: dict[str, _Backups]
    replication: dict[str, _Replicas]


class _Status(TypedDict):
    """What could be brought back, as far as it is written down."""

    recovery_points: int
    latest_validated: str | None
    interrupted: str | None
    advice: str | None
    unreadable: dict[str, str]
    left_held: list[str]


class RemoteRecovery:
    """As `DisasterRecoveryManager`.

    Attributes:
        backup: the graphs of the same server.
    """

    def __init__(self, connection: Connection) -> None:
        self.backup = RemoteManager(connection)
        self._connection = connection
        self._problems: dict[str, list[tuple[str, str]]] = {}

    # ---- recovery points ----

    async def create_recovery_point(self, graph_ids: Sequence[str], description: str = "") -> RecoveryPoint:
        """As `DisasterRecoveryManager.create_recovery_point`."""
        body = {"graph_ids": list(graph_ids), "description": description}
        async with self._connection.talk() as talk:
            return talk.read(RecoveryPoint, await work(talk, _CHECKPOINTS, body))

    def list_recovery_points(self) -> list[RecoveryPoint]:
        """As `DisasterRecoveryManager.list_recovery_points`."""
        return self._connection.now(lambda talk: talk.pages(_CHECKPOINTS, "checkpoints", RecoveryPoint))

    def find_recovery_point(self, beginning: str) -> RecoveryPoint:
        """As `DisasterRecoveryManager.find_recovery_point`."""
        if not is_graph_id(beginning):
            raise _unknown(beginning)

        async def asked(talk: Talk) -> RecoveryPoint:
            return talk.read(RecoveryPoint, await talk.ask("GET", _path(beginning)))

        found = self._connection.now(asked)
        if not is_graph_id(found.checkpoint_id):
            raise self._connection.strange("a recovery point's id is none")
        return found

    def find_recovery_id(self, beginning: str) -> str:
        """As `DisasterRecoveryManager.find_recovery_id`."""
        known = {one.checkpoint_id for one in self.list_recovery_points()} | set(self._status()["unreadable"])
        found = meant(sorted(known), beginning)
        if not found:
            raise _unknown(beginning)
        if len(found) > 1:
            raise several("recovery points", found, beginning)
        return found[0]

    async def delete_recovery_point(self, checkpoint_id: str) -> bool:
        """As `DisasterRecoveryManager.delete_recovery_point`."""
        if not is_graph_id(checkpoint_id):
            return False
        try:
            async with self._connection.talk() as talk:
                await talk.ask("DELETE", _path(checkpoint_id))
        except NotFoundError:
            return False
        return True

    def failovers(self, checkpoint_id: str) -> list[PastFailover]:
        """As `DisasterRecoveryManager.failovers`; what is told of each is what `PastFailover.document` says."""

        async def asked(talk: Talk) -> list[PastFailover]:
            told = talk.read(_Told, await talk.ask("GET", _path(checkpoint_id)))
            return [_past(one) for one in told["failovers"]]

        return self._connection.now(asked)

    # ---- proof ----

    async def validate_recovery_point(self, checkpoint_id: str, level: VerifyLevel | str = "digests") -> bool:
        """As `DisasterRecoveryManager.validate_recovery_point`."""
        async with self._connection.talk() as talk:
            found = talk.read(_Validated, await work(talk, f"{_path(checkpoint_id)}/validate", {"level": str(level)}))
            if any(len(one) != 2 for one in found["problems"]):
                raise talk.strange("a problem is not of a graph")
            self._problems[checkpoint_id] = [(one[0], one[1]) for one in found["problems"]]
            return found["ok"]

    def problems(self, checkpoint_id: str) -> list[tuple[str, str]]:
        """What `validate_recovery_point` has just found."""
        return self._problems.get(checkpoint_id, [])

    async def run_drill(self, checkpoint_id: str) -> DrillOutcome:
        """As `DisasterRecoveryManager.run_drill`, in the server's scratch directory."""
        async with self._connection.talk() as talk:
            return talk.read(DrillOutcome, await work(talk, f"{_path(checkpoint_id)}/drill", {}))

    # ---- failover ----

    async def failover(self, checkpoint_id: str, *, dry_run: bool = False) -> FailoverOutcome:
        """As `DisasterRecoveryManager.failover`; a LightRAG of the server goes on with what comes back."""
        return await self._fail_over(f"{_path(checkpoint_id)}/failover", dry_run)

    async def undo_failover(
        self, checkpoint_id: str, *, elsewhere: bool = False, dry_run: bool = False
    ) -> FailoverOutcome:
        """As `DisasterRecoveryManager.undo_failover`, in the directories the server's graphs are configured with."""
        if elsewhere:
            raise RefusedError(
                "through a server an undo writes only where graphs are configured to live: configure the directory"
                " there, or run this on the machine itself, without --server",
                op="undo",
                target=checkpoint_id,
            )
        return await self._fail_over(f"{_path(checkpoint_id)}/undo", dry_run)

    async def _fail_over(self, path: str, dry_run: bool) -> FailoverOutcome:
        async with self._connection.talk() as talk:
            found = await work(talk, path, {"dry_run": dry_run}, telling=_FAILED)
            return talk.read(FailoverOutcome, found["outcome"] if found.get("code") == _FAILED else found)

    # ---- how it stands ----

    async def health_check(self) -> dict[str, Any]:
        """As `DisasterRecoveryManager.health_check`."""
        async with self._connection.talk() as talk:
            answered = await talk.ask("GET", "/recovery/health")
            talk.read(_Health, answered)
        parts = {"graph": "graphs", "backups": "backups", "replication": "replication"}
        named = [set(answered[part]) for part in parts.values()]
        if any(one != named[0] for one in named):
            raise talk.strange("not every graph has its backups")
        return {
            "status": answered["overall_status"],
            "checked_at": answered["timestamp"],
            "components": answered["components"],
            "graphs": {
                graph_id: {name: answered[part][graph_id] for name, part in parts.items()}
                for graph_id in answered["graphs"]
            },
        }

    def get_recovery_status(self) -> dict[str, Any]:
        """As `DisasterRecoveryManager.get_recovery_status`."""
        return dict(self._status())

    def _status(self) -> _Status:
        async def asked(talk: Talk) -> _Status:
            return talk.read(_Status, await talk.ask("GET", "/recovery/status"))

        return self._connection.now(asked)


def _path(checkpoint_id: str) -> str:
    return f"{_CHECKPOINTS}/{checkpoint_id}"


def _unknown(beginning: str) -> NotFoundError:
    return NotFoundError(f"there is no recovery point {beginning!r}: a listing names all", target=beginning)


def _past(told: _Past) -> PastFailover:
    """With no records: what is known of it is how it ended."""
    outcome: Mapping[str, Any] = {name: told[name] for name in ("rto_s", "rpo_s", "error", "rolled_back")}
    return PastFailover(
        told["checkpoint_id"],
        told["failover_id"],
        told["state"],
        told["ok"],
        told["began_at"],
        Record(0, told["began_at"], FAILOVER, outcome),
        outcome=outcome,
    )
