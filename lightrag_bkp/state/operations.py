"""Long work asked for over HTTP: what it is, which process works on it, and what it came to.

Only the process that works on an operation ends it, or, once that is gone, whoever finds it: an operation that is over
never changes again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from .database import State
from .schema import operations

RUNNING = "running"
KEPT_US = 30 * 86_400 * 1_000_000
"""So long operations that are over can be looked up."""


@dataclass(frozen=True, slots=True)
class NewOperation:
    """What is begun; `created_us` in microseconds since 1970."""

    operation_id: str
    kind: str
    graph_id: str | None
    target: str | None
    requested_by: str
    owner: str
    created_us: int
    idempotency_key: str | None = None
    fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """A row of `operations`; times in microseconds since 1970; progress, result and error are JSON, and
    None when they are sealed and cannot be opened.
    """

    operation_id: str
    kind: str
    graph_id: str | None
    target: str | None
    state: str
    created_us: int
    finished_us: int | None
    progress: str | None
    result: str | None
    location: str | None
    error: str | None
    requested_by: str
    idempotency_key: str | None
    fingerprint: bytes | None
    owner: str
    heartbeat_us: int
    end_asked: bool

    @property
    def is_over(self) -> bool:
        """Whether it came to anything, and so never changes again."""
        return self.state != RUNNING


class Operations:
    """The table, in the database of a `State`; raises what that raises."""

    def __init__(self, state: State) -> None:
        self._state, self._cover = state, state.cover

    def begin(self, new: NewOperation, key_us: int) -> StoredOperation:
        """Adds an operation and forgets those too long ago; or, when its caller used its key within `key_us`, returns
        the one of that key.
        """
        row = asdict(new) | {"state": RUNNING, "heartbeat_us": new.created_us, "end_asked": False}
        row = self._cover.sealed(operations, row, row)
        mine = operations.c.requested_by == new.requested_by
        keyed = sa.and_(mine, operations.c.idempotency_key == new.idempotency_key)
        is_old = operations.c.created_us <= new.created_us - key_us
        with self._state.connected() as connection:
            if new.idempotency_key is not None:
                self._lock(connection)
                connection.execute(sa.update(operations).where(keyed, is_old).values(idempotency_key=None))
                known = connection.execute(sa.select(operations).where(keyed)).first()
                if known is not None:
                    return self._stored(known)
            connection.execute(sa.insert(operations).values(row))
            over = operations.c.finished_us < new.created_us - KEPT_US
            connection.execute(sa.delete(operations).where(over, operations.c.created_us < new.created_us - KEPT_US))
            return self._stored(connection.execute(_one(new.operation_id)).one())

    @staticmethod
    def _lock(connection: sa.Connection) -> None:
        """Lets nobody else begin meanwhile. SQLite has one writer anyway."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("LOCK TABLE operations IN SHARE ROW EXCLUSIVE MODE"))

    def get(self, operation_id: str) -> StoredOperation | None:
        """One of them; None: unknown."""
        if self._state.is_absent:
            return None
        with self._state.reading() as connection:
            row = connection.execute(_one(operation_id)).first()
        return None if row is None else self._stored(row)

    def page(
        self,
        offset: int,
        most: int,
        *,
        state: str | None = None,
        graph_id: str | None = None,
        kind: str | None = None,
    ) -> tuple[list[StoredOperation], int]:
        """The newest first from an offset on, each without its result, and how many there are in all."""
        if self._state.is_absent:
            return [], 0
        wanted = {"state": state, "graph_id": graph_id, "kind": kind}
        where = [operations.c[name] == value for name, value in wanted.items() if value is not None]
        order = operations.c.created_us.desc(), operations.c.operation_id
        columns = [sa.null().label("result") if one is operations.c.result else one for one in operations.c]
        query = sa.select(*columns).where(*where).order_by(*order).offset(offset).limit(most)
        with self._state.reading() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(operations).where(*where)).scalar_one()
            return [self._stored(row) for row in connection.execute(query)], int(total)

    def unfinished(self) -> list[StoredOperation]:
        """Those that are not over, oldest first."""
        if self._state.is_absent:
            return []
        query = sa.select(operations).where(operations.c.state == RUNNING).order_by(operations.c.created_us)
        with self._state.reading() as connection:
            return [self._stored(row) for row in connection.execute(query)]

    def beat(self, progress: Mapping[str, str | None], now_us: int) -> list[str]:
        """Their process lives, and is so far with each; returns those somebody wants to end."""
        asked = sa.select(operations.c.operation_id).where(
            operations.c.operation_id.in_(list(progress)), operations.c.end_asked.is_(True)
        )
        with self._state.connected() as connection:
            for operation_id, said in progress.items():
                change = sa.update(operations).where(_under_way(operation_id))
                connection.execute(change.values(**self._sealed(operation_id, {"progress": said}), heartbeat_us=now_us))
            return list(connection.execute(asked).scalars())

    def ask_to_end(self, operation_id: str) -> bool:
        """Tells the process that works on it. False: it is over, or unknown."""
        return self._change(_under_way(operation_id), {"end_asked": True})

    def end(self, operation_id: str, ending: Mapping[str, Any]) -> bool:
        """What it came to. False: it was over already."""
        return self._change(_under_way(operation_id), self._sealed(operation_id, ending))

    def interrupt(self, row: StoredOperation, error: str, now_us: int) -> bool:
        """Ends an operation whose process is gone. False: it was over, or that process said something since."""
        same = sa.and_(_under_way(row.operation_id), operations.c.heartbeat_us == row.heartbeat_us)
        ending = {"state": "interrupted", "error": error, "finished_us": now_us}
        return self._change(same, self._sealed(row.operation_id, ending))

    def _sealed(self, operation_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._cover.sealed(operations, {"operation_id": operation_id}, values)

    def _stored(self, row: "sa.Row[tuple[Any, ...]]") -> StoredOperation:
        told = self._cover.opened(operations, row)
        mark = told["fingerprint"]
        return StoredOperation(**told | {"fingerprint": None if mark is None else bytes(mark)})

    def _change(self, where: "sa.ColumnElement[bool]", values: Mapping[str, Any]) -> bool:
        if self._state.is_absent:
            return False
        with self._state.connected() as connection:
            return connection.execute(sa.update(operations).where(where).values(**values)).rowcount > 0


def _one(operation_id: str) -> "sa.Select[tuple[Any, ...]]":
    return sa.select(operations).where(operations.c.operation_id == operation_id)


def _under_way(operation_id: str) -> "sa.ColumnElement[bool]":
    return sa.and_(operations.c.operation_id == operation_id, operations.c.state == RUNNING)
