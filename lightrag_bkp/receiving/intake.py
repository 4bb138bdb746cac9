"""A connection whose bodies go straight into the memory of whoever asked for them.

A part of a pack that takes the usual way (network, event loop, parser, server, application) is copied by each of them,
mostly into memory nobody used yet. Here uvicorn's protocol sees heads, and what of a body came along with one; what is
left stays with the kernel until the application has judged the head and says where to put it (an extension of the ASGI
scope, `BODY`; who does not use it finds bodies where they always are).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from . import body
from .heads import BoundedProtocol

_PIECE = 4 << 10
"""Read at once while nobody has said where to put it."""


class Rest:
    """What has not come yet of one request's body (`body.Direct`)."""

    def __init__(self, intake: "Intake", cycle: RequestResponseCycle) -> None:
        self._intake = intake
        self._cycle = cycle

    def fill(self, target: memoryview) -> "asyncio.Future[None]":
        """Has all of the body put there; done when it is full. Fails: the connection ended, or nothing came for
        `body.SILENT_S` (a `Refusal`)."""
        cycle = self._cycle
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        came, cycle.body = bytes(cycle.body[: len(target)]), bytearray()
        target[: len(came)] = came
        return self._intake.fill(target, len(came))

    def stop(self) -> None:
        """Puts nothing there any more: the connection ends with the answer."""
        self._intake.stop()


class Intake(asyncio.BufferedProtocol):
    """One connection's; what is no body is its `BoundedProtocol`'s business."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._inner = BoundedProtocol(*arguments, offer=lambda cycle: {body.BODY: Rest(self, cycle)}, **named)
        self._piece = memoryview(bytearray(_PIECE))
        self._target = memoryview(b"")
        self._filled = 0
        self._full: asyncio.Future[None] | None = None
        self._moved_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        """Looks whether the sender is silent: one for all bodies that come within its time."""

    def fill(self, target: memoryview, came: int) -> "asyncio.Future[None]":
        """Has the next bytes put there, behind those that came. What came whole is of any request; what did not, of
        the one that is being read."""
        inner = self._inner
        full, self._moved_at = inner.loop.create_future(), inner.loop.time()
        if came == len(target):
            full.set_result(None)
        elif inner.transport.is_closing():
            full.set_exception(ConnectionResetError())
        else:
            self._target, self._filled, self._full = target, came, full
            self._watch = self._watch or inner.loop.call_at(self._moved_at + body.SILENT_S, self._look)
            inner.flow.resume_reading()
        return full

    def stop(self) -> None:
        """See `Rest.stop`."""
        self._inner.abandon_body()
        self._target, self._full = memoryview(b""), None

    def _look(self) -> None:
        self._watch = None
        if self._full is None:
            return
        ends_at = self._moved_at + body.SILENT_S
        if self._inner.loop.time() < ends_at:
            self._watch = self._inner.loop.call_at(ends_at, self._look)
        elif not self._full.done():
            self._full.set_exception(body.silent())

    # ---- what the transport says ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)  # type: ignore[arg-type]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._piece if self._full is None else self._target[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._full is None:
            self._inner.data_received(bytes(self._piece[:nbytes]))
            return
        self._filled += nbytes
        self._moved_at = self._inner.loop.time()
        if self._filled == len(self._target):
            full, self._full, self._target = self._full, None, memoryview(b"")
            self._inner.skip_body()
            if not full.done():
                full.set_result(None)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._full is not None and not self._full.done():
            self._full.set_exception(ConnectionResetError())
        self._target, self._full = memoryview(b""), None
        if self._watch is not None:
            self._watch.cancel()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
