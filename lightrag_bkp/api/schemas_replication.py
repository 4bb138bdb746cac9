"""What is sent and answered about replication."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field, SecretStr

from ..replication_targets import TARGET_ID
from .schemas import Answer, AnyText, Body, Pagination

TargetId = Annotated[str, Path(pattern=TARGET_ID, description="Id of the target.")]
ApiKey = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Url = Annotated[str, Field(min_length=1, max_length=2048, examples=["https://there.example:9621"])]


class TargetBody(Body):
    """An instance copies can go to. `api_key`: made for this instance there; no answer ever shows it."""

    name: Name
    base_url: Url
    api_key: ApiKey | None = None
    enabled: bool = True
    target_id: Annotated[str, Field(pattern=TARGET_ID)] | None = None
    allow_http: bool = False
    allow_private: bool = False
    bytes_per_second: Annotated[float, Field(ge=1, le=1e12)] | None = None


class TargetChange(Body):
    """What is to be changed of a target. The key stays unless one is given; a URL of another server needs one."""

    name: Name | None = None
    base_url: Url | None = None
    api_key: ApiKey | None = None
    enabled: bool | None = None


class TargetAnswer(Answer):
    """An instance copies can go to."""

    target_id: str
    name: str
    base_url: str
    enabled: bool
    created_at: datetime


class TargetsAnswer(Answer):
    """All of them, oldest first."""

    targets: list[TargetAnswer]
    pagination: Pagination
    next: str | None


class TargetHealthAnswer(Answer):
    """Whether a target can receive, asked just now."""

    target_id: str
    name: str
    status: str
    last: str
    reason: str
    checked_at: datetime | None
    since: datetime | None
    took_ms: int
    probes: int
    instance_id: str
    version: str
    epoch: int | None
    free_bytes: int | None


class LagAnswer(Answer):
    """How far a copy is behind; not `known`: nothing was heard for an hour, and the seconds grow."""

    entries: int
    bytes: int
    seconds: float
    known: bool


class GraphTargetAnswer(Answer):
    """What is known of one target of a graph without asking it."""

    target_id: str
    name: str
    base_url: str
    enabled: bool
    status: str
    reason: str
    checked_at: datetime | None
    acknowledged: int | None
    confirmed_at: datetime | None
    refusal: str | None
    lag: LagAnswer | None


class ReplicationStatusAnswer(Answer):
    """Where copies of a graph go, and how far each is."""

    graph_id: str
    total_targets: int
    enabled_targets: int
    targets: list[GraphTargetAnswer]


class ReplicateBody(Body):
    """What is to be sent: the newest snapshot unless one is named, to all targets of the graph unless one is named.
    `patience_s`: how long to try after the last thing that got through.
    """

    snapshot_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    target_id: Annotated[str, Field(pattern=TARGET_ID)] | None = None
    patience_s: Annotated[float, Field(ge=0, le=7 * 86_400)] = 60


class ReplicationAnswer(Answer):
    """One attempt to bring a graph to a target."""

    target_id: str
    name: str | None
    graph_id: str
    snapshot_id: AnyText | None
    status: str
    is_there: bool
    error_message: str | None
    timestamp: datetime
    bytes: int
    seconds: float


class ReplicationsAnswer(Answer):
    """What became of it, by target. `ok`: all have it."""

    graph_id: str
    ok: bool
    replications: list[ReplicationAnswer]


class LogsAnswer(Answer):
    """The newest attempts, the newest first."""

    logs: list[ReplicationAnswer]
    pagination: Pagination
    next: str | None
