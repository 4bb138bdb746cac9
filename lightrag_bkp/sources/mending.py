"""What a restore left whose process died in the midst of it, mended by one that lives on, or by the next that starts.

The pipeline's state says that a restore has taken LightRAG, from before its first change until after its last
(`internals.reservation`). Whoever is alone among the workers and reads it there knows that its process is gone. What
the files are then, old, new or half-way, the journal on disk decides, as at a server's start; memory is made to agree
with them, and the pipeline is given back. Nobody writes meanwhile: the gates of a worker that was held stay closed
until it has been here (`workers`), and one that begins has not begun.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from ..errors import UnsupportedError
from .internals import exists, memory, pipeline_status
from .internals.reservation import free, is_deserted, kept

logger = logging.getLogger("lightrag_bkp")

Finish = Callable[[bool], Awaitable[bool]]
"""Clears what an interrupted restore staged, and finishes one that began to change files if told that it may; returns
whether files of the graph are other ones now."""

_UNMENDED = "a restore was cut off when its worker died, and memory may be older than the files: restart the server"
_LOCKS_S = 30.0
"""How long dead holders' locks may take to come free, in seconds."""
_KNOWS_HOLDERS = (
    "lightrag.kg.shared_storage:acquire_reservation",
    "lightrag.kg.shared_storage:_keyed_holder_table",
)

_driving: set[asyncio.Task[None]] = set()


class Unmendable(Exception):
    """This LightRAG has to be restarted, and nobody may write until then; says why."""


async def nothing_to_finish(_: bool) -> bool:
    """The `Finish` of who has no directories."""
    return False


def lacking(rag: Any) -> list[str]:
    """What keeps from mending: without these names locks of a dead worker stay locked, or memory stays as it is."""
    return [*memory.lacking(rag)["reload"], *(name for name in _KNOWS_HOLDERS if not exists(rag, name))]


async def mend(rag: Any, finish: Finish, *, others: bool) -> None:
    """Makes files and memory one again and gives the pipeline back, if a restore left them. The caller is alone among
    the workers, and lets nobody write here.

    Args:
        others: there are workers that go on meanwhile, so that files may change only where a restore had held them.

    Raises:
        Unmendable: a restore left something that a restart alone puts right.
    """
    status = await pipeline_status(rag)
    if (message := kept(status)) is not None:
        raise Unmendable(message)
    deserted = is_deserted(status)
    if not deserted and not await finish(not others):
        return
    without = lacking(rag) if deserted else memory.lacking(rag)["reload"]
    try:
        if without:
            raise UnsupportedError(f"this LightRAG has no {', '.join(without)}", op="mend", target=rag.working_dir)
        async with AsyncExitStack() as locks:
            async with asyncio.timeout(_LOCKS_S):
                await locks.enter_async_context(memory.locked(rag))
            finished = deserted and await finish(True)
            await memory.switch(rag, await memory.read(rag, str))
        await memory.touch(rag)
        if deserted and await free(rag):
            begin_waiting_work(rag)
    except Exception as error:
        logger.error("event=restore_not_mended workspace=%r error=%r", rag.workspace, error)
        raise Unmendable(_UNMENDED) from error
    logger.warning("event=restore_mended workspace=%r rolled_forward=%s", rag.workspace, finished or not deserted)


async def read_anew(rag: Any) -> None:
    """Makes this process's vectors and graph what the files are, with nothing it had not written."""
    memory.forget(rag)
    memory.distrust(rag)
    await memory.touch(rag)


def begin_waiting_work(rag: Any) -> None:
    """Has LightRAG process what came while nothing could be processed."""
    task = asyncio.create_task(_process(rag))
    _driving.add(task)  # a loop holds its tasks weakly
    task.add_done_callback(_driving.discard)


async def _process(rag: Any) -> None:
    try:
        await rag.apipeline_process_enqueue_documents()
    except Exception as error:
        logger.error("event=waiting_documents workspace=%r error=%r", rag.workspace, error)
