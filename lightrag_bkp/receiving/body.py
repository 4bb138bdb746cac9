"""The body of a request: read only when somebody asks for it, and exactly as long as it was declared to be."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from .protocol import BODY_BYTES
from .refusal import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

BODY = "lightrag_bkp.body"
"""The extension of an ASGI scope that is a `Direct`."""
SILENT_S = 30.0
"""So long a sender may be silent in the middle of a body."""

_DECIMAL = re.compile(r"[0-9]{1,19}", re.ASCII)


class Gone(Exception):
    """The sender went away in the middle of a request."""


def decimal(headers: Mapping[str, str], name: str) -> int:
    """A header that is a number.

    Raises:
        Refusal: it is missing, or none.
    """
    said = headers.get(name.lower(), "")
    if not _DECIMAL.fullmatch(said):
        raise Refusal(422, "BAD_NAME", f"the header {name} must be a decimal number")
    return int(said)


class Direct(Protocol):
    """What a server may offer: bytes of a body go straight where they are to be (`intake`)."""

    def fill(self, target: memoryview) -> "asyncio.Future[None]":
        """See `intake.Rest.fill`."""

    def stop(self) -> None:
        """See `intake.Rest.stop`."""


class Body:
    """One request's.

    Args:
        direct: of the server; None where it offers none.
    """

    def __init__(self, headers: Mapping[str, str], receive: Receive, direct: Direct | None = None) -> None:
        self._headers = headers
        self._receive = receive
        self._direct = direct
        self._over = False

    @property
    def is_left(self) -> bool:
        """Whether some of it may still come."""
        is_one = "transfer-encoding" in self._headers or self._headers.get("content-length", "0") != "0"
        return is_one and not self._over

    def declared(self) -> int:
        """How long it says it is.

        Raises:
            Refusal: it does not say, or longer than allowed.
        """
        if "content-length" not in self._headers:
            raise Refusal(411, "NO_LENGTH", "a body needs a Content-Length")
        length = decimal(self._headers, "Content-Length")
        if length > BODY_BYTES:
            raise Refusal(413, "TOO_LONG", f"a body of {length} bytes is announced, and {BODY_BYTES} are allowed")
        return length

    async def read(self) -> bytes:
        """All of it.

        Raises:
            Refusal: it ends early, or stops coming. Gone: the connection ended.
        """
        length, pieces, got = self.declared(), [], 0
        while not self._over and got <= length:
            pieces.append(await self._piece())
            got += len(pieces[-1])
        if got != length:
            raise Refusal(400, "SHORT_BODY", f"{got} bytes came, and {length} were announced")
        return b"".join(pieces)

    async def read_into(self, buffer: memoryview) -> memoryview:
        """All of it, there. Returns the part of the buffer it takes.

        Raises:
            As `read`.
        """
        target = buffer[: self.declared()]
        if self._direct is None:
            target[:] = await self.read()
        elif target:
            await self._fill(self._direct, target)
            self._over = True
        return target

    async def _fill(self, direct: Direct, target: memoryview) -> None:
        try:
            await direct.fill(target)
        except ConnectionError:
            raise Gone from None
        except BaseException:
            self._over = True
            direct.stop()
            raise

    async def drain(self) -> None:
        """Lets what is left come, so that a refusal reaches a sender that reads no answer before it has sent all."""
        try:
            left = self.declared()
            while not self._over and left >= 0:
                left -= len(await self._piece())
        except (Refusal, Gone):
            return

    async def _piece(self) -> bytes:
        try:
            async with asyncio.timeout(SILENT_S):
                message = await self._receive()
        except TimeoutError:
            self._over = True
            raise silent() from None
        if message["type"] == "http.disconnect":
            raise Gone
        self._over = not message.get("more_body", False)
        return bytes(message.get("body", b""))


def silent() -> Refusal:
    """Nothing came for too long."""
    return Refusal(408, "SILENT", f"nothing came for {SILENT_S:.0f} s")
