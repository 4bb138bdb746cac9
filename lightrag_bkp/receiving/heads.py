"""HTTP as httptools reads it for uvicorn, with a bound on what is kept before a key was looked at.

httptools reads bodies in C, where h11 copies them several times in Python, and knows no limits: it keeps a line or a
header until it ends, whatever its length, and makes a request of every head it meets. Here a head has a ceiling, few
requests may wait behind one another, and of a message of unknown length, which the application refuses, nothing more
is read.
"""

from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 64 << 10
"""Of a request's line and headers; counted in pieces as they come from the network."""
_MOST_WAITING = 4
"""Requests that a sender may make before it has read the answers to those before."""


class _Whole:
    """A transport that sends the head of an answer along with the first of its body: apart, each is a packet and wakes
    the sender."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is None and self._cycle.response_started:
            self._head = data
            return
        self._transport.write((self._head or b"") + data)
        if self._head:
            self._head = b""

    def close(self) -> None:
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class BoundedProtocol(HttpToolsProtocol):
    """One connection's.

    Args:
        offer: makes the extensions of the ASGI scope of each request.
    """

    def __init__(self, *arguments: Any, offer: Callable[[RequestResponseCycle], dict[str, Any]], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._offer = offer
        self._heads = 0
        self._head_bytes = 0
        self._is_in_head = False
        self._is_refused = False

    def data_received(self, data: bytes) -> None:
        """As its base; ends the connection when a head grows too long."""
        if self._is_refused:
            return
        heads, was_in_head = self._heads, self._is_in_head
        super().data_received(data)
        if not self._is_in_head:
            return
        is_the_same = was_in_head and heads == self._heads
        self._head_bytes = self._head_bytes + len(data) if is_the_same else 0
        if self._head_bytes > HEAD_BYTES:
            self._is_refused = True
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= _MOST_WAITING:
            self._is_refused = True
            raise ValueError("too many requests at once")
        self._heads += 1
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its line and headers are here."""
        self._is_in_head = False
        super().on_headers_complete()
        self.cycle.transport = _Whole(self.cycle)  # type: ignore[assignment]  # it is written to, closed, and asked
        self.scope["extensions"] = self._offer(self.cycle)
        told = dict(self.headers)
        if b"transfer-encoding" in told:
            self.cycle.keep_alive = False
            self.flow.pause_reading()  # what follows, headers again perhaps, is of no length that anybody said
        elif told.get(b"content-length", b"0").strip(b" 0"):
            self.flow.pause_reading()  # until somebody asks for the body

    # ---- bodies that come another way ----

    def skip_body(self) -> None:
        """All of it that this has not seen came. The parser waits for it still, so that another begins."""
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_complete()

    def abandon_body(self) -> None:
        """It does not come: where the next request would begin nobody knows."""
        self.cycle.keep_alive = False
        self.flow.pause_reading()
