"""Keys of who sends copies here or asks the HTTP API: only the SHA-256 of each is kept."""

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from .database import State
from .schema import receive_keys


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of `receive_keys`; times in microseconds since 1970."""

    key_id: str
    name: str
    scope: str
    graph_id: str | None
    quota_bytes: int | None
    secret_sha256: bytes
    created_us: int
    last_used_us: int | None = None
    revoked_us: int | None = None


class ReceiveKeys:
    """The table, in the database of a `State`; raises what that raises."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, key: StoredKey) -> None:
        """A key of a new id."""
        with self._state.connected() as connection:
            connection.execute(sa.insert(receive_keys).values(asdict(key)))

    def all(self) -> list[StoredKey]:
        """Oldest first, revoked ones too."""
        if self._state.is_absent:
            return []
        with self._state.connected() as connection:
            query = sa.select(receive_keys).order_by(receive_keys.c.created_us, receive_keys.c.key_id)
            return [_stored(row) for row in connection.execute(query)]

    def get(self, key_id: str) -> StoredKey | None:
        """One of them, also a revoked one."""
        if self._state.is_absent:
            return None
        with self._state.connected() as connection:
            row = connection.execute(sa.select(receive_keys).where(receive_keys.c.key_id == key_id)).first()
        return None if row is None else _stored(row)

    def note_use(self, key_id: str, now_us: int) -> None:
        """Remembers when a key was used last."""
        self._change(receive_keys.c.key_id == key_id, last_used_us=now_us)

    def revoke(self, key_id: str, now_us: int) -> bool:
        """False: unknown, or revoked already."""
        good = sa.and_(receive_keys.c.key_id == key_id, receive_keys.c.revoked_us.is_(None))
        return self._change(good, revoked_us=now_us)

    def _change(self, where: "sa.ColumnElement[bool]", **values: int) -> bool:
        if self._state.is_absent:
            return False
        with self._state.connected() as connection:
            return connection.execute(sa.update(receive_keys).where(where).values(**values)).rowcount > 0


def _stored(row: "sa.Row[tuple[object, ...]]") -> StoredKey:
    told = dict(row._mapping)
    return StoredKey(**told | {"secret_sha256": bytes(told["secret_sha256"])})
