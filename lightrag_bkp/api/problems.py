"""What an error becomes over HTTP: application/problem+json (RFC 9457), by one table.

`ProblemRoute` is the one place that turns exceptions into answers, so no route has a `try`. What is damaged is always
said in full; only a bug of this program is masked, with an id under which the log tells it.
"""

import errno
import json
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.requests import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import Message

from .. import errors
from ..receiving.refusal import MEDIA_TYPE, URN
from .places import without_places
from .schemas import BackupProblem

logger = logging.getLogger("lightrag_bkp")
_SERVER_LOG = logging.getLogger("uvicorn.error")
"""Where uvicorn's own messages go; under another server, with no handler of its own, standard error."""

MOST_BODY_BYTES = 1 << 20
RETRY_S = {429: 1, 503: 5}
"""When to come again, in seconds, where nobody knows better."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_Row = tuple[int, str, str]

_INVALID: _Row = (422, "invalid", "The request cannot be used")
_INTERNAL: _Row = (500, "internal", "Internal error")
_NO_ROOM: _Row = (507, "no-room", "No room is left")
_STORAGE: _Row = (502, "storage", "The storage refused")


class NotConfigured(errors.LightragBkpError):
    """A subsystem was left out when the routes were made."""

    code = "NOT_CONFIGURED"


class Interrupted(errors.LightragBkpError):
    """The process that worked on an operation is gone."""

    code = "INTERRUPTED"


class NotReplicated(errors.LightragBkpError):
    """No target has what was to be sent. `members` are of the problem document, too."""

    code = "NOT_REPLICATED"

    def __init__(self, message: str, *, replications: list[dict[str, Any]], target: str = "") -> None:
        super().__init__(message, op="replicate", target=target)
        self.members = {"replications": replications}


class FailoverFailed(errors.LightragBkpError):
    """A failover, or the undo of one, failed. `members` are of the problem document, too."""

    code = "FAILOVER_FAILED"

    def __init__(self, message: str, *, outcome: dict[str, Any], target: str = "") -> None:
        super().__init__(message, op="failover", target=target)
        self.members = {"outcome": outcome}


class KeyReused(errors.InvalidInputError):
    """An Idempotency-Key came again with another request."""

    code = "KEY_REUSED"


class Refused(Exception):
    """A request that is not even looked at: who asks is not known, may not, or asks too often."""

    def __init__(
        self, status: int, slug: str, title: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.row: _Row = (status, slug, title)
        self.detail = detail
        self.headers = dict(headers or {})


TABLE: tuple[tuple[type[BaseException], _Row], ...] = (
    (NotConfigured, (503, "not-configured", "Not configured here")),
    (Interrupted, (503, "interrupted", "The operation was interrupted")),
    (NotReplicated, (502, "not-replicated", "No target has it")),
    (FailoverFailed, (500, "failover-failed", "The failover failed")),
    (KeyReused, (422, "idempotency-key-reused", "The Idempotency-Key belongs to another request")),
    (errors.NoSpaceError, _NO_ROOM),
    (errors.StorageError, _STORAGE),
    (errors.OutOfMemoryError, (503, "out-of-memory", "Memory ran out")),
    (errors.NotFoundError, (404, "not-found", "Not found")),
    (errors.ConflictError, (409, "conflict", "It exists already, or differs")),
    (errors.Busy, (409, "busy", "Somebody else is at work")),
    (errors.OperationCancelled, (409, "cancelled", "The operation was cancelled")),
    (errors.SourceChangedError, (409, "source-changed", "The source changed while it was read")),
    (errors.RestoreUnfinishedError, (409, "restore-unfinished", "An interrupted restore has to be finished first")),
    (errors.RefusedError, (412, "refused", "What must be so first is not")),
    (errors.UnsupportedError, (412, "unsupported", "It cannot be done here")),
    (errors.IncompleteSourceError, (412, "incomplete-source", "Part of the graph is not in files here")),
    (errors.LimitError, (422, "limit", "A ceiling was reached")),
    (errors.InvalidInputError, _INVALID),
    (errors.DamagedError, (500, "damaged", "What is stored is damaged")),
    (errors.ForeignObjectError, (500, "foreign", "What is stored belongs elsewhere")),
    (errors.ServerError, (502, "server", "The LightRAG server refused")),
    (errors.LockedError, (503, "locked", "The passphrase or key file is missing or wrong")),
    (errors.ConfigurationError, (503, "configuration", "A setting cannot be used")),
    (errors.StateError, (503, "state", "The database cannot be used")),
    (MemoryError, (503, "out-of-memory", "Memory ran out")),
    (OSError, _STORAGE),
)
"""The first row whose class an error is of says what it becomes; any other error is a bug."""

_HTTP: dict[int, _Row] = {
    400: _INVALID,  # a body that is no JSON is one, however it is none
    401: (401, "unauthenticated", "Who asks is not known"),
    403: (403, "forbidden", "Not allowed"),
    404: (404, "not-found", "Not found"),
    405: (405, "method-not-allowed", "Not a method of this path"),
    413: (413, "too-large", "The body is too large"),
}

_SAID = {status: title for status, _, title in _HTTP.values()} | {
    409: "Somebody else is at work, or it exists already",
    412: "What must be so first is not",
    429: "Too many requests: come again after Retry-After",
    500: "What is stored is damaged, or an internal error",
    502: "The storage, a target or another server refused",
    503: "Not configured here, or not ready: come again after Retry-After",
    507: "No room is left",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: the problems it may answer with, beside those every route has. Every route, since
    every one reads what is stored: it may be of a newer version (412), or its disk may refuse (502).
    """
    usual = (401, 403, 412, 413, 422, 429, 500, 502, 503)
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{BackupProblem.__name__}"}}}
    return {status: {"content": content, "description": _SAID[status]} for status in sorted({*usual, *statuses})}


def problem_of(error: BaseException, instance: str = "") -> dict[str, Any]:
    """An error as a problem document. A bug is logged here, and masked."""
    if isinstance(error, Refused):
        return _document(error.row, error.detail, instance, error.row[1].upper().replace("-", "_"))
    if isinstance(error, RequestValidationError):
        return _unusable(error, instance)
    if isinstance(error, AnyHTTPException):
        row = _HTTP.get(error.status_code, (error.status_code, "http", "The request was refused"))
        return _document(row, str(error.detail), instance, "HTTP")
    row = _row_of(error)
    if row is _INTERNAL:
        return _masked(error, instance)
    if isinstance(error, errors.LightragBkpError):
        known = _document(row, str(error), instance, error.code, str(error.target))
        known |= {name: value for name in ("op", "errno") if (value := getattr(error, name))}
        return known | getattr(error, "members", {})
    if isinstance(error, OSError):
        where = str(error.filename or "")
        said = f"{where!r}: {error.strerror or error}" if where else str(error.strerror or error)
        return _document(row, said + errors.advice_on(error), instance, "IO", where)
    return _document(row, "memory ran out; nothing was changed", instance, "NOMEM")


def answer_of(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem document as a response."""
    status = int(document["status"])
    more = {"Retry-After": str(RETRY_S[status])} if status in RETRY_S else {}
    return PlainJSON(document, status, {**more, **(headers or {})}, MEDIA_TYPE)


class PlainJSON(JSONResponse):
    """JSON in ASCII: a file's name that is no UTF-8 comes through as what `os.fsdecode` made of it."""

    def render(self, content: Any) -> bytes:
        """The document's bytes."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class ProblemRoute(APIRoute):
    """A route whose exceptions become problems, FastAPI's own refusals too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with that around it."""
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(_bounded(request))
            except Exception as error:
                cut_short = getattr(request.state, "cut_short", None)
                if cut_short is not None:
                    raise cut_short from None
                return _answered(await _of_a_stranger(error, request, handler), request)

        return handled


async def _of_a_stranger(error: Exception, request: Request, handler: Callable[[Request], Any]) -> Exception:
    """What to answer to a body that cannot be read. FastAPI reads it before it calls the dependency that finds out who
    asks, and a stranger is told that he is one and nothing else: so it is asked with a body that no route takes.
    """
    is_of_the_body = isinstance(error, RequestValidationError | AnyHTTPException)
    if not is_of_the_body or hasattr(request.state, "caller"):
        return error

    async def receive() -> Message:
        return {"type": "http.request", "body": b"0", "more_body": False}

    try:
        await handler(Request(request.scope, receive))
    except RequestValidationError:
        pass  # it is somebody, and the body is to blame
    except Exception as refused:  # or nobody can say who it is, while the database is away
        return refused
    return error


def _bounded(request: Request) -> Request:
    """The request with a body that ends at the ceiling: FastAPI reads it before it knows who asks.

    What a middleware raises while the body comes, as LightRAG's does at a ceiling of its own, is that one's to answer,
    whatever FastAPI makes of it.
    """
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > MOST_BODY_BYTES:
        raise _too_large()
    received = 0

    async def receive() -> Message:
        nonlocal received
        try:
            message = await request.receive()
        except Exception as error:
            request.state.cut_short = error
            raise
        received += len(message.get("body", b""))
        if received > MOST_BODY_BYTES:
            raise _too_large()
        return message

    return Request(request.scope, receive)


def _too_large() -> HTTPException:
    """FastAPI lets no other exception through while it reads."""
    return HTTPException(413, f"a body has {MOST_BODY_BYTES} bytes at most")


def _answered(error: Exception, request: Request) -> Response:
    document = problem_of(error, request.url.path)
    caller = getattr(request.state, "caller", None)
    if caller is None or not caller.sees_places:
        document = without_places(document) | {"instance": document["instance"]}
    headers = getattr(error, "headers", None) or {}
    return answer_of(document, headers)


def _row_of(error: BaseException) -> _Row:
    if isinstance(error, (OSError, errors.StateError)) and error.errno in _FULL:
        return _NO_ROOM
    return next((row for kind, row in TABLE if isinstance(error, kind)), _INTERNAL)


def _document(row: _Row, detail: str, instance: str, code: str, target: str = "") -> dict[str, Any]:
    status, slug, title = row
    document = {
        "type": URN + slug,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
    }
    return document | ({"target": target} if target else {})


def _masked(error: BaseException, instance: str) -> dict[str, Any]:
    error_id = secrets.token_hex(4)
    heard_log().error("event=internal_error id=%s path=%s", error_id, instance, exc_info=error)
    said = f"internal error {error_id}: the server's log says more"
    return _document(_INTERNAL, said, instance, "INTERNAL")


def heard_log() -> logging.Logger:
    """Where what must not go unheard is logged: our own log, or the server's where nobody set up ours."""
    return logger if _is_heard(logger) else _SERVER_LOG


def _is_heard(log: logging.Logger | None) -> bool:
    """Whether anything is done with what is logged there: a library's own NullHandler does nothing, and keeps Python
    from putting it on standard error.
    """
    while log is not None:
        if not all(isinstance(one, logging.NullHandler) for one in log.handlers):
            return True
        log = log.parent if log.propagate else None
    return False


def _unusable(error: RequestValidationError, instance: str) -> dict[str, Any]:
    found = [
        {"field": ".".join(map(str, one["loc"])), "message": str(one["msg"]).removeprefix("Value error, ")}
        for one in error.errors()
    ]
    said = "; ".join(f"{one['field']}: {one['message']}" for one in found)
    return _document(_INVALID, said, instance, "INVALID") | {"errors": found}
