"""HTTP to one target, or to a server of ours (client/): requests with the key, over connections that are kept, under
the prober's rules.

Where a URL leads is judged by the address that is connected to, each time (csrc/net/address.h); the key goes over plain
HTTP only to this machine or where that was allowed; certificates are checked against the same authorities as the prober
does; nothing is followed, no proxy of the environment is used, no cookie is kept, and an answer has a ceiling. The key
stands in no message and no `repr`, whatever is answered.
"""

import asyncio
import ipaddress
import json
import math
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Self

import aiohttp
import yarl

from .. import _bridge
from ..errors import ConfigurationError, RefusedError, ServerError
from ..probing import NOWHERE, ProbeSettings, trusted, unusable
from ..redaction import without_key
from . import pace
from .retrying import is_permanent, retry_after

STALL_S = 60.0
"""How long nothing may move: a wedged server hangs instead of refusing."""
_PIECE_BYTES = 256 << 10
_STALL_GRAIN = 60
"""The clock that ends what stalls is set again once such a part of its time went by, since setting it is not cheap."""
_ANSWER_MAX_BYTES = 1 << 20
_REASON_CHARACTERS = 300
_NOBODY_VOUCHES = (18, 19, 20, 21)
"""X509_V_ERR_*: self-signed, by itself or in its chain; its issuer is unknown, or its signature cannot be checked."""


class Setback(ServerError):
    """A request that did not get through, or was put off: it may be tried again, not before `retry_after_s`."""

    def __init__(
        self, message: str, retry_after_s: float | None = None, document: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.document = document


class Refusal(RefusedError):
    """The target will not have it, or nothing may be sent there: trying again changes nothing.

    Attributes:
        status, document: of the answer; 0 and {} where none came.
    """

    def __init__(self, message: str, status: int = 0, document: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.document = document


class Untrusted(ServerError):
    """Who answers there does not prove to be who is meant, so nothing is sent. Trying again changes nothing until
    somebody mends a certificate; then nobody has to ask for it.
    """


@dataclass(frozen=True)
class Address:
    """Where a target is, and how it may be connected to. The key is no part of its `repr`."""

    base_url: str
    api_key: str | None = field(repr=False)
    settings: ProbeSettings


@dataclass(frozen=True)
class Answer:
    """An HTTP status and the JSON document that came with it; {} when none did, and then `flaw` is what is wrong with
    what came. `date` is the header, if any; `reason` and `retry_after_s` are what else was said of a status that is no
    success.
    """

    status: int
    document: Mapping[str, Any]
    date: str | None = field(default=None, compare=False)
    reason: str = field(default="", compare=False)
    retry_after_s: float | None = field(default=None, compare=False)
    flaw: str = field(default="", compare=False)


class Peer:
    """One target's connections; `async with` closes them. Belongs to the loop it was entered on.

    Args:
        buckets: what bounds the bytes per second that are sent.
        connections: how many at once, at most.
        stall_s: how long nothing may move. answer_max_bytes: the ceiling of an answer; a longer one is none.
        patience_s: how long nothing may move over several requests, but for `moved`; None: as long as it takes.
    """

    def __init__(
        self,
        address: Address,
        buckets: tuple[pace.TokenBucket, ...] = (),
        connections: int = 4,
        *,
        stall_s: float | None = None,
        answer_max_bytes: int = _ANSWER_MAX_BYTES,
        patience_s: float | None = None,
    ) -> None:
        self._address = address
        self._patience_s = patience_s
        self._stall_s = STALL_S if stall_s is None else stall_s
        self._answer_max_bytes = answer_max_bytes
        self._buckets = buckets
        self._piece = pace.piece(buckets, _PIECE_BYTES)
        self._connections = connections
        self._url = yarl.URL(address.base_url.rstrip("/"))
        self._forbidden: str | None = None
        self.sent_bytes = 0

    async def __aenter__(self) -> Self:
        settings = self._address.settings
        context = None if self._url.scheme == "http" else await asyncio.to_thread(_tls, self._url, settings)
        connector = aiohttp.TCPConnector(
            ssl=True if context is None else context,
            limit=self._connections,
            use_dns_cache=False,
            socket_factory=self._socket,
        )
        key = self._address.api_key
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect),
            headers={"User-Agent": "lightrag-bkp"} | ({} if key is None else {"X-API-Key": key}),
        )
        self.moved()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def moved(self) -> None:
        """Something got through, or was done here: patience begins anew."""
        self._moved_at = asyncio.get_running_loop().time()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. `body`, or `document` as JSON, is sent no faster than the buckets allow.

        Raises:
            Setback: it did not get through, or was put off. Refusal: it is refused for good. Untrusted: its certificate
                is not good.
        """
        answer = await self.exchange(method, path, query=query, document=document, body=body, headers=headers)
        if answer.status >= 300:
            raise self._refused(answer)
        return answer

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As `ask`, and answers with whatever status came.

        Raises:
            Setback: nothing came. Refusal: nothing may be sent there, or it leads elsewhere. Untrusted: its certificate
                is not good.
        """
        told = dict(headers or {})
        if document is not None:
            body = json.dumps(document, separators=(",", ":")).encode()
            told["Content-Type"] = "application/json"
        elif body is not None:
            told.setdefault("Content-Type", "application/octet-stream")
        if body is not None:
            told["Content-Length"] = str(len(body))
        self._forbidden = None
        try:
            return await self._exchange(method, path, query, body, told)
        except TimeoutError:
            waited = min(self._stall_s, self._patience_s or self._stall_s)
            raise Setback(f"{self._url} does not answer: nothing moved for {waited:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise Untrusted(f"{self._url} cannot be trusted: {self._words(_said(error))}{_hint(error)}") from None
        except aiohttp.ClientSSLError as error:  # the line broke, or it is no TLS
            raise Setback(f"{self._url} cannot be talked to: {self._words(_said(error))}") from None
        except aiohttp.ClientResponseError as error:
            raise Setback(f"{self._url} answers what is no HTTP: {self._words(_said(error))}") from None
        except (aiohttp.ClientError, OSError) as error:
            if self._forbidden is not None:
                raise Refusal(self._forbidden) from None
            raise Setback(f"{self._url} cannot be reached: {self._words(_said(error))}") from None

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | memoryview | None,
        headers: Mapping[str, str],
    ) -> Answer:
        async with asyncio.timeout_at(self._due(asyncio.get_running_loop().time())) as stall:
            async with self._session.request(
                method,
                self._url.joinpath(*path.strip("/").split("/")),
                params=query,
                data=None if body is None else self._paced(body, stall),
                headers=headers,
                allow_redirects=False,
            ) as response:
                if 300 <= response.status < 400:
                    raise Refusal(f"{self._url} answers {response.status}, and nothing is followed: correct the URL")
                found, flaw = await _document(response, self._answer_max_bytes)
                date, wait_s = response.headers.get("Date"), retry_after(response.headers.get("Retry-After"))
                return Answer(response.status, found, date, response.reason or "", wait_s, flaw)

    def _due(self, now: float) -> float:
        """When a request that begins now, or that something was sent of, has taken too long."""
        patience_s = self._patience_s
        return min(now + self._stall_s, self._moved_at + patience_s if patience_s else math.inf)

    async def _paced(self, body: bytes | memoryview, stall: asyncio.Timeout) -> AsyncIterator[bytes | memoryview]:
        loop = asyncio.get_running_loop()
        view = memoryview(body)
        for at in range(0, len(view), self._piece):
            part = view[at : at + self._piece]
            delay = pace.delay(self._buckets, len(part))
            now = loop.time() + delay
            if at or delay:  # the first piece goes into a buffer here, whoever is there
                self._moved_at = now
            due = self._due(now)
            if due - (stall.when() or 0.0) > self._stall_s / _STALL_GRAIN:
                stall.reschedule(due)
            if delay > 0:
                await asyncio.sleep(delay)
            self.sent_bytes += len(part)
            yield part

    def _refused(self, answer: Answer) -> Setback | Refusal:
        told = (answer.document.get("detail"), answer.document.get("reason"), answer.reason)
        said = next((one for one in told if one and isinstance(one, str)), "no reason given")
        sentence = f"{self._url} answers {answer.status}: {self._words(said)}"
        if is_permanent(answer.status):
            return Refusal(sentence, answer.status, answer.document)
        return Setback(sentence, answer.retry_after_s, answer.document)

    def _words(self, said: str) -> str:
        """Somebody else's text as part of a sentence of ours: one line, not long, without the key."""
        plain = "".join(c if c.isprintable() else " " for c in without_key(said, self._address.api_key))
        return " ".join(plain.split())[:_REASON_CHARACTERS]

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Called for every address that is about to be connected to."""
        family, kind, protocol, _, place = address
        reach = _bridge.address_reach(ipaddress.ip_address(str(place[0])).packed)
        self._forbidden = self._judge(reach) or self._forbidden
        if self._judge(reach) is not None:
            raise ConnectionRefusedError("this address is not allowed")
        return socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)

    def _judge(self, reach: str) -> str | None:
        settings = self._address.settings
        if reach == "never":
            return f"{self._url} {NOWHERE}"
        if reach == "private" and not settings.allow_private:
            return f"{self._url} leads to a private address: allow that for the target, or correct its URL"
        shows_key = self._url.scheme == "http" and self._address.api_key is not None and not settings.allow_http
        if shows_key and reach != "loopback":
            return f"{self._url} would get the key unencrypted: use https, or allow plain HTTP there"
        return None


async def _document(response: aiohttp.ClientResponse, max_bytes: int) -> tuple[Mapping[str, Any], str]:
    """The JSON object of an answer, or {} and why it is none."""
    text = bytearray()
    while piece := await response.content.read(max_bytes + 1 - len(text)):
        text += piece
        if len(text) > max_bytes:
            return {}, f"its answer is longer than {max_bytes} bytes"
    if not text:
        return {}, "its answer is empty"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "its answer is no JSON"
    return (found, "") if isinstance(found, dict) else ({}, "its answer is JSON, and no object")


def _tls(url: yarl.URL, settings: ProbeSettings) -> ssl.SSLContext:
    ca_file = settings.ca_file or trusted()
    said = None if ca_file is None else unusable(ca_file)
    if said is not None:
        raise ConfigurationError(f"{url}: the certificates to trust, {ca_file!r}, cannot be used: {said}")
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.certificate_key)
    except (OSError, ssl.SSLError) as error:
        named = settings.certificate if settings.certificate is not None else ca_file
        raise ConfigurationError(f"{url}: the certificate {named!r} cannot be used: {error}") from None
    return context


def _said(error: BaseException) -> str:
    """What went wrong below, in a few words."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed"
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message.partition("\n")[0].rstrip(":")
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its answer broke off, or cannot be decoded"
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, OSError) and not isinstance(inner, ssl.SSLError | socket.gaierror):
        # asyncio puts its own words, and addresses, where the system's would be
        return os.strerror(inner.errno) if inner.errno else "none of its addresses can be connected to"
    return str(
        getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or inner or type(inner).__name__
    )


def _hint(error: aiohttp.ClientConnectorCertificateError) -> str:
    """What helps where nobody that is trusted vouches for a server."""
    is_unknown = getattr(error.certificate_error, "verify_code", None) in _NOBODY_VOUCHES
    return ": name the certificate to trust (--ca-file; of a server, --server-ca-file)" if is_unknown else ""
