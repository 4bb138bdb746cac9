"""The gate: a short stop of work that goes on all the time.

Many sharers or one cutter. Work that may not be torn runs as a sharer; whoever needs a moment at which none of it is
half-done closes the gate, waits until the sharers inside are through, does his work and opens it again. A waiting
cutter stops new sharers, so a steady stream of them cannot starve him. A sharer that calls a shared function again,
also from a task it started, is let through: it is part of the work being waited for.

One gate belongs to one event loop at a time. It knows nothing about LightRAG. However the cutter ends (result, error,
cancellation, or a coroutine thrown away), the gate is open afterwards.
"""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from types import CodeType, CoroutineType
from typing import Any, TypeVar

R = TypeVar("R")

_STRAGGLER_POLL_S = 0.005


class NotDrained(Exception):
    """Shared work was still going on when the time to wait for it was over."""


class _Pass:
    """Says that a task is inside a gate. It outlives its section in the contexts of tasks started there, hence
    `valid`."""

    __slots__ = ("gate", "valid")

    def __init__(self, gate: "Gate") -> None:
        self.gate = gate
        self.valid = True


_passes: ContextVar[tuple[_Pass, ...]] = ContextVar("lightrag_bkp_gate_passes", default=())


class Gate:
    """Many sharers or one cutter; see the module.

    Attributes:
        closed_at: `time.perf_counter()` of the last closing.
    """

    def __init__(self) -> None:
        self.closed_at = 0.0
        self._sharers = 0
        self._stragglers: list[CoroutineType[Any, Any, Any]] = []
        # Events are made at each closing: an asyncio.Event that was waited on stays bound to its loop, a gate may
        # outlive one.
        self._barred: Exception | None = None
        self._opened: asyncio.Event | None = None
        self._drained: asyncio.Event | None = None

    @property
    def quiet(self) -> bool:
        """Whether the gate is open and no shared work is going on."""
        return self._opened is None and self._empty()

    def share(self, function: Callable[..., Awaitable[R]]) -> Callable[..., Coroutine[Any, Any, R]]:
        """Returns `function` as shared work of this gate."""

        @functools.wraps(function)
        async def shared(*args: Any, **kwargs: Any) -> R:
            return await self.run(function, *args, **kwargs)

        return shared

    async def run(self, function: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
        """Calls `function` as shared work, once the gate is open."""
        outer = _passes.get()
        if any(entry.gate is self and entry.valid for entry in outer):
            return await function(*args, **kwargs)
        while self._opened is not None:
            await self._opened.wait()
        if self._barred is not None:
            raise self._barred
        entry = _Pass(self)
        self._sharers += 1  # No await since the test: a cutter that closes from here on sees this sharer.
        token = _passes.set((*outer, entry))
        try:
            return await function(*args, **kwargs)
        finally:
            entry.valid = False
            self._sharers -= 1
            if not self._sharers and self._drained is not None:
                self._drained.set()
            _passes.reset(token)

    @property
    def barred(self) -> Exception | None:
        """Why no shared work begins any more; None while it does."""
        return self._barred

    def bar(self, reason: Exception) -> None:
        """Lets no more shared work begin: it raises `reason`."""
        self._barred = reason

    async def closed(self, work: Callable[[], Awaitable[R]], timeout_s: float) -> R:
        """Closes the gate, awaits the shared work inside, then `work()`, and opens it.

        `timeout_s` limits the waiting, not `work`; NotDrained when it is over.
        """
        until = asyncio.get_running_loop().time() + timeout_s
        while self._opened is not None:
            await self._before(until, self._opened.wait())
        opened = self._opened = asyncio.Event()
        drained = self._drained = asyncio.Event()
        self.closed_at = time.perf_counter()
        try:
            while not self._empty():
                await self._before(until, asyncio.sleep(_STRAGGLER_POLL_S) if self._stragglers else drained.wait())
            return await work()
        finally:
            self._opened = self._drained = None
            opened.set()

    def count_running(self, codes: Iterable[CodeType]) -> None:
        """Counts calls that are already under way, on the running loop, as shared work.

        For functions that were replaced by their shared form a moment ago, without an await in between: every call made
        earlier is found on the stack of some task, every later one goes through `run`.
        """
        wanted = frozenset(codes)
        for task in asyncio.all_tasks():
            awaited: Any = task.get_coro()
            while inspect.iscoroutine(awaited):
                if awaited.cr_code in wanted:
                    self._stragglers.append(awaited)
                    break
                awaited = awaited.cr_await

    def _empty(self) -> bool:
        self._stragglers = [coroutine for coroutine in self._stragglers if coroutine.cr_frame is not None]
        return not self._sharers and not self._stragglers

    @staticmethod
    async def _before(until: float, waiting: Coroutine[Any, Any, object]) -> None:
        try:
            async with asyncio.timeout_at(until):
                await waiting
        except TimeoutError as error:
            raise NotDrained from error


async def behind(gates: Sequence[Gate], work: Callable[[], Awaitable[R]], timeout_s: float) -> R:
    """Does `work` behind all gates, closed one after the other; NotDrained as of `Gate.closed`."""
    if not gates:
        return await work()
    return await gates[0].closed(lambda: behind(gates[1:], work, timeout_s), timeout_s)
