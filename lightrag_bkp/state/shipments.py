"""What was sent where: a bounded list of attempts for each graph and target, and what each target acknowledged last."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from .. import processes
from .database import State
from .schema import replicas, replication_logs

MOST_LOGS = 1000
"""For one graph and one target; older ones go."""
_OPEN = ("PENDING", "RUNNING")


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A row of `replication_logs`; times in microseconds since 1970."""

    log_id: int
    graph_id: str
    target_id: str
    snapshot_id: str | None
    status: str
    begun_us: int
    error_message: str | None
    bytes: int
    seconds: float
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class StoredReplica:
    """A row of `replicas`: what a target is known to have of a graph."""

    graph_id: str
    target_id: str
    number: int | None = None
    confirmed_us: int | None = None
    acknowledgement: str | None = None
    refusal: str | None = None


class Shipments:
    """The two tables, in the database of a `State`; raises what that raises."""

    def __init__(self, state: State, connection: sa.Connection | None = None) -> None:
        self._state, self._cover, self._connection = state, state.cover, connection

    @contextmanager
    def at_once(self) -> Iterator["Shipments"]:
        """What is written through what this gives is kept together, or not at all: one wait for the disk."""
        with self._connected() as connection:
            yield Shipments(self._state, connection)

    def _connected(self) -> AbstractContextManager[sa.Connection]:
        return self._state.connected() if self._connection is None else nullcontext(self._connection)

    def begin(self, graph_id: str, target_id: str, snapshot_id: str | None, status: str, now_us: int) -> int:
        """Notes an attempt, and forgets those too long ago. Returns its number."""
        row = {
            "graph_id": graph_id,
            "target_id": target_id,
            "snapshot_id": snapshot_id,
            "status": status,
            "begun_us": now_us,
            "bytes": 0,
            "seconds": 0.0,
            "owner": processes.name(),
        }
        row = self._cover.sealed(replication_logs, row, row)
        with self._connected() as connection:
            log_id = connection.execute(sa.insert(replication_logs).values(row).returning(replication_logs.c.log_id))
            number = log_id.scalar_one()
            oldest = (
                sa.select(replication_logs.c.log_id)
                .where(_at(replication_logs, graph_id, target_id))
                .order_by(replication_logs.c.log_id.desc())
                .offset(MOST_LOGS)
                .limit(1)
                .scalar_subquery()
            )
            connection.execute(
                sa.delete(replication_logs).where(
                    _at(replication_logs, graph_id, target_id), replication_logs.c.log_id <= oldest
                )
            )
        return int(number)

    def note(
        self,
        log_id: int,
        snapshot_id: str | None,
        status: str,
        error_message: str | None,
        sent_bytes: int,
        seconds: float,
    ) -> None:
        """What became of an attempt, and of which snapshot; nothing when its target was removed meanwhile."""
        this = replication_logs.c.log_id == log_id
        said = {"snapshot_id": snapshot_id, "status": status, "error_message": error_message}
        with self._connected() as connection:
            graph_id = connection.execute(sa.select(replication_logs.c.graph_id).where(this)).scalar()
            values = self._sealed(graph_id, said) | {"bytes": sent_bytes, "seconds": seconds}
            connection.execute(sa.update(replication_logs).where(this).values(values))

    def overtake(self, log_id: int, graph_id: str, target_id: str, ended: str, message: str) -> None:
        """Ends attempts of a graph and target that are older than this one and have not ended: their processes died."""
        older = sa.and_(_at(replication_logs, graph_id, target_id), replication_logs.c.log_id < log_id)
        with self._connected() as connection:
            said = self._sealed(graph_id, {"status": ended, "error_message": message})
            connection.execute(sa.update(replication_logs).where(older, _is_open()).values(said))

    def bury(self, graph_id: str, ended: str, message: str) -> None:
        """Ends attempts of a graph that have not ended and whose processes are gone."""
        if self._state.is_absent:
            return
        query = sa.select(replication_logs.c.log_id, replication_logs.c.owner)
        query = query.where(replication_logs.c.graph_id == graph_id, _is_open())
        with self._connected() as connection:
            rows = connection.execute(query.where(replication_logs.c.owner.is_not(None))).all()
            dead = [row.log_id for row in rows if processes.is_gone(row.owner)]
            if dead:
                change = sa.update(replication_logs).where(replication_logs.c.log_id.in_(dead), _is_open())
                connection.execute(change.values(self._sealed(graph_id, {"status": ended, "error_message": message})))

    def logs(self, graph_id: str, target_id: str | None = None) -> list[StoredLog]:
        """The newest attempts of a graph, the newest first."""
        if self._state.is_absent:
            return []
        query = sa.select(replication_logs).where(replication_logs.c.graph_id == graph_id)
        if target_id is not None:
            query = query.where(replication_logs.c.target_id == target_id)
        with self._connected() as connection:
            rows = connection.execute(query.order_by(replication_logs.c.log_id.desc()).limit(MOST_LOGS)).all()
        return [StoredLog(**self._cover.opened(replication_logs, row)) for row in rows]

    def replicas(self, graph_id: str) -> dict[str, StoredReplica]:
        """What is known of a graph's targets, by target id; nothing of one that never acknowledged or refused."""
        if self._state.is_absent:
            return {}
        with self._connected() as connection:
            rows = connection.execute(sa.select(replicas).where(replicas.c.graph_id == graph_id)).all()
        return {row.target_id: StoredReplica(**self._cover.opened(replicas, row)) for row in rows}

    def acknowledged(self, graph_id: str, target_id: str, number: int, acknowledgement: str, now_us: int) -> None:
        """A target has everything up to entry `number`; whatever stood against sending is over."""
        self._write(
            graph_id,
            target_id,
            {"number": number, "confirmed_us": now_us, "acknowledgement": acknowledgement, "refusal": None},
        )

    def refused(self, graph_id: str, target_id: str, reason: str | None) -> None:
        """Why nothing is sent there until somebody asks for it; None: it may be."""
        self._write(graph_id, target_id, {"refusal": reason})

    def _sealed(self, graph_id: str | None, values: dict[str, str | None]) -> dict[str, object]:
        return self._cover.sealed(replication_logs, {"graph_id": graph_id}, values)

    def _write(self, graph_id: str, target_id: str, values: dict[str, object]) -> None:
        place = {"graph_id": graph_id, "target_id": target_id}
        values = self._cover.sealed(replicas, place, values)
        row = {**place, **values}
        with self._connected() as connection:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            connection.execute(
                dialect.insert(replicas)
                .values(row)
                .on_conflict_do_update(index_elements=["graph_id", "target_id"], set_=values)
            )


def _at(table: sa.Table, graph_id: str, target_id: str) -> "sa.ColumnElement[bool]":
    return sa.and_(table.c.graph_id == graph_id, table.c.target_id == target_id)


def _is_open() -> "sa.ColumnElement[bool]":
    return replication_logs.c.status.in_(_OPEN)
