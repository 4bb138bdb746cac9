"""What was changed by whom: in pages, or as server-sent events from the one on that was seen last."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from ..threads import in_thread
from . import documents
from .auth import Caller, Reader
from .context import Context, Ctx
from .paging import Paged
from .problems import PlainJSON, ProblemRoute, documented
from .schemas import GRAPH_ID, EventsAnswer

if TYPE_CHECKING:
    from ..state.events import StoredEvent

logger = logging.getLogger("lightrag_bkp")

router = APIRouter(prefix="/events", tags=["operations"], route_class=ProblemRoute)

STREAM = "text/event-stream"
HEARTBEAT_S = 15.0
LONGEST_S = 25.0
"""Then the stream ends, and who listens comes again by himself: a server that stops waits for open ones."""
RETRY_MS = 500
_RETRY_FAILED_MS = 15_000
LOOK_EVERY_S = 1.0
_AT_ONCE = 500
_MOST_ID = (1 << 63) - 1


@router.get(
    "",
    response_model=EventsAnswer,
    responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}}, **documented()},
)
async def list_events(
    context: Ctx,
    caller: Reader,
    request: Request,
    paged: Paged,
    graph_id: Annotated[str | None, Query(pattern=GRAPH_ID)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=_MOST_ID)] = None,
) -> Response:
    """With `Accept: text/event-stream` those to come, and those since `Last-Event-ID`; else all, the newest first."""
    if STREAM in request.headers.get("accept", ""):
        newest = await in_thread(context.events.newest)
        begun = newest if last_event_id is None else last_event_id if last_event_id <= newest else 0
        stream = _stream(context, request, caller, graph_id, begun)
        return StreamingResponse(stream, media_type=STREAM, headers={"Cache-Control": "no-store"})
    rows, total = await in_thread(context.events.page, paged.offset, paged.page_size, graph_id)
    shown = [documents.for_caller(documents.event(row), caller) for row in rows]
    return PlainJSON(paged.answer("events", shown, total))


async def _stream(
    context: Context, request: Request, caller: Caller, graph_id: str | None, last: int
) -> AsyncIterator[str]:
    """Events of every process, as the database shows them; a comment now and then keeps the connection open. It ends
    for who may not hear them any more.
    """
    loop = asyncio.get_running_loop()
    begun = said = loop.time()
    yield f"id: {last}\nretry: {RETRY_MS}\n\n"  # who hears of nothing until the end comes again from here
    while loop.time() - begun < LONGEST_S:
        try:
            if not await context.guard.readmits(request):
                return
            rows = await in_thread(context.events.after, last, _AT_ONCE, graph_id)
            told = [_told(row, caller) for row in rows]
        except Exception as error:  # the answer has begun: a problem document has no place in it
            logger.error("event=stream_ended after=%d error=%r", last, str(error))
            yield f"retry: {_RETRY_FAILED_MS}\n\n"
            return
        for row, text in zip(rows, told, strict=True):
            last = row.event_id
            yield text
        if not rows and loop.time() - said >= HEARTBEAT_S:
            yield ": still here\n\n"
            said = loop.time()
        said = loop.time() if rows else said
        if len(rows) < _AT_ONCE:
            await asyncio.sleep(LOOK_EVERY_S)


def _told(row: "StoredEvent", caller: Caller) -> str:
    """An event as a stream tells it."""
    document = json.dumps(documents.for_caller(documents.event(row), caller))
    return f"id: {row.event_id}\nevent: {row.kind}\ndata: {document}\n\n"
