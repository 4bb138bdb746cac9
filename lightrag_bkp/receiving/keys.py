"""Keys of other instances, which send with them, and of who asks the HTTP API: made here, shown once, and recognised
without being kept.

A key is `lrb_<16 hex id>_<secret>`, its secret 256 random bits. The database has the SHA-256 of the whole key: who
reads it can send nothing, and a secret that long cannot be guessed from its hash, however quick that is.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .. import arguments
from ..errors import InvalidInputError, NotFoundError
from ..models import moment

if TYPE_CHECKING:
    from ..state import State, StoredKey

REPLICATE = "replicate"
SCOPES = (REPLICATE, "read", "operate", "admin")
"""What a key is for: sending copies here; or the HTTP API, where each allows what those before it do."""
TRUSTED_S = 5.0
"""So long a key that was looked up is taken for good without another look: a revoked one at most."""
NOTED_S = 60.0
"""The date of last use is that exact."""

_KEY = re.compile(r"lrb_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)
_NOBODYS = bytes(32)
INSTANCE_FILE, BOOT_FILE = "instance_id", "boot_id"
OWN_FILES = (INSTANCE_FILE, BOOT_FILE)
"""The receiver's own, beside the directories of its senders."""


def now_us() -> int:
    """Microseconds since 1970, by this host's clock."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class ReceiveKey:
    """What a key allows; never the key itself.

    Attributes:
        key_id: what it is revoked by. name: of who has it; a sender's replicas lie under it. scope: what it is for.
        graph_id: the only graph it may send; None: any. quota_bytes: for all of the sender's replicas; None: no limit.
        last_used_at, revoked_at: None: never.
    """

    key_id: str
    name: str
    scope: str
    graph_id: str | None
    quota_bytes: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyRing:
    """All keys of a receiver. Safe under threads.

    All methods raise StateError: the database cannot be reached, read or written.
    """

    def __init__(self, state: "State") -> None:
        from ..state import ReceiveKeys

        self._stored = ReceiveKeys(state)
        self._lock = threading.Lock()
        self._trusted: dict[str, tuple[float, StoredKey]] = {}
        self._good: dict[bytes, tuple[float, ReceiveKey]] = {}
        self._noted: dict[str, float] = {}

    def add(
        self, name: str, scope: str = REPLICATE, graph_id: str | None = None, quota_bytes: int | None = None
    ) -> tuple[ReceiveKey, str]:
        """Makes a key. Returns it as it will be listed, and as it is to be given to who needs it: that is kept nowhere.

        Raises:
            InvalidInputError: a name that cannot be a directory's, an unknown scope, a quota that is no number; a graph
                or a quota for a key that sends nothing.
        """
        from ..state import StoredKey

        _check_name(name)
        if scope not in SCOPES:
            raise InvalidInputError(f"there is no scope {scope!r}: keys are for {' or '.join(SCOPES)}", target="scope")
        if scope != REPLICATE and (graph_id, quota_bytes) != (None, None):
            said = f"a key for {scope} sends nothing: it has neither a graph nor a quota"
            raise InvalidInputError(said, target="scope")
        if graph_id is not None:
            arguments.check_graph_id(graph_id)
        if quota_bytes is not None and (isinstance(quota_bytes, bool) or not 0 < quota_bytes < 1 << 63):
            raise InvalidInputError(f"a quota of {quota_bytes!r} bytes cannot be kept", target="quota_bytes")
        key_id = secrets.token_hex(8)
        key = f"lrb_{key_id}_{secrets.token_urlsafe(32)}"
        row = StoredKey(key_id, name, scope, graph_id, quota_bytes, _digest(key), now_us())
        self._stored.add(row)
        return _listed(row), key

    def all(self) -> list[ReceiveKey]:
        """All that were made, oldest first."""
        return [_listed(row) for row in self._stored.all()]

    def revoke(self, beginning: str) -> ReceiveKey:
        """Ends the one good key whose id begins with this, or that is called so. Running receivers forget it within
        seconds.

        Raises:
            NotFoundError: there is none, or it is revoked already. InvalidInputError: there are several.
        """
        stored = self._stored.all() if beginning else []
        rows = [row for row in stored if row.key_id.startswith(beginning) or row.name == beginning]
        good = [row for row in rows if row.revoked_us is None]
        if not rows:
            raise NotFoundError(f"there is no key {beginning!r}: `key list` names all", target=beginning)
        if not good:
            raise NotFoundError(f"key {rows[-1].key_id} of {rows[-1].name} is revoked already", target=beginning)
        if len(good) > 1:
            raise InvalidInputError(f"{len(good)} keys are meant by {beginning!r}: write the whole id")
        self._stored.revoke(good[0].key_id, now_us())
        return _listed(self._stored.get(good[0].key_id) or good[0])

    def recognise(self, key: str) -> ReceiveKey | None:
        """The good key this is; None when it is none. Takes as long for a wrong secret as for the right one."""
        shape, digest = _KEY.fullmatch(key), _digest(key)
        since, row = self._row(shape[1]) if shape else (0.0, None)
        same = hmac.compare_digest(digest, row.secret_sha256 if row else _NOBODYS)
        if not same or row is None or row.revoked_us is not None:
            return None
        self._note(row.key_id)
        found = _listed(row)
        with self._lock:
            self._good[digest] = since, found
        return found

    def remembered(self, key: str) -> ReceiveKey | None:
        """As `recognise` of a key that was a good one a moment ago, and waits for nothing. None: ask that."""
        with self._lock:
            since, found = self._good.get(_digest(key), (0.0, None))
        return found if found is not None and time.monotonic() - since < TRUSTED_S else None

    def _row(self, key_id: str) -> "tuple[float, StoredKey | None]":
        """What is stored, and when that was looked up."""
        now = time.monotonic()
        with self._lock:
            since, row = self._trusted.get(key_id, (0.0, None))
        if row is not None and now - since < TRUSTED_S:
            return since, row
        row = self._stored.get(key_id)
        with self._lock:
            self._trusted.pop(key_id, None)
            if row is not None:
                self._trusted[key_id] = (now, row)
        return now, row

    def _note(self, key_id: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._noted.get(key_id, -NOTED_S) < NOTED_S:
                return
            self._noted[key_id] = now
        self._stored.note_use(key_id, now_us())


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not arguments.is_graph_id(name):
        raise InvalidInputError(
            f"a key cannot be called {name!r}: take 1 to 128 of A-Z a-z 0-9 _ . - (first a letter or digit)",
            target="name",
        )
    if name in OWN_FILES:
        raise InvalidInputError(
            f"a key cannot be called {name!r}: the receiver has a file of that name where replicas lie", target="name"
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _listed(row: "StoredKey") -> ReceiveKey:
    return ReceiveKey(
        row.key_id,
        row.name,
        row.scope,
        row.graph_id,
        row.quota_bytes,
        moment(row.created_us * 1000),
        None if row.last_used_us is None else moment(row.last_used_us * 1000),
        None if row.revoked_us is None else moment(row.revoked_us * 1000),
    )
