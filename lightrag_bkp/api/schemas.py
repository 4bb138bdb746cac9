"""What is sent and answered, for the OpenAPI document and for looking at what comes in.

Unknown members of a body are refused. Answers are written by `documents`; tests hold them against these models.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from .. import arguments

GRAPH_ID = f"^{arguments.GRAPH_ID}$"
GraphId = Annotated[str, Path(pattern=GRAPH_ID, description="Name of the graph.")]


def _text(value: object) -> str:
    """Any text, also one with what stands for bytes that are no UTF-8, which Pydantic's own check refuses."""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


AnyText = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
GraphName = Annotated[str, Field(pattern=GRAPH_ID)]


class Body(BaseModel):
    """A body that is sent."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A document that is answered."""

    model_config = ConfigDict(extra="forbid")


# ---- problems, operations, events ----


class FieldProblem(Answer):
    """What is wrong with one part of a request."""

    field: str
    message: str


class BackupProblem(Answer):
    """Why a request failed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    target: str | None = None
    op: str | None = None
    errno: int | None = None
    errors: list[FieldProblem] | None = None
    replications: list[dict[str, Any]] | None = None
    outcome: dict[str, Any] | None = None


class ProgressAnswer(Answer):
    """How far an operation is."""

    phase: str
    items_done: int
    items_total: int
    bytes_in: int
    bytes_total: int
    bytes_stored: int


OperationState = Literal["running", "succeeded", "failed", "cancelled", "interrupted"]


class OperationAnswer(Answer):
    """One piece of long work. `result` is what the request would have answered, had it waited."""

    operation_id: str
    kind: str
    graph_id: str | None
    target: str | None
    state: OperationState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressAnswer | None
    result: dict[str, Any] | None
    error: BackupProblem | None
    requested_by: str


class Pagination(Answer):
    """Which part of a listing this is."""

    page: int
    page_size: int
    total_count: int
    total_pages: int
    has_next: bool
    has_prev: bool


class OperationsAnswer(Answer):
    """Operations, the newest first, without their results: each by itself has it."""

    operations: list[OperationAnswer]
    pagination: Pagination
    next: str | None


class EventAnswer(Answer):
    """Something that was changed, or asked for, by somebody."""

    event_id: int
    at: datetime
    kind: str
    actor: str
    graph_id: str | None
    target: str | None
    outcome: str
    detail: str


class EventsAnswer(Answer):
    """Events, the newest first."""

    events: list[EventAnswer]
    pagination: Pagination
    next: str | None
