"""Who asks, and what he may.

LightRAG's default WHITELIST_PATHS exempts everything below `/api/` from its own authentication, so routes here never
rest on that. Whoever asks shows LightRAG's API key or a token of one of its users, who may do everything, or a key made
by `lightrag-bkp key add --scope read|operate|admin`.
"""

import enum
import hashlib
import hmac
import ipaddress
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from ..errors import ConfigurationError
from ..limits import SERVER_VARIABLES
from ..receiving.keys import REPLICATE, KeyRing
from .allowance import Allowance
from .context import context_of
from .problems import Refused

WRONG_KEYS, WRONG_KEY_EVERY_S = 10, 6.0
"""So many wrong keys from one address at once, and one more in so many seconds."""
PROBES, PROBE_EVERY_S = 5, 5.0
"""Likewise, how often one target is asked for its health."""

logger = logging.getLogger("lightrag_bkp")

_OURS = "lrb_"
_CALLER = "lightrag_bkp.caller"
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="LightRAG's, or one of `lightrag-bkp key add`")
_token = HTTPBearer(auto_error=False, description="of LightRAG's `POST /login`")


class Scope(enum.IntEnum):
    """What somebody may: each allows what those before it do."""

    READ = 1
    OPERATE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is what is written down of what he does."""

    name: str
    scope: Scope = Scope.ADMIN

    @property
    def sees_places(self) -> bool:
        """Whether he is told where things lie on this host."""
        return self.scope >= Scope.OPERATE


ANYBODY = Caller("anonymous")


class Guard:
    """Says who asks, for one router.

    Args:
        keys: our own. api_key: LightRAG's. auth: a FastAPI dependency that decides instead: it raises, or returns a
            `Caller`, or the name of one who may do everything. Whatever else it returns is nobody.
        allow_open: where there is neither, let anybody do everything.

    Raises:
        ConfigurationError: anybody could do everything, and nobody said that this is meant.
    """

    def __init__(
        self, keys: KeyRing, api_key: str | None, *, auth: Callable[..., Any] | None = None, allow_open: bool = False
    ) -> None:
        self._keys = keys
        self._api_key = None if not api_key else _digest(api_key)
        self._allow_open = allow_open
        self._wrong_keys = Allowance(WRONG_KEYS, WRONG_KEY_EVERY_S)
        self._probes = Allowance(PROBES, PROBE_EVERY_S)
        self.dependencies: list[Any] = [] if auth is None else [Depends(_asked_instead(auth))]
        if auth is None and self._api_key is None and not _has_users() and not allow_open:
            raise ConfigurationError(
                "the backup routes are not mounted, because this server is open to anybody: set LIGHTRAG_API_KEY or"
                f" AUTH_ACCOUNTS, pass auth=, or say {SERVER_VARIABLES['allow_open']}=true",
                target=SERVER_VARIABLES["allow_open"],
            )

    async def admit(self, request: Request, scope: Scope, key: str | None, token: str | None) -> Caller:
        """Who asks, if he may; `request.state.caller` from then on.

        Raises:
            Refused: it is not known (401), he may not (403), or too many wrong keys came from where he is (429).
        """
        caller: Caller = request.scope.get(_CALLER) or await self._recognise(request, key, token)
        request.state.caller, request.state.shown = caller, (key, token)
        if caller.scope < scope:
            said = f"this needs the scope {scope.name.lower()}, and {caller.name} has {caller.scope.name.lower()}"
            raise Refused(403, "forbidden", "Not allowed", said)
        return caller

    async def readmits(self, request: Request) -> bool:
        """Whether who was admitted, and is still being answered, would be admitted now."""
        try:
            await self.admit(request, Scope.READ, *request.state.shown)
        except Refused:
            return False
        return True

    def count_probe(self, target_id: str) -> None:
        """Raises Refused when a target is asked too often: who is probed for others must not be flooded."""
        wait_s = self._probes.wait_s(target_id)
        if wait_s:
            raise _too_many(f"target {target_id} was asked too often", wait_s)
        self._probes.spend(target_id)

    async def _recognise(self, request: Request, key: str | None, token: str | None) -> Caller:
        _refuse_two_of_a_kind(request)
        if key is not None and key.startswith(_OURS) and (caller := await self._one_of_ours(key)) is not None:
            return caller
        if token is not None and (user := _user(token)) is not None:
            return Caller(f"user:{user}")
        if self._allow_open and self._api_key is None and not _has_users():
            return ANYBODY
        if key is not None:
            self._check_key(key, _address(request))
            return Caller("lightrag-api-key")
        raise _unknown("the token is not valid: log in again" if token else "an X-API-Key or a token is needed")

    async def _one_of_ours(self, key: str) -> Caller | None:
        known = await run_in_threadpool(self._keys.recognise, key)
        if known is None:
            return None
        if known.scope == REPLICATE:
            raise Refused(403, "forbidden", "Not allowed", f"key {known.name} is for sending copies, and nothing else")
        return Caller(f"key:{known.name}", Scope[known.scope.upper()])

    def _check_key(self, key: str, address: str) -> None:
        """Raises Refused unless it is LightRAG's. Once too many were wrong none is looked at: else guessing goes on."""
        wait_s = self._wrong_keys.wait_s(address)
        if wait_s:
            raise _too_many("too many wrong keys came from this address", wait_s)
        if self._api_key is None or not hmac.compare_digest(_digest(key), self._api_key):
            self._wrong_keys.spend(address)
            logger.warning("event=wrong_key address=%s", address)
            raise _unknown("the API key is not valid here")


def _too_many(said: str, wait_s: int) -> Refused:
    headers = {"Retry-After": str(wait_s)}
    return Refused(429, "too-many-requests", "Too many requests", f"{said}: wait {wait_s} s", headers)


def _refuse_two_of_a_kind(request: Request) -> None:
    """Of two keys, or two tokens, it would depend on the reader which one counts: on a proxy, or on us."""
    for name in (_api_key.model.name, "Authorization"):
        if len(set(request.headers.getlist(name))) > 1:
            raise _unknown(f"{name} was sent more than once, each with another value: send one")


def _unknown(said: str) -> Refused:
    return Refused(401, "unauthenticated", "Not authenticated", said, {"WWW-Authenticate": "Bearer"})


# ---- dependencies of routes ----


def _at_least(scope: Scope) -> Any:
    async def admitted(
        request: Request,
        key: Annotated[str | None, Security(_api_key)],
        token: Annotated[HTTPAuthorizationCredentials | None, Security(_token)],
    ) -> Caller:
        return await context_of(request).guard.admit(request, scope, key, None if token is None else token.credentials)

    return Depends(admitted)


Reader = Annotated[Caller, _at_least(Scope.READ)]
Operator = Annotated[Caller, _at_least(Scope.OPERATE)]
Admin = Annotated[Caller, _at_least(Scope.ADMIN)]


def _asked_instead(auth: Callable[..., Any]) -> Callable[..., Any]:
    """A dependency that believes another one. There are many that return None or False for a stranger instead of
    raising, and others return claims in which nobody here can read a name: none of that opens anything.
    """
    from ..state.events import storable

    async def believed(request: Request, said: Annotated[Any, Depends(auth)]) -> None:
        known = Caller(said) if isinstance(said, str) and said else said
        if not isinstance(known, Caller):
            raise _unknown("who asks is not known here")
        request.scope[_CALLER] = replace(known, name=storable(known.name))

    return believed


# ---- LightRAG's users ----


def _handler() -> Any:
    """What knows LightRAG's users, where its server runs in this process. To import it elsewhere would be wrong: it
    reads the command line.
    """
    return getattr(sys.modules.get("lightrag.api.auth"), "auth_handler", None)


def _has_users() -> bool:
    return bool(getattr(_handler(), "accounts", None))


def _user(token: str) -> str | None:
    """Whose token this is; None for a wrong one, and for a guest's, which anybody can have."""
    if not _has_users():
        return None
    try:
        told = _handler().validate_token(token)
    except Exception:
        return None  # LightRAG raises what its own routes answer with; a token in no shape at all, whatever it likes
    return None if told.get("role") == "guest" else str(told["username"])


def _address(request: Request) -> str:
    """Where a request comes from. One subscriber has a whole /64 of IPv6."""
    host = "" if request.client is None else request.client.host
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network(f"{address}/64", strict=False))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
