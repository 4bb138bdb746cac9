"""Brings graphs to targets, and tries again for as long as that may help.

Each graph goes to each target in a lane of its own: one that is down, slow or refused delays no other, and waiting for
the next try takes nobody's turn. Of one lane one shipment is under way at a time; whoever comes meanwhile waits, and
then sends what is new, which is the newest state and not every one in between. To one target a few graphs go at once,
so that what a process holds in memory does not grow with the number of graphs.
"""

import asyncio
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from .. import _bridge
from ..errors import DamagedError, LightragBkpError, NotFoundError
from ..models import microseconds
from ..receiving import protocol
from ..repository import GraphRepository
from ..threads import carried_out, held, in_thread
from ..turns import Turns
from .cargo import Cargo
from .claim import claimed
from .course import Course, Watch
from .ending import is_ending
from .lag import of_this_log
from .peer import Address, Peer, Refusal, Setback
from .records import INTERRUPTED, ReplicationLog, ReplicationStatus
from .retrying import Backoff
from .shipment import Shipment

if TYPE_CHECKING:
    from ..state import Shipments

GRAPHS_AT_ONCE = 2
PACKS_AT_ONCE = protocol.PARALLEL - GRAPHS_AT_ONCE
"""To one target: with a log of each graph, packs of all graphs make as many requests as a receiver takes of one key."""
_LEAST_PART_BYTES = 15 << 10
_CLAIMED_AGAIN_S = 1.0
"""How long to wait for another process that is at it, before the next look."""
_OPEN = (ReplicationStatus.PENDING, ReplicationStatus.RUNNING)

logger = logging.getLogger("lightrag_bkp")


@dataclass(frozen=True)
class Destination:
    """A target as it is sent to; `bytes_per_s` None: as fast as it goes."""

    target_id: str
    name: str
    address: Address
    bytes_per_s: float | None = None


@dataclass
class _Journey:
    """One graph on its way to one target."""

    repository: GraphRepository
    destination: Destination
    snapshot_id: str | None
    log_id: int
    timestamp: datetime
    begun: float
    course: Course
    newest: str | None = None
    """What was sent where no snapshot was asked for."""
    sent_bytes: int = 0
    in_vain: int = 0
    """Tries since something got through."""
    writing: threading.Lock = field(default_factory=threading.Lock)
    is_over: bool = False
    """What became of it was noted: a note that a thread was told before comes too late."""

    def log(self, status: ReplicationStatus, message: str | None) -> ReplicationLog:
        return ReplicationLog(
            self.destination.target_id,
            status,
            self.timestamp,
            message,
            graph_id=self.repository.graph_id,
            snapshot_id=self.snapshot_id or self.newest,
            bytes=self.sent_bytes,
            seconds=round(time.monotonic() - self.begun, 3),
        )


class Courier:
    """Safe under threads and loops.

    Args:
        table: opens the list of attempts. bytes_per_s: of everything sent here together; None: as fast as it goes.
    """

    def __init__(self, table: Callable[[], "Shipments"], bytes_per_s: float | None = None) -> None:
        self._table = table
        self._bytes_per_s = bytes_per_s
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._turns: dict[Hashable, Turns] = {}
        self._paces: dict[tuple[str | None, float], _bridge.Pace] = {}

    async def bring(
        self,
        repository: GraphRepository,
        destination: Destination,
        snapshot_id: str | None,
        patience_s: float,
        watch: Watch | None = None,
    ) -> ReplicationLog:
        """Brings a graph's newest state, or one snapshot and the log, to a target. Failures are results.

        Args:
            patience_s: how long to go on trying after the last thing that got through. watch: is told how far it is.

        Raises:
            StateError: what happens cannot be noted.
        """
        if os.getpid() != self._pid:
            self._begin()  # turns taken by the parent's tasks come back nowhere here
        now = datetime.now(UTC)
        graph_id, target_id = repository.graph_id, destination.target_id
        status = ReplicationStatus.PENDING.value
        log_id = await in_thread(self._table().begin, graph_id, target_id, snapshot_id, status, microseconds(now))
        journey = _Journey(repository, destination, snapshot_id, log_id, now, time.monotonic(), Course(watch))
        try:
            async with self._turn((graph_id, target_id), 1).turn():
                said = await self._persist(journey, patience_s)
                journey.course.arrived()
        except Refusal as refusal:
            await in_thread(self._table().refused, graph_id, target_id, str(refusal))
            return await self._note(journey, ReplicationStatus.REFUSED, str(refusal))
        except LightragBkpError as error:
            return await self._note(journey, ReplicationStatus.FAILED, str(error))
        except Exception as error:
            if is_ending(error):
                self._write(journey, ReplicationStatus.FAILED, INTERRUPTED)
                raise
            return await self._note(journey, ReplicationStatus.FAILED, _unexpected(journey, error))
        except asyncio.CancelledError:
            await carried_out(self._write, journey, ReplicationStatus.FAILED, INTERRUPTED)
            raise
        except BaseException:
            self._write(journey, ReplicationStatus.FAILED, INTERRUPTED)  # nothing can be awaited safely now
            raise
        return await in_thread(self._complete, journey, *said)

    async def _persist(self, journey: _Journey, patience_s: float) -> tuple[int, str]:
        """Tries until it is there. Returns what `_attempt` does."""
        backoff, moved = Backoff(), time.monotonic()
        while True:
            try:
                return await self._attempt(journey, patience_s or None)
            except _Moved as one:
                setback = one.setback
                journey.in_vain += 1
                if one.accepted_at is not None:
                    journey.in_vain = 0
                    backoff.succeeded()
                    moved = one.accepted_at
                wait = backoff.failed(setback.retry_after_s)
                if time.monotonic() - moved + wait > patience_s:
                    raise setback from None
            await self._note(journey, ReplicationStatus.PENDING, str(setback))
            logger.info(
                "event=replication_put_off graph=%s target=%s wait_s=%.1f reason=%r",
                journey.repository.graph_id, journey.destination.name, wait, str(setback),
            )  # fmt: skip
            await asyncio.sleep(wait)

    async def _attempt(self, journey: _Journey, patience_s: float | None) -> tuple[int, str]:
        """One try, put off when nothing moves for so long. Returns the entry up to which the target has everything now,
        and what it signed.
        """
        destination, repository = journey.destination, journey.repository
        place = (repository.storage_path, repository.graph_id, destination.target_id)
        async with self._turn(destination.target_id, GRAPHS_AT_ONCE).turn(), held(claimed(*place)) as other:
            if other is not None:
                said = f"graph {repository.graph_id!r} is being sent to {destination.name} by {other}"
                raise _Moved(Setback(said, _CLAIMED_AGAIN_S), None)
            return await self._send(journey, patience_s)

    async def _send(self, journey: _Journey, patience_s: float | None) -> tuple[int, str]:
        destination, repository = journey.destination, journey.repository
        if destination.address.api_key is None:
            raise Refusal(
                f"target {destination.name} has no API key: add it again with one made there for this instance"
            )
        await self._note(journey, ReplicationStatus.RUNNING, None)
        core = await repository.require()
        if core.damage is not None:
            raise DamagedError(f"nothing is sent of a damaged log: {core.damage}", target=repository.graph_id)
        cargo, paces = Cargo(core), self._paces_of(destination)
        async with Peer(destination.address, paces, patience_s=patience_s) as peer:
            begin = partial(
                Shipment, cargo, repository.graph_id, peer, destination.address.api_key, destination.name,
                journey.course, self._turn(("packs", destination.target_id), PACKS_AT_ONCE),
                _part_bytes(journey.in_vain),
            )  # fmt: skip
            shipment, chosen = await in_thread(_begun, begin, core, journey.snapshot_id)
            reach = await self._reach(core, journey)  # by now: what is newer may be in the log that is sent
            journey.newest = next(iter(chosen), None)
            try:
                lacking = 0 if reach is None else await in_thread(cargo.bytes_since, reach + 1)
                said, text = await shipment.run(chosen, lacking)
                return said.number if reach is None else reach, text
            except Setback as setback:
                raise _Moved(setback, shipment.accepted_at) from None
            except NotFoundError as gone:
                if journey.snapshot_id is not None and await in_thread(core.snapshot, journey.snapshot_id) is None:
                    raise
                said_so = f"it was pruned while it was sent, and is looked at anew: {gone}"
                raise _Moved(Setback(said_so), None) from None
            finally:
                journey.sent_bytes += peer.sent_bytes

    async def _reach(self, core: _bridge.Repository, journey: _Journey) -> int | None:
        """The entry up to which the target will have everything; None: the log's last. A snapshot that newer ones have
        overtaken makes it even with nothing behind its own entry, nor less even than it was.
        """
        wanted = journey.snapshot_id
        if wanted is None or (await in_thread(_chosen, core, None))[:1] == [wanted]:
            return None
        row = await in_thread(core.snapshot, wanted)
        own = 0 if row is None else row[1]
        table, graph_id = self._table(), journey.repository.graph_id
        known = (await in_thread(table.replicas, graph_id)).get(journey.destination.target_id)
        before = await in_thread(of_this_log, core, known)
        return max(own, -1 if before is None or before.number is None else before.number)

    def _turn(self, key: Hashable, most: int) -> Turns:
        with self._lock:
            return self._turns.setdefault(key, Turns(most))

    def _paces_of(self, destination: Destination) -> "tuple[_bridge.Pace, ...]":
        """Of all that is sent here together, and of what goes there: those that have one."""
        rates = ((None, self._bytes_per_s), (destination.target_id, destination.bytes_per_s))
        with self._lock:
            return tuple(
                self._paces.get((whose, rate)) or self._paces.setdefault((whose, rate), _bridge.pace(rate))
                for whose, rate in rates
                if rate is not None
            )

    async def _note(self, journey: _Journey, status: ReplicationStatus, message: str | None) -> ReplicationLog:
        return await in_thread(self._write, journey, status, message)

    def _write(
        self, journey: _Journey, status: ReplicationStatus, message: str | None, table: "Shipments | None" = None
    ) -> ReplicationLog:
        log = journey.log(status, message)
        with journey.writing:
            if not journey.is_over:
                noted = table or self._table()
                noted.note(journey.log_id, log.snapshot_id, status.value, message, log.bytes, log.seconds)
            journey.is_over |= status not in _OPEN
        return log

    def _complete(self, journey: _Journey, number: int, text: str) -> ReplicationLog:
        place = (journey.repository.graph_id, journey.destination.target_id)
        ended, message = ReplicationStatus.FAILED.value, "its process ended; a later attempt brought everything"
        with self._table().at_once() as table:
            table.acknowledged(*place, number, text, microseconds(datetime.now(UTC)))
            table.overtake(journey.log_id, *place, ended, message)
            return self._write(journey, ReplicationStatus.COMPLETED, None, table)


class _Moved(Exception):
    """A setback, and when something got through before it; None: nothing did."""

    def __init__(self, setback: Setback, accepted_at: float | None) -> None:
        super().__init__(str(setback))
        self.setback = setback
        self.accepted_at = accepted_at


def _chosen(core: _bridge.Repository, snapshot_id: str | None) -> list[str]:
    """The snapshots to send: the one asked for; else the newest, and those somebody holds."""
    if snapshot_id is not None:
        return [snapshot_id]
    rows = [row for row in core.snapshots() if not row[10]]
    return [row[0] for row in rows[-1:]] + [row[0] for row in reversed(rows[:-1]) if row[12]]


def _part_bytes(in_vain: int) -> int:
    """A part that did not get through in the time in which something has to move is tried as a quarter of it: on a slow
    line it lies in buffers here and on the way, where nobody sees it move.
    """
    return max(protocol.BODY_BYTES >> 2 * in_vain, _LEAST_PART_BYTES)


def _begun(
    begin: Callable[[], Shipment], core: _bridge.Repository, snapshot_id: str | None
) -> tuple[Shipment, list[str]]:
    """A shipment, which has read where the log ends, and what to send by it: the same was chosen before and after, for
    others may read on between.
    """
    while True:
        chosen, shipment = _chosen(core, snapshot_id), begin()
        if _chosen(core, snapshot_id) == chosen:
            return shipment, chosen


def _unexpected(journey: _Journey, error: Exception) -> str:
    """A mistake here, perhaps met by what one target answers: it is no reason for the others to go without. Its own
    text may hold what was answered, so its type and its place have to do."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    logger.error(
        "event=replication_broke graph=%s target=%s error=%s at=%s",
        journey.repository.graph_id, journey.destination.name, type(error).__name__, place,
    )  # fmt: skip
    return f"sending to {journey.destination.name} ended in an unexpected {type(error).__name__} at {place}"
