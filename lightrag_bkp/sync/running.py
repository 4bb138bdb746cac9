"""Coroutines run to their end for callers who do not await."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from .. import backup
from ..errors import InvalidInputError

T = TypeVar("T")
_UNHEARD_S = 0.2
"""So long an interrupt may go unheard: one that comes just before a thread waits for a lock does not end the wait."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a loop of its own in a thread of its own; returns its result or raises its
    error.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    over, ended = threading.Lock(), False  # an interrupt may strike while this thread has a future's lock, for ever
    over.acquire()
    running: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[T] | None]]
    running = concurrent.futures.Future()

    async def main() -> T:
        running.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await coroutine

    def work() -> None:
        nonlocal ended
        try:
            outcome.set_result(asyncio.run(main()))
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            ended = True
            over.release()

    thread = threading.Thread(target=work, name="lightrag-bkp-sync")
    try:
        thread.start()
        while not ended:
            over.acquire(timeout=_UNHEARD_S)
        return outcome.result()
    except BaseException:
        # This thread was interrupted, not the work; also while it waited for the other to begin.
        if not ended and thread in threading.enumerate():
            loop, task = running.result()
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        if thread.ident is not None:
            thread.join()


def refuse_deadlock(graph: backup.GraphBackup, method: str) -> None:
    """Raises InvalidInputError when the graph's LightRAG may run on the loop the caller would block."""
    if graph.rag is None:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InvalidInputError(
        "the LightRAG of this graph may run on the loop this call would block:"
        f" use the classes of lightrag_bkp itself and await {method}()",
        op=method,
        target=graph.graph_id,
    )
