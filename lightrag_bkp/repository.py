"""One graph's repository as Python values: opened when first needed, read again before every answer.

A core handle belongs to the process that opened it; after a fork the child opens its own. Where a method exists twice,
the one that ends in `_now` waits on the calling thread and the other on the event loop, which goes on meanwhile; both
release the GIL. What a handle says of its log waits for whoever reads that at the moment, perhaps from a disk that does
not answer: on a loop it is asked in a thread.
"""

import logging
import os
import threading
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

from . import _bridge, presence
from .arguments import is_graph_id
from .errors import DamagedError, ForeignObjectError, NoSpaceError, NotFoundError, StorageError
from .keyring import Keyring
from .models import (
    BackupSnapshot,
    BackupStatus,
    Item,
    ItemType,
    Listing,
    RetentionPolicy,
    SkippedItem,
    SnapshotBody,
    microseconds,
    moment,
    same_body,
    stored_object,
)
from .threads import in_thread

logger = logging.getLogger("lightrag_bkp")

_ITEM_TYPES = {1: ItemType.FILE, 2: ItemType.DIRECTORY, 3: ItemType.SYMLINK}
_HELD, _SAFETY = 1, 2
EXPIRED = "expired"


class GraphRepository:
    """The repository of one graph below a storage path. Safe for several threads, tasks and processes."""

    def __init__(self, storage_path: str, graph_id: str, keyring: Keyring | None = None) -> None:
        self.storage_path = storage_path
        self.graph_id = graph_id
        self._keyring = keyring or Keyring(storage_path, None)
        self._lock = threading.Lock()
        self._core: _bridge.Repository | None = None
        self._displaced = False  # a handle was let go since its path led elsewhere
        self._keys_current = False  # who writes brings all graphs' key slots up to date, once

    def _resolved(self) -> str:
        """The storage path behind any symlinks of its owner; the core itself follows none."""
        return os.path.realpath(self.storage_path)

    async def open(self, *, create: bool = False) -> _bridge.Repository | None:
        """The handle, with everything others appended; None when there is no repository and none is to be made. Of a
        damaged log it has what is intact (`damage` says so); with `create` that is an error.
        """
        core = await in_thread(self._placed)
        try:
            if core is None or (create and not self._keys_current):
                key = await self._keyring.key(self.graph_id, create=create)
                self._keys_current |= create
            if core is not None:
                with suppress(DamagedError, ForeignObjectError):
                    await _bridge.run(_bridge.refresh_job(core))
                    return core
                key = await self._keyring.key(self.graph_id)  # opened anew, it has what is intact
            place = await in_thread(self._resolved)
            opened = await _bridge.run(_bridge.open_job(place, self.graph_id, create, key))
        except NotFoundError as error:
            if create:  # what cannot even be made, as below /proc, is not there either
                raise StorageError(
                    f"the storage path {self.storage_path!r} cannot be made: name a directory of a file system that can"
                    " be written",
                    op="create",
                    target=self.storage_path,
                ) from error
            return None
        if create:  # there is something now
            await in_thread(presence.require, self.storage_path)
        return self._keep(opened)

    async def require(self) -> _bridge.Repository:
        """As `open`; NotFoundError when there is no such repository."""
        core = await self.open()
        if core is None:
            raise NotFoundError(
                f"graph {self.graph_id!r} has no snapshot below {self.storage_path!r}", target=self.graph_id
            )
        return core

    def open_now(self) -> _bridge.Repository | None:
        """As `open`, on the calling thread."""
        core = self._placed()
        if core is not None:
            with suppress(DamagedError, ForeignObjectError):
                core.refresh()
                return core
        try:
            key = self._keyring.key_now(self.graph_id)
            return self._keep(_bridge.run_blocking(_bridge.open_job(self._resolved(), self.graph_id, False, key)))
        except NotFoundError:
            return None

    def close(self) -> None:
        """Lets the handle go; the next use opens it again."""
        with self._lock:
            core, self._core = self._core, None
        if core is not None and core.pid == os.getpid():
            core.close()

    @contextmanager
    def advising_on_space(self) -> Iterator[None]:
        """Says of a full device where it is and what helps, in place of which file of the repository did not fit."""
        try:
            yield
        except NoSpaceError as error:
            raise NoSpaceError(
                f"no room is left below {self.storage_path!r}: free space, or delete snapshots and prune",
                errno=error.errno or 0,
                op=error.op,
                target=self.storage_path,
            ) from error

    def _present(self) -> _bridge.Repository | None:
        core = self._core
        return core if core is not None and core.pid == os.getpid() else None

    def _placed(self) -> _bridge.Repository | None:
        """The handle, while the path leads to what it has open. Else it is let go: what a process of many days writes
        must be where the next one looks for it.

        Raises:
            StorageError: the storage path was there, and leads nowhere now, or its disk is not mounted.
        """
        core = self._present()
        if core is not None and core.placed:
            return core
        if core is not None:
            self._leave(core)
        presence.require(self.storage_path)
        if self._displaced and not os.path.isdir(self.storage_path):
            raise gone(self.storage_path)
        return None

    def _leave(self, core: _bridge.Repository) -> None:
        """Lets go of a handle whose path leads elsewhere. It is not closed: another task or thread may have been given
        it when it was placed, and finds out where it lies when it commits.
        """
        logger.warning("event=storage_moved graph=%s path=%r", self.graph_id, core.path)
        with self._lock:
            if self._core is core:
                self._core = None
        self._displaced = True

    @asynccontextmanager
    async def telling_of_its_place(self, core: _bridge.Repository) -> AsyncIterator[None]:
        """Says of a failure in a storage that was moved away meanwhile just that, in place of which file was missed."""
        try:
            yield
        except (NotFoundError, StorageError) as error:
            if await in_thread(self._is_gone, core):
                raise gone(self.storage_path) from error
            raise

    def _is_gone(self, core: _bridge.Repository) -> bool:
        """Whether the path of an open handle leads nowhere now. StorageError: its disk is not mounted."""
        if core.placed:
            return False
        presence.require(self.storage_path)
        return not os.path.isdir(self.storage_path)

    def _keep(self, opened: _bridge.Repository) -> _bridge.Repository:
        if not opened.writable:  # not kept: what is wrong may be mended meanwhile
            if opened.damage is not None:
                logger.warning("event=log_damaged graph=%s damage=%r", self.graph_id, opened.damage)
            self.close()
            return opened
        # Two tasks may open at once; the handle of the first one stays.
        with self._lock:
            kept = self._present()
            if kept is None:
                self._core = opened
                if opened.alarm is not None:
                    logger.warning("event=log_alarm graph=%s alarm=%r", self.graph_id, opened.alarm)
                return opened
        opened.close()
        return kept

    def snapshots(self, core: _bridge.Repository, policy: RetentionPolicy) -> list[BackupSnapshot]:
        """All snapshots in the log's order (oldest first), each with what the policy says of it."""
        rows = core.snapshots()
        reasons = scan(rows, policy)
        return [self.snapshot(core, row, reason) for row, reason in zip(rows, reasons, strict=True)]

    def snapshot(self, core: _bridge.Repository, row: _bridge.SnapshotRow, reason: str = "") -> BackupSnapshot:
        """One row of the core as a value whose body is read on first access."""
        (
            backup_id,
            number,
            created_ns,
            size_bytes,
            stored_bytes,
            item_count,
            data_hash,
            consistency,
            verdict,
            retention_days,
            safety,
            metadata,
            holders,
        ) = row
        return BackupSnapshot(
            backup_id=backup_id,
            graph_id=self.graph_id,
            status=BackupStatus.COMPLETED,
            created_at=moment(created_ns),
            checkpoint_path=core.log_path(number),
            data_hash=data_hash.hex(),
            size_bytes=size_bytes,
            stored_bytes=stored_bytes,
            item_count=item_count,
            retention_days=retention_days,
            consistency=consistency,
            verdict=verdict or None,
            safety=safety,
            holders=holders,
            retention_reason=reason,
            metadata_json=metadata,
            load_body=_BodyReader(self, backup_id),
        )


class _BodyReader:
    """Reads one snapshot's body. Copies read from the same repository; a pickled one takes the body along, for another
    process has neither the handle nor the key.
    """

    def __init__(self, repository: GraphRepository, backup_id: str) -> None:
        self._repository = repository
        self._backup_id = backup_id

    def __call__(self) -> SnapshotBody:
        core = self._repository.open_now()
        if core is None:
            graph_id = self._repository.graph_id
            raise NotFoundError(f"graph {graph_id!r} has no repository any more", target=graph_id)
        return read_body(core, self._backup_id)

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return partial, (same_body, self())


def read_body(core: _bridge.Repository, backup_id: str) -> SnapshotBody:
    """Items, what was left out and facts of a snapshot; reads packs.

    Raises:
        NotFoundError: unknown snapshot. DamagedError: its packs are.
    """
    facts, items, skipped = core.body(backup_id)
    return SnapshotBody(
        items=Listing(items, _item),
        skipped=tuple(SkippedItem(name, reason) for name, reason in skipped),
        facts=stored_object(facts, "facts", backup_id),
    )


def read_facts(core: _bridge.Repository, backup_id: str) -> dict[str, Any]:
    """Where and how a snapshot was taken; reads packs.

    Raises:
        NotFoundError, DamagedError: as `read_body`.
    """
    return stored_object(core.facts(backup_id), "facts", backup_id)


def _item(row: _bridge.ItemRow) -> Item:
    name, kind, mode, mtime_ns, size, sha256, link = row
    return Item(name, _ITEM_TYPES[kind], mode, mtime_ns, size, "" if kind == 2 else sha256.hex(), link)


def scan(rows: list[_bridge.SnapshotRow], policy: RetentionPolicy, now: datetime | None = None) -> list[str]:
    """What the policy says of each snapshot at `now`: why it is kept, or EXPIRED."""
    instant = datetime.now(UTC) if now is None else now
    reasons = _bridge.retention_scan(
        array("q", [row[2] for row in rows]),
        array("I", [row[9] for row in rows]),
        bytes((_HELD if row[12] else 0) | (_SAFETY if row[10] else 0) for row in rows),
        microseconds(instant) * 1000,
        use_days=policy.days,
        keep_last=policy.keep_last,
        keep_hourly=policy.keep_hourly,
        keep_daily=policy.keep_daily,
        keep_weekly=policy.keep_weekly,
        keep_monthly=policy.keep_monthly,
        keep_yearly=policy.keep_yearly,
        keep_within_ns=policy.keep_within_ns,
        minimum=policy.minimum,
    )
    return [EXPIRED if number == 0 else _bridge.RETENTION_REASONS[number] for number in reasons]


def gone(storage_path: str) -> StorageError:
    """Of a storage path that was there, and leads nowhere now."""
    return StorageError(
        f"the storage path {storage_path!r} is gone: mount it or put it back, or make the directory anew",
        op="open",
        target=storage_path,
    )


def stored_graphs(storage_path: str) -> list[str]:
    """Ids of all graphs that have a repository below a storage path, sorted: also of those whose repository lost its
    log, or may not be looked into, so that opening it says so.
    """
    try:
        with os.scandir(os.path.join(storage_path, "graphs")) as entries:
            return sorted(one.name for one in entries if is_graph_id(one.name) and _holds_repository(one.path))
    except FileNotFoundError:
        return []


def reclaim_litter(storage_path: str, graph_id: str | None, age_s: float) -> tuple[int, int]:
    """Removes what killed runs left half-written in a graph's repository, or (None) beside all of them, when nobody
    wrote to it for so long, and no process has it locked; no repository is opened. Waits on the calling thread.

    Returns:
        How many files, and their bytes.
    """
    try:
        return _bridge.reclaim_litter(os.path.realpath(storage_path), graph_id, int(age_s * 1e9))
    except NotFoundError:  # nothing was ever stored
        return 0, 0


def _holds_repository(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return any(one.name in ("log", "packs") for one in entries)
    except PermissionError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
