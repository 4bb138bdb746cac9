"""What the database says about snapshots: sealed wherever the repositories are, so that it tells no more than they do.

Sealed are the columns of `_COVERED`; in the clear stay times, kinds, states, sizes, graph ids, who asked, and the names
and addresses of targets. The key follows from the storage path's own and never from a file beside the database. While
that one cannot be had (nothing is stored yet, or the secret is missing or wrong) a key of this process takes its place:
then nobody else reads what was written, and nothing is written in the clear. Once it can be had the same process seals
that anew with it.

A sealed text is `_MARK` and base64 of what `sealing` makes; it is bound to its table, column and the row's own facts.
"""

import base64
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag

from ..errors import LightragBkpError, NotFoundError
from ..keyring import Keyring
from ..secret import KEY_BYTES
from .schema import events, operations, replicas, replication_logs
from .sealing import seal, unseal

CLOSED = "what was said here is sealed, and the key that opens it is not here"

_MARK = "lrb-sealed-1:"
_AGAIN_S = 10.0
"""So long a secret that did not fit is not tried again: each try of a passphrase costs a tenth of a second."""
_OWN_KEY = secrets.token_bytes(KEY_BYTES)

_COVERED: Mapping[sa.Table, tuple[tuple[str, ...], tuple[str, ...]]] = {
    operations: (("target", "progress", "result", "location", "error", "fingerprint"), ("operation_id",)),
    events: (("target", "detail"), ("at_us", "kind", "actor", "graph_id", "outcome")),
    replication_logs: (("snapshot_id", "error_message"), ("graph_id",)),
    replicas: (("acknowledgement", "refusal"), ("graph_id", "target_id")),
}
"""Of each table, the columns that are sealed, and those a value is bound to."""
_SAID = frozenset({"detail", "error_message", "refusal"})
"""Columns that say so when they cannot be opened. Others are NULL then."""


class Cover:
    """Seals and opens values of rows. Safe for several threads; `keyring` None: there is nothing to seal for."""

    def __init__(self, keyring: Keyring | None) -> None:
        self._keyring = keyring
        self._lock = threading.Lock()
        self._is_needed: bool | None = None
        self._key: bytes | None = None
        self._not_before = 0.0
        self.used_own_key = False
        """Whether anything was sealed with the key of this process."""

    def holds(self, file: str) -> bool:
        """Whether a file lies in the storage path that is sealed, and its key is here."""
        if self._keyring is None or self.storage_key() is None:
            return False
        place = os.path.realpath(self._keyring.storage_path)
        return os.path.commonpath((place, os.path.realpath(file))) == place

    def storage_key(self) -> bytes | None:
        """What follows from the storage path's key; None: it is not sealed, or the key cannot be had now."""
        with self._lock:
            if self._keyring is not None and self._key is None and time.monotonic() >= self._not_before:
                try:
                    key = self._keyring.key_now()
                    self._key = None if key is None else key.state_key()
                except NotFoundError:
                    pass  # it is made with the first snapshot
                except LightragBkpError:
                    self._not_before = time.monotonic() + _AGAIN_S
            return self._key

    def sealed(self, table: sa.Table, row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Values for columns of a row of which `row` says what they are bound to, as they are stored."""
        if not self._seals():
            return dict(values)
        known, covered = self.storage_key(), _COVERED[table][0]
        self.used_own_key |= known is None
        key = known or _OWN_KEY
        return {
            name: _sealed(key, value, _place(table, name, row)) if name in covered and value is not None else value
            for name, value in values.items()
        }

    def opened(self, table: sa.Table, row: "sa.Row[tuple[Any, ...]]") -> dict[str, Any]:
        """The columns of a row that was read, as they were before they were sealed."""
        told = dict(row._mapping)
        for name in _COVERED[table][0]:
            if _is_sealed(told[name]):
                told[name] = self._opened(told[name], name, _place(table, name, told))
        return told

    def cover_old(self, connection: sa.Connection) -> int:
        """Seals what was stored in the clear before there was a key; returns how many rows that were."""
        changed = 0
        for table, (names, _) in _COVERED.items():
            bare = sa.or_(*(sa.and_(table.c[name].is_not(None), ~_begins(table.c[name])) for name in names))
            for found in connection.execute(sa.select(table).where(bare)).all():
                row = dict(found._mapping)
                clear = {name: row[name] for name in names if not _is_sealed(row[name])}
                where = sa.and_(*(one == row[one.name] for one in table.primary_key))
                connection.execute(sa.update(table).where(where).values(self.sealed(table, row, clear)))
                changed += 1
        return changed

    def seal_own_anew(self, connection: sa.Connection) -> None:
        """Seals with the storage path's key what this process sealed with its own, so that others can read it."""
        for table, (names, _) in _COVERED.items():
            marked = sa.or_(*(_begins(table.c[name]) for name in names))
            for found in connection.execute(sa.select(table).where(marked)).all():
                row = dict(found._mapping)
                own = {}
                for name in names:
                    with suppress(InvalidTag, ValueError):
                        if _is_sealed(row[name]):
                            own[name] = _unsealed(_OWN_KEY, row[name], _place(table, name, row))
                if own:
                    where = sa.and_(*(one == row[one.name] for one in table.primary_key))
                    connection.execute(sa.update(table).where(where).values(self.sealed(table, row, own)))

    def _seals(self) -> bool:
        if self._is_needed is None:
            self._is_needed = self._keyring is not None and self._keyring.seals_now()
        return self._is_needed

    def _opened(self, stored: str | bytes, name: str, place: bytes) -> str | bytes | None:
        for key in (self.storage_key(), _OWN_KEY):
            try:
                if key is not None:
                    return _unsealed(key, stored, place)
            except (InvalidTag, ValueError):
                continue
        return CLOSED if name in _SAID else None


def _place(table: sa.Table, column: str, row: Mapping[str, Any]) -> bytes:
    return json.dumps([table.name, column, *(row[name] for name in _COVERED[table][1])]).encode()


def _begins(column: "sa.ColumnElement[Any]") -> "sa.ColumnElement[bool]":
    mark = _MARK.encode() if isinstance(column.type, sa.LargeBinary) else _MARK
    return sa.func.substr(column, 1, len(mark)) == sa.literal(mark, column.type)


def _is_sealed(stored: object) -> bool:
    return stored is not None and _text(stored)[: len(_MARK)] == _MARK.encode()


def _text(stored: Any) -> bytes:
    return stored.encode("utf-8", "surrogatepass") if isinstance(stored, str) else bytes(stored)


def _sealed(key: bytes, value: str | bytes, place: bytes) -> str | bytes:
    text = _MARK.encode() + base64.b64encode(seal(key, _text(value), place))
    return text.decode() if isinstance(value, str) else text


def _unsealed(key: bytes, stored: str | bytes, place: bytes) -> str | bytes:
    content = unseal(key, base64.b64decode(_text(stored)[len(_MARK) :], validate=True), place)
    return content.decode("utf-8", "surrogatepass") if isinstance(stored, str) else content
