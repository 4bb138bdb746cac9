"""Bringing a snapshot back: stage, keep what is there, put in place.

Nothing at the target changes before everything is staged and its digests match; then the present state is kept as a
safety snapshot, and the staged files take its place (engine/publish.h). A restore that was interrupted after that point
is finished by the next one.
"""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import _bridge
from .errors import RestoreUnfinishedError
from .handover import Done, hand_over
from .models import (
    BackupSnapshot,
    Consistency,
    ItemType,
    ProgressCallback,
    RestoreAction,
    RestoredItem,
    RestoreOutcome,
    stored_object,
)
from .repository import GraphRepository
from .safety import keep_present
from .sources import files
from .staging import DIRECTORY, SAME, Row, Staging, Wanted, plan, surplus, to_put
from .target import Target, holds_staging, layout_of, look, root_mode_of, same_attributes

logger = logging.getLogger("lightrag_bkp")

_ACTIONS = {1: RestoreAction.CREATE, 2: RestoreAction.REPLACE, SAME: RestoreAction.SAME}
_TYPES = {1: ItemType.FILE, DIRECTORY: ItemType.DIRECTORY, 3: ItemType.SYMLINK}


@dataclass(frozen=True)
class Request:
    """What to restore, where to and how; see `GraphBackup.restore`. `rag` is the graph's running LightRAG, or None."""

    snapshot: BackupSnapshot
    target_dir: str | os.PathLike[str]
    items: Sequence[str] | None
    dry_run: bool
    progress: ProgressCallback | None
    rag: Any = None

    @property
    def wanted(self) -> Wanted:
        """What of it is staged."""
        return Wanted(self.snapshot.backup_id, self.items, self.progress)

    def rag_at(self, layout: files.Layout) -> Any:
        """The running LightRAG whose files lie there, or None."""
        if self.rag is None or layout.kind is not files.Kind.LIGHTRAG:
            return None
        home = files.Layout.at(files.Kind.LIGHTRAG, self.rag.working_dir, self.rag.workspace or "")
        return self.rag if home.root == layout.root else None


async def restore(repository: GraphRepository, request: Request) -> RestoreOutcome:
    """Restores a snapshot, or some items of it."""
    started = time.monotonic()
    snapshot = request.snapshot
    core = await repository.require()
    facts = stored_object(await asyncio.to_thread(core.facts, snapshot.backup_id), "facts", snapshot.backup_id)
    layout = layout_of(facts, request.target_dir)
    look_again = partial(look, layout, bool(facts.get("inputs")), repository.storage_path, request.items is not None)
    if request.dry_run:
        refuse_pending(layout.root)
        done = await _plan(repository, request, await asyncio.to_thread(look_again))
    else:
        await finish(layout.root)
        rag = request.rag_at(layout)
        if rag is not None:
            done = await hand_over(repository, snapshot, request.wanted, rag, look_again, root_mode_of(facts))
        else:
            done = await _replace(repository, request, await asyncio.to_thread(look_again), root_mode_of(facts))
    outcome = RestoreOutcome(
        snapshot_id=snapshot.backup_id,
        target_dir=layout.root,
        items=(
            *(RestoredItem(name, _TYPES[kind], _ACTIONS[action], size) for name, kind, action, size in done.rows),
            *(RestoredItem(name, None, RestoreAction.REMOVE, 0) for name in done.removed),
        ),
        needed_bytes=done.needed_bytes,
        safety_snapshot=done.safety_snapshot,
        restart_required=layout.kind is files.Kind.LIGHTRAG and not done.reloaded,
        dry_run=request.dry_run,
        seconds=time.monotonic() - started,
        reloaded=done.reloaded,
        held_ms=done.held_ms,
    )
    logger.info(
        "event=restore graph=%s id=%s items=%d changed=%d bytes=%d safety=%s reloaded=%s dry_run=%s seconds=%.3f",
        repository.graph_id,
        snapshot.backup_id,
        len(outcome.items),
        len(outcome.changed),
        done.needed_bytes,
        done.safety_snapshot,
        done.reloaded,
        request.dry_run,
        outcome.seconds,
    )
    return outcome


async def _plan(repository: GraphRepository, request: Request, target: Target) -> Done:
    rows, needed = await plan(repository, request.wanted, target.layout.root)
    removed = surplus(request.wanted, target.present(), rows)
    stays = not removed and all(row[2] == SAME for row in rows)
    return Done(rows, 0 if stays else needed, removed)


async def _replace(repository: GraphRepository, request: Request, target: Target, root_mode: int | None) -> Done:
    """Stages, keeps the present state, puts in place. Any failure before the last step leaves the target as it was."""
    root = target.layout.root
    way = _bridge.publish_choose(root, target.shared)
    async with Staging(root, way) as staging:
        whole = target.plain or way != _bridge.PUBLISH_JOURNAL
        staging.dress(root_mode)
        rows, needed = await staging.fill(repository, request.wanted, whole=whole)
        removed = surplus(request.wanted, target.present(), rows)
        changed = any(row[2] != SAME for row in rows)
        if not changed and not removed and await _may_stay(repository, request, target, rows):
            return Done(rows, needed, removed)
        safety = await keep_present(repository, request.snapshot, target, Consistency.CRASH)
        await staging.publish(to_put(rows, whole=whole), removed)
        return Done(rows, needed, removed, safety)


async def _may_stay(repository: GraphRepository, request: Request, target: Target, rows: Sequence[Row]) -> bool:
    """Whether a target whose bytes are right may stay as it is. LightRAG rewrites files without changing them, so of a
    graph the bytes decide; of a plain directory modes and times as well.
    """
    if not target.plain:
        return True
    core = await repository.require()
    chosen = None if request.items is None else {row[0] for row in rows}

    def compare() -> bool:
        items = core.body(request.snapshot.backup_id)[1]
        return same_attributes(target.layout.root, (item for item in items if chosen is None or item[0] in chosen))

    return await asyncio.to_thread(compare)


async def finish(root: str) -> bool:
    """Rolls an interrupted restore of `root` forward, or clears what never committed; False when none waits."""
    if not _bridge.publish_pending(root):
        return False
    finished = bool(await _bridge.run(_bridge.publish_finish_job(root)))
    logger.info("event=restore_finished target=%r", root)
    return finished


def refuse_pending(root: str) -> None:
    """Raises RestoreUnfinishedError when an interrupted restore left its mark in `root`; beside it, it is harmless."""
    if holds_staging(root) and _bridge.publish_pending(root):
        raise RestoreUnfinishedError(
            f"an interrupted restore waits in {root!r}: finish_restore(), or restoring there again, settles it first",
            op="check",
            target=root,
        )
