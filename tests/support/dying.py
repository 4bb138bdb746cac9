"""Processes with a LightRAG in them that die in the midst of a restore.

They are forked from a process that has imported everything and started nothing: LightRAG's threads do not survive a
fork.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lightrag_bkp import BackupManager, _bridge
from lightrag_bkp.restoring import handover
from lightrag_bkp.restoring.staging import Staging
from lightrag_bkp.sources import takeover
from lightrag_bkp.sources.internals import memory
from lightrag_bkp.sources.internals.reservation import Reservation

from . import graphs

_AFTER: dict[str, tuple[Any, str]] = {
    "staged": (Staging, "fill"),
    "reserved": (Reservation, "take"),
    "written": (takeover.Held, "write_unsaved"),
    "kept": (handover, "keep_present"),
    "published": (Staging, "publish"),
    "switched": (memory, "switch"),
    "read": (memory, "touch"),
}
STEPS = tuple(_AFTER)
"""The steps of a restore, in order; the files are exchanged by "published"."""

_STORES = ("json_kv_impl", "json_doc_status_impl", "nano_vector_db_impl", "networkx_impl")

_context = multiprocessing.get_context("forkserver")
# Installed modules only: Python before 3.13 does not pass this process's path on to the server.
_context.set_forkserver_preload(
    ["lightrag.lightrag", *(f"lightrag.kg.{name}" for name in _STORES), "lightrag_bkp.graph"]
)


def die(directory: Path, workspace: str, graph_id: str, storage: Path, snapshot_id: str, step: str | int) -> int | None:
    """Opens LightRAG in a child, restores into it, and kills the child after a step, or before that change of the file
    system while publishing; returns its exit code.
    """
    child = _context.Process(target=_restore_and_die, args=(directory, workspace, graph_id, storage, snapshot_id, step))
    child.start()
    child.join(60)
    return child.exitcode


def die_beside(directory: Path, storage: Path, snapshot_id: str, change: int, graph_id: str = "g") -> int | None:
    """Restores a graph into a directory in a child that has no LightRAG and dies before that change of the file system;
    returns its exit code.
    """
    child = _context.Process(target=_restore_beside, args=(directory, storage, snapshot_id, change, graph_id))
    child.start()
    child.join(60)
    return child.exitcode


def _restore_beside(directory: Path, storage: Path, snapshot_id: str, change: int, graph_id: str) -> None:
    _bridge.publish_stop_after(change)
    asyncio.run(BackupManager(storage).register_graph(graph_id, directory).restore(snapshot_id, directory))


def _restore_and_die(*arguments: Any) -> None:
    *where, step = arguments
    if isinstance(step, int):
        _bridge.publish_stop_after(step)
    else:
        die_after(step)
    asyncio.run(_restore(*where))


def die_after(step: str) -> None:
    """Has this process die behind that step of its next restore."""
    owner, name = _AFTER[step]
    setattr(owner, name, _deadly(getattr(owner, name)))


async def _restore(directory: Path, workspace: str, graph_id: str, storage: Path, snapshot_id: str) -> None:
    async with graphs.opened(directory, workspace) as rag:
        graph = BackupManager(storage).register_graph(graph_id, rag=rag)
        await graph.restore(snapshot_id, directory)


def _deadly(step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def deadly(*arguments: Any, **options: Any) -> Any:
        await step(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    return deadly
