"""The values this package hands out: plain frozen dataclasses, no behaviour beyond reading themselves.

What a listing shows comes from the log and costs nothing more. Items, what was left out and the facts lie in the
snapshot's body: they are read from the repository on first access, so that listing ten thousand snapshots stays cheap.
"""

import enum
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, Self, TypeVar, overload

from .errors import DamagedError, InvalidInputError, LightragBkpError
from .nesting import METADATA_MAX_DEPTH, is_within
from .verdicts import Validation, parse

V = TypeVar("V")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(minutes=5)


def stored_object(text: str, what: str, backup_id: str) -> dict[str, Any]:
    """A JSON object that was read from a repository, where anybody may have written it.

    Raises:
        DamagedError: it is no JSON object, or one so deep that a listing could not be written; names the snapshot.
    """
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not is_within(value, METADATA_MAX_DEPTH):
        said = f"no JSON object of at most {METADATA_MAX_DEPTH} levels"
        raise DamagedError(f"the {what} of snapshot {backup_id} are {said}", op="parse", target=backup_id)
    return value


class Listing(Sequence[V]):
    """A read-only sequence whose values are made when they are asked for, so that a million of them cost little.

    Equal to a sequence of equal values. Slices and copies of it, pickled ones too, are tuples.

    Args:
        rows: what the values are made of.
        make: makes one of them.
    """

    __slots__ = ("_make", "_rows")

    def __init__(self, rows: Sequence[Any], make: Callable[[Any], V]) -> None:
        self._rows = rows
        self._make = make

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> V: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[V, ...]: ...

    def __getitem__(self, at: int | slice) -> V | tuple[V, ...]:
        if isinstance(at, slice):
            return tuple(self._make(self._rows[place]) for place in range(*at.indices(len(self))))
        return self._make(self._rows[at])

    def __iter__(self) -> Iterator[V]:
        return map(self._make, self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Listing | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(mine == yours for mine, yours in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[tuple[V, ...]], tuple[tuple[V, ...]]]:
        return tuple, (tuple(self),)

    def __repr__(self) -> str:
        return f"<{len(self)} of {', '.join(map(repr, self[:2]))}{', ...' if len(self) > 2 else ''}>"


class BackupStatus(enum.StrEnum):
    """The life of a snapshot. What a listing shows is COMPLETED: creating the log entry is the commit."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    DELETED = "deleted"


class Consistency(enum.StrEnum):
    """How good the moment is that a snapshot shows, best first.

    QUIESCED and GATED: LightRAG held still (idle, or its merging stopped for a moment). SETTLED: from another process,
    idle by the server's word. UNFENCED: nothing moved, but nobody vouched. VALIDATED: somebody was at work, and these
    files were judged to fit together before they were stored. CRASH: taken without waiting, as after a power cut.
    PLAIN: a directory that is no LightRAG graph; every file is what it was when read.
    """

    QUIESCED = "quiesced"
    GATED = "gated"
    SETTLED = "settled"
    UNFENCED = "unfenced"
    VALIDATED = "validated"
    CRASH = "crash"
    PLAIN = "plain"


class VerifyLevel(enum.StrEnum):
    """CATALOGUE: every object the log names is there. DIGESTS: besides, every needed byte is read and hashed. DRILL:
    the snapshot is restored to a scratch directory, compared, judged and timed.
    """

    CATALOGUE = "catalogue"
    DIGESTS = "digests"
    DRILL = "drill"


class ItemType(enum.StrEnum):
    """What an item is on disk."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class Item:
    """One named byte stream of a snapshot.

    Attributes:
        name: relative to the graph's directory, '/'-separated; bytes that are no UTF-8 as surrogates (os.fsdecode).
        type: file, directory or symlink.
        mode: permission bits.
        mtime_ns: time of last change, nanoseconds since 1970.
        size_bytes: length of the file, or of the link's text.
        sha256: of the file's bytes, in hex; "" for a directory.
        link_target: text of a symlink, else "".
    """

    name: str
    type: ItemType
    mode: int
    mtime_ns: int
    size_bytes: int
    sha256: str
    link_target: str = ""


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """Something a snapshot does not hold, or holds in another form than one might think, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotBody:
    """What a snapshot says beyond its line in a listing."""

    items: Sequence[Item] = ()
    skipped: tuple[SkippedItem, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def same_body(body: SnapshotBody) -> SnapshotBody:
    """The body that was read before; `load_body` of copies."""
    return body


def moment(ns: int) -> datetime:
    """Nanoseconds since 1970 as an aware UTC time (to the microsecond)."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def age_of(at: datetime, now: datetime) -> timedelta | None:
    """How old something is that claims a time; None for a time yet to come, which says nothing of its age. Clocks of
    two hosts differ a little.
    """
    return None if at - now > _CLOCKS_DIFFER else max(now - at, timedelta())


@dataclass(frozen=True)
class BackupSnapshot:
    """One snapshot of one graph.

    Attributes:
        backup_id: its name, e.g. "20261123T130112Z-1f3c9a2e". Order follows the log, not the time in the name.
        created_at: the claimed time, aware UTC.
        checkpoint_path: of the log entry that is the snapshot.
        data_hash: SHA-256 in hex over names, sizes and digests of all items: equal for equal data.
        size_bytes: of the source. stored_bytes: what this snapshot added to the repository.
        retention_days: how long it is wanted; 0 keeps it for ever.
        consistency: one of `Consistency`. verdict: of the validator, None when it was not validated.
        safety: kept by a restore just before it replaced the target; `latest` passes over it.
        held: whether a hold keeps it; holders: whose. retention_reason: why the policy keeps it ("" before a listing
            asked), "expired" when the next clean-up drops it.
        held_ms: how long LightRAG was held while it was taken; known only to the one who just took it, else None.
    """

    backup_id: str
    graph_id: str
    status: BackupStatus
    created_at: datetime
    checkpoint_path: str
    data_hash: str
    size_bytes: int
    stored_bytes: int
    item_count: int
    retention_days: int
    consistency: str
    verdict: str | None = None
    safety: bool = False
    holders: tuple[str, ...] = ()
    retention_reason: str = field(default="", compare=False)
    held_ms: float | None = field(default=None, compare=False)
    metadata_json: str = field(default="{}", repr=False)
    load_body: Callable[[], SnapshotBody] = field(default=SnapshotBody, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy, pickled or not: a body that was read goes along and is not read again."""
        state = dict(vars(self))
        if "body" in state:
            state["load_body"] = partial(same_body, state.pop("body"))
        return state

    @property
    def held(self) -> bool:
        """Whether a hold keeps it, whatever the policy says."""
        return bool(self.holders)

    @cached_property
    def retention_until(self) -> datetime | None:
        """When its retention days end, by its claimed time; None when it is kept for ever. The policy may keep it
        longer, and does not believe every claimed time: `retention_reason` says what holds.
        """
        if self.retention_days == 0:
            return None
        try:
            return self.created_at + timedelta(days=self.retention_days)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What the caller of `create_snapshot` attached. Raises DamagedError when the log holds something else."""
        return stored_object(self.metadata_json, "metadata", self.backup_id)

    @cached_property
    def body(self) -> SnapshotBody:
        """Items, what was left out and facts; read from the repository on first access."""
        return self.load_body()

    @property
    def items(self) -> Sequence[Item]:
        """All items in the byte order of their names; read from the repository on first access."""
        return self.body.items

    @property
    def skipped(self) -> tuple[SkippedItem, ...]:
        """What was left out and why; read from the repository on first access."""
        return self.body.skipped

    @property
    def facts(self) -> dict[str, Any]:
        """Where and how it was taken (layout, workspace, storage classes, versions)."""
        return self.body.facts

    @property
    def validation(self) -> Validation | None:
        """What was found when it was taken; None when it was not judged. Raises DamagedError when it cannot be read."""
        report = self.facts.get("validation")
        if not isinstance(report, dict) or "verdict" not in report:
            return None
        try:
            return parse(report)
        except ValueError as wrong:
            raise DamagedError(f"the validation of snapshot {self.backup_id} cannot be read: {wrong}") from None


_COUNTS = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "minimum")
_MAX_WITHIN_S = 200 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Which snapshots stay. Rules add up: a snapshot is kept when any rule keeps it; a held one always.

    Attributes:
        days: honour each snapshot's own `retention_days`.
        keep_last: the newest n. keep_hourly ... keep_yearly: the last one of each of the newest n UTC hours ... years
            that have one.
        keep_within_s: everything younger than so many seconds.
        minimum: so many of the newest always stay, so that backups that stopped unnoticed are not deleted one by one.
    """

    days: bool = True
    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within_s: float = 0
    minimum: int = 1

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
                raise InvalidInputError(f"{name} {value!r} must be a whole number from 0 to {(1 << 32) - 1}")
        if not isinstance(self.days, bool):
            raise InvalidInputError(f"days {self.days!r} must be true or false")
        if isinstance(self.keep_within_s, bool) or not isinstance(self.keep_within_s, int | float):
            raise InvalidInputError(f"keep_within_s {self.keep_within_s!r} must be a number of seconds")
        if not 0 <= self.keep_within_s <= _MAX_WITHIN_S:
            raise InvalidInputError(f"keep_within_s {self.keep_within_s!r} must be from 0 to {_MAX_WITHIN_S}")

    @property
    def keep_within_ns(self) -> int:
        """`keep_within_s` in nanoseconds."""
        return int(self.keep_within_s * 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation has come.

    Attributes:
        phase: name of the step: "compare", "encode", "commit" of a snapshot; "plan", "write", "check" of a restore;
            "log", "needed", "packs", "items", "enter", "done" of a verification; "log", "list", "mark", "weigh",
            "enter", "repack", "unlink", "tidy", "done" of a clean-up; "validate". "start" comes before any.
        items_done, items_total: items. bytes_in, bytes_total: bytes read. bytes_stored: bytes written.
    """

    phase: str
    items_done: int
    items_total: int
    bytes_in: int
    bytes_total: int
    bytes_stored: int


ProgressCallback = Callable[[Progress], None]


class RestoreAction(enum.StrEnum):
    """What a restore does with one name."""

    CREATE = "create"
    REPLACE = "replace"
    SAME = "same"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class RestoredItem:
    """One name a restore looked at."""

    name: str
    type: ItemType | None
    action: RestoreAction
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """What a restore did, or with `dry_run` would do.

    Attributes:
        snapshot_id: what was restored; target_dir: the directory the files went to (with the workspace).
        items: every item with its action; those removed because the snapshot lacks them last.
        needed_bytes: what had to be written.
        safety_snapshot: id of the snapshot that keeps the former state; None when there was nothing to keep.
        restart_required: whether a LightRAG that has this directory open must be restarted to see it; never when
            nothing changed.
        dry_run: nothing was changed. seconds: how long it took.
        reloaded: the running LightRAG of the graph serves the restored state. held_ms: how long it took no documents
            in; None when none was running.
        uploads: how many names were brought back into the INPUT_DIR. sidecars: how many locations of parsed documents
            in `full_docs` were changed to lead there.
        verdict: what the graph is good for; None for a plain directory and for single items.
        made_dirs: how many directories of `target_dir`, from the last one up, were not there before.
    """

    snapshot_id: str
    target_dir: str
    items: Sequence[RestoredItem]
    needed_bytes: int
    safety_snapshot: str | None
    restart_required: bool
    dry_run: bool
    seconds: float
    reloaded: bool = False
    held_ms: float | None = None
    uploads: int = 0
    sidecars: int = 0
    verdict: str | None = None
    made_dirs: int = 0

    @property
    def changed(self) -> Sequence[RestoredItem]:
        """The items that are not the same already."""
        places = array("Q", (place for place, item in enumerate(self.items) if item.action is not RestoreAction.SAME))
        return Listing(places, self.items.__getitem__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a verification found wrong: which object, and what."""

    object: str
    message: str


@dataclass(frozen=True)
class KeySlot:
    """One way to the master key of a storage path.

    Attributes:
        slot_id: 32 hex digits. kind: "passphrase" or "key file".
        created_at: as the clock said there. in_use: whether the passphrase named here opened it.
    """

    slot_id: str
    kind: str
    created_at: datetime
    in_use: bool


@dataclass(frozen=True, slots=True)
class VerifyOutcome:
    """What a verification saw.

    Attributes:
        level: how deep it went. findings: what is wrong; capped, `finding_count` is not. notes: what is strange and
            does no harm, such as a file among the packs that is none.
        objects, chunks, bytes_read: how much was looked at; of a drill the items, and the bytes that came back.
        seconds: how long it took.
        verdict: of a drill, what the graph that came back is good for; None for a plain directory.
        restore_s, judge_s: of a drill, how long restoring took, and comparing and judging what came back.
    """

    level: VerifyLevel
    findings: tuple[Finding, ...]
    finding_count: int
    objects: int
    chunks: int
    bytes_read: int
    seconds: float
    verdict: str | None = None
    restore_s: float | None = None
    judge_s: float | None = None
    notes: tuple[Finding, ...] = ()

    @classmethod
    def unread(cls, level: VerifyLevel, error: LightragBkpError) -> Self:
        """Nothing could be looked at, because of `error`: that is what was found."""
        return cls(level, (Finding(error.target, str(error.args[0])),), 1, 0, 0, 0, 0.0)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding_count == 0


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What a clean-up did, or with `dry_run` would do.

    Attributes:
        dropped: ids of the snapshots that went.
        kept: number of snapshots that stay.
        packs_retired, packs_swept, packs_repacked: packs taken out of use (space returns after the readers' waiting
            time), deleted, rewritten.
        bytes_retired, bytes_freed, bytes_rewritten: their bytes. bytes_live, bytes_total: of all packs, before.
    """

    dropped: tuple[str, ...]
    kept: int
    packs_retired: int
    packs_swept: int
    packs_repacked: int
    bytes_retired: int
    bytes_freed: int
    bytes_rewritten: int
    litter_removed: int
    bytes_live: int
    bytes_total: int
    dry_run: bool
    seconds: float
