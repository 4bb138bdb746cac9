"""A running LightRAG's files replaced under it.

`alone` takes the pipeline and closes the gates of all workers: documents that arrive wait, and so do direct edits,
while queries go on and see the old state. `Held.exchange` then holds the locks of all stores for the moment in which
files and memory change together. What LightRAG can do decides how far that goes: `lacking` says what is missing.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ..awaiting import to_the_end
from ..errors import Busy, UnsupportedError
from . import live
from .gate import Gate, NotDrained, behind
from .internals import memory, pipeline_status
from .internals.memory import lacking as lacking
from .internals.reservation import Reservation, obstacle
from .mending import begin_waiting_work
from .workers import Others, gates_of, others_held

logger = logging.getLogger("lightrag_bkp")
T = TypeVar("T")

_GATE_S = 30.0
"""How long edits and uploads under way are waited for, in seconds."""


class Held:
    """A LightRAG nobody writes to. Made by `alone`."""

    def __init__(self, rag: Any, reservation: Reservation, gates: list[Gate], others: Others) -> None:
        self._rag = rag
        self._reservation = reservation
        self._gates = gates
        self._others = others
        self._since = time.perf_counter()
        self.kept = False

    @property
    def held_ms(self) -> float:
        """How long no document could be taken in, in milliseconds."""
        return (time.perf_counter() - self._since) * 1e3

    async def write_unsaved(self) -> None:
        """Brings the files up to what is in memory."""
        await live.write_unsaved(self._rag, self._rag._insert_done)

    async def contents(self, path_of: Callable[[str], str]) -> dict[str, dict[str, Any]]:
        """What LightRAG would hold of the files `path_of` leads to; see `memory.read`."""
        return await memory.read(self._rag, path_of)

    async def exchange(self, publish: Callable[[], Awaitable[None]], contents: Mapping[str, dict[str, Any]]) -> None:
        """Puts files in place (`publish`) and their `contents` into memory, as one. Runs to its end when cancelled.

        When `publish` fails memory stays as it was.

        Raises:
            Exception: LightRAG cannot read a file that is in place now.
        """
        await to_the_end(self._exchange(publish, contents))

    async def _exchange(self, publish: Callable[[], Awaitable[None]], contents: Mapping[str, dict[str, Any]]) -> None:
        async with memory.locked(self._rag):
            await publish()
            await self._others.forget()
            await memory.switch(self._rag, contents)
        await memory.touch(self._rag)

    async def keep(self, message: str) -> None:
        """Nobody writes to this LightRAG any more until its process ends: its memory is older than its files."""
        self.kept = True
        for gate in self._gates:
            gate.bar(Busy(message, op="restore", target=self._rag.working_dir))
        await self._reservation.keep(message)
        await self._others.bar(message)


async def alone(rag: Any, work: Callable[[Held], Awaitable[T]], *, job: str, operation: Mapping[str, Any]) -> T:
    """Does `work` while nobody writes to a running LightRAG. Work that came meanwhile is begun afterwards.

    Args:
        rag: a `lightrag.LightRAG` with initialised storages; call on its event loop.
        job: what LightRAG's status shows meanwhile. operation: what a dead worker's successor reads; JSON-ready.

    Raises:
        Busy: something else is going on.
    """
    await refuse_busy(rag)
    gates = gates_of(rag, intake=True)

    async def reserved(others: Others) -> T:
        reservation = Reservation(rag, job, operation)
        held = Held(rag, reservation, gates, others)
        await others.announce()
        try:
            in_the_way = await reservation.take()
            if in_the_way is not None:
                raise _busy(rag, in_the_way)
            return await work(held)
        finally:
            if not held.kept and await reservation.give_back():
                begin_waiting_work(rag)

    try:
        async with others_held(rag, _GATE_S, intake=True) as others:
            return await behind(gates, partial(reserved, others), _GATE_S)
    except NotDrained as error:
        raise _busy(rag, "documents are being accepted or the graph is being edited") from error


async def refuse_busy(rag: Any) -> None:
    """Raises Busy when LightRAG works or its graph is being edited, and UnsupportedError when nobody can be alone with
    its files.
    """
    live.check(rag)
    without = lacking(rag)["reserve"]
    if without:
        raise UnsupportedError(
            f"this LightRAG has no {', '.join(without)}, so it cannot be kept from writing meanwhile: stop it, and"
            " restore without rag=",
            op="restore",
            target=rag.working_dir,
        )
    in_the_way = obstacle(await pipeline_status(rag))
    if in_the_way is not None:
        raise _busy(rag, in_the_way)


def _busy(rag: Any, what: str) -> Busy:
    name = rag.workspace or "(default workspace)"
    return Busy(
        f"the LightRAG of {name} is at work, {what}: restore when it is done", op="restore", target=rag.working_dir
    )
