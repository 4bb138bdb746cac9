"""Requests of one event loop, made by a thread of the core (csrc/net/client.h), which is there while somebody asks."""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import _bridge

_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: see `_probe.Request.answer`."""

    trouble: str
    text: str
    verify: int
    status: int
    date: str
    retry_after: str
    body: bytes
    is_too_long: bool
    offset: int
    part_bytes: int


class Requests:
    """Of one loop; used on its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._core = _bridge.start_client()
        self._waiting: dict[_bridge.Request, tuple[asyncio.Future[None], Callable[[_bridge.Request], None]]] = {}
        self._is_ended = False
        self.users = 0
        try:
            loop.add_reader(self._core.fileno(), self._collect)
        except NotImplementedError:  # a loop that cannot watch descriptors looks now and then
            self._look_again()

    def begin(self, *asked: Any, **more: Any) -> "_bridge.Request":
        """Begins a request, as `_probe.Client.ask` does, which is to be waited for."""
        return self._core.ask(*asked, **more)

    async def outcome(self, request: "_bridge.Request", moved: "Callable[[_bridge.Request], None]") -> Outcome:
        """Waits for its end. Given up, it is cancelled, and nobody waits.

        Args:
            moved: called now and then when some of it was sent.

        Raises:
            LightragBkpError: it failed here; what failed there is an outcome.
        """
        done = self._loop.create_future()
        self._waiting[request] = (done, moved)
        try:
            await done
        except BaseException:
            request.cancel()
            raise
        finally:
            del self._waiting[request]
        return Outcome(*request.answer())

    def _collect(self) -> None:
        while not self._is_ended and (request := self._core.next()) is not None:
            if request not in self._waiting:
                continue
            done, moved = self._waiting[request]
            if not request.is_over:
                moved(request)
            elif not done.done():
                done.set_result(None)

    def _look_again(self) -> None:
        if not self._is_ended:
            self._collect()
            self._loop.call_later(_LOOK_AGAIN_S, self._look_again)

    def end(self) -> None:
        """What is under way is cancelled. The thread is waited for elsewhere: a disk may hold it."""
        if self._is_ended:  # with the interpreter
            return
        self._is_ended = True
        with contextlib.suppress(NotImplementedError, RuntimeError):  # the latter: the loop was closed
            self._loop.remove_reader(self._core.fileno())
        threading.Thread(target=self._core.stop, name="lrb-requests-end").start()

    def stop(self) -> None:
        """As `end`, with the interpreter: libcurl's own clean-up must not meet the thread."""
        self._is_ended = True
        self._core.stop()


_lock = threading.Lock()
_here: dict[asyncio.AbstractEventLoop, Requests] = {}


@contextlib.contextmanager
def requests() -> Iterator[Requests]:
    """Those of the running loop, until the block ends."""
    loop = asyncio.get_running_loop()
    with _lock:
        left = [_here.pop(other) for other in list(_here) if other.is_closed()]  # under way, and nobody hears of it
        one = _here.get(loop) or _here.setdefault(loop, Requests(loop))
        one.users += 1
    for other in left:
        other.end()
    try:
        yield one
    finally:
        with _lock:
            one.users -= 1
            is_last = not one.users and _here.pop(loop, None) is one
        if is_last:
            one.end()


def _stop_all() -> None:
    for one in list(_here.values()):
        one.stop()


def _begin_in_child() -> None:
    """Nothing of the parent's thread is here."""
    global _lock
    _lock = threading.Lock()
    _here.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_begin_in_child)
