"""Taking a restore back: from its safety snapshot, or, where nothing of the graph was, by taking away what it
brought.
"""

import os
from contextlib import suppress
from typing import Any

from .. import _bridge
from ..errors import NotFoundError
from ..models import BackupSnapshot, RestoreOutcome
from ..repository import GraphRepository
from ..threads import in_thread
from .handover import take_away
from .request import Request
from .restore import finish, restore, works_at
from .staging import Staging


async def undo(repository: GraphRepository, outcome: RestoreOutcome, rag: Any) -> None:
    """Makes a target what it was before a restore; `rag` is the graph's running LightRAG, or None. It may be done
    again: an undo whose process died is finished by the next one.

    Raises:
        NotFoundError: a snapshot that is needed is gone. As `restore`, too.
    """
    if outcome.dry_run or not outcome.changed:
        return
    root = outcome.target_dir
    if outcome.safety_snapshot is not None:
        kept = await _known(repository, outcome.safety_snapshot, "what the restore replaced cannot be had again")
        facts = await in_thread(lambda: kept.facts)
        directory = os.path.dirname(root) if facts.get("workspace") else root
        await restore(repository, Request(kept, directory, replace=True, allow_unusable=True, rag=rag))
        return
    restored = await _known(repository, outcome.snapshot_id, "what the restore brought cannot be told from the rest")
    await finish(root)
    names = await in_thread(_present_of, restored, root)
    if await in_thread(works_at, rag, root):
        await take_away(repository.graph_id, root, names, rag)
        return
    if await in_thread(os.path.isdir, root):
        async with Staging(root, _bridge.PUBLISH_JOURNAL) as staging:
            await staging.publish([], names)
    await in_thread(_remove_made, root, outcome.made_dirs)


def _remove_made(root: str, levels: int) -> None:
    """Removes directories the restore made, from the last one up, as far as nothing is in them."""
    with suppress(OSError):
        for _ in range(levels):
            os.rmdir(root)
            root = os.path.dirname(root)


async def _known(repository: GraphRepository, snapshot_id: str, otherwise: str) -> BackupSnapshot:
    core = await repository.require()
    row = await in_thread(core.snapshot, snapshot_id)
    if row is None:
        raise NotFoundError(
            f"snapshot {snapshot_id} of graph {repository.graph_id!r} is gone: {otherwise}", target=snapshot_id
        )
    return repository.snapshot(core, row)


def _present_of(snapshot: BackupSnapshot, root: str) -> list[str]:
    return [item.name for item in snapshot.items if os.path.lexists(os.path.join(root, item.name))]
