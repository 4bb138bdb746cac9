"""Graphs and snapshots, as they are sent and answered."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import Field

from ..models import VerifyLevel
from .schemas import Answer, AnyText, BackupProblem, Body, GraphName, Pagination

SnapshotId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Its id, a unique beginning of it, or latest.",
    ),
]


class SnapshotBody(Body):
    """How a snapshot is to be taken. `tags` are put into the metadata."""

    metadata: dict[str, Any] | None = None
    tags: dict[str, AnyText] | None = None
    on_busy: Literal["wait", "fail", "crash"] = "wait"
    deadline_s: Annotated[float, Field(ge=0, le=86_400)] = 300
    partial: bool = False
    validate_: Annotated[Literal["on", "off"], Field(alias="validate")] = "on"


class RestoreBody(Body):
    """What is brought back, where the graph lives. `workspace`: a clone, into another workspace beside it."""

    items: Annotated[list[AnyText], Field(min_length=1)] | None = None
    dry_run: bool = False
    workspace: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,254})?$")] | None = None
    replace: bool = False
    allow_unusable: bool = False


class CleanupBody(Body):
    """Which graph is cleaned up; all when none is named."""

    graph_id: GraphName | None = None
    dry_run: bool = False
    now: bool = False


class HoldBody(Body):
    """On whose behalf a snapshot is held."""

    holder: Annotated[str, Field(min_length=1, max_length=128)] = "user"


class VerifyBody(Body):
    """How deep to look."""

    level: VerifyLevel = VerifyLevel.DIGESTS


class VerifyAllBody(Body):
    """How deep to look at everything of a graph; a drill is of one snapshot."""

    level: Literal["catalogue", "digests"] = "digests"


class SnapshotAnswer(Answer):
    """One snapshot, as a listing shows it. `metadata` is null when it is damaged; `tags` are its texts. `verdict` is
    null when it was not judged. `checkpoint_path` is null for who may only read.
    """

    backup_id: str
    graph_id: str
    status: str
    created_at: datetime
    checkpoint_path: str | None
    data_hash: str
    size_bytes: int
    stored_bytes: int
    item_count: int
    retention_days: int
    retention_until: datetime | None
    retention_reason: str
    consistency: str
    held_ms: float | None = None
    verdict: str | None
    safety: bool
    held: bool
    holders: list[str]
    metadata: dict[str, Any] | None
    tags: dict[str, AnyText] | None


class SnapshotsAnswer(Answer):
    """Snapshots of a graph, the newest first. `damage`, `alarm`: what is wrong with its log as a whole."""

    snapshots: list[SnapshotAnswer]
    damage: str | None
    alarm: str | None
    pagination: Pagination
    next: str | None


class ItemAnswer(Answer):
    """One item of a snapshot."""

    name: AnyText
    type: str
    mode: int
    mtime_ns: int
    size_bytes: int
    sha256: str
    link_target: AnyText


class SkippedAnswer(Answer):
    """What was left out, and why."""

    name: AnyText
    reason: str


class GraphFindingAnswer(Answer):
    """One kind of thing a validation found."""

    invariant: int
    check: str
    severity: str
    text: str
    remedy: str
    count: int
    ids: list[AnyText]


class ValidationAnswer(Answer):
    """What was found in a graph."""

    verdict: str
    findings: list[GraphFindingAnswer]
    amounts: dict[str, int]
    seconds: float


class SnapshotDetails(SnapshotAnswer):
    """One snapshot with what it holds: the first items, or with ?items=all every one."""

    items: list[ItemAnswer]
    items_complete: bool
    skipped: list[SkippedAnswer]
    facts: dict[str, Any]
    validation: ValidationAnswer | None
    kept_by_days: bool
    damage: str | None
    alarm: str | None


class RestoredAnswer(Answer):
    """What became of one name."""

    name: AnyText
    type: str | None
    action: str
    size_bytes: int


class RestoreAnswer(Answer):
    """What a restore did, or would do. `items_complete` false: there are more than are named; `counts`: how many of
    each action.
    """

    snapshot_id: str
    target_dir: AnyText
    items: list[RestoredAnswer]
    item_count: int
    items_complete: bool
    counts: dict[str, int]
    needed_bytes: int
    safety_snapshot: str | None
    restart_required: bool
    dry_run: bool
    seconds: float
    reloaded: bool
    held_ms: float | None
    uploads: int
    sidecars: int
    verdict: str | None
    made_dirs: int


class FindingAnswer(Answer):
    """One thing a verification saw."""

    object: str
    message: str


class VerifyAnswer(Answer):
    """What a verification saw."""

    ok: bool
    level: VerifyLevel
    findings: list[FindingAnswer]
    finding_count: int
    objects: int
    chunks: int
    bytes_read: int
    seconds: float
    verdict: str | None
    restore_s: float | None
    judge_s: float | None
    notes: list[FindingAnswer]


class KeptAnswer(Answer):
    """What a clean-up says of one snapshot."""

    backup_id: str
    created_at: datetime
    keep: bool
    reason: str


class PruneAnswer(Answer):
    """What a clean-up did with one graph, or would do; `error` when it could not. `snapshots`: with a dry run."""

    dropped: list[str] = Field(default_factory=list)
    kept: int = 0
    packs_retired: int = 0
    packs_swept: int = 0
    packs_repacked: int = 0
    bytes_retired: int = 0
    bytes_freed: int = 0
    bytes_rewritten: int = 0
    litter_removed: int = 0
    bytes_live: int = 0
    bytes_total: int = 0
    dry_run: bool = False
    seconds: float = 0
    snapshots: list[KeptAnswer] | None = None
    error: BackupProblem | None = None


class CleanupAnswer(Answer):
    """What a clean-up did."""

    deleted_snapshots: int
    dry_run: bool
    graphs: dict[str, PruneAnswer]


class HoldAnswer(Answer):
    """How a snapshot is held now."""

    graph_id: str
    backup_id: str
    holder: str
    held: bool
    holders: list[str]
    changed: bool


class DeletedSnapshot(Answer):
    """A snapshot that is deleted; its space returns at the next clean-up."""

    graph_id: str
    backup_id: str
    deleted: bool


class GraphAnswer(Answer):
    """One graph. `source_dir` is null for who may only read, or when it is not registered."""

    graph_id: str
    registered: bool
    source_dir: str | None
    snapshots: int
    size_bytes: int
    stored_bytes: int
    latest: str | None
    latest_at: datetime | None
    error: str | None


class GraphsAnswer(Answer):
    """All graphs, by name."""

    graphs: list[GraphAnswer]
    pagination: Pagination
    next: str | None


class StatsAnswer(Answer):
    """Figures of everything stored. `storage_path` is null for who may only read."""

    storage_path: str | None
    total_graphs: int
    total_snapshots: int
    total_size_bytes: int
    total_stored_bytes: int
    graphs: list[GraphAnswer]
