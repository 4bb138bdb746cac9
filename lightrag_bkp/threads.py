"""Threads of the package's own, for whatever waits for a disk. A storage that does not answer keeps these, and neither
the loop of a host nor the threads of its default executor, which has its own work.

There are few of them, each only while something is to be done, and any number may ask. So nothing that is done in them
may wait for somebody who needs one of them to go on: what lets go of a lock has a thread of its own for that moment,
and so has who waits for others.
"""

import asyncio
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST = 6
"""Threads that ask at once."""
LINGER_S = 5.0
"""So long whoever is cancelled waits until what has to be let go of is: only a dead disk takes longer."""


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls `work` in a thread. A cancelled caller does not wait for it, and nobody hears what it returns: what has to
    be let go of is made by `obtained`. It may wait for disks, and for nobody who needs these threads.
    """
    context = contextvars.copy_context()
    call = partial(context.run, work, *args, **kwargs)
    return await asyncio.wrap_future(_crew.submit(call))


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, in a thread of its own: for what waits for others than disks."""
    return await asyncio.wrap_future(_aside(partial(work, *args, **kwargs)))


async def carried_out(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `aside`, for what lets go of something: a cancelled caller waits for it no longer than LINGER_S."""
    done = asyncio.wrap_future(_aside(partial(work, *args, **kwargs)))
    try:
        return await asyncio.shield(done)
    except BaseException as error:
        await _linger(done, error)
        raise


async def obtained(make: Callable[[], T], let_go: Callable[[T], object]) -> T:
    """As `in_thread`, for what has to be let go of: of a cancelled caller that is done as soon as it is there, and he
    waits for it no longer than LINGER_S.
    """
    made = _crew.submit(make)
    try:
        return await asyncio.wrap_future(made)
    except BaseException as error:
        gone: Future[None] = Future()
        made.add_done_callback(partial(_let_go, let_go, gone))
        await _linger(asyncio.wrap_future(gone), error)
        raise


class held(Generic[T]):
    """A block whose beginning and end wait for a disk: `async with held(claimed(...)) as other`. It may not swallow
    errors. It ends also for who is cancelled while it begins or ends, as by `obtained` and `carried_out`.
    """

    def __init__(self, block: AbstractContextManager[T]) -> None:
        self._block = block

    async def __aenter__(self) -> T:
        return await obtained(self._block.__enter__, lambda _: self._block.__exit__(None, None, None))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:  # nothing can be awaited any more
            _aside(partial(self._block.__exit__, kind, error, at))
        else:
            await carried_out(self._block.__exit__, kind, error, at)


def _let_go(let_go: Callable[[T], object], gone: "Future[None]", made: "Future[T]") -> None:
    if made.cancelled() or made.exception() is not None:
        gone.set_result(None)
    else:
        letting = _aside(partial(let_go, made.result()))
        letting.add_done_callback(lambda _: gone.set_result(None))


async def _linger(done: "asyncio.Future[T]", error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        await asyncio.wait([done], timeout=LINGER_S)


def _aside(work: Callable[[], T]) -> "Future[T]":
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # whoever waits is cancelled, and not the work
    _start("lrb-aside", partial(_do, work, done))
    return done


def _do(work: Callable[[], T], done: "Future[T]") -> None:
    try:
        result = work()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)


def _start(name: str, work: Callable[[], None]) -> None:
    try:
        threading.Thread(target=work, name=name).start()
    except RuntimeError:  # there are no more, or the interpreter ends
        work()


class _Crew:
    """At most MOST threads, which end with what there was to do: one that stayed would keep its interpreter from ending
    where that is not the process's only one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: deque[Callable[[], None]] = deque()
        self._at_work = 0

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        done: Future[T] = Future()

        def begin() -> None:
            if done.set_running_or_notify_cancel():
                _do(work, done)

        with self._lock:
            self._left.append(begin)
            is_one_more = self._at_work < MOST
            self._at_work += is_one_more
        if is_one_more:
            _start("lrb-disk", self._work)
        return done

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    self._at_work -= 1
                    return
                begin = self._left.popleft()
            begin()


_crew = _Crew()


def _begin_in_child() -> None:
    global _crew
    _crew = _Crew()


os.register_at_fork(after_in_child=_begin_in_child)
