"""Space that killed runs kept, reclaimed when the server starts: by one worker, and beside everything else.

What is too young to be told from work under way has come of age by the second look, so that a server which is killed
and started at once gives it back as well.
"""

import asyncio
import logging

from ..errors import LightragBkpError
from ..repository import reclaim_litter
from ..sources import workers
from ..threads import in_thread
from .context import Context

logger = logging.getLogger("lightrag_bkp")

AGE_S = 600.0
"""How long nobody may have written to a file that is no work any more. Locks protect what is longer under way."""
_ACTOR = "the server's start"


def begin(context: Context) -> None:
    """Starts it where this worker is the one to do it; it ends with the application."""
    if context.backup is None or not workers.leads(context.rag):
        return
    looking = asyncio.create_task(_look_twice(context))

    async def stop() -> None:
        looking.cancel()
        await asyncio.wait([looking])

    context.closing.append(stop)


async def _look_twice(context: Context) -> None:
    await reclaim(context)
    await asyncio.sleep(AGE_S)
    await reclaim(context)


async def reclaim(context: Context) -> None:
    """One look at every graph, and beside them. What cannot be looked at is told in the log, and keeps nobody from
    anything.
    """
    backup = context.require_backup()
    try:
        graph_ids = await in_thread(backup.graph_ids)
    except (LightragBkpError, OSError) as error:
        logger.warning("event=litter_not_reclaimed storage=%r error=%s", backup.storage_path, error)
        return
    for graph_id in (None, *graph_ids):
        try:
            files, size = await in_thread(reclaim_litter, backup.storage_path, graph_id, AGE_S)
        except (LightragBkpError, OSError) as error:
            logger.warning("event=litter_not_reclaimed graph=%s error=%s", graph_id, error)
            continue
        if files:
            said = f"half-written files of runs that died, removed: {files}, of {size} bytes"
            await context.note("reclaim", _ACTOR, "succeeded", graph_id=graph_id, detail=said)
