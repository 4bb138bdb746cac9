"""Long work on a server: asked for once, followed to its end, cancelled with whoever waits for it.

Each request carries an Idempotency-Key, so that one whose answer got lost is sent again and finds the operation it
made.
"""

import asyncio
import contextlib
import enum
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import LightragBkpError, OperationCancelled, ServerError
from ..models import Progress, ProgressCallback
from .connection import PREFIX, Talk, Unreached

PATIENCE_S = 60.0
"""How long a server may be away while it works, in seconds."""
_END_S = 30.0
"""How long an end that was asked for is waited for."""
_FIRST_LOOK_S, _LAST_LOOK_S = 0.02, 0.5
_AWAY = (429, 502, 503, 504)
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class State(enum.StrEnum):
    """How far an operation is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self is not State.RUNNING


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of work, as a server tells of it."""

    operation_id: str
    state: State
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """Below the prefix."""
        return f"/operations/{self.operation_id}"


async def work(
    talk: Talk, path: str, document: Mapping[str, Any], progress: ProgressCallback | None = None, *, telling: str = ""
) -> Mapping[str, Any]:
    """Has a server do long work; returns what it came to.

    Args:
        telling: the code of a problem that tells what was done all the same, and is returned like a result.

    Raises:
        ServerError: nobody answers any more; it says where to look. OperationCancelled: the caller was cancelled, and
            so was the operation; it says what became of that. What the work itself raises.
    """
    once = {"Idempotency-Key": secrets.token_hex(16)}
    begun = asyncio.ensure_future(talk.ask("POST", path, document=document, headers=once))
    try:
        operation = _operation(talk, await asyncio.shield(begun))
        return _outcome(talk, await _ended(talk, operation, progress), telling)
    except asyncio.CancelledError:
        raise OperationCancelled(await _cancelled(talk, begun), op="cancel", target=talk.url) from None


async def _ended(talk: Talk, operation: Operation, progress: ProgressCallback | None) -> Operation:
    """Follows an operation until it is over."""
    look_s = _FIRST_LOOK_S
    while not operation.state.is_over:
        if progress is not None and operation.progress is not None:
            progress(operation.progress)
        await asyncio.sleep(look_s)
        look_s = min(look_s * 1.5, _LAST_LOOK_S)
        operation = await _look(talk, operation)
    return operation


async def _look(talk: Talk, operation: Operation) -> Operation:
    """An operation as it is now, also when the server was away for a while."""
    until, wait_s = time.monotonic() + PATIENCE_S, _LAST_LOOK_S
    while True:
        try:
            answer = await talk.exchange("GET", operation.path)
            if answer.status == 200:
                return _operation(talk, answer.document)
            away = talk.error(answer.document, answer.status)
            if answer.status not in _AWAY:
                raise away
        except Unreached as error:
            away = error
        if time.monotonic() > until:
            raise ServerError(f"{away}; {_may_go_on(talk, operation)}", target=operation.operation_id)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, 5.0)


def _outcome(talk: Talk, operation: Operation, telling: str) -> Mapping[str, Any]:
    if operation.state is State.SUCCEEDED and operation.result is not None:
        return operation.result
    if operation.state is State.CANCELLED:
        said = f"operation {operation.operation_id} at {talk.url} was cancelled by somebody else"
        raise OperationCancelled(said, target=operation.operation_id)
    if operation.error:
        if telling and operation.error.get("code") == telling:
            return operation.error
        raise talk.error(operation.error)
    raise talk.strange(f"operation {operation.operation_id} is {operation.state}, and nothing is said of it")


async def _cancelled(talk: Talk, begun: "asyncio.Future[Mapping[str, Any]]") -> str:
    """Ends an operation, however far it is; says what became of it."""
    operation = None
    try:
        async with asyncio.timeout(_END_S):
            operation = _operation(talk, await begun)
            with contextlib.suppress(LightragBkpError):  # over already
                await talk.ask("DELETE", operation.path)
            ended = await _ended(talk, operation, None)
    except (LightragBkpError, TimeoutError, asyncio.CancelledError):
        begun.cancel()
        return f"what was asked of {talk.url} may go on there" if operation is None else _may_go_on(talk, operation)
    how = "is cancelled" if ended.state is State.CANCELLED else f"had {ended.state} before it could be cancelled"
    return f"operation {ended.operation_id} at {talk.url} {how}"


def _may_go_on(talk: Talk, operation: Operation) -> str:
    return (
        f"operation {operation.operation_id} may go on there: GET {talk.url}{PREFIX}{operation.path} says what became"
        " of it"
    )


def _operation(talk: Talk, document: object) -> Operation:
    operation = talk.read(Operation, document)
    if not _ID.fullmatch(operation.operation_id):
        raise talk.strange("an operation's id is none")
    return operation
