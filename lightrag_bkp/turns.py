"""Turns: how many snapshots one process has begun and not ended.

A snapshot keeps its files open from the moment they were pinned until they are stored. Of fifty graphs told to take one
at the same moment, a few begin and the others wait, first come, first served, before anything of theirs is opened.
(More begin than are worked on: a graph that waits for its LightRAG to come to rest keeps no idle one from its turn.)
Turns are a process's, whatever the loop or thread; a forked child begins with none taken.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from . import config

BEGUN_PER_JOB = 4


class Turns:
    """At most `most` holders at a time, in the order in which they asked."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a turn and holds it."""
        await self._take()
        try:
            yield
        finally:
            self._give_back()

    async def _take(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            waiter = _Waiter()
            self._waiting.append(waiter)
        try:
            await waiter.called
        except BaseException:
            with self._lock:
                given = waiter not in self._waiting
                if not given:
                    self._waiting.remove(waiter)
            if given:  # called and cancelled at the same moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                waiter = self._waiting.popleft()
            if waiter.call():
                return


class _Waiter:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.called: asyncio.Future[None] = self._loop.create_future()

    def call(self) -> bool:
        """Hands the turn over from any thread; False when the loop is closed, and nobody there can take it."""
        try:
            self._loop.call_soon_threadsafe(self._arrive)
        except RuntimeError:
            return False
        return True

    def _arrive(self) -> None:
        if not self.called.done():
            self.called.set_result(None)


_turns: Turns | None = None
_lock = threading.Lock()


def snapshots() -> Turns:
    """The turns of this process's snapshots."""
    global _turns
    with _lock:
        if _turns is None:
            _turns = Turns(BEGUN_PER_JOB * config.load().effective_jobs)
        return _turns


def _begin_in_child() -> None:
    global _turns, _lock
    _turns, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_begin_in_child)
