"""The seam between asyncio and the C core; the only module that imports `_core` and `_probe`.

Jobs run on the core's threads. A finished job lies in a mailbox, whose descriptor the event loop watches while jobs are
outstanding and only then: the last job that comes back closes the mailbox, so that a loop that ends leaves nothing
behind and nothing needs a finalizer. Each running loop has its own mailbox; the threads are one pool per process,
started at first use. A forked child starts its own.
"""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from . import _core, config
from ._core import ERROR_TABLE as ERROR_TABLE
from ._core import FORMAT_VERSION as FORMAT_VERSION
from ._core import KEEP_EXACT as KEEP_EXACT
from ._core import KEEP_LINKED as KEEP_LINKED
from ._core import KEEP_NOTHING as KEEP_NOTHING
from ._core import KEEP_SAME as KEEP_SAME
from ._core import PUBLISH_EXCHANGE as PUBLISH_EXCHANGE
from ._core import PUBLISH_JOURNAL as PUBLISH_JOURNAL
from ._core import PUBLISH_RENAME as PUBLISH_RENAME
from ._core import RETENTION_REASONS as RETENTION_REASONS
from ._core import Arrival as Arrival
from ._core import Job as Job
from ._core import Key as Key
from ._core import Pool as Pool
from ._core import Repository as Repository
from ._core import Restored as Restored
from ._core import Source as Source
from ._core import add_passphrase_job as add_passphrase_job
from ._core import adler32 as adler32
from ._core import backup_job as backup_job
from ._core import drop_job as drop_job
from ._core import file_system as file_system
from ._core import free_bytes as free_bytes
from ._core import hold_job as hold_job
from ._core import key_slots_job as key_slots_job
from ._core import mem_count as mem_count
from ._core import mem_fail_after as mem_fail_after
from ._core import needs_job as needs_job
from ._core import open_job as open_job
from ._core import plan_job as plan_job
from ._core import point_append as point_append
from ._core import point_delete as point_delete
from ._core import point_read as point_read
from ._core import prune_job as prune_job
from ._core import publish_abandon as publish_abandon
from ._core import publish_choose as publish_choose
from ._core import publish_commit_job as publish_commit_job
from ._core import publish_finish_job as publish_finish_job
from ._core import publish_half_done as publish_half_done
from ._core import publish_pending as publish_pending
from ._core import publish_stage as publish_stage
from ._core import publish_stop_after as publish_stop_after
from ._core import reclaim_litter as reclaim_litter
from ._core import refresh_job as refresh_job
from ._core import release_job as release_job
from ._core import remove_slot_job as remove_slot_job
from ._core import retention_scan as retention_scan
from ._core import stage_job as stage_job
from ._core import unlock_job as unlock_job
from ._core import validate_snapshot_job as validate_snapshot_job
from ._core import validate_source_job as validate_source_job
from ._core import verify_job as verify_job
from .errors import CORE_ERRORS, InvalidInputError, LightragBkpError
from .models import Progress, ProgressCallback

if TYPE_CHECKING:
    from ._probe import Client as Client
    from ._probe import Pace as Pace
    from ._probe import Prober as Prober
    from ._probe import Request as Request

SnapshotRow = tuple[str, int, int, int, int, int, bytes, str, str, int, bool, str, tuple[str, ...]]
"""id, entry number, created_ns, size_bytes, stored_bytes, item_count, data_hash (32 bytes), consistency, verdict,
retention_days, safety, metadata (JSON text), holders."""
ItemRow = tuple[str, int, int, int, int, bytes, str]
"""name, type (1 file, 2 directory, 3 symlink), mode, mtime_ns, size_bytes, sha256, link target."""
ProbeRow = tuple[str, str, str, str, int, int, int, int, int, str, str, int, int]
"""target id, status, what the last probe alone says, its reason, when it ended and since when the status holds (ns
since 1970; 0: never), took_ms, probes so far, the highest ticket answered, instance_id, version, epoch, free_bytes
(-1: not said)."""

logger = logging.getLogger("lightrag_bkp")
logger.addHandler(logging.NullHandler())  # nobody logs before this module is there

PROGRESS_INTERVAL_S = 0.1
JOBS_PER_TURN = 64

_core.set_error_classes(dict(CORE_ERRORS))


# ---- the pool ----


class _Process:
    """What belongs to one process. A forked child begins anew: locks may be held by threads it does not have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: _core.Pool | None = None
        self.ended = False
        self.stations: dict[asyncio.AbstractEventLoop, _Station] = {}  # of loops with jobs under way


_process = _Process()


def _pool() -> _core.Pool:
    with _process.lock:
        if _process.ended:
            raise InvalidInputError("the interpreter is shutting down: no new work can be started", op="submit")
        if _process.pool is None:
            settings = config.load()
            _process.pool = _core.Pool(settings.effective_threads, settings.effective_jobs)
        return _process.pool


def _end() -> None:
    """Cancels what is under way and joins the threads, so that none is left when the interpreter goes."""
    with _process.lock:
        _process.ended = True
        pool, _process.pool = _process.pool, None
    if pool is not None:
        pool.stop()


def _begin_in_child() -> None:
    global _process
    parent, _process = _process, _Process()
    for station in parent.stations.values():
        station.mailbox.close()


atexit.register(_end)
os.register_at_fork(after_in_child=_begin_in_child)


# ---- stations: how a loop hears of finished jobs ----


class _Station:
    """A loop's mailbox and the jobs that will come back through it. Used on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.mailbox = _core.Mailbox()
        self.jobs: set[Job] = set()

    def watch(self) -> None:
        self.loop.add_reader(self.mailbox.fileno(), self._collect)

    def unwatch(self) -> None:
        self.loop.remove_reader(self.mailbox.fileno())

    def submit(self, job: Job, pool: Pool) -> "asyncio.Future[None]":
        """Starts a job; the future is done when it came back, whatever its outcome."""
        done: asyncio.Future[None] = self.loop.create_future()
        job.tag = done
        self.jobs.add(job)
        try:
            job.submit(pool, self.mailbox)
        except BaseException:
            self._settle(job)
            raise
        return done

    def _collect(self) -> None:
        # Bounded, so that thousands that end together leave turns to others: the descriptor stays readable.
        for _ in range(JOBS_PER_TURN):
            job = self.mailbox.take() if self.jobs else None
            if job is None:
                return
            self._deliver(job)

    def _deliver(self, job: Job) -> None:
        done = job.tag
        self._settle(job)
        if not done.done():
            done.set_result(None)

    def _settle(self, job: Job) -> None:
        job.tag = None
        self.jobs.discard(job)
        if not self.jobs:
            with _process.lock:
                _process.stations.pop(self.loop, None)
            self.unwatch()
            self.mailbox.close()

    def abandon(self) -> bool:
        """For a loop closed with jobs under way: cancels them; True once all came back and the mailbox is closed."""
        for job in self.jobs:
            job.cancel()
        while (back := self.mailbox.take()) is not None:
            self.jobs.discard(back)
        if not self.jobs:
            self.mailbox.close()
        return not self.jobs


class _KnockingStation(_Station):
    """For loops that cannot watch descriptors: for each job a thread waits in the loop's place and knocks."""

    def watch(self) -> None:
        pass

    def unwatch(self) -> None:
        pass

    def submit(self, job: Job, pool: Pool) -> "asyncio.Future[None]":
        done = super().submit(job, pool)
        threading.Thread(target=self._knock, name="lrb-knock", daemon=True).start()
        return done

    def _knock(self) -> None:
        job = self.mailbox.wait(-1)
        if job is None:
            return
        try:
            self.loop.call_soon_threadsafe(self._deliver, job)
        except RuntimeError:  # the loop was closed meanwhile: nobody is left who could hear
            self.jobs.discard(job)


def _open_station(loop: asyncio.AbstractEventLoop) -> _Station:
    station = _Station(loop)
    try:
        station.watch()
    except NotImplementedError:
        station.mailbox.close()
        return _KnockingStation(loop)
    except BaseException:
        station.mailbox.close()
        raise
    return station


def _station() -> _Station:
    """The running loop's station; the one that is made when it has none lasts until its last job came back."""
    loop = asyncio.get_running_loop()
    with _process.lock:
        station = _process.stations.get(loop)
        if station is None:
            for other, left in list(_process.stations.items()):
                if other.is_closed() and left.abandon():
                    del _process.stations[other]
            station = _process.stations[loop] = _open_station(loop)
        return station


# ---- running jobs ----


async def run(
    job: Job,
    progress: ProgressCallback | None = None,
    *,
    commits: bool = False,
    phases: Mapping[int, str] | None = None,
    pool: Pool | None = None,
) -> Any:
    """Runs a job of the core and returns its result.

    A cancelled caller cancels the job and waits until it has stopped: nothing of it goes on behind the caller's back.

    Args:
        progress: called on the loop's thread, at most ten times a second and once more at the end. When it raises, the
            job is cancelled and its exception passes through.
        commits: what the job did stays done. An exception of `progress` that came too late to cancel it is then logged
            and does not hide the result, whether it was the last call that raised or the one before.
        phases: names of the job's phases, which have numbers in the core; "start" is before the first.
        pool: whose threads do it; None: the process's.

    Raises:
        LightragBkpError: the job's own error.
    """
    done = _station().submit(job, pool or _pool())
    try:
        fault = await _watch(job, done, progress, phases)
        if fault is not None:
            job.cancel()
            await asyncio.wait([done])
    except GeneratorExit:  # nothing can be awaited any more
        job.cancel()
        raise
    except BaseException:
        job.cancel()
        await _acknowledged(done)
        raise
    try:
        result = job.result()
    except LightragBkpError:
        if fault is None:
            raise
        raise fault from None  # it was cancelled in time
    fault = fault or _report(job, progress, phases)
    if fault is not None:
        if not commits:
            raise fault
        logger.warning("event=progress_failed phase=%s error=%r", _progress(job, phases).phase, fault)
    return result


def run_blocking(job: Job) -> Any:
    """Runs a job while the calling thread waits. An interrupt cancels it and waits until it has stopped.

    Raises:
        LightragBkpError: the job's own error.
    """
    mailbox = _core.Mailbox()
    try:
        try:
            job.submit(_pool(), mailbox)
            mailbox.wait(-1)
        except BaseException:
            job.cancel()
            _wait_out(mailbox)
            raise
    finally:
        mailbox.close()
    return job.result()


async def _watch(
    job: Job, done: "asyncio.Future[None]", progress: ProgressCallback | None, phases: Mapping[int, str] | None
) -> Exception | None:
    """Waits until the job came back, or `progress` raised; returns that exception."""
    if progress is None:
        await asyncio.shield(done)
        return None
    while True:
        await asyncio.wait([done], timeout=PROGRESS_INTERVAL_S)
        if done.done():
            return None
        fault = _report(job, progress, phases)
        if fault is not None:
            return fault


def _report(job: Job, progress: ProgressCallback | None, phases: Mapping[int, str] | None) -> Exception | None:
    try:
        if progress is not None:
            progress(_progress(job, phases))
    except Exception as fault:
        return fault
    return None


async def _acknowledged(done: "asyncio.Future[None]") -> None:
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            continue  # asked again: the job was told already, and the caller raises in any case


def _wait_out(mailbox: _core.Mailbox) -> None:
    while True:
        try:
            mailbox.wait(-1)
            return
        except KeyboardInterrupt:
            continue


def _progress(job: Job, phases: Mapping[int, str] | None) -> Progress:
    phase, items_done, items_total, bytes_in, bytes_total, bytes_stored, _ = job.progress()
    name = str(phase) if phases is None else phases.get(phase, "start")
    return Progress(name, items_done, items_total, bytes_in, bytes_total, bytes_stored)


# ---- what needs libcurl: its module is loaded only then, for it comes with some thirty more ----


def start_prober() -> "Prober":
    """A thread that probes replication targets."""
    from . import _probe

    _name_errors_of_probe()
    return _probe.Prober()


def start_client() -> "Client":
    """A thread that makes requests to servers of ours."""
    from . import _probe

    _name_errors_of_probe()
    return _probe.Client()


def pace(bytes_per_s: float) -> "Pace":
    """How fast bytes may go out."""
    from . import _probe

    _name_errors_of_probe()
    return _probe.Pace(bytes_per_s)


def address_reach(packed: bytes) -> str:
    """Where an IP address of 4 or 16 bytes leads: "public", "loopback", "private" or "never", as for the prober."""
    from . import _probe

    _name_errors_of_probe()
    return _probe.address_reach(packed)


@cache
def _name_errors_of_probe() -> None:
    """Before the module is used in any way."""
    from . import _probe

    _probe.set_error_classes(dict(CORE_ERRORS))
