"""Replication targets as values: what is told of one, how it is kept, and how it is found by name."""

import ipaddress
import json
import re
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from . import _bridge, arguments
from .beginnings import meant
from .errors import InvalidInputError, NotFoundError
from .limits import check_rate
from .models import microseconds, moment
from .probing import NOWHERE, ProbeSettings, unusable

if TYPE_CHECKING:
    from .state import StoredTarget

_LONGEST_NAME = 200
_PATH = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%(?!2[Ff])[0-9A-Fa-f]{2})+)*", re.ASCII)
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
TARGET_ID = r"^[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,62}$"
"""What a path of the HTTP API can name."""


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class ReplicationTarget:
    """Another instance that copies can be sent to.

    Attributes:
        name: for people. base_url: https://host:port, with the path below which its server is mounted.
        api_key: made for this instance there; never part of a `repr`, nor of `vars()`, which a target has none of.
        enabled: whether copies go there. created_at: aware, UTC. target_id: what it is known by.
        connection: how it may be connected to, and what is asked of it.

    Raises:
        InvalidInputError: an argument cannot be used; of the URL and the key, when the target is registered.
    """

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    enabled: bool = True
    created_at: datetime = field(default_factory=_now)
    target_id: str = field(default_factory=_new_id)
    connection: ProbeSettings = field(default_factory=ProbeSettings, kw_only=True)

    def __post_init__(self) -> None:
        arguments.check_text(self.name, "name")
        arguments.check_characters(self.base_url, "base_url")
        arguments.check_characters(self.target_id, "target_id")
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InvalidInputError(f"a target's name has 1 to {_LONGEST_NAME} printable characters", target="name")
        if not isinstance(self.created_at, datetime) or self.created_at.tzinfo is None:
            raise InvalidInputError("created_at must be a datetime with a time zone", target="created_at")
        if self.api_key is not None:
            arguments.check_characters(self.api_key, "api_key")
        check_rate(self.connection.bytes_per_second, "bytes_per_second")


def resolve(targets: Sequence[ReplicationTarget], beginning: str) -> ReplicationTarget:
    """The one target whose id begins with this, or that is called this.

    Raises:
        NotFoundError: there is none. InvalidInputError: there are several.
    """
    called = [one for one in targets if beginning in (one.target_id, one.name)]
    ids = meant((one.target_id for one in targets), beginning)
    found = called or [one for one in targets if one.target_id in ids]
    if not found:
        raise NotFoundError(f"there is no replication target {beginning!r}: a listing names all", target=beginning)
    if len(found) > 1:
        raise InvalidInputError(f"{len(found)} replication targets are meant by {beginning!r}: write the whole id")
    return found[0]


def unknown_target(target_id: str) -> NotFoundError:
    """That nobody registered such a target, or somebody removed it."""
    return NotFoundError(f"there is no replication target {target_id!r}: a listing names all", target=target_id)


def check_id(target: ReplicationTarget) -> None:
    """An id of one's own choice must be one that a path of the HTTP API can have.

    Raises:
        InvalidInputError: it is none.
    """
    if not re.fullmatch(TARGET_ID.strip("^$"), target.target_id):
        raise InvalidInputError(
            f"target {target.name}: its target_id cannot be used: take 1 to 63 of A-Z a-z 0-9 _ : . - (no '.' first),"
            " or leave it out",
            target=target.name,
        )


def check_url(target: ReplicationTarget) -> None:
    """Refuses what probes and what sends would read differently: a path that goes back, or is not written as it is
    sent; an IPv4 address in a short, octal or hexadecimal form. And an address of any kind that is never connected
    to, as a metadata service's.

    Raises:
        InvalidInputError: its host or its path is one.
    """
    _check_path(target)
    _check_reach(target)
    try:
        host = (urlsplit(target.base_url).hostname or "").rstrip(".")
        meant = socket.inet_ntoa(socket.inet_aton(host)) if host.isascii() else host
    except (ValueError, OSError):
        return  # a name, or what the prober says more about
    if host and meant != host:
        raise InvalidInputError(
            f"target {target.name}: {host} is no IPv4 address in four numbers: write {meant}", target=target.name
        )


def _check_path(target: ReplicationTarget) -> None:
    """What is said repeats nothing of the URL: it may hold a password."""
    try:
        parts = urlsplit(target.base_url)
        is_somewhere = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return  # the prober says more about it
    path, said = parts.path.rstrip("/"), None
    if not is_somewhere:
        said = "the URL has no host, or port 0: it must look like https://host:port"
    elif "#" in target.base_url:
        said = "the URL must end with its path: no ? and no #"
    elif any(unquote(one) in (".", "..") for one in path.split("/")):
        said = "the URL's path goes back by '.' or '..': write where it leads"
    elif not _PATH.fullmatch(path) or _NOT_IN_A_NAME.search(unquote(path, "latin-1")):
        said = "the URL's path is not written as it is sent: one '/' between names, as %XX what is no letter or digit"
    if said is not None:
        raise InvalidInputError(f"target {target.name}: {said}", target=target.name)


def _check_reach(target: ReplicationTarget) -> None:
    try:
        address = ipaddress.ip_address(urlsplit(target.base_url).hostname or "")
    except ValueError:
        return  # a name: it is judged by where it leads, each time
    if _bridge.address_reach(address.packed) == "never":
        raise InvalidInputError(f"target {target.name}: {target.base_url} {NOWHERE}", target=target.name)


def check_certificates(target: ReplicationTarget) -> None:
    """Looks at the file of whom to trust while who names it is there to correct it.

    Raises:
        InvalidInputError: it cannot be read, or holds no certificate.
    """
    path = target.connection.ca_file
    said = None if path is None else unusable(path)
    if said is not None:
        raise InvalidInputError(
            f"target {target.name}: the certificates to trust, {path!r}, cannot be used: {said}", target=target.name
        )


def refuse_key_elsewhere(known: ReplicationTarget, base_url: str) -> None:
    """A key was given for one server; whoever may change an address must not have it sent to another one.

    Raises:
        InvalidInputError: the target has a key, and this URL leads to another server.
    """
    if known.api_key is not None and _origin(base_url) != _origin(known.base_url):
        raise InvalidInputError(
            f"target {known.name}: its key was given for {known.base_url}: with an address of another server give the"
            " key for that",
            target=known.name,
        )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port; what cannot be read leads nowhere else than it did."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, port
    except ValueError:
        return url, None, None


def named(error: InvalidInputError, target: ReplicationTarget) -> InvalidInputError:
    """The prober knows a target by its id, which says nothing to who is about to register it."""
    said = str(error).removeprefix(f"{target.target_id}: ")
    return InvalidInputError(f"target {target.name}: {said}", target=target.name)


def stored(target: ReplicationTarget) -> "StoredTarget":
    """As the database keeps it."""
    from .state import StoredTarget

    told = {name: value for name, value in asdict(target.connection).items() if value != getattr(ProbeSettings(), name)}
    return StoredTarget(
        target.target_id,
        target.name,
        target.base_url,
        target.api_key,
        target.enabled,
        microseconds(target.created_at),
        json.dumps(told),
    )


def target(row: "StoredTarget") -> ReplicationTarget:
    """As the database kept it."""
    return ReplicationTarget(
        row.name,
        row.base_url,
        row.api_key,
        row.enabled,
        moment(row.created_us * 1000),
        row.target_id,
        connection=replace(ProbeSettings(), **json.loads(row.connection)),
    )
