"""Sends each new snapshot in the background, where `[replication] after_snapshot` says so.

`announce` returns at once, whatever the state of targets, databases or networks: a backup is neither delayed nor
failed by its copies. The work is done by one thread with an event loop of its own, so that it outlives the loop the
snapshot was taken on. Each graph and target has a lane: it is tried until it is there, and what was announced meanwhile
goes with the next turn, the newest state alone. A lane that was refused rests until somebody replicates by hand. When
the process ends, what is under way ends with it; the next announcement, of any process, brings the rest along.
"""

import asyncio
import atexit
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from ..errors import LightragBkpError
from ..threads import in_thread
from .ending import is_ending

if TYPE_CHECKING:
    from ..replication import ReplicationManager

_PATIENCE_S = 7 * 86400.0
"""Of one attempt; then it begins anew with the next announcement."""

logger = logging.getLogger("lightrag_bkp")


class Dispatcher:
    """Safe under threads. A forked child begins with nothing under way.

    Args:
        make: makes the manager that sends, on the thread: it takes time.
    """

    def __init__(self, make: "Callable[[], ReplicationManager]") -> None:
        self._make = make
        self._begin()
        _dispatchers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        self._news: set[str] = set()
        self._lanes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._waiting: set[tuple[str, str]] = set()

    def announce(self, graph_id: str) -> None:
        """There is a new snapshot of a graph."""
        with self._lock:
            if self._ended:
                return
            self._news.add(graph_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lrb-dispatch", daemon=True)
                self._thread.start()
            elif self._loop is not None:
                self._loop.call_soon_threadsafe(self._look)

    def close(self) -> None:
        """Ends what is under way; idempotent. What was announced and not sent goes with the next announcement."""
        with self._lock:
            self._ended = True
            thread, loop = self._thread, self._loop
            if loop is not None:
                loop.call_soon_threadsafe(self._stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # ---- on the thread ----

    def _run(self) -> None:
        try:
            with self._make() as manager:
                asyncio.run(self._live(manager))
        except LightragBkpError as error:
            logger.error("event=replication_impossible error=%r", str(error))
        except RuntimeError as error:
            if not is_ending(error):
                raise
        finally:
            with self._lock:
                self._thread = self._loop = None

    async def _live(self, manager: "ReplicationManager") -> None:
        self._manager, self._end = manager, asyncio.Event()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._ended:
                return
        self._look()
        await self._end.wait()
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    def _stop(self) -> None:
        self._end.set()

    def _look(self) -> None:
        with self._lock:
            news, self._news = self._news, set()
        for graph_id in news:
            self._start((graph_id, ""), partial(self._open_lanes, graph_id))

    def _start(self, key: tuple[str, str], work: Callable[[], Awaitable[None]]) -> None:
        lane = asyncio.ensure_future(_unless_ending(work))
        self._lanes[key] = lane
        lane.add_done_callback(lambda _: self._lanes.pop(key, None) if self._lanes.get(key) is lane else None)

    async def _open_lanes(self, graph_id: str) -> None:
        replicator = self._manager.get_graph_replicator(graph_id)
        try:
            status = await in_thread(replicator.get_replication_status)
        except LightragBkpError as error:
            logger.error("event=replication_impossible graph=%s error=%r", graph_id, str(error))
            return
        for target in status["targets"]:
            key = (graph_id, target["target_id"])
            if not target["enabled"]:
                continue
            if target["refusal"] is not None:
                logger.warning("event=replication_rests graph=%s target=%s reason=%r", *key, target["refusal"])
            elif key in self._lanes:
                self._waiting.add(key)
            else:
                self._start(key, partial(self._send, *key))

    async def _send(self, graph_id: str, target_id: str) -> None:
        replicator = self._manager.get_graph_replicator(graph_id)
        key = (graph_id, target_id)
        while True:
            self._waiting.discard(key)
            try:
                for log in await replicator.replicate(target_id=target_id, patience_s=_PATIENCE_S):
                    logger.info(
                        "event=replicated graph=%s target=%s status=%s bytes=%d seconds=%.3f error=%r",
                        graph_id, target_id, log.status.value, log.bytes, log.seconds, log.error_message,
                    )  # fmt: skip
            except LightragBkpError as error:  # its target was removed, or the database cannot be used
                logger.error("event=replication_failed graph=%s target=%s error=%r", graph_id, target_id, str(error))
            if key not in self._waiting:
                return


async def _unless_ending(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except RuntimeError as error:
        if not is_ending(error):
            raise


_dispatchers: "weakref.WeakSet[Dispatcher]" = weakref.WeakSet()


def _end_all() -> None:
    for dispatcher in list(_dispatchers):
        dispatcher.close()


def _begin_in_child() -> None:
    for dispatcher in list(_dispatchers):
        dispatcher._begin()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_begin_in_child)
