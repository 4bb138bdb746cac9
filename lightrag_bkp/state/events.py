"""What was changed or asked for, by whom, and what came of it: rows whose numbers grow as they become visible."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from .database import State
from .schema import events

MOST_EVENTS = 100_000
"""Older ones go."""
_LONGEST_DETAIL = 4000
_ORDER_LOCK = 0x6C72626B71  # "lrbkq"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened; `at_us` in microseconds since 1970."""

    at_us: int
    kind: str
    actor: str
    graph_id: str | None
    target: str | None
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvent(NewEvent):
    """A row of `events`."""

    event_id: int = 0


class Events:
    """The table, in the database of a `State`; raises what that raises."""

    def __init__(self, state: State) -> None:
        self._state, self._cover = state, state.cover

    def add(self, event: NewEvent) -> int:
        """Writes one down; returns its number. Whoever has seen a number has seen all that are smaller."""
        row = asdict(event) | {"detail": storable(event.detail)[:_LONGEST_DETAIL]}
        row = self._cover.sealed(events, row, row)
        with self._state.connected() as connection:
            if connection.dialect.name == "postgresql":  # its sequences number before the commit
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ORDER_LOCK})
            number = int(connection.execute(sa.insert(events).values(row).returning(events.c.event_id)).scalar_one())
            connection.execute(sa.delete(events).where(events.c.event_id <= number - MOST_EVENTS))
        return number

    def newest(self) -> int:
        """The number of the newest one; 0: there is none."""
        if self._state.is_absent:
            return 0
        with self._state.reading() as connection:
            return int(connection.execute(sa.select(sa.func.max(events.c.event_id))).scalar() or 0)

    def after(self, event_id: int, most: int, graph_id: str | None = None) -> list[StoredEvent]:
        """Those with a greater number, in order."""
        if self._state.is_absent:
            return []
        newer = sa.select(events).where(events.c.event_id > event_id, *_of(graph_id))
        query = newer.order_by(events.c.event_id).limit(most)
        with self._state.reading() as connection:
            return [StoredEvent(**self._cover.opened(events, row)) for row in connection.execute(query)]

    def page(self, offset: int, most: int, graph_id: str | None = None) -> tuple[list[StoredEvent], int]:
        """The newest first from an offset on, and how many there are in all."""
        if self._state.is_absent:
            return [], 0
        where = _of(graph_id)
        query = sa.select(events).where(*where).order_by(events.c.event_id.desc()).offset(offset).limit(most)
        with self._state.reading() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(events).where(*where)).scalar_one()
            return [StoredEvent(**self._cover.opened(events, row)) for row in connection.execute(query)], int(total)


def storable(text: str) -> str:
    """A text with escapes for what no database takes: a sentence may name a file whose name is no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _of(graph_id: str | None) -> "list[sa.ColumnElement[Any]]":
    return [] if graph_id is None else [events.c.graph_id == graph_id]
