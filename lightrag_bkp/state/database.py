"""The database itself: opened when first used, brought up to date once, a connection for each piece of work.

No connection is kept between two calls, so that a fork, a restart of the server or a moved file needs no care; what
statements became is.
"""

import contextlib
import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from .. import locking, presence
from ..errors import ConfigurationError, StateError
from ..keyring import Keyring
from .cover import Cover
from .places import make_private
from .postgres import Patience
from .schema import HEAD, replicators, targets
from .sealing import KeyBox

logger = logging.getLogger("lightrag_bkp")

_LOCK_NUMBER = 0x6C72626B70  # "lrbkp"
_WAIT_S = 30
_making = threading.Lock()
"""Held while a file is made: nobody in this process has it open before its first descriptor is closed."""
_READS = "lrb_reads"
_TRACES, _NO_TRACES = 0, 1
"""Of a file in a sealed storage path: whether free pages may hold what was in the clear. A new file says 0."""


@dataclass(frozen=True, slots=True)
class StoredTarget:
    """A row of `targets`; `api_key` in the clear, `created_us` in microseconds since 1970, `connection` JSON."""

    target_id: str
    name: str
    base_url: str
    api_key: str | None
    enabled: bool
    created_us: int
    connection: str


class State:
    """Raises, whatever is asked: StateError when the database cannot be reached, read or written, or is newer than
    this program; ConfigurationError for a URL or key file that cannot be used.

    Args:
        url: of SQLAlchemy's kind: sqlite:///path or postgresql+psycopg://user:password@host/name.
        key_file: what seals API keys; made when the first one is stored.
        keyring: what opens the repositories; None: nothing is stored that tells of them.
    """

    def __init__(self, url: str, key_file: str, keyring: Keyring | None = None) -> None:
        self._box = KeyBox(key_file)
        self.cover = Cover(keyring)
        self._is_covered = keyring is None
        self._lock = threading.Lock()
        self._is_current = False
        self._engine: sa.Engine | None = None
        try:
            self._url = sa.make_url(url)
        except ArgumentError:
            raise ConfigurationError(
                "the URL of the replication database cannot be read: sqlite:///path, or postgresql+psycopg://..."
            ) from None
        self._patience = Patience(self._url)
        self._file = None
        if self._url.get_backend_name() == "sqlite":
            if self._url.database in (None, "", ":memory:"):
                raise ConfigurationError("the URL of the replication database names no file: sqlite:///path")
            self._file = os.path.abspath(self._url.database or "")

    # ---- targets ----

    def add_target(self, target: StoredTarget) -> bool:
        """False: there is one of this id."""
        sealed = None if target.api_key is None else self._box.seal(target.api_key, target.target_id)
        row = {
            "target_id": target.target_id,
            "name": target.name,
            "base_url": target.base_url,
            "api_key": sealed,
            "enabled": target.enabled,
            "created_us": target.created_us,
            "connection": target.connection,
        }
        return self._insert(sa.insert(targets).values(row), sa.select(targets).where(_is(target.target_id)))

    def targets(self, graph_id: str | None = None) -> list[StoredTarget]:
        """All, or those of a graph; oldest first."""
        query = sa.select(targets).order_by(targets.c.created_us, targets.c.target_id)
        if graph_id is not None:
            query = query.join(replicators).where(replicators.c.graph_id == graph_id)
        if self.is_absent:
            return []
        with self.connected() as connection:
            rows = connection.execute(query).all()
        return [self._stored(row) for row in rows]

    def target(self, target_id: str, graph_id: str | None = None) -> StoredTarget | None:
        """One of them; None: unknown, or not one of that graph's."""
        query = sa.select(targets).where(_is(target_id))
        if graph_id is not None:
            query = query.join(replicators).where(replicators.c.graph_id == graph_id)
        if self.is_absent:
            return None
        with self.connected() as connection:
            row = connection.execute(query).first()
        return None if row is None else self._stored(row)

    def update_target(
        self,
        target_id: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        enabled: bool | None = None,
    ) -> bool:
        """Changes what is given, and nothing else, at least one. False: unknown."""
        sealed = None if api_key is None else self._box.seal(api_key, target_id)
        told = {"name": name, "base_url": base_url, "api_key": sealed, "enabled": enabled}
        given = {column: value for column, value in told.items() if value is not None}
        return self._change(sa.update(targets).where(_is(target_id)).values(given))

    def remove_target(self, target_id: str) -> bool:
        """From all graphs as well. False: unknown."""
        return self._change(sa.delete(targets).where(_is(target_id)))

    # ---- which graphs go there ----

    def link(self, graph_id: str, target_id: str) -> bool:
        """False: the graph goes there already."""
        row = {"graph_id": graph_id, "target_id": target_id}
        there = sa.and_(replicators.c.graph_id == graph_id, replicators.c.target_id == target_id)
        return self._insert(sa.insert(replicators).values(row), sa.select(replicators).where(there))

    def unlink(self, graph_id: str, target_id: str) -> bool:
        """False: the graph does not go there."""
        there = sa.and_(replicators.c.graph_id == graph_id, replicators.c.target_id == target_id)
        return self._change(sa.delete(replicators).where(there))

    # ---- connections ----

    @property
    def is_absent(self) -> bool:
        """Nothing was ever stored: who only asks makes no file, wherever a mistyped path leads.

        Raises:
            StateError: there was something, and its file is gone. StorageError: it lies on a disk that is not mounted.
        """
        if self._file is None or os.path.exists(self._file):
            return False
        self._refuse_gone(self._file)
        return True

    def _refuse_gone(self, path: str) -> None:
        """A file that was used and is missing lies on a disk that went away: an empty one in its place would answer for
        it that there is nothing, and be hidden again below the mount point.
        """
        if os.path.exists(path):
            return
        storage_path = os.path.dirname(os.path.dirname(path))  # unless it is said to be elsewhere (state_place)
        for part in (presence.GRAPHS, presence.REPLICAS):
            presence.require(storage_path, part)
        if self._is_current:
            raise StateError(
                f"the replication database {path!r} is gone: mount it or put it back, or restart to begin an empty one",
                op="open",
                target=path,
            )

    def damage(self) -> str | None:
        """What SQLite finds wrong with its file, after reading all of it; None: nothing. Others look after theirs."""
        if self._file is None or self.is_absent:
            return None
        with self.reading() as connection:
            said = str(connection.execute(sa.text("PRAGMA quick_check(1)")).scalar_one())
        return None if said == "ok" else " ".join(said.split())

    def _change(self, change: sa.Delete | sa.Update) -> bool:
        if self.is_absent:
            return False
        with self.connected() as connection:
            return connection.execute(change).rowcount > 0

    def _stored(self, row: "sa.Row[tuple[object, ...]]") -> StoredTarget:
        told = dict(row._mapping)
        sealed = told.pop("api_key")
        key = None if sealed is None else self._box.unseal(bytes(sealed), told["target_id"])
        return StoredTarget(api_key=key, **told)

    def _insert(self, insert: sa.Insert, there: "sa.Select[tuple[object, ...]]") -> bool:
        try:
            with self.connected() as connection:
                connection.execute(insert)
            return True
        except StateError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
        with self.connected() as connection:
            if connection.execute(there).first() is None:
                raise StateError("the database refuses the row: its target was removed meanwhile", op="insert")
        return False

    def connected(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A transaction, committed when nothing was raised."""
        return self._transaction({})

    def reading(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A transaction that only reads: it needs no turn among those that write."""
        return self._transaction({_READS: True})

    @contextlib.contextmanager
    def _transaction(self, options: dict[str, bool]) -> Iterator[sa.Connection]:
        engine = self._ready()
        try:
            self._refuse_silent()
            self._bring_up_to_date(engine)
            self._cover_old(engine)
            with engine.execution_options(**options).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._failed(error) from error

    def _refuse_silent(self) -> None:
        if self._patience.is_out:
            place = self._url.render_as_string(hide_password=True)
            said = "it did not answer a moment ago"
            raise StateError(f"the replication database {place} cannot be used: {said}", op="connect", target=place)

    def _failed(self, error: SQLAlchemyError) -> StateError:
        cause = getattr(error, "orig", None)
        said = str(cause or error).strip().splitlines()[0]
        place = self._url.render_as_string(hide_password=True)
        number = errno.ENOSPC if _is_full(cause) else 0
        return StateError(
            f"the replication database {place} cannot be used: {said}", errno=number, op="connect", target=place
        )

    def _ready(self) -> sa.Engine:
        if self._file is not None:
            self._refuse_gone(self._file)
            self._make_file(self._file)
        with self._lock:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    def _make_engine(self) -> sa.Engine:
        if self._file is None:
            with contextlib.suppress(ModuleNotFoundError):
                engine = sa.create_engine(self._url, poolclass=sa.NullPool, connect_args=self._patience.settings)
                self._patience.watch(engine)
                return engine
            raise ConfigurationError(
                f"no driver for {self._url.drivername} is installed: pip install 'psycopg[binary]' for PostgreSQL"
            )
        engine = sa.create_engine(self._url, poolclass=sa.NullPool, connect_args={"timeout": _WAIT_S})
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        return engine

    def _make_file(self, path: str) -> None:
        """Makes the file, for its owner alone. One that is there is never opened here: whoever closes a descriptor of
        it ends all locks SQLite holds on it in this process, and others would write at the same time.
        """
        try:
            with _making:
                make_private(os.path.dirname(path))
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StateError(
                f"the replication database {path!r} cannot be opened: {error.strerror}", op="open", target=path
            ) from error

    # ---- migrations ----

    def _bring_up_to_date(self, engine: sa.Engine) -> None:
        with self._lock:
            if self._is_current:
                return
            self._refuse_silent()  # whoever had the lock may have waited for nothing
            if _version(engine) != HEAD:
                with self._alone(engine):
                    self._migrate(engine)
            self._is_current = True

    def _cover_old(self, engine: sa.Engine) -> None:
        """Seals what an earlier version, or one before there was a key, stored in the clear in a sealed storage path,
        and anew what this process sealed before it had the key. Other databases are not ours to rewrite but for the
        latter: others share them. Who only reads must be able to do so on a full or read-only disk, too: then it is the
        next start's matter.
        """
        if self._is_covered or self.cover.storage_key() is None:
            return  # perhaps not yet
        try:
            if self.cover.used_own_key:
                with self._lock, engine.begin() as connection:
                    self.cover.seal_own_anew(connection)
            if self._file is not None and self.cover.holds(self._file):
                self._seal_old(engine)
        except (SQLAlchemyError, sqlite3.Error) as error:
            logger.warning("event=state_not_sealed file=%r error=%r", self._file, str(error).splitlines()[0])
        self._is_covered = True

    def _seal_old(self, engine: sa.Engine) -> None:
        """Leaves no trace either in pages SQLite no longer uses."""
        with self._lock, engine.begin() as connection:
            if self.cover.cover_old(connection):
                connection.exec_driver_sql(f"PRAGMA user_version = {_TRACES}")
            is_clean = connection.exec_driver_sql("PRAGMA user_version").scalar_one() == _NO_TRACES
        if not is_clean:
            with contextlib.closing(engine.raw_connection()) as raw:
                raw.execute("VACUUM")
                raw.execute(f"PRAGMA user_version = {_NO_TRACES}")

    @contextlib.contextmanager
    def _alone(self, engine: sa.Engine) -> Iterator[None]:
        """One process migrates, and the others wait."""
        if self._file is None:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK_NUMBER})
                yield
            return
        with locking.alone(f"{self._file}.lock"):
            yield

    def _migrate(self, engine: sa.Engine) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        steps = Config()
        steps.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations"))
        with engine.begin() as connection:
            steps.attributes["connection"] = connection
            try:
                command.upgrade(steps, "head")
            except CommandError as error:
                place = self._url.render_as_string(hide_password=True)
                raise StateError(
                    f"the replication database {place} was written by a newer version of this program: use that one",
                    op="migrate",
                    target=place,
                ) from error


def _is(target_id: str) -> "sa.ColumnElement[bool]":
    return targets.c.target_id == target_id


def _is_full(cause: object) -> bool:
    """Whether no room was left, as SQLite or PostgreSQL says it."""
    said = (getattr(cause, "sqlite_errorcode", None), getattr(cause, "sqlstate", None))
    return said[0] == sqlite3.SQLITE_FULL or said[1] == "53100"


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    """Transactions are begun by `_begin` alone: sqlite3 by itself begins none for what makes tables."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # what is replaced by something sealed must not stay in a free page


def _begin(connection: sa.Connection) -> None:
    """At once for writing: one that reads first and writes then is refused when another one wrote in between."""
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _version(engine: sa.Engine) -> str | None:
    """Which step the database is at; None: it is empty."""
    with engine.execution_options(**{_READS: True}).connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
