"""Long work: looked up, listed and cancelled, whichever process does it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ..errors import ConflictError
from ..state import StoredOperation
from ..threads import in_thread
from . import documents
from .auth import Caller, Operator, Reader
from .context import Context, Ctx
from .paging import Paged
from .problems import PlainJSON, ProblemRoute, documented
from .schemas import GRAPH_ID, OperationAnswer, OperationsAnswer, OperationState

router = APIRouter(prefix="/operations", tags=["operations"], route_class=ProblemRoute)

OperationId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="As its request was answered.")]


@router.get("", response_model=OperationsAnswer, responses=documented())
async def list_operations(
    context: Ctx,
    caller: Reader,
    paged: Paged,
    state: Annotated[OperationState | None, Query()] = None,
    graph_id: Annotated[str | None, Query(pattern=GRAPH_ID)] = None,
    kind: Annotated[str | None, Query(pattern="^[a-z_]{1,31}$")] = None,
) -> Response:
    """All of the last 30 days, the newest first; `result` is left out, and null."""
    await context.runner.settle()
    rows, total = await in_thread(
        context.operations.page, paged.offset, paged.page_size, state=state, graph_id=graph_id, kind=kind
    )
    return PlainJSON(paged.answer("operations", [_document(context, row, caller) for row in rows], total))


@router.get("/{operation_id}", response_model=OperationAnswer, responses=documented(404))
async def get_operation(context: Ctx, caller: Reader, operation_id: OperationId) -> Response:
    """One of them: how far it is, or what it came to."""
    return PlainJSON(_document(context, await context.runner.find(operation_id), caller))


@router.delete("/{operation_id}", status_code=202, response_model=OperationAnswer, responses=documented(404, 409))
async def cancel_operation(context: Ctx, caller: Operator, operation_id: OperationId) -> Response:
    """Asks for its end. Nothing is left half-done: it may take a moment, and may still succeed."""
    row = await context.runner.cancel(operation_id)
    if row is None:
        raise ConflictError(f"operation {operation_id} is over", op="cancel", target=operation_id)
    await context.note(
        "cancel", caller.name, "requested", graph_id=row.graph_id, target=row.target, detail=operation_id
    )
    return PlainJSON(_document(context, row, caller), 202)


def _document(context: Context, row: StoredOperation, caller: Caller) -> dict[str, Any]:
    document = documents.operation(row, context.runner.progress_of(row.operation_id))
    shown: dict[str, Any] = documents.for_caller(document, caller)
    return shown
