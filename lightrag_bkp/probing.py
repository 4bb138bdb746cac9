"""Whether replication targets can receive: the prober of csrc/net, for asyncio.

One thread probes all targets of a `Prober`, once per period and whenever `check` asks. It starts with the first target.
Any number of event loops may wait for answers; a forked child begins with the same targets, all unknown.
"""

import asyncio
import atexit
import contextlib
import enum
import os
import ssl
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import _bridge
from .errors import InvalidInputError, NotFoundError
from .redaction import Redactor

if TYPE_CHECKING:
    from ._bridge import Prober as CoreProber

_LOOK_AGAIN_S = 0.05
_HIDES_NOTHING = Redactor(None)
NOWHERE = "leads to an address where no target can be"
"""What is said of link-local addresses, metadata services' and the like."""


class TargetStatus(enum.Enum):
    """Whether a target can receive."""

    UNKNOWN = "UNKNOWN"
    """Not probed yet."""
    HEALTHY = "HEALTHY"
    """Our receiver answers, knows the key, and is ready."""
    DEGRADED = "DEGRADED"
    """Something answers, and cannot receive as it is."""
    UNREACHABLE = "UNREACHABLE"
    """Nothing answers."""


_STATUSES = {one.value: one for one in TargetStatus}
"""By the core's words; a sweep looks up thousands."""


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """What is known of a target.

    Attributes:
        status: follows from several probes: the first decides, then it takes two better or three worse ones in a row.
        last: what the last probe alone says.
        reason: one sentence about the last probe.
        checked_at: when that ended; None before the first.
        since: when `status` became what it is.
        took_ms: how long the last probe took.
        probes: how many have ended.
        instance_id: of the receiver; "" where none of ours answered, and so is `version`.
        epoch, free_bytes: as it says; None where it does not.
    """

    status: TargetStatus
    last: TargetStatus
    reason: str
    checked_at: datetime | None
    since: datetime | None
    took_ms: int
    probes: int
    instance_id: str
    version: str
    epoch: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How a target is probed. Times in seconds.

    Attributes:
        slow: answers that take longer make a target DEGRADED; 0: never.
        ca_file: whom to trust, a PEM file; None: SSL_CERT_FILE, else certifi's where it is installed, else libcurl's.
        certificate: of the client, with its key in certificate_key; None: none.
        allow_http: whether the key may go over plain HTTP to another machine.
        allow_private: whether the target may have a private address. This machine's are always allowed, link-local and
            metadata services' never.
        bytes_per_second: how fast copies are sent there; None: as fast as it goes.
    """

    period: float = 15
    connect: float = 3
    total: float = 5
    slow: float = 2
    ca_file: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    allow_http: bool = False
    allow_private: bool = False
    bytes_per_second: float | None = None


class Prober:
    """Probes any number of targets. All methods may be called from any thread; `check` from any running loop."""

    def __init__(self) -> None:
        self._targets: dict[str, tuple[str, str | None, ProbeSettings]] = {}
        self._redactors: dict[str, Redactor] = {}
        self._begin()
        _probers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._core: CoreProber | None = None
        self._waiting: dict[str, list[tuple[int, Future[TargetHealth]]]] = {}
        self._sweeps: list[tuple[int, Future[None]]] = []
        self._watchers: dict[asyncio.AbstractEventLoop, int] = {}

    # ---- targets ----

    def set(self, target_id: str, base_url: str, api_key: str | None, settings: ProbeSettings) -> None:
        """Adds a target, or changes one, whose status starts anew.

        Raises:
            InvalidInputError: the URL, the key or a setting cannot be used; the sentence says which.
        """
        with self._lock:
            _tell(self._running(), target_id, base_url, api_key, settings)
            self._targets[target_id] = (base_url, api_key, settings)
            self._redactors[target_id] = Redactor(api_key)

    def keep(self, target_id: str, base_url: str, api_key: str | None, settings: ProbeSettings) -> None:
        """As `set`, but what is known of a target stays when nothing about it changed."""
        if self._targets.get(target_id) != (base_url, api_key, settings):
            self.set(target_id, base_url, api_key, settings)

    def remove(self, target_id: str) -> bool:
        """False: unknown. Who waits for an answer of it gets a NotFoundError."""
        with self._lock:
            known = self._targets.pop(target_id, None) is not None
            self._redactors.pop(target_id, None)
            left = self._waiting.pop(target_id, [])
            if self._core is not None:
                self._core.remove(target_id)
        for _, future in left:
            _settle(future, NotFoundError(f"target {target_id!r} was removed while it was probed", target=target_id))
        return known

    def look(self, target_id: str) -> TargetHealth | None:
        """What is known of a target; None: unknown."""
        with self._lock:
            row = self._running().look(target_id) if target_id in self._targets else None
        return None if row is None else self._health(row)

    def isolated(self) -> tuple[bool, int]:
        """Whether most targets stopped answering at about the same time, so that this machine's own network is
        suspected, and how often that has begun or ended so far."""
        with self._lock:
            return (False, 0) if self._core is None else self._core.isolated()

    # ---- asking ----

    async def check(self, target_id: str) -> TargetHealth:
        """Probes a target now.

        Raises:
            NotFoundError: it is unknown, or was removed meanwhile.
        """
        future: Future[TargetHealth] = Future()
        with self._lock:
            ticket = self._running().check(target_id) if target_id in self._targets else None
            if ticket is None:
                raise NotFoundError(f"there is no target {target_id!r}", target=target_id)
            self._waiting.setdefault(target_id, []).append((ticket, future))
        with self._watched():
            return await asyncio.wrap_future(future)

    async def check_all(self) -> dict[str, TargetHealth]:
        """Probes all targets now, all at once. Returns what is known of each afterwards, by its id."""
        future: Future[None] = Future()
        with self._lock:
            self._sweeps.append((self._running().check_all(), future))
        with self._watched():
            await asyncio.wrap_future(future)
        with self._lock:
            rows = self._running().look_all()
        return {row[0]: self._health(row) for row in rows}

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """While a coroutine of it waits, the running loop hears of news."""
        loop = asyncio.get_running_loop()
        with self._lock:
            fd = self._running().fileno()
            first = loop not in self._watchers
            self._watchers[loop] = self._watchers.get(loop, 0) + 1
        if first:
            self._begin_watching(loop, fd)
        try:
            yield
        finally:
            with self._lock:
                self._watchers[loop] -= 1
                last = self._watchers[loop] == 0
                if last:
                    del self._watchers[loop]
            if last:
                with contextlib.suppress(NotImplementedError):
                    loop.remove_reader(fd)

    def _begin_watching(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        try:
            loop.add_reader(fd, self._collect)
        except NotImplementedError:  # a loop that cannot watch descriptors looks now and then
            self._look_again(loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop in self._watchers:
            self._collect()
            loop.call_later(_LOOK_AGAIN_S, self._look_again, loop)

    def _collect(self) -> None:
        """Hands answers to all that wait, whichever loop they wait on."""
        answered: list[tuple[Future[TargetHealth], TargetHealth]] = []
        swept: list[Future[None]] = []
        with self._lock:
            while self._core is not None and (row := self._core.next()) is not None:
                answered += self._take_answered(row) if row[0] in self._waiting else []
            if self._core is not None and self._sweeps:
                swept = self._take_swept(self._core.swept())
        for future, health in answered:
            _settle(future, health)
        for end in swept:
            _settle(end, None)

    def _take_answered(self, row: "_bridge.ProbeRow") -> list[tuple[Future[TargetHealth], TargetHealth]]:
        waiting = self._waiting.pop(row[0], [])
        later = [entry for entry in waiting if entry[0] > row[8]]
        if later:
            self._waiting[row[0]] = later
        return [(future, self._health(row)) for ticket, future in waiting if ticket <= row[8]]

    def _take_swept(self, ticket: int) -> "list[Future[None]]":
        ended = [future for asked, future in self._sweeps if asked <= ticket]
        self._sweeps = [(asked, future) for asked, future in self._sweeps if asked > ticket]
        return ended

    def _health(self, row: "_bridge.ProbeRow") -> TargetHealth:
        target_id, status, last, reason, probed_ns, since_ns, took_ms, probes, _, instance, version, epoch, free = row
        redactor = self._redactors.get(target_id, _HIDES_NOTHING)
        reason, instance, version = redactor.in_each(reason, instance, version)
        return TargetHealth(
            _STATUSES[status], _STATUSES[last], reason, _time(probed_ns), _time(since_ns), took_ms, probes,
            instance, version, _number(epoch), _number(free),
        )  # fmt: skip

    # ---- its life ----

    def _running(self) -> "CoreProber":
        if self._core is None:
            self._core = _bridge.start_prober()
            for target_id, target in self._targets.items():
                _tell(self._core, target_id, *target)
        return self._core

    def stop(self) -> None:
        """Ends probes under way and the thread; idempotent. The targets stay, and the next call starts it again."""
        with self._lock:
            core, self._core = self._core, None
            left: list[Future[Any]] = [future for entries in self._waiting.values() for _, future in entries]
            left += [future for _, future in self._sweeps]
            self._waiting, self._sweeps = {}, []
            if core is not None:
                core.stop()
        for future in left:
            _settle(future, InvalidInputError("the prober was stopped while a target was probed", op="probe"))


_probers: "weakref.WeakSet[Prober]" = weakref.WeakSet()


def _stop_all() -> None:
    """Before the interpreter goes: libcurl's own clean-up must not meet the thread."""
    for prober in list(_probers):
        prober.stop()


def _begin_in_child() -> None:
    """Locks may be held by threads that a forked child does not have, and the prober's is one of those."""
    for prober in list(_probers):
        prober._begin()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_begin_in_child)


def _settle(future: "Future[Any]", outcome: TargetHealth | Exception | None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _tell(core: "CoreProber", target_id: str, base_url: str, api_key: str | None, settings: ProbeSettings) -> None:
    core.set(
        target_id,
        base_url,
        api_key,
        settings.ca_file or trusted(),
        settings.certificate,
        settings.certificate_key,
        allow_http=settings.allow_http,
        allow_private=settings.allow_private,
        period_ms=round(settings.period * 1000),
        connect_ms=round(settings.connect * 1000),
        total_ms=round(settings.total * 1000),
        slow_ms=round(settings.slow * 1000),
    )


def trusted() -> str | None:
    """The file of certificates to trust where a target names none; None: the library's own. Where libcurl looks by
    itself was decided on the machine it was built on, which need not be this one.
    """
    if named := os.environ.get("SSL_CERT_FILE"):
        return named
    with contextlib.suppress(ImportError):
        import certifi

        return certifi.where()
    return None


def unusable(ca_file: str) -> str | None:
    """Why nobody can be trusted by a file of certificates; None: it holds some."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        return "it holds no certificate in PEM"
    except OSError as error:
        return error.strerror or str(error)
    return None if context.cert_store_stats()["x509"] else "it holds no certificate"


def _time(ns: int) -> datetime | None:
    return datetime.fromtimestamp(ns / 1e9, UTC) if ns else None


def _number(value: int) -> int | None:
    return None if value < 0 else value
