"""The workers of one LightRAG, as `lightrag-gunicorn` makes them: the master builds a LightRAG and forks.

They share the key-value stores and the pipeline's state. Vectors, graph and the merges under way are each worker's own,
and so are the gates that hold merges and edits back. So whoever pins or replaces files has the gates of all the others
closed first (`others_held`): over a connection to each, which is at the same time their word that they stay closed. A
worker that runs the pipeline flushes before it says so. Whoever asked lets go by hanging up, and has done so when he is
killed.

A worker begins and ends between such moments, never within one. It begins by reading vectors and graph anew (`joined`):
what it inherited is what the master read when the server started, and its first write would put that over everything
done since.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from ..awaiting import to_the_end
from ..errors import Busy
from .gate import Gate, NotDrained, behind
from .internals import (
    GRAPH_STORE,
    VECTOR_STORES,
    gates_installed,
    has_other_workers,
    install_gate,
    install_intake,
    is_open,
    memory,
    missing,
    pipeline_status,
    runs_here,
    unsaved_stores,
)
from .internals.mortal import outlive_holders
from .mending import Finish, Unmendable, mend, nothing_to_finish, read_anew
from .siblings import Line, Siblings

logger = logging.getLogger("lightrag_bkp")

_ATTRIBUTE = "_lightrag_bkp_workers"
"""Where a LightRAG's workers hang: on its graph storage, beside the gate."""

_ANSWER_S = 30.0
"""How long a worker that is held may take for a small thing, in seconds."""


def prepare(rag: Any, finish: Finish = nothing_to_finish) -> None:
    """Has the processes that will be forked from this one know of each other. Once per LightRAG, before any fork.

    Args:
        finish: what is done about an interrupted restore's files; see `mending`.
    """
    graph_store = getattr(rag, GRAPH_STORE, None)
    if graph_store is not None and _of(rag) is None:
        setattr(graph_store, _ATTRIBUTE, _Workers(rag, finish))


@asynccontextmanager
async def joined(rag: Any) -> AsyncIterator[None]:
    """This process works for a LightRAG during the block, which holds until its storages are closed. A process that was
    forked with it reads vectors and graph anew.
    """
    workers = _of(rag)
    if workers is None:
        yield
        return
    async with workers.joined():
        yield


def leads(rag: Any) -> bool:
    """Whether this worker is the one that does what only one is to do. When it dies the next one that asks is it."""
    workers = _of(rag)
    return workers is None or workers.siblings is None or workers.siblings.lead()


def others(rag: Any) -> set[int]:
    """The process ids of the other workers."""
    workers = _of(rag)
    return set() if workers is None or workers.siblings is None else workers.siblings.pids() - {os.getpid()}


def barred(rag: Any) -> str | None:
    """Why nobody may write to a LightRAG in this process until it is restarted; None when they may."""
    reasons = [str(gate.barred) for gate in gates_installed(rag) if gate.barred is not None]
    return reasons[0] if reasons else None


class Others:
    """The other workers of a LightRAG, whose gates are closed.

    Attributes:
        since: `time.perf_counter()` of the moment they were asked; None when there are none.
    """

    def __init__(self, lines: list[Line], since: float) -> None:
        self._lines = lines
        self._announced = False
        self.since = since if lines else None

    @property
    def intact(self) -> bool:
        """Whether none of them has opened its gates, or died."""
        return all(line.is_open for line in self._lines)

    async def announce(self) -> None:
        """Says that files and memory may change from now on: should this process die before `over`, they look after it.

        Raises:
            NotDrained: one of them does not answer.
        """
        self._announced = True
        try:
            await self._tell({"do": "look out"})
        except TimeoutError as error:
            raise NotDrained from error

    async def over(self) -> None:
        """Says that nothing changes any more."""
        if self._announced:
            with contextlib.suppress(TimeoutError):
                await to_the_end(self._tell({"do": "all clear"}))

    async def forget(self) -> None:
        """Empties what they would put into the files of vectors and graph; see `memory.forget`.

        Raises:
            TimeoutError: one of them does not answer.
        """
        await self._tell({"do": "forget"})

    async def bar(self, message: str) -> None:
        """Lets none of them write any more, until its process ends."""
        await self._tell({"do": "bar", "message": message})

    async def _tell(self, wish: dict[str, Any]) -> None:
        async with asyncio.timeout(_ANSWER_S):
            for line in self._lines:
                with contextlib.suppress(ConnectionError):  # dead, and what it had in memory with it
                    await line.ask(wish)


@asynccontextmanager
async def others_held(rag: Any, timeout_s: float, *, intake: bool = False) -> AsyncIterator[Others]:
    """In all other workers nothing is half-merged, half-edited or unflushed during the block. Only one process at a
    time can be in such a block.

    Args:
        rag: a LightRAG with a gate; one without other workers is let through.
        timeout_s: how long to wait for that. intake: nor is a document accepted.

    Raises:
        NotDrained: it was not so in time.
    """
    workers = _of(rag)
    if workers is None or workers.siblings is None:
        yield Others([], 0.0)
        return
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout_s):
                await stack.enter_async_context(workers.siblings.alone())
                lines = workers.siblings.call_all()
                for line in lines:
                    stack.callback(line.close)
                since = time.perf_counter()
                wish = {"intake": intake, "timeout_s": timeout_s}
                for answer in await asyncio.gather(*(line.ask(wish) for line in lines), return_exceptions=True):
                    if isinstance(answer, BaseException):
                        raise answer
        except OSError as error:  # also of a time that is over
            logger.info("event=worker_not_held workspace=%r error=%r", rag.workspace, error)
            raise NotDrained from error
        others = Others(lines, since)
        try:
            yield others
        finally:
            await others.over()


def gates_of(rag: Any, *, intake: bool) -> list[Gate]:
    """The gates that hold back who works on a graph in this process, installed where LightRAG has what they need."""
    gates = [install_intake(rag)] if intake else []
    return gates if any(missing(rag).values()) else [*gates, install_gate(rag)]


def _of(rag: Any) -> "_Workers | None":
    found = getattr(getattr(rag, GRAPH_STORE, None), _ATTRIBUTE, None)
    return found if isinstance(found, _Workers) else None


class _Workers:
    """What the workers of one LightRAG have in common. `siblings` is None where there is one at a time."""

    def __init__(self, rag: Any, finish: Finish) -> None:
        self._rag = rag
        self._finish = finish
        self._built_by = os.getpid()
        self.siblings = Siblings() if has_other_workers() else None
        if self.siblings is not None:
            outlive_holders()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self.siblings is None:
                await self._begin()
            else:
                async with self.siblings.alone():
                    await self._begin()
                    await stack.enter_async_context(self.siblings.listening(self._answer))
            yield

    async def _begin(self) -> None:
        if is_open(self._rag):
            await self._mend()
        if self._built_by != os.getpid():
            await self._read_anew()

    async def _mend(self) -> None:
        others = self.siblings is not None and bool(self.siblings.pids() - {os.getpid()})
        try:
            await mend(self._rag, self._finish, others=others)
        except Unmendable as error:
            self._bar(str(error))
        except Exception as error:  # what is left on disk waits for the next restore, or the next start
            logger.error("event=leftovers_not_cleared workspace=%r error=%r", self._rag.workspace, error)

    async def _read_anew(self) -> None:
        try:
            await read_anew(self._rag)
        except Exception as error:  # the flags stay up: whoever asks for it will hear the same
            logger.error("event=worker_cannot_read workspace=%r error=%r", self._rag.workspace, error)

    async def _answer(self, line: Line) -> None:
        """Keeps the gates closed for another worker until that hangs up, and does what it wishes meanwhile."""
        wish = await line.receive()
        if wish is None:
            return
        restoring = bool(wish["intake"])
        gates = gates_of(self._rag, intake=restoring)
        holding = asyncio.create_task(self._hold(line, gates, restoring, float(wish["timeout_s"])))
        at_risk = False
        try:
            while (wish := await line.receive()) is not None:
                at_risk = wish == {"do": "look out"} or (at_risk and wish != {"do": "all clear"})
                await line.send(self._grant(wish))
        except ConnectionError:  # it died while it was answered
            pass
        finally:
            try:
                if at_risk:
                    await to_the_end(self._look_after())
            finally:
                holding.cancel()
                await asyncio.wait([holding])

    async def _look_after(self) -> None:
        """Whoever held this worker died while he changed files and memory."""
        assert self.siblings is not None
        async with self.siblings.alone():
            await self._mend()
        await self._read_anew()

    async def _hold(self, line: Line, gates: list[Gate], restoring: bool, timeout_s: float) -> None:
        try:
            await behind(gates, partial(self._stay, line, restoring), timeout_s)
        except Exception as error:
            with contextlib.suppress(OSError):
                await line.send({"refused": repr(error)})

    async def _stay(self, line: Line, restoring: bool) -> None:
        try:
            await self._flush()
        except Exception as error:
            if not restoring:
                raise
            # A LightRAG that cannot write may be why it is restored.
            logger.warning("event=unwritten_state workspace=%r error=%r", self._rag.workspace, error)
        await line.send({"held": True})
        await asyncio.Event().wait()  # until this task is cancelled

    async def _flush(self) -> None:
        """Writes what this worker alone has in memory."""
        status = await pipeline_status(self._rag)
        if runs_here(status) or unsaved_stores(self._rag) & set(VECTOR_STORES):
            await self._rag._insert_done()
            logger.info("event=flushed_for_another_worker workspace=%r", self._rag.workspace)

    def _grant(self, wish: dict[str, Any]) -> dict[str, Any]:
        match wish:
            case {"do": "look out" | "all clear"}:
                pass
            case {"do": "forget"}:
                memory.forget(self._rag)
            case {"do": "bar", "message": str(message)}:
                self._bar(message)
            case _:
                return {"refused": f"no worker knows {wish!r}"}
        return {"done": True}

    def _bar(self, message: str) -> None:
        for gate in gates_of(self._rag, intake=True):
            gate.bar(Busy(message, op="restore", target=self._rag.working_dir))
