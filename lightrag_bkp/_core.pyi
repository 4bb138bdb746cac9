"""The C core as Python sees it. Only `lightrag_bkp._bridge` imports it.

Functions that may wait for a disk come as jobs: make one, submit it to a pool with a mailbox, and ask `result()` once
the mailbox hands it back. Errors are the classes of `lightrag_bkp.errors`, made through `set_error_classes`, with the
attributes `code` (symbol), `errno`, `op`, `target`.
"""

from collections.abc import Sequence
from typing import Any, Final, Self, final

from typing_extensions import Buffer

FORMAT_VERSION: Final[int]
ERROR_TABLE: Final[tuple[tuple[str, str, str], ...]]
"""(symbol, class name, meaning) of every row of csrc/base/err.def."""
RETENTION_REASONS: Final[tuple[str, ...]]
"""Texts of lrb_retention_reason, by number; number 0 is the only one that drops."""

def set_error_classes(classes: dict[str, type[BaseException]], /) -> None:
    """Tells the core which class each class name of ERROR_TABLE is. All must be there."""

@final
class Pool:
    """The worker threads of this process (engine/pool.h). Starts them at construction."""

    def __new__(cls, threads: int, max_active: int) -> Self: ...
    @property
    def pid(self) -> int: ...
    def stop(self) -> None:
        """Cancels and joins; idempotent. In a forked child it only forgets."""

@final
class Mailbox:
    """Finished jobs of one event loop."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int: ...
    def take(self) -> Job | None: ...
    def wait(self, timeout_ms: int, /) -> Job | None:
        """Blocks without the GIL; -1 waits for ever. None on timeout, and at once when no job is on its way."""
    def close(self) -> None:
        """Idempotent; refused while jobs are on their way. In a forked child it only lets the child's descriptor go."""

@final
class Job:
    """One piece of long work. Made by the functions below; not constructible."""

    tag: Any
    """Free for the bridge (the future to resolve)."""
    def submit(self, pool: Pool, mailbox: Mailbox, /) -> None:
        """Once only. The core keeps the job alive until it comes out of the mailbox."""
    def cancel(self) -> None: ...
    def progress(self) -> tuple[int, int, int, int, int, int, int]:
        """(phase, items_done, items_total, bytes_in, bytes_total, bytes_stored, bytes_skipped), at any time."""
    def result(self) -> Any:
        """What the function that made the job says, or raises the job's error. Once, after the mailbox handed it
        back; whatever the outcome the job then lets go of all it held."""

_SnapshotRow = tuple[str, int, int, int, int, int, bytes, str, str, int, bool, str, tuple[str, ...]]
"""id, entry number, created_ns, size_bytes, stored_bytes, item_count, data_hash (32 bytes), consistency, verdict,
retention_days, safety, metadata (JSON text), holders."""

_ItemRow = tuple[str, int, int, int, int, bytes, str]
"""name (surrogateescape), type (1 file, 2 directory, 3 symlink), mode, mtime_ns, size_bytes, sha256, link target."""

@final
class Items(Sequence[_ItemRow]):
    """The items of a snapshot, kept by the core: a row is made when it is asked for. Not constructible; no slices."""

    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> _ItemRow: ...  # type: ignore[override]

@final
class Repository:
    """One graph's repository (repo/repo.h). Safe for several threads; belongs to the process that opened it."""

    @property
    def path(self) -> str: ...
    @property
    def graph_id(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def alarm(self) -> str | None:
        """A sentence when the log is not the one that was seen here before: it was rolled back or replaced."""
    @property
    def damage(self) -> str | None:
        """A sentence when an entry of the log is damaged: what is intact can be read, and nothing written."""
    @property
    def writable(self) -> bool:
        """False when the log is damaged, or tmp/ or cache/ could not be opened: the handle is only good for reading."""
    @property
    def placed(self) -> bool:
        """False once its path leads to another directory, or to none: what it writes would not be found. Two stats."""
    def snapshots(self) -> list[_SnapshotRow]:
        """All snapshots of the state read last, in log order, safety snapshots too."""
    def snapshot(self, snapshot_id: str, /) -> _SnapshotRow | None: ...
    def usage(self) -> tuple[int, int, int]:
        """(bytes of known packs, bytes of retired packs, last entry number)."""
    def log_path(self, number: int, /) -> str: ...
    def body(self, snapshot_id: str, /) -> tuple[str, Items, list[tuple[str, str]]]:
        """(facts as JSON text, items, (name, reason) of what was left out). Reads packs: milliseconds. GIL released."""
    def facts(self, snapshot_id: str, /) -> str:
        """The facts alone, as JSON text: one chunk is read, however many items there are. GIL released."""
    def head(self) -> tuple[bytes, int, bytes, int]:
        """(repository id of 16 bytes, number of the last entry, its SHA-256, epoch) of the state read last."""
    def entry(self, number: int, /) -> tuple[bytes, bytes, int]:
        """(a log entry as it is on disk, its SHA-256, the time it claims in ns). GIL released."""
    def known_packs(self, from_number: int, /) -> list[tuple[bytes, int]]:
        """(id of 32 bytes, size) of the packs that became known by an entry of this number or a later one."""
    def open_pack(self, id: bytes, /) -> int:
        """A descriptor of a pack's file, which the caller closes. NotFoundError when it is gone. GIL released."""
    def refresh(self) -> None:
        """Reads entries other processes appended. GIL released."""
    def close(self) -> None:
        """Frees the handle; later calls raise InvalidInputError. Jobs under way keep their own reference."""

@final
class Key:
    """The master key of a storage path (repo/keyring.h). Its bytes stay in the core."""

    @property
    def slot(self) -> bytes | None:
        """Id of the slot a passphrase opened; None for a key file."""
    @property
    def slot_digest(self) -> bytes | None:
        """SHA-256 of that slot: it is known again by it, whatever somebody put beside it."""
    @property
    def forged(self) -> str | None:
        """`<graph>/keys/<name>` of the first slot or removal that was there and that this key did not make."""
    def reveal(self) -> bytes:
        """The 32 bytes themselves: for a recovery kit and nothing else."""
    def state_key(self) -> bytes:
        """32 bytes that follow from it: for what the state database tells of snapshots."""

def unlock_job(
    storage_path: str,
    graph_id: str | None,
    create: bool,
    passphrase: bytes | None,
    key: bytes | Key | None,
    first: bytes | None = None,
    /,
) -> Job:
    """Result: Key. Either a passphrase or a key of 32 bytes. The slot of digest `first` is tried before others. With
    `create` the storage path's first key is made in `graph_id`, and all graphs get all slots. LockedError: it does not
    fit, or nothing here is sealed."""

def key_slots_job(storage_path: str, key: Key | None, /) -> Job:
    """Result: list of (id of 16 bytes, kind 1 passphrase or 2 key file, created_ns), oldest first, and whether anything
    there is sealed. Without a key what the slots say of themselves; with it those that were made with it."""

def add_passphrase_job(storage_path: str, key: Key, passphrase: bytes, /) -> Job:
    """Result: id of the new slot, which is in all graphs."""

def remove_slot_job(storage_path: str, key: Key, slot_id: bytes, /) -> Job:
    """Result: None. InvalidInputError for the last slot and for a key file's."""

def open_job(storage_path: str, graph_id: str, create: bool, key: Key | None = None, /) -> Job:
    """Result: Repository. LockedError where `key` does not say whether, and with what, it is sealed."""

def refresh_job(repo: Repository, /) -> Job:
    """Result: None."""

def drop_job(repo: Repository, snapshot_ids: Sequence[str], reason: str, /) -> Job:
    """Appends `drop` entries (split below 4 KiB). A snapshot that is held or gone by the time of the entry is left
    out. Result: list of the ids dropped."""

def hold_job(repo: Repository, snapshot_id: str, holder: str, /) -> Job:
    """Result: bool, False when this holder held it already. NotFoundError for an unknown snapshot."""

def release_job(repo: Repository, snapshot_id: str, holder: str, /) -> Job:
    """Result: bool, False when this holder did not hold it."""

@final
class Source:
    """What a backup reads (engine/source.h)."""

    def __new__(cls) -> Self: ...
    def pin(self, name: str, fd: int, /) -> None:
        """Takes over `fd`."""
    def add_tree(self, fd: int, prefix: str, only: str | None = None) -> None:
        """Lists a directory now; files are opened when read. `fd` is duplicated. GIL released."""
    def skip(self, name: str, reason: str, /) -> None: ...
    def seal(self) -> None: ...
    def __len__(self) -> int: ...
    def totals(self) -> tuple[int, int]:
        """(items, bytes)."""

def backup_job(
    repo: Repository,
    source: Source,
    *,
    consistency: str,
    metadata: str,
    facts: str,
    retention_days: int,
    safety: bool = False,
    use_source_cache: bool = True,
    source_label: str = "",
    verdict: str = "",
    validate: str | None = None,
    partial: bool = False,
) -> Job:
    """Takes the sealed source over. validate: the workspace to judge; None judges nothing, and `verdict` stands for a
    report that `facts` has already. Result: (snapshot id, stored bytes, items reused, items encoded)."""

@final
class Restored(Sequence[tuple[str, int, int, int]]):
    """What a restore does with each item, kept by the core: (name, type, action, size), made when asked for; action 1
    create, 2 replace, 3 same. Not constructible; no slices. A plan, or what was staged by one.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> tuple[str, int, int, int]: ...  # type: ignore[override]
    def totals(self) -> tuple[int, int, int, int, int]:
        """(create, replace, same, exact, needed bytes): `exact` of those that are the same have their times too."""
    def staged(self) -> list[str]:
        """The names in the staging directory, as `publish_commit_job` takes them."""
    def has(self, name: str, /) -> bool:
        """Whether there is an item of this name."""
    def surplus(self, source: Source, /) -> list[str]:
        """Names the source lists, items or left out, that no item has; but none of a restore's own."""
    def refuse_mounts(self, directory: int, removed: Sequence[str], /) -> None:
        """Raises UnsupportedError when an item of a plan, or a removed name, is a mount point in the open directory or
        lies in one.
        """

KEEP_NOTHING: Final[int]
KEEP_SAME: Final[int]
KEEP_EXACT: Final[int]
KEEP_LINKED: Final[int]

def plan_job(repo: Repository, snapshot_id: str, *, compare_dir: int = -1, only: Sequence[str] | None = None) -> Job:
    """The descriptor is duplicated. Result: Restored, a plan."""

def stage_job(
    repo: Repository,
    plan: Restored,
    *,
    staging_dir: int,
    compare_dir: int = -1,
    keep: int = ...,
    durable: bool = True,
) -> Job:
    """Takes the plan over; the descriptors are duplicated. keep: lrb_restore_keep. Result: Restored, staged."""

PUBLISH_RENAME: Final[int]
PUBLISH_EXCHANGE: Final[int]
PUBLISH_JOURNAL: Final[int]

def publish_choose(target: str, shared: bool, /) -> int: ...
def publish_stage(target: str, way: int, /) -> tuple[str, int]:
    """(staging path, descriptor the caller closes)."""

def publish_abandon(target: str, way: int, staging_path: str, /) -> None: ...
def publish_commit_job(
    target: str, way: int, staging_path: str, names: Restored | Sequence[str], removed: Sequence[str], /
) -> Job:
    """Names as `Restored.staged` has them, or a staged Restored itself. Result: None."""

def publish_pending(target: str, /) -> bool: ...
def publish_half_done(target: str, /) -> bool: ...
def publish_finish_job(target: str, /) -> Job:
    """Result: bool, whether there was something to finish."""

def point_append(storage_path: str, point_id: str, create: bool, text: str, key: Key | None = None, /) -> int:
    """Appends a document to a recovery point (repo/point.h), or makes the point; its number. GIL released."""

def point_read(storage_path: str, point_id: str, key: Key | None = None, /) -> list[tuple[int, int, str]]:
    """All documents in order: (number, claimed time in ns, text). GIL released."""

def point_delete(storage_path: str, point_id: str, /) -> bool:
    """Whether there was such a point. GIL released."""

def publish_stop_after(changes: int, /) -> None:
    """For tests: see csrc/engine/publish.h."""

def verify_job(repo: Repository, snapshot_id: str | None, level: int, mark: bool, /) -> Job:
    """level 1 catalogue, 2 digests. Result: (list of (object, message), findings in all, objects, chunks, bytes, list
    of what was found before).
    """

def validate_source_job(source: Source, *, workspace: str = "", embedding_dim: int = 0, partial: bool = False) -> Job:
    """Takes the sealed source over. Result: the report as JSON text (csrc/lightrag/report.h)."""

def validate_snapshot_job(
    repo: Repository, snapshot_id: str, *, workspace: str = "", embedding_dim: int = 0, partial: bool = False
) -> Job:
    """Result: the report as JSON text."""

def needs_job(repo: Repository, snapshot_id: str, /) -> Job:
    """Result: (number of the snapshot's entry, list of (id of 32 bytes, size) of the packs it needs)."""

def prune_job(
    repo: Repository, *, wait_ns: int, dry_run: bool = False, repack: bool = True, dropped: Sequence[str] = ()
) -> Job:
    """A dry run takes the snapshots in `dropped` for dropped. Result: dict of lrb_prune_outcome's members."""

def retention_scan(
    created_ns: Buffer,
    retention_days: Buffer,
    flags: Buffer,
    now_ns: int,
    *,
    use_days: bool = True,
    keep_last: int = 0,
    keep_hourly: int = 0,
    keep_daily: int = 0,
    keep_weekly: int = 0,
    keep_monthly: int = 0,
    keep_yearly: int = 0,
    keep_within_ns: int = 0,
    minimum: int = 0,
) -> bytes:
    """One byte per snapshot, a number of RETENTION_REASONS. created_ns: array('q'); retention_days: array('I');
    flags: bytes, bit 0 held, bit 1 safety. All of one length."""

@final
class Arrival:
    """What is remembered of one object between its parts. For one thread at a time; another one that comes meanwhile
    gets InvalidInputError.
    """

    def take(
        self,
        path: str,
        home: str,
        sha256: bytes,
        size: int,
        offset: int,
        content: bytes | bytearray | memoryview,
        adler32: int | None,
        /,
    ) -> tuple[str, int, int]:
        """Puts a part into its object's file at `path`, which goes to `home` in the end ("": nowhere), unless it is not
        what its sum says. Lets other threads run: the caller keeps the bytes as they are.

        Returns "more", "whole", "home" (it was there before), "flipped" (the part), "gap" (it begins behind what is
        here) or "wrong" (the whole, which was thrown away); how much is here then; and of "whole" a locked descriptor,
        which the caller closes, else -1.
        """

    def follow_job(
        self,
        path: str,
        size: int,
        offset: int,
        content: bytes | bytearray | memoryview,
        adler32: int | None,
        /,
    ) -> Job:
        """A job that puts down a part which goes on where this one stopped, in the file as it left it, and is not the
        object's last. Its result is False where that is not so, or something went wrong: nothing was done, and `take`
        does it or tells. Until the job gave its result nobody else brings a part. The caller keeps the bytes as they
        are.
        """

def adler32(content: bytes | bytearray | memoryview, /) -> int:
    """The checksum a zlib stream ends with. Lets other threads run: the caller keeps the bytes as they are."""

def free_bytes(path: str, /) -> int: ...
def file_system(path: str, /) -> tuple[str, bool]:
    """(name of the network or user-space file system a directory lies on, or "", whether its locks hold)."""

def reclaim_litter(storage_path: str, graph_id: str | None, wait_ns: int, /) -> tuple[int, int]:
    """Removes what runs that died left half-written and is older than that: (files, bytes)."""

def mem_fail_after(countdown: int, stay: bool, /) -> None:
    """For tests: see csrc/base/mem.h."""

def mem_count() -> int: ...
