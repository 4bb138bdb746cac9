"""Recovery points over two real graphs, as several processes see them."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from lightrag_bkp import BackupManager
from lightrag_bkp.recovery import DisasterRecoveryManager

from .folders import Fingerprint, fingerprint

GRAPH = "graph_chunk_entity_relation.graphml"


def items(directory: Path) -> Fingerprint:
    return {name: found for name, found in fingerprint(directory).items() if found[0] == "file"}


def again(recovery: DisasterRecoveryManager) -> DisasterRecoveryManager:
    """The same storage path in what might be another process, after a restart."""
    manager = BackupManager(recovery.backup.storage_path)
    for graph_id in recovery.backup.graph_ids():
        graph = recovery.backup.require_graph(graph_id)
        manager.register_graph(graph_id, graph.source_dir)
    return DisasterRecoveryManager(manager)


def killed(recovery: DisasterRecoveryManager, work: str, checkpoint_id: str, doom: Callable[[], None]) -> None:
    """A child calls the method `work` of a manager of its own, and is killed where `doom` has arranged it."""
    child = os.fork()
    if child == 0:
        try:
            doom()
            asyncio.run(getattr(again(recovery), work)(checkpoint_id))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "the child did not come that far"


def kill_at(owner: type, name: str, number: int, *, after: bool = False) -> None:
    """Kills this process in place of call `number`, counted from 0, of an async method, or right after it."""
    method, calls = getattr(owner, name), 0

    async def deadly(*arguments: object, **options: object) -> object:
        nonlocal calls
        mine, calls = calls, calls + 1
        if mine == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await method(*arguments, **options)
        if mine == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, deadly)
