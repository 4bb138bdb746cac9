"""A recovery point taken: a snapshot of every graph at once, each held before the point exists, or nothing at all."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..awaiting import to_the_end
from ..errors import LightragBkpError
from ..graph import GraphBackup
from ..graph.keeping import change_hold
from ..holders import holder_of
from ..models import BackupSnapshot
from ..threads import in_thread
from .points import PointStore, RecoveryPoint, new_id

logger = logging.getLogger("lightrag_bkp")


async def take(store: PointStore, graphs: Sequence[GraphBackup], description: str) -> RecoveryPoint:
    """The new point. Raises what `create_snapshot` raises, of whichever graph; then nothing is left."""
    checkpoint_id = new_id()
    taking = [asyncio.create_task(_take(graph, checkpoint_id, description)) for graph in graphs]
    try:
        await asyncio.wait(taking)
        snapshots = {one.graph_id: one for one in (task.result() for task in taking)}
        point = await store.create(checkpoint_id, _document(checkpoint_id, description, snapshots))
    except BaseException:
        await to_the_end(_give_up(taking, graphs, checkpoint_id))
        raise
    logger.info("event=recovery_point id=%s graphs=%s", checkpoint_id, ",".join(point.graphs))
    return point


async def let_go(graphs: Iterable[GraphBackup], checkpoint_id: str) -> int:
    """Ends all holds of a point; returns how many there were."""
    released, holder = 0, holder_of(checkpoint_id)
    for graph in graphs:
        for snapshot in await in_thread(graph.list_snapshots):
            if holder in snapshot.holders:
                released += await change_hold(graph, "release", snapshot.backup_id, holder)
    return released


async def _take(graph: GraphBackup, checkpoint_id: str, description: str) -> BackupSnapshot:
    tags = {"recovery_point": checkpoint_id, **({"description": description} if description else {})}
    snapshot = await graph.create_snapshot(metadata=tags)
    try:
        await change_hold(graph, "hold", snapshot.backup_id, holder_of(checkpoint_id))
    except BaseException:
        await to_the_end(_forget(graph, snapshot, checkpoint_id))
        raise
    return snapshot


async def _give_up(
    taking: "list[asyncio.Task[BackupSnapshot]]", graphs: Sequence[GraphBackup], checkpoint_id: str
) -> None:
    """Undoes what was taken for a point that will not be."""
    for task in taking:
        task.cancel()
    ended = await asyncio.gather(*taking, return_exceptions=True)
    for graph, taken in zip(graphs, ended, strict=True):
        if isinstance(taken, BackupSnapshot):
            await _forget(graph, taken, checkpoint_id)


async def _forget(graph: GraphBackup, snapshot: BackupSnapshot, checkpoint_id: str) -> None:
    """Lets go of and deletes a snapshot that was taken for a point that will not be."""
    try:
        await change_hold(graph, "release", snapshot.backup_id, holder_of(checkpoint_id))
        await graph.delete_snapshot(snapshot.backup_id)
    except LightragBkpError as error:
        logger.warning("event=snapshot_left graph=%s id=%s error=%r", graph.graph_id, snapshot.backup_id, str(error))


def _document(checkpoint_id: str, description: str, snapshots: Mapping[str, BackupSnapshot]) -> dict[str, Any]:
    """What is written of a new point."""
    return {
        "checkpoint_id": checkpoint_id,
        "description": description,
        "snapshots": {
            graph_id: {"id": one.backup_id, "digest": one.data_hash, "created_at": one.created_at.isoformat()}
            for graph_id, one in snapshots.items()
        },
        "replication": {},
    }
