"""Snapshots and what is in them.

What a listing shows comes from the log and costs nothing more. Items, what was left out and the facts lie in the
snapshot's body: they are read from the repository on first access, so that listing ten thousand snapshots stays cheap.
"""

import enum
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from ..errors import DamagedError
from ..nesting import METADATA_MAX_DEPTH, is_within
from ..verdicts import Validation, parse

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


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (at - _EPOCH) // timedelta(microseconds=1)


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
