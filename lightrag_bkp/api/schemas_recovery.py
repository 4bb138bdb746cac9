"""What is sent and answered about recovery points."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from ..models import VerifyLevel
from .schemas import GRAPH_ID, Answer, AnyText, Body, GraphName, Pagination

CheckpointId = Annotated[str, Path(pattern=GRAPH_ID, description="Its id, a unique beginning, or latest.")]


class CheckpointBody(Body):
    """Which graphs are protected as one, and what for."""

    graph_ids: Annotated[list[GraphName], Field(min_length=1, max_length=1000)]
    description: Annotated[str, Field(max_length=4096)] = ""


class ValidateBody(Body):
    """How deep to look: `drill` brings it back to a scratch directory."""

    level: VerifyLevel = VerifyLevel.DIGESTS


class FailoverBody(Body):
    """`dry_run`: only say what would change."""

    dry_run: bool = False


class NamedSnapshotAnswer(Answer):
    """A snapshot that is brought back."""

    id: str
    digest: str
    created_at: datetime


class CheckpointAnswer(Answer):
    """A recovery point. `validated`: what the newest validation or drill said."""

    checkpoint_id: str
    graphs: list[str]
    description: AnyText
    created_at: datetime
    validated: bool
    validation_timestamp: datetime | None
    level: str | None
    snapshots: dict[str, NamedSnapshotAnswer]
    replication: dict[str, Any]


class MadeCheckpoint(CheckpointAnswer):
    """A recovery point that was made just now; `unusable`: what keeps it from being valid."""

    unusable: list[str]


class CheckpointsAnswer(Answer):
    """Recovery points, oldest first. `unreadable`: why others cannot be read. `left_held`: those that hold snapshots
    and have no records.
    """

    checkpoints: list[CheckpointAnswer]
    unreadable: dict[str, str]
    left_held: list[str]
    pagination: Pagination
    next: str | None


class PastFailoverAnswer(Answer):
    """A failover as it is written down."""

    checkpoint_id: str
    failover_id: str
    state: str
    ok: bool
    began_at: datetime
    rto_s: float | None
    rpo_s: float | None
    error: AnyText
    rolled_back: bool


class CheckpointDetails(CheckpointAnswer):
    """A recovery point and what became of it. `advice`: what is to be done, when something is half done. `problems`: of
    which graph, what the newest validation or drill found.
    """

    failovers: list[PastFailoverAnswer]
    advice: str | None
    problems: list[tuple[str, str]]


class ValidatedAnswer(Answer):
    """Whether a recovery point can be brought back, and what is in the way."""

    checkpoint_id: str
    ok: bool
    level: VerifyLevel
    problems: list[tuple[str, str]]


class GraphDrillAnswer(Answer):
    """How the drill of one graph went."""

    graph_id: str
    snapshot_id: str
    ok: bool
    verdict: str | None
    problems: list[str]
    restore_s: float
    validate_s: float


class DrillAnswer(Answer):
    """How a drill went."""

    checkpoint_id: str
    ok: bool
    started_at: datetime
    graphs: list[GraphDrillAnswer]
    rto_s: float
    seconds: float


class PhaseAnswer(Answer):
    """One step of a failover."""

    name: str
    graph_id: str | None
    seconds: float
    ok: bool
    message: str


class GraphFailoverAnswer(Answer):
    """What was done with one graph, or would be."""

    graph_id: str
    snapshot_id: str
    target_dir: AnyText
    changed: int
    safety_snapshot: str | None
    reloaded: bool
    restart_required: bool
    data_loss_s: float
    made_dirs: int


class FailoverAnswer(Answer):
    """How a failover went, or with `dry_run` what it would do."""

    checkpoint_id: str
    failover_id: str
    ok: bool
    started_at: datetime
    phases: list[PhaseAnswer]
    graphs: list[GraphFailoverAnswer]
    rto_s: float
    rpo_s: float
    error: str
    rolled_back: bool
    dry_run: bool
    undo: bool
    undoes: str
    undoes_at: datetime | None


class ComponentAnswer(Answer):
    """One part: how it is, and why."""

    component: str
    status: str
    message: str
    last_check: datetime


class HealthAnswer(Answer):
    """How everything is: the worst of it, each part, and what was seen of each graph."""

    overall_status: str
    timestamp: datetime
    components: list[ComponentAnswer]
    graphs: dict[str, dict[str, Any]]
    backups: dict[str, dict[str, Any]]
    replication: dict[str, dict[str, Any]]


class RecoveryStatusAnswer(Answer):
    """What could be brought back, as far as it is written down."""

    recovery_points: int
    latest: CheckpointAnswer | None
    latest_validated: str | None
    last_drill: dict[str, Any] | None
    failovers: list[PastFailoverAnswer]
    interrupted: str | None
    advice: str | None
    unreadable: dict[str, str]
    left_held: list[str]
    graphs: dict[str, dict[str, Any]]
