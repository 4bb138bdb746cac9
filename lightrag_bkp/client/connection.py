"""Where a server of ours is, and how it is talked to: under the rules of replication targets (shipping/peer.py).

The key goes to no other origin, and over plain HTTP to no other machine unless that was allowed; nothing is followed;
an answer has a ceiling; what nobody answers is tried again, which does nothing twice.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..arguments import check_server_url
from ..errors import ConfigurationError, InvalidInputError, ServerError
from ..nesting import is_within
from ..receiving.protocol import API_PATH
from ..redaction import without_key
from .problems import error_of
from .reading import Unreadable, read

if TYPE_CHECKING:
    from ..shipping.peer import Answer, Peer

T = TypeVar("T")
V = TypeVar("V")

PREFIX = API_PATH
_PAGE_SIZE = 200
_MOST_PAGES = 10_000
_AGAIN_S = (0.1, 0.5)
"""How long to wait before the tries after the first, in seconds."""
_STALL_S = 300.0
"""Looking at the health of big graphs takes a while, before anything is answered."""
_ANSWER_MAX_BYTES = 64 << 20
_DEEPEST = 64
_IN_PATHS = re.compile(r"[A-Za-z0-9-]{1,64}")


class Unreached(ServerError):
    """Nobody answered."""


class Connection:
    """A server of ours. Nothing is connected to before something is asked.

    Args:
        url: http:// or https://, with the server's prefix if it has one; the path of the routes behind it is left
            off. api_key: sent as `X-API-Key`; None sends none.
        ca_file: whom to trust, a PEM file; as for targets when None. allow_http: show the key to another machine over
            plain HTTP.

    Raises:
        InvalidInputError: url is no address. ConfigurationError: the key cannot be sent.
    """

    def __init__(self, url: str, api_key: str | None, *, ca_file: str | None = None, allow_http: bool = False) -> None:
        self.url = check_server_url(url, "--server").rstrip("/").removesuffix(PREFIX).rstrip("/")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("the server's API key holds a character that cannot be sent: correct it")
        from ..probing import ProbeSettings
        from ..shipping.peer import Address

        settings = ProbeSettings(ca_file=ca_file, allow_http=allow_http, allow_private=True)
        self._address = Address(self.url + PREFIX, api_key, settings)

    def now(self, work: "Callable[[Talk], Awaitable[T]]") -> T:
        """Does `work`, and waits for it: not on an event loop."""

        async def done() -> T:
            async with self.talk() as talk:
                return await work(talk)

        return asyncio.run(done())

    @asynccontextmanager
    async def talk(self) -> "AsyncIterator[Talk]":
        """Requests over connections that are kept."""
        from ..shipping.peer import Peer

        async with Peer(self._address, stall_s=_STALL_S, answer_max_bytes=_ANSWER_MAX_BYTES) as peer:
            yield Talk(self, peer)

    def clean(self, text: str) -> str:
        """Somebody else's text without our key."""
        return without_key(text, self._address.api_key)

    def read(self, kind: type[V], document: object) -> V:
        """A value of an answer.

        Raises:
            ServerError: the answer is something else.
        """
        try:
            return read(kind, document)
        except (Unreadable, InvalidInputError) as wrong:
            raise self.strange(str(wrong)) from None

    def strange(self, said: str) -> ServerError:
        """That something else answers than a server of ours."""
        return ServerError(
            f"{self.url} answers something else than a lightrag-bkp of this version: {self.clean(said)};"
            " check the address, and update the older one",
            target=self.url,
        )


class Talk:
    """Requests to one server. Belongs to the loop it was begun on."""

    def __init__(self, connection: Connection, peer: "Peer") -> None:
        self._connection = connection
        self._peer = peer

    @property
    def url(self) -> str:
        """The server's."""
        return self._connection.url

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Answer":
        """One request, and whatever is answered.

        Raises:
            Unreached: nobody answers. ServerError: nothing may be sent there, or nobody vouches for it.
        """
        from ..shipping.peer import Refusal, Setback, Untrusted

        for wait_s in (*_AGAIN_S, None):
            try:
                return await self._peer.exchange(method, path, query=query, document=document, headers=headers)
            except (Refusal, Untrusted) as error:
                raise ServerError(str(error), target=self.url) from None
            except Setback as error:
                if wait_s is None:
                    raise Unreached(str(error), target=self.url) from None
            await asyncio.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    async def ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        """As `exchange`; what is no success is the error it tells of."""
        answer = await self.exchange(method, path, **more)
        if answer.status >= 300:
            raise self.error(answer.document, answer.status)
        if not is_within(answer.document, _DEEPEST):
            raise self.strange("its answer is nested too deep")
        return answer.document

    def error(self, problem: Mapping[str, Any], status: int = 0) -> Exception:
        """The error a problem tells of, without our key in it."""
        cleaned = {
            name: self._connection.clean(said) if isinstance(said, str) else said for name, said in problem.items()
        }
        return error_of(cleaned, self.url, status)

    def read(self, kind: type[V], document: object) -> V:
        """As `Connection.read`."""
        return self._connection.read(kind, document)

    def strange(self, said: str) -> ServerError:
        """As `Connection.strange`."""
        return self._connection.strange(said)

    async def pages(self, path: str, name: str, kind: type[V]) -> list[V]:
        """All members of a listing.

        Raises:
            ServerError: the answer is something else.
        """
        found: list[V] = []
        number, more = 0, True
        while more:
            number += 1
            if number > _MOST_PAGES:
                raise self.strange("its listing has no end")
            document = await self.ask("GET", path, query={"page": str(number), "page_size": str(_PAGE_SIZE)})
            members = self.read(list[Any], document.get(name))
            found += [self.read(kind, one) for one in members]
            more = document.get("next") is not None and bool(members)
        return found


def in_path(name: str) -> bool:
    """Whether a name a user gives can be that of an object, and be part of a URL's path."""
    return _IN_PATHS.fullmatch(name) is not None
