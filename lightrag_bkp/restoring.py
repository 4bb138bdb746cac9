"""Bringing a snapshot back: stage, keep what is there, put in place.

Nothing at the target changes before everything is staged and its digests match; then the present state is kept as a
safety snapshot, and the staged files take its place (engine/publish.h). A restore that was interrupted after that point
is finished by the next one.
"""

import asyncio
import fcntl
import json
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from . import _bridge, capture
from .errors import LightragBkpError, RestoreUnfinishedError
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
from .sources import files
from .target import (
    Target,
    add_present,
    holds_staging,
    layout_of,
    look,
    present_directory,
    root_mode_of,
    same_attributes,
)

logger = logging.getLogger("lightrag_bkp")

_PHASES = {"1": "plan", "2": "write", "3": "check"}
_SAME = 3
_ACTIONS = {1: RestoreAction.CREATE, 2: RestoreAction.REPLACE, _SAME: RestoreAction.SAME}
_DIRECTORY = 2
_TYPES = {1: ItemType.FILE, _DIRECTORY: ItemType.DIRECTORY, 3: ItemType.SYMLINK}


Row = tuple[str, int, int, int]
"""(name, type, action, size) of one item, as the core says it."""


@dataclass(frozen=True)
class Request:
    """What to restore, where to and how; see `GraphBackup.restore`."""

    snapshot: BackupSnapshot
    target_dir: str | os.PathLike[str]
    items: Sequence[str] | None
    dry_run: bool
    progress: ProgressCallback | None


async def restore(repository: GraphRepository, request: Request) -> RestoreOutcome:
    """Restores a snapshot, or some items of it."""
    started = time.monotonic()
    snapshot = request.snapshot
    core = await repository.require()
    facts = stored_object(await asyncio.to_thread(core.facts, snapshot.backup_id), "facts", snapshot.backup_id)
    layout = layout_of(facts, request.target_dir)
    if request.dry_run:
        refuse_pending(layout.root)
    else:
        await finish(layout.root)
    target = await asyncio.to_thread(
        look, layout, bool(facts.get("inputs")), repository.storage_path, request.items is not None
    )
    if request.dry_run:
        done = await _plan(repository, request, target)
    else:
        done = await _replace(repository, request, target, root_mode_of(facts))
    outcome = RestoreOutcome(
        snapshot_id=snapshot.backup_id,
        target_dir=layout.root,
        items=(
            *(RestoredItem(name, _TYPES[kind], _ACTIONS[action], size) for name, kind, action, size in done.rows),
            *(RestoredItem(name, None, RestoreAction.REMOVE, 0) for name in done.removed),
        ),
        needed_bytes=done.needed_bytes,
        safety_snapshot=done.safety_snapshot,
        restart_required=layout.kind is files.Kind.LIGHTRAG,
        dry_run=request.dry_run,
        seconds=time.monotonic() - started,
    )
    logger.info(
        "event=restore graph=%s id=%s items=%d changed=%d bytes=%d safety=%s dry_run=%s seconds=%.3f",
        repository.graph_id,
        snapshot.backup_id,
        len(outcome.items),
        len(outcome.changed),
        done.needed_bytes,
        done.safety_snapshot,
        request.dry_run,
        outcome.seconds,
    )
    return outcome


@dataclass(frozen=True)
class _Done:
    """What was done, or with dry_run would be; `removed` in byte order."""

    rows: list[Row]
    needed_bytes: int
    removed: list[str]
    safety_snapshot: str | None = None


def _surplus(request: Request, target: Target, rows: Sequence[Row]) -> list[str]:
    """What is there and the snapshot lacks. The rows of a whole restore are all its items."""
    if request.items is not None:
        return []
    wanted = {row[0] for row in rows}
    return sorted((name for name in target.present() if name not in wanted), key=os.fsencode)


async def _plan(repository: GraphRepository, request: Request, target: Target) -> _Done:
    core = await repository.require()
    with present_directory(target.layout.root) as compare:
        job = _bridge.restore_job(
            core, request.snapshot.backup_id, compare_dir=compare, only=request.items, dry_run=True
        )
    rows, needed = await _bridge.run(job, capture.named(request.progress, _PHASES))
    removed = _surplus(request, target, rows)
    stays = not removed and all(row[2] == _SAME for row in rows)
    return _Done(rows, 0 if stays else needed, removed)


async def _replace(repository: GraphRepository, request: Request, target: Target, root_mode: int | None) -> _Done:
    """Stages, keeps the present state, puts in place. Any failure before the last step leaves the target as it was."""
    root = target.layout.root
    way = _bridge.publish_choose(root, target.shared)
    async with _Staging(root, way) as staging:
        whole = target.plain or way != _bridge.PUBLISH_JOURNAL
        if way != _bridge.PUBLISH_JOURNAL:
            staging.dress(root_mode)
        rows, needed = await _stage(repository, request, staging, whole)
        removed = _surplus(request, target, rows)
        changed = any(row[2] != _SAME for row in rows)
        if not changed and not removed and await _may_stay(repository, request, target, rows):
            return _Done(rows, needed, removed)
        safety = await _keep_present(repository, request.snapshot, target)
        put = [name for name, kind, action, _ in rows if whole or kind == _DIRECTORY or action != _SAME]
        await staging.publish(put, removed)
        return _Done(rows, needed, removed, safety)


class _Staging:
    """A staging directory that goes away unless it is published."""

    def __init__(self, root: str, way: int) -> None:
        self.root = root
        self.way = way
        self.path, self.fd = _bridge.publish_stage(root, way)
        self._kept = False

    async def __aenter__(self) -> "_Staging":
        return self

    def dress(self, mode: int | None) -> None:
        """Gives the directory itself the mode it had, if that is known; its owner may always put files in it."""
        if mode is not None:
            os.chmod(self.fd, mode | 0o700)

    async def publish(self, names: Sequence[str], removed: Sequence[str]) -> None:
        """Puts the staged names in place of the present ones. From here on only the core knows how far it came."""
        self._kept = True
        await _bridge.run(_bridge.publish_commit_job(self.root, self.way, self.path, names, removed))

    async def __aexit__(self, *exc: object) -> None:
        # The descriptor's lock says that a living process is at work here; it goes last.
        try:
            if not self._kept:
                await asyncio.shield(asyncio.to_thread(_bridge.publish_abandon, self.root, self.way, self.path))
        finally:
            # Unlocked by name: a child forked meanwhile has the descriptor too and would keep the lock.
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            os.close(self.fd)
        if self._kept and exc[0] is not None:
            # What never committed is cleared; what did is rolled forward. If even that fails, the next restore does it.
            with suppress(LightragBkpError):
                await _bridge.run(_bridge.publish_finish_job(self.root))


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


async def _stage(
    repository: GraphRepository, request: Request, staging: _Staging, whole: bool
) -> tuple[list[Row], int]:
    """Stages the items; without `whole` only those that differ, and directories."""
    core = await repository.require()
    with present_directory(staging.root) as compare:
        job = _bridge.restore_job(
            core,
            request.snapshot.backup_id,
            staging_dir=staging.fd,
            compare_dir=compare,
            only=request.items,
            stage_same=whole,
        )
    rows, needed = await _bridge.run(job, capture.named(request.progress, _PHASES))
    return rows, needed


async def _keep_present(repository: GraphRepository, replaced_by: BackupSnapshot, target: Target) -> str | None:
    """A safety snapshot of what the target holds; None when it holds nothing of this graph."""
    source = _bridge.Source()
    await asyncio.to_thread(add_present, source, target)
    source.seal()
    if len(source) == 0:
        return None
    with repository.advising_on_space():
        kept = await capture.store(
            repository,
            source,
            label=target.layout.label,
            safety=True,
            consistency=str(Consistency.PLAIN if target.plain else Consistency.CRASH),
            facts=capture.layout_facts(target.layout) | ({"inputs": True} if target.inputs else {}),
            metadata_json=json.dumps({"replaced_by": replaced_by.backup_id}),
            retention_days=replaced_by.retention_days,
        )
    return kept.backup_id


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
