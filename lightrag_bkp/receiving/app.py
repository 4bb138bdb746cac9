"""The receiver as an ASGI application, for uvicorn by itself or mounted in another server.

It is plain ASGI, so that it needs no framework. A body is read only once the key, the names, the epoch and the declared
sizes are good (docs/replication.md, "The order of checks"). What waits for a disk is done by threads of its own.
"""

import asyncio
import errno
import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from .._bridge import Pool
from ..arguments import is_graph_id
from ..errors import DamagedError, LightragBkpError, StorageError
from . import protocol
from .blocks import Buffers
from .body import BODY, Body, Gone, Message, Receive, decimal
from .keys import REPLICATE, ReceiveKey
from .protocol import BASE_PATH, KEY_SLOT_NAME, OBJECT_CEILINGS, PARALLEL, SHA256_HEX
from .quarantine import Part
from .receiver import Receiver
from .refusal import MEDIA_TYPE, Refusal, no_room
from .replica import Replica

Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]
T = TypeVar("T")

BUSY_S = 1
BROKEN_S = 60
"""When to come again after 429 and 503."""

logger = logging.getLogger("lightrag_bkp")

_REPOSITORY = re.compile(r"[0-9a-f]{32}", re.ASCII)
_JSON = json.JSONEncoder(separators=(",", ":"))
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request of somebody with a key. `name` is the object's or key slot's."""

    headers: dict[str, str]
    body: Body
    key: ReceiveKey
    api_key: str
    replica: Replica
    name: str


class ReceiveApplication:
    """One receiver for any ASGI server. `close` ends its threads."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._threads = ThreadPoolExecutor(PARALLEL, "lrb-receive")
        self._buffers = Buffers()
        self._under_way: dict[str, int] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise NotImplementedError(f"a receiver speaks HTTP, not {scope['type']}")

    def close(self) -> None:
        """Waits for what is under way; idempotent."""
        self._threads.shutdown()
        if "_pool" in self.__dict__:
            self._pool.stop()

    @cached_property
    def _pool(self) -> Pool:
        """Threads that need no interpreter, so that they and the loop do not wait for each other. Not those that make
        backups: the disk that is slow here may not be theirs."""
        return Pool(PARALLEL, PARALLEL)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        self.close()
        await send({"type": "lifespan.shutdown.complete"})

    # ---- from a request to an answer ----

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        lines = list(scope["headers"])
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in lines}
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix(BASE_PATH)
        body = Body(headers, receive, (scope.get("extensions") or {}).get(BODY))
        more, key = dict[str, str](), None
        try:
            key = await self._recognise(_shown_key(lines, headers))
            status, document = await self._judge(scope["method"], path, headers, body, key)
        except Refusal as refusal:
            logger.info("event=receive_refused status=%d code=%s path=%r", refusal.status, refusal.code, path)
            status, document, more = told(refusal, scope["path"])
        except Gone:
            logger.info("event=sender_gone path=%r", path)
            return
        if body.is_left:
            more["connection"] = "close"  # nobody here reads what may still come
        await say(send, status, document, more, body.drain if body.is_left and key is not None else None)

    async def _judge(self, method: str, path: str, headers: dict[str, str], body: Body, key: ReceiveKey) -> Answer:
        api_key = headers[protocol.KEY_HEADER.lower()]
        try:
            with self._counted(key):
                handler, graph, name = _route(method, path, key)
                request = _Request(headers, body, key, api_key, self.receiver.replicas.one(key.name, graph), name)
                return await handler(self, request)
        except Refusal as refusal:
            if refusal.status != 507:
                self.receiver.room.forget(key.name)  # what was announced did not come to stay
            raise

    async def _recognise(self, api_key: str) -> ReceiveKey:
        keys = self.receiver.keys
        key = keys.remembered(api_key) or await self._in_thread(keys.recognise, api_key)
        if key is None:
            what = "is not valid here" if api_key else "is missing"
            raise Refusal(
                401, "UNAUTHENTICATED", f"the API key {what}: `lightrag-bkp key add` at the receiver makes one"
            )
        if key.scope != REPLICATE:
            raise Refusal(403, "OTHER_SCOPE", f"this key is for {key.scope}, and only one for {REPLICATE} sends copies")
        return key

    @contextmanager
    def _counted(self, key: ReceiveKey) -> Iterator[None]:
        under_way = self._under_way.get(key.key_id, 0)
        if under_way >= 2 * PARALLEL:
            raise Refusal(429, "BUSY", f"{under_way} requests with this key are under way", retry_after=BUSY_S)
        self._under_way[key.key_id] = under_way + 1
        try:
            yield
        finally:
            self._under_way[key.key_id] -= 1
            if not self._under_way[key.key_id]:
                del self._under_way[key.key_id]

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Does what may wait for a disk; what the system refuses becomes an answer."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._in_place, work, *arguments)
        except (OSError, LightragBkpError) as error:
            if isinstance(error, OSError | StorageError) and error.errno in _FULL:
                raise no_room("the receiver's file system is full") from error
            logger.warning("event=receive_failed error=%s", error)
            said = f"the receiver cannot go on: {_without_places(error)}"
            raise Refusal(503, "NOT_READY", said, retry_after=BROKEN_S) from error

    def _in_place(self, work: Callable[..., T], *arguments: Any) -> T:
        self.receiver.check_place()
        return work(*arguments)

    # ---- the requests ----

    async def _capabilities(self, request: _Request) -> Answer:
        busy = self._under_way.get(request.key.key_id, 0) > PARALLEL
        return 200, await self._in_thread(self.receiver.capabilities, request.key, busy)

    async def _state(self, request: _Request) -> Answer:
        return 200, await self._in_thread(self.receiver.state, request.replica)

    async def _missing(self, request: _Request) -> Answer:
        request.body.declared()
        await self._in_thread(request.replica.require_head)
        return 200, await self._in_thread(self.receiver.missing, request.replica, await request.body.read())

    async def _part(self, request: _Request) -> Answer:
        admitted = self._soon_after(request)
        kind, part = await self._in_thread(self._admit_part, request) if admitted is None else admitted
        buffer = self._buffers.take()
        content = await request.body.read_into(buffer)
        if await request.replica.quarantine.follow(part, content, self._pool):
            self._buffers.give_back(buffer)
            return 200, {"offset": part.offset + len(content), "complete": False}
        held, complete, made = await self._in_thread(self._take_part, request.replica, kind, part, content, buffer)
        if not complete and held > part.offset + len(content):
            self.receiver.room.forget(request.key.name)  # it was here before, and counted
        return 201 if made else 200, {"offset": held, "complete": complete}

    def _take_part(
        self, replica: Replica, kind: str, part: Part, content: memoryview, buffer: memoryview
    ) -> tuple[int, bool, bool]:
        """The buffer is given back here, where nobody reads it any more: what the loop waits for may be given up."""
        try:
            return self.receiver.take_part(replica, kind, part, content)
        finally:
            self._buffers.give_back(buffer)

    async def _key_slot(self, request: _Request) -> Answer:
        await self._in_thread(self._admit, request)
        await self._in_thread(request.replica.require_head)
        made = await self._in_thread(request.replica.take_key, request.name, await request.body.read())
        return 201 if made else 200, {}

    async def _append(self, request: _Request) -> Answer:
        await self._in_thread(self._admit, request)
        repository = request.headers[protocol.REPOSITORY_HEADER.lower()]
        content = await request.body.read()
        return 200, await self._in_thread(self.receiver.append, request.api_key, request.replica, repository, content)

    # ---- what is looked at before a body is read ----

    def _admit(self, request: _Request) -> None:
        """Epoch, repository, the body's length, and room for it."""
        length, _ = self._check_sender(request)
        self.receiver.room.ask(request.key.name, length, length, request.key.quota_bytes)

    def _admit_part(self, request: _Request) -> tuple[str, Part]:
        """The same of the object it is a part of. Returns its kind, and the part without its content."""
        length, is_begun = self._check_sender(request)
        kind, part = _announced(request, length)
        if not is_begun:
            request.replica.require_head()
        held = request.replica.quarantine.held(request.name)
        left, taken = max(part.size - held, 0), length if part.offset == held else 0
        self.receiver.room.ask(request.key.name, left, taken, request.key.quota_bytes)
        return kind, part

    def _soon_after(self, request: _Request) -> tuple[str, Part] | None:
        """`_admit_part` of one that goes on with an object, or begins one, a moment after another one: by what is in
        memory, no thread is waited for. A doubt is no refusal but None, and that one's business.
        """
        replica, key = request.replica, request.key
        head, held = replica.recent_head(), replica.quarantine.known(request.name) or 0
        if head is None:
            return None
        try:
            epoch, repository = _sender(request)
            length = request.body.declared()
            kind, part = _announced(request, length)
        except Refusal:
            return None
        is_senders = epoch >= head.epoch and repository == head.repository_id.hex()
        if not is_senders or part.offset != held:
            return None
        is_room = self.receiver.room.has(key.name, part.size - held, length, key.quota_bytes)
        return (kind, part) if is_room else None

    def _check_sender(self, request: _Request) -> tuple[int, bool]:
        """Epoch and repository. Returns the body's length, and whether there is a replica."""
        is_begun = self.receiver.check_epoch(request.replica, *_sender(request))
        return request.body.declared(), is_begun


def _shown_key(lines: list[tuple[bytes, bytes]], headers: dict[str, str]) -> str:
    """The key a request comes with. Of two it would depend on the reader which one counts: on a proxy, or on us."""
    name = protocol.KEY_HEADER.lower()
    if len(lines) == len(headers):
        return headers.get(name, "")  # nothing was said twice
    keys = {value for header, value in lines if header.lower() == name.encode()}
    if len(keys) > 1:
        raise Refusal(401, "UNAUTHENTICATED", f"{len(keys)} API keys were sent in one request: send one")
    return keys.pop().decode("latin-1") if keys else ""


def _sender(request: _Request) -> tuple[int, str]:
    """The epoch and the repository a request is of."""
    repository = request.headers.get(protocol.REPOSITORY_HEADER.lower(), "")
    if not _REPOSITORY.fullmatch(repository):
        raise Refusal(422, "BAD_NAME", f"the header {protocol.REPOSITORY_HEADER} must be 32 lower-case hex digits")
    return decimal(request.headers, protocol.EPOCH_HEADER), repository


def _announced(request: _Request, length: int) -> tuple[str, Part]:
    """An object's kind, and the part of this length without its content, by what the headers say."""
    kind = request.headers.get(protocol.KIND_HEADER.lower(), "")
    if kind not in OBJECT_CEILINGS:
        raise Refusal(422, "BAD_NAME", f"the header {protocol.KIND_HEADER} must be {' or '.join(OBJECT_CEILINGS)}")
    offset = decimal(request.headers, protocol.OFFSET_HEADER)
    size = decimal(request.headers, protocol.LENGTH_HEADER)
    digest = protocol.digest_of(request.headers.get(protocol.DIGEST_HEADER.lower(), ""))
    if digest is None:
        raise Refusal(422, "NO_DIGEST", f"a part needs a {protocol.DIGEST_HEADER}: sha-256 or adler")
    if not 0 < size <= OBJECT_CEILINGS[kind]:
        said = f"a {kind} of {size} bytes is announced, and {OBJECT_CEILINGS[kind]} are allowed"
        raise Refusal(413, "TOO_LONG", said)
    if offset + length > size:
        raise Refusal(422, "BAD_LENGTH", "the part ends behind the object it is a part of")
    return kind, Part(request.name, size, offset, digest)


async def say(
    send: Send,
    status: int,
    document: dict[str, Any],
    more: dict[str, str],
    drain: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Answers with a document, and these headers besides. All of it is sent before what is left of the request is
    drained; the server may end the connection after that."""
    content = _JSON.encode(document).encode()
    said = {b"content-type": b"application/json", b"cache-control": b"no-store"}
    said[b"content-length"] = b"%d" % len(content)
    said |= {name.encode(): value.encode() for name, value in more.items()}
    await send({"type": "http.response.start", "status": status, "headers": list(said.items())})
    await send({"type": "http.response.body", "body": content, "more_body": drain is not None})
    if drain is not None:
        await drain()
        await send({"type": "http.response.body", "body": b""})


def told(refusal: Refusal, path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """A refusal as status, document and headers."""
    more = {"content-type": MEDIA_TYPE}
    if refusal.retry_after is not None:
        more["retry-after"] = str(refusal.retry_after)
    return refusal.status, refusal.problem(path), more


def _without_places(error: OSError | LightragBkpError) -> str:
    """What a sender may read: where things lie here is said in the log here."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, StorageError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, DamagedError):
        return "what it keeps of this sender is damaged, and `lightrag-bkp replica verify` there says what"
    return "its log says why"


Handler = Callable[[ReceiveApplication, _Request], Awaitable[Answer]]

_BELOW_GRAPH = "/graphs/(?P<graph>[^/]*)"
_SAID_OF_NAMES = {
    SHA256_HEX: "an object is named by its SHA-256: 64 lower-case hex digits",
    KEY_SLOT_NAME: "a key slot is named by 32 lower-case hex digits, with '.removed' behind them once it was removed",
}
_ROUTES: tuple[tuple["re.Pattern[str]", "re.Pattern[str] | None", dict[str, Handler]], ...] = (
    (re.compile(_BELOW_GRAPH + "/objects/(?P<name>[^/]*)"), SHA256_HEX, {"PUT": ReceiveApplication._part}),
    (re.compile("/capabilities"), None, {"GET": ReceiveApplication._capabilities}),
    (re.compile(_BELOW_GRAPH), None, {"GET": ReceiveApplication._state}),
    (re.compile(_BELOW_GRAPH + "/missing"), None, {"POST": ReceiveApplication._missing}),
    (re.compile(_BELOW_GRAPH + "/log"), None, {"POST": ReceiveApplication._append}),
    (re.compile(_BELOW_GRAPH + "/keys/(?P<name>[^/]*)"), KEY_SLOT_NAME, {"PUT": ReceiveApplication._key_slot}),
)


def _route(method: str, path: str, key: ReceiveKey) -> tuple[Handler, str, str]:
    """What answers a request, the graph it is about ("" for none) and the name in it, all of a shape that cannot lead
    anywhere else.

    Raises:
        Refusal: nothing answers it, a name has another shape, or the key is for another graph.
    """
    for pattern, shape, handlers in _ROUTES:
        found = pattern.fullmatch(path)
        if found is None:
            continue
        if method not in handlers:
            raise Refusal(405, "NO_SUCH_REQUEST", f"{method} means nothing here")
        graph, name = found.groupdict().get("graph"), found.groupdict().get("name", "")
        if graph is not None and not is_graph_id(graph):
            raise Refusal(422, "BAD_NAME", "a graph id has 1 to 128 letters, digits, '_', '.' and '-'")
        if shape is not None and not shape.fullmatch(name):
            raise Refusal(422, "BAD_NAME", _SAID_OF_NAMES[shape])
        if graph is not None and key.graph_id not in (None, graph):
            raise Refusal(403, "OTHER_GRAPH", f"this key is for graph {key.graph_id!r} alone")
        return handlers[method], graph or "", name
    raise Refusal(404, "NO_SUCH_PATH", "there is nothing here: see docs/replication.md")
