"""Long work over HTTP: an operation that is kept in the database, answered with 202, and can be waited for.

The process that took the request does the work, as a task of its event loop. Once a second it writes down how far that
has come and looks whether somebody asked for its end through another process. Who finds an operation whose process is
gone marks it as interrupted: that is looked for at start and whenever an unfinished operation is read.
"""

import asyncio
import errno
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import Response

from .. import processes
from ..awaiting import to_the_end
from ..errors import InvalidInputError, LightragBkpError, NotFoundError, OperationCancelled, StateError
from ..models import Progress, ProgressCallback
from ..receiving.keys import now_us
from ..threads import in_thread
from . import documents
from .context import PREFIX, Context, Ctx, root_of
from .problems import Interrupted, KeyReused, PlainJSON, answer_of, problem_of

if TYPE_CHECKING:
    from ..state import StoredOperation
    from .auth import Caller

logger = logging.getLogger("lightrag_bkp")

BEAT_S = 1.0
"""How often progress is written down, and an end asked for elsewhere is seen."""
SILENT_US = 60 * 1_000_000
"""A process of another host that said nothing for so long is gone."""
LONGEST_WAIT_S = 600
KEY_HOURS = 24
_LOOK_AGAIN_S = 0.5
_PREFER_WAIT = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Done:
    """What work came to.

    Attributes:
        document: the response, as JSON. target: which snapshot or checkpoint it is about, when only the work knows.
        location: below the prefix, of what was made.
    """

    document: Mapping[str, Any]
    target: str | None = None
    location: str | None = None


Work = Callable[[ProgressCallback], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: a kind of work, by whom, on what; and the request it came with, for an Idempotency-Key."""

    kind: str
    actor: str
    graph_id: str | None
    target: str | None
    key: str | None = None
    fingerprint: bytes | None = None
    instance: str = ""


@dataclass
class _Running:
    """Work under way in this process: `work` is what may be cancelled, and `task`, which never is, writes down what
    came of it, also of work that was cancelled before it did anything.
    """

    asked: Asked
    work: "asyncio.Task[Done]" = field(init=False)
    task: "asyncio.Task[None]" = field(init=False)
    progress: Progress | None = None
    cancelled: bool = False


class Runner:
    """Does long work in this process. All methods are for the event loop that serves requests."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running: dict[str, _Running] = {}
        self._unstored: dict[str, dict[str, Any]] = {}  # what came of operations while the database was away
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Marks operations whose processes are gone. Nothing stops an application from starting."""
        try:
            await self.settle()
        except LightragBkpError as error:
            logger.error("event=operations_not_read error=%s", error)

    async def stop(self) -> None:
        """Ends the work of this process; it is marked as interrupted."""
        ending = list(self._running.values())
        for one in ending:
            one.work.cancel()
        await asyncio.gather(*(one.task for one in ending), return_exceptions=True)
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None

    # ---- beginning and ending ----

    async def begin(self, asked: Asked, work: Work) -> "StoredOperation":
        """Starts work; or returns the operation that was started for this Idempotency-Key.

        Raises:
            KeyReused: the key came with another request. StateError: the database cannot be used.
        """
        return await to_the_end(self._begin(asked, work))

    async def _begin(self, asked: Asked, work: Work) -> "StoredOperation":
        from ..state import NewOperation

        new = NewOperation(
            operation_id=secrets.token_hex(16),
            kind=asked.kind,
            graph_id=asked.graph_id,
            target=asked.target,
            requested_by=asked.actor,
            owner=processes.name(),
            created_us=now_us(),
            idempotency_key=asked.key,
            fingerprint=asked.fingerprint,
        )
        row = await in_thread(self._context.operations.begin, new, KEY_HOURS * 3600 * 1_000_000)
        if row.operation_id != new.operation_id:
            if row.fingerprint not in (None, asked.fingerprint):  # None: it is sealed, and nobody here can tell
                raise KeyReused(f"the Idempotency-Key belongs to operation {row.operation_id}, of another request")
            return row
        await self._note(asked, "requested", row.operation_id)
        running = self._running[row.operation_id] = _Running(asked)

        def progress(now: Progress) -> None:
            running.progress = now

        async def done() -> Done:
            return await work(progress)

        running.work = asyncio.create_task(done())
        running.task = asyncio.create_task(self._do(row.operation_id, running))
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        return row

    async def _do(self, operation_id: str, running: _Running) -> None:
        ending = await self._ending(running)
        try:
            await to_the_end(self._end(operation_id, running.asked, ending))
        finally:
            self._running.pop(operation_id, None)

    async def _ending(self, running: _Running) -> dict[str, Any]:
        """Awaits the work. Whatever comes is what it came to, as columns of its row."""
        done: Done | None = None
        error: Exception | None = None
        state, result = "succeeded", None
        try:
            done = await running.work
            result = json.dumps(done.document)
        except (asyncio.CancelledError, OperationCancelled):
            state = "cancelled" if running.cancelled else "interrupted"
            error = (
                OperationCancelled("the operation was cancelled; nothing was left half-done")
                if running.cancelled
                else Interrupted("the server stopped while it was under way: start it again")
            )
        except Exception as raised:
            state, error = "failed", raised
        target = running.asked.target if done is None else done.target or running.asked.target
        return {
            "state": state,
            "finished_us": now_us(),
            "progress": _told(running.progress),
            "result": result,
            "location": None if done is None else done.location,
            "target": target,
            "error": None if error is None else json.dumps(problem_of(error, running.asked.instance)),
        }

    async def _end(self, operation_id: str, asked: Asked, ending: dict[str, Any]) -> None:
        if not await self._store(operation_id, ending):
            self._unstored[operation_id] = ending
        why = "" if ending["error"] is None else f": {json.loads(ending['error'])['detail']}"
        await self._note(asked, ending["state"], operation_id + why, ending["target"])

    async def _store(self, operation_id: str, ending: dict[str, Any]) -> bool:
        try:
            await in_thread(self._context.operations.end, operation_id, ending)
        except LightragBkpError as error:
            logger.error("event=operation_not_stored id=%s state=%s error=%s", operation_id, ending["state"], error)
            return False
        return True

    async def _note(self, asked: Asked, outcome: str, detail: str, target: str | None = None) -> None:
        await self._context.note(
            asked.kind, asked.actor, outcome, graph_id=asked.graph_id, target=target or asked.target, detail=detail
        )

    async def _beat(self) -> None:
        """While anything is under way: says that this process lives, how far it is, and hears who asks for an end."""
        while self._running or self._unstored:
            told = {operation_id: _told(one.progress) for operation_id, one in self._running.items()}
            try:
                for operation_id in await in_thread(self._context.operations.beat, told, now_us()):
                    self._cancel_here(operation_id)
            except LightragBkpError as error:
                logger.warning("event=operations_not_noted error=%s", error)
            for operation_id, ending in list(self._unstored.items()):
                if await self._store(operation_id, ending):
                    del self._unstored[operation_id]
            await asyncio.sleep(BEAT_S)

    # ---- looking ----

    async def find(self, operation_id: str) -> "StoredOperation":
        """An operation, of any process.

        Raises:
            NotFoundError: there is none of this id.
        """
        row = await in_thread(self._context.operations.get, operation_id)
        if row is not None and not row.is_over and await self._settle([row]):
            row = await in_thread(self._context.operations.get, operation_id)
        if row is None:
            raise NotFoundError(f"there is no operation {operation_id!r}: a listing names all", target=operation_id)
        return row

    def progress_of(self, operation_id: str) -> Progress | None:
        """How far work of this process is, fresher than the database says."""
        running = self._running.get(operation_id)
        return None if running is None else running.progress

    async def settle(self) -> int:
        """Marks all operations whose processes are gone; returns how many."""
        return await self._settle(await in_thread(self._context.operations.unfinished))

    async def _settle(self, rows: "list[StoredOperation]") -> int:
        gone = [row for row in rows if row.operation_id not in self._running and _is_gone(row)]
        marked = 0
        for row in gone:
            error = Interrupted("the process that worked on it is gone: start it again", target=row.operation_id)
            problem = json.dumps(problem_of(error, f"{PREFIX}/operations/{row.operation_id}"))
            if await in_thread(self._context.operations.interrupt, row, problem, now_us()):
                marked += 1
                asked = Asked(row.kind, row.requested_by, row.graph_id, row.target)
                await self._note(asked, "interrupted", row.operation_id)
        return marked

    async def wait(self, operation_id: str, seconds: float) -> "StoredOperation":
        """The operation when it is over, or as it is when the time is."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        running = self._running.get(operation_id)
        if running is not None:
            await asyncio.wait([running.task], timeout=seconds)
        while True:
            row = await self.find(operation_id)
            left = until - loop.time()
            if row.is_over or left <= 0:
                return row
            await asyncio.sleep(min(_LOOK_AGAIN_S, left))

    async def cancel(self, operation_id: str) -> "StoredOperation | None":
        """Asks for an operation's end, whichever process works on it; None when it is over already."""
        await self.find(operation_id)
        asked = await in_thread(self._context.operations.ask_to_end, operation_id)
        self._cancel_here(operation_id)
        return await self.find(operation_id) if asked else None

    def _cancel_here(self, operation_id: str) -> None:
        running = self._running.get(operation_id)
        if running is not None and not running.cancelled:
            running.cancelled = True
            running.work.cancel()


def _is_gone(row: "StoredOperation") -> bool:
    """Whether nobody works on an unfinished operation any more. Of processes elsewhere only their silence tells."""
    gone = processes.is_gone(row.owner)
    return now_us() - row.heartbeat_us > SILENT_US if gone is None else gone


def _told(progress: Progress | None) -> str | None:
    return None if progress is None else json.dumps(asdict(progress))


# ---- a request for long work ----


@dataclass(frozen=True, slots=True)
class Submission:
    """How a request wants its work done. `wait_s` None: it does not wait."""

    context: Context
    request: Request
    wait_s: int | None
    key: str | None

    async def run(
        self,
        kind: str,
        work: Work,
        *,
        caller: "Caller",
        graph_id: str | None = None,
        target: str | None = None,
        frees_room: bool = False,
    ) -> Response:
        """Starts work and answers: 202 with the operation, or, when it is waited for and done in time, with what it
        came to. What frees room is done first, and then noted, where none is left to note it in.
        """
        url = self.request.url
        body = await self.request.body()
        fingerprint = hashlib.sha256(b"\0".join((self.request.method.encode(), url.path.encode(), body))).digest()
        asked = Asked(
            kind, caller.name, graph_id, target, self.key, None if self.key is None else fingerprint, url.path
        )
        runner = self.context.runner
        try:
            row = await runner.begin(asked, work)
        except StateError as error:
            if not frees_room or error.errno != errno.ENOSPC:
                raise
            logger.warning("event=freeing_room kind=%s actor=%r error=%s", kind, caller.name, error)
            row = await runner.begin(asked, await to_the_end(_done_first(work)))
        if self.wait_s is not None:
            row = await runner.wait(row.operation_id, self.wait_s)
        headers = {"Operation-Location": f"{root_of(self.request)}/operations/{row.operation_id}"}
        if self.wait_s is None or not row.is_over:
            document = documents.operation(row, runner.progress_of(row.operation_id))
            return PlainJSON(document, 202, headers | {"Location": headers["Operation-Location"]})
        headers["Preference-Applied"] = f"wait={self.wait_s}"
        if row.state != "succeeded" or row.result is None:
            return answer_of(documents.problem(row) or documents.sealed_away(row), headers)
        if row.location is not None:
            headers["Location"] = root_of(self.request) + row.location
        return PlainJSON(json.loads(row.result), 200 if row.location is None else 201, headers)


async def _done_first(work: Work) -> Work:
    """Does it; returns what comes to the same."""
    done = await work(lambda _: None)

    async def again(_: ProgressCallback) -> Done:
        return done

    return again


async def _submission(
    context: Ctx,
    request: Request,
    prefer: Annotated[str | None, Header(description="`wait=N`: answer when it is done, N seconds at most.")] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=128,
            pattern=r"^[\x21-\x7e]+$",
            description="The same key with the same request gives the same operation for 24 hours.",
        ),
    ] = None,
) -> Submission:
    if len(request.headers.getlist("Idempotency-Key")) > 1:
        raise InvalidInputError("there is more than one Idempotency-Key: send one")
    return Submission(context, request, _wait_of(prefer), idempotency_key)


def _wait_of(prefer: str | None) -> int | None:
    """Of `Prefer`, how long to wait; None when it says nothing of that. Preferences that are unknown are passed over.

    Raises:
        InvalidInputError: so long nobody waits.
    """
    for part in (prefer or "").split(","):
        found = _PREFER_WAIT.fullmatch(part.split(";")[0])
        if found is not None:
            if not 1 <= int(found[1]) <= LONGEST_WAIT_S:
                raise InvalidInputError(f"Prefer: wait={found[1]} must be from 1 to {LONGEST_WAIT_S} seconds")
            return int(found[1])
    return None


Job = Annotated[Submission, Depends(_submission)]
