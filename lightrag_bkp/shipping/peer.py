"""HTTP to one target, or to a server of ours (client/): requests with the key, over connections that are kept, under
the prober's rules.

Where a URL leads is judged by the address that is connected to, each time (csrc/net/address.h); the key goes over plain
HTTP only to this machine or where that was allowed; certificates are checked against the same authorities as the prober
does; nothing is followed, no proxy of the environment is used, no cookie is kept, and an answer has a ceiling. The key
stands in no message and no `repr`, whatever is answered.
"""

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from ..errors import ConfigurationError, RefusedError, ServerError
from ..probing import NOWHERE, ProbeSettings, trusted, unusable
from ..receiving import protocol
from ..redaction import without_key
from ..threads import in_thread
from .requests import Outcome, requests
from .retrying import is_permanent, retry_after

if TYPE_CHECKING:
    from .. import _bridge
    from .cargo import Readable

STALL_S = 60.0
"""How long nothing may move: a wedged server hangs instead of refusing."""
_ANSWER_MAX_BYTES = 1 << 20
_REASON_CHARACTERS = 300
_WITH_A_BODY = ("POST", "PUT", "PATCH")
"""Methods of requests that have one, if an empty one."""
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


@dataclass(frozen=True)
class Part:
    """The last part of an object that was answered: where it began, its length, and the answer, whatever its status."""

    offset: int
    part_bytes: int
    answer: Answer


class Peer:
    """One target. Belongs to the loop it was entered on.

    Args:
        paces: what bounds the bytes per second that are sent, two at most.
        stall_s: how long nothing may move. answer_max_bytes: the ceiling of an answer; a longer one is none.
        patience_s: how long nothing may move over several requests, but for `moved`; None: as long as it takes.
    """

    def __init__(
        self,
        address: Address,
        paces: "tuple[_bridge.Pace, ...]" = (),
        *,
        stall_s: float | None = None,
        answer_max_bytes: int = _ANSWER_MAX_BYTES,
        patience_s: float | None = None,
    ) -> None:
        self._address = address
        self._patience_s = patience_s
        self._stall_s = STALL_S if stall_s is None else stall_s
        self._answer_max_bytes = answer_max_bytes
        self._paces = paces
        self._url = address.base_url.rstrip("/")
        self._ends = contextlib.ExitStack()
        self.sent_bytes = 0

    async def __aenter__(self) -> Self:
        settings = self._address.settings
        self._ca_file = settings.ca_file or trusted()
        if self._ca_file is not None and self._url.lower().startswith("https:"):
            said = await in_thread(unusable, self._ca_file)
            if said is not None:
                raise ConfigurationError(
                    f"{self._url}: the certificates to trust, {self._ca_file!r}, cannot be used: {said}"
                )
        self._requests = self._ends.enter_context(requests())
        self.moved()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

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
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. `body`, or `document` as JSON, is sent no faster than the paces allow.

        Raises:
            Setback: it did not get through, or was put off. Refusal: it is refused for good. Untrusted: its certificate
                is not good. LightragBkpError: it failed here.
        """
        answer = await self.exchange(method, path, query=query, document=document, body=body, headers=headers)
        return self.accepted(answer)

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As `ask`, and answers with whatever status came.

        Raises:
            Setback: nothing came. Refusal: nothing may be sent there, or it leads elsewhere. Untrusted: its certificate
                is not good. LightragBkpError: it failed here.
        """
        told = dict(headers or {})
        if document is not None:
            body = json.dumps(document, separators=(",", ":")).encode()
            told["Content-Type"] = "application/json"
        elif body is not None:
            told.setdefault("Content-Type", "application/octet-stream")
        elif method in _WITH_A_BODY:
            body = b""
        behind = f"?{urlencode(query)}" if query else ""
        return self._answer(await self._run(method, self._below(path) + behind, told, body))

    async def put_object(
        self,
        path: str,
        content: "Readable",
        offset: int,
        part_bytes: int,
        headers: Mapping[str, str],
        took: Callable[[int], None],
    ) -> "Part":
        """Sends an object from `offset` on, part by part, for as long as the target says to go on.

        Args:
            part_bytes: of one request, at most.
            took: called now and then, and at the end, with where the target said to continue; 0: it did not yet.

        Returns the last part that was answered. Raises as `exchange`.
        """
        told = dict(headers) | {"Content-Type": "application/octet-stream"}
        whole = (content.fd, content.size, offset, part_bytes)
        outcome = await self._run("PUT", self._below(path), told, content.memory, whole, took)
        return Part(outcome.offset, outcome.part_bytes, self._answer(outcome))

    def accepted(self, answer: Answer) -> Answer:
        """An answer that is a success. Raises Setback or Refusal, as `ask` does, of any other."""
        if answer.status < 300:
            return answer
        told = (answer.document.get("detail"), answer.document.get("reason"), answer.reason)
        said = next((one for one in told if one and isinstance(one, str)), "no reason given")
        sentence = f"{self._url} answers {answer.status}: {self._words(said)}"
        if is_permanent(answer.status):
            raise Refusal(sentence, answer.status, answer.document)
        raise Setback(sentence, answer.retry_after_s, answer.document)

    # ---- one request ----

    async def _run(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        whole: tuple[int, int, int, int] | None = None,
        took: Callable[[int], None] = lambda upto: None,
    ) -> Outcome:
        settings, key = self._address.settings, self._address.api_key
        lines = [f"{name}: {value}" for name, value in ({"User-Agent": "lightrag-bkp"} | dict(headers)).items()]
        lines += [] if key is None else [f"{protocol.KEY_HEADER}: {key}"]

        def moved(request: "_bridge.Request") -> None:
            took(request.look()[1])
            self.moved()
            if not stall.expired():
                stall.reschedule(self._due())

        request = self._requests.begin(
            method, url, lines, body, whole, self._ca_file, settings.certificate, settings.certificate_key,
            allow_http=settings.allow_http, allow_private=settings.allow_private, has_key=key is not None,
            connect_ms=round(settings.connect * 1000), answer_max_bytes=self._answer_max_bytes, paces=self._paces,
        )  # fmt: skip
        try:
            async with asyncio.timeout_at(self._due()) as stall:
                return await self._requests.outcome(request, moved)
        except TimeoutError:
            waited = min(self._stall_s, self._patience_s or self._stall_s)
            raise Setback(f"{self._url} does not answer: nothing moved for {waited:g} s") from None
        finally:
            sent_bytes, reached = request.look()
            self.sent_bytes += sent_bytes
            took(reached)

    def _below(self, path: str) -> str:
        return f"{self._url}/{quote(path.lstrip('/'))}"

    def _due(self) -> float:
        """When a request that begins now, or that something was sent of, has taken too long."""
        now, patience_s = asyncio.get_running_loop().time(), self._patience_s
        return min(now + self._stall_s, self._moved_at + patience_s if patience_s else math.inf)

    # ---- what came ----

    def _answer(self, outcome: Outcome) -> Answer:
        if outcome.trouble:
            raise self._trouble(outcome)
        if 300 <= outcome.status < 400:
            raise Refusal(f"{self._url} answers {outcome.status}, and nothing is followed: correct the URL")
        too_long = f"its answer is longer than {self._answer_max_bytes} bytes" if outcome.is_too_long else ""
        found, flaw = ({}, too_long) if too_long else _document(outcome.body)
        wait_s = retry_after(outcome.retry_after or None)
        return Answer(outcome.status, found, outcome.date or None, outcome.text, wait_s, flaw)

    def _trouble(self, outcome: Outcome) -> Exception:
        said = self._words(outcome.text)
        if outcome.trouble == "address":
            return Refusal(f"{self._url} {NOWHERE}")
        if outcome.trouble == "private":
            return Refusal(f"{self._url} leads to a private address: allow that for the target, or correct its URL")
        if outcome.trouble == "plain":
            return Refusal(f"{self._url} would get the key unencrypted: use https, or allow plain HTTP there")
        if outcome.trouble == "untrusted":
            return Untrusted(f"{self._url} cannot be trusted: {said}{_hint(outcome.verify)}")
        if outcome.trouble == "files":
            named = self._address.settings.certificate or self._ca_file
            return ConfigurationError(f"{self._url}: the certificate {named!r} cannot be used: {said}")
        if outcome.trouble == "tls":  # the line broke, or it is no TLS
            return Setback(f"{self._url} cannot be talked to: {said}")
        if outcome.trouble == "no_http":
            return Setback(f"{self._url} answers what is no HTTP: {said}")
        return Setback(f"{self._url} cannot be reached: {said}")

    def _words(self, said: str) -> str:
        """Somebody else's text as part of a sentence of ours: one line, not long, without the key."""
        plain = "".join(c if c.isprintable() else " " for c in without_key(said, self._address.api_key))
        return " ".join(plain.split())[:_REASON_CHARACTERS]


def _document(text: bytes) -> tuple[Mapping[str, Any], str]:
    """The JSON object of an answer, or {} and why it is none."""
    if not text:
        return {}, "its answer is empty"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "its answer is no JSON"
    return (found, "") if isinstance(found, dict) else ({}, "its answer is JSON, and no object")


def _hint(verify: int) -> str:
    """What helps where nobody that is trusted vouches for a server."""
    is_unknown = verify in _NOBODY_VOUCHES
    return ": name the certificate to trust (--ca-file; of a server, --server-ca-file)" if is_unknown else ""
