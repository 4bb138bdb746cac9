"""Bringing a snapshot back: stage, keep what is there, put in place.

Nothing at the target changes before everything is staged and its digests match; then the present state is kept as a
safety snapshot, and the staged files take its place (engine/publish.h). A restore that was interrupted after that point
is finished by the next one.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from .. import _bridge, validation
from ..errors import (
    ConflictError,
    DamagedError,
    InvalidInputError,
    LightragBkpError,
    OperationCancelled,
    RefusedError,
)
from ..models import Consistency, ItemType, Listing, RestoreAction, RestoredItem, RestoreOutcome
from ..repository import GraphRepository, read_facts
from ..sources import files, serving, trees
from ..threads import in_thread
from ..verdicts import Verdict
from .handover import Done, Handover, hand_over
from .request import Request
from .safety import keep_present
from .staging import (
    CREATE,
    DIRECTORY,
    FILE,
    REPLACE,
    SAME,
    SYMLINK,
    Staged,
    Staging,
    Wanted,
    advising_on_stuck,
    plan,
    refuse_mounts,
    refuse_pending,
    surplus,
    waits,
)
from .target import Target, layout_of, look, missing_levels, refuse_blocked, root_mode_of
from .uploads import Others, place
from .workspaces import check_new

logger = logging.getLogger("lightrag_bkp")

_ACTIONS = {CREATE: RestoreAction.CREATE, REPLACE: RestoreAction.REPLACE, SAME: RestoreAction.SAME}
_TYPES = {FILE: ItemType.FILE, DIRECTORY: ItemType.DIRECTORY, SYMLINK: ItemType.SYMLINK}


@dataclass(frozen=True)
class _Restore:
    """A request, and what the snapshot's facts say about it."""

    repository: GraphRepository
    request: Request
    facts: Mapping[str, Any]
    layout: files.Layout
    input_root: str | None
    """Where the workspace's uploads go, when somebody said where they lie."""

    @property
    def uploads_apart(self) -> bool:
        """Whether the snapshot has uploads, and they go to an INPUT_DIR."""
        return bool(self.facts.get("inputs")) and self.input_root is not None and self.request.items is None

    @property
    def others(self) -> Others:
        """What becomes of other uploads of the same name."""
        return Others.KEEP if self.request.keep_uploads else Others.REPLACE if self.request.replace else Others.REFUSE

    @property
    def wanted(self) -> Wanted:
        """What of the snapshot goes to the target itself."""
        request = self.request
        return Wanted(request.snapshot.backup_id, request.items, self.input_root, request.progress)

    def look(self) -> Target:
        """What is at the target now."""
        inputs = bool(self.facts.get("inputs")) and not self.uploads_apart
        return look(self.layout, inputs, self.repository.storage_path, self.request.items is not None)

    def rag(self) -> Any:
        """The running LightRAG whose files lie at the target, or None."""
        rag = self.request.rag
        lightrag = self.layout.kind is files.Kind.LIGHTRAG
        return rag if lightrag and works_at(rag, self.layout.root) else None


async def restore(repository: GraphRepository, request: Request) -> RestoreOutcome:
    """Restores a snapshot, or some items of it."""
    with _advising_on_damage(repository.graph_id, request.snapshot.backup_id):
        return await _restore(repository, request)


@contextmanager
def _advising_on_damage(graph_id: str, backup_id: str) -> Iterator[None]:
    """Says of a snapshot that is damaged which one it is, and what there is to do."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(
            f"snapshot {backup_id} of graph {graph_id} cannot be brought back: {error}; verify names all damage, a new"
            " snapshot heals what its source still has, and other snapshots may be intact",
            op=error.op,
            target=error.target,
        ) from error


async def _restore(repository: GraphRepository, request: Request) -> RestoreOutcome:
    started = time.monotonic()
    snapshot = request.snapshot
    core = await repository.require()
    facts = await in_thread(read_facts, core, snapshot.backup_id)
    this = await in_thread(_understood, repository, request, facts)
    made_dirs = await in_thread(missing_levels, this.layout.root)
    verdict = await _judge(this, core)
    if request.dry_run:
        await in_thread(refuse_pending, this.layout.root)
        uploads, done = 0, await _plan(this)
    else:
        uploads, done = await _bring(this, verdict)
    outcome = _outcome(this, done, uploads, time.monotonic() - started)
    return replace(outcome, verdict=verdict, made_dirs=made_dirs)


def _understood(repository: GraphRepository, request: Request, facts: Mapping[str, Any]) -> _Restore:
    """Raises what `_refuse` raises."""
    layout, given = layout_of(facts, request.target_dir, request.workspace), request.input_dir
    uploads = None if given is None else files.Layout.at(files.Kind.LIGHTRAG, given, layout.workspace).root
    this = _Restore(repository, request, facts, layout, uploads)
    _refuse(this)
    return this


async def _bring(this: _Restore, verdict: str | None) -> tuple[int, Done]:
    """Restores, and says how many names of uploads came back besides."""
    request, layout, rag = this.request, this.layout, await in_thread(this.rag)
    outside = rag is None and layout.kind is files.Kind.LIGHTRAG
    async with serving.unserved(layout.working_dir, layout.workspace, request.server_url, check=outside):
        uploads, finished = 0, await finish(layout.root)
        if verdict == Verdict.UNUSABLE and not request.allow_unusable:
            await in_thread(_refuse_unusable, this)
        if this.uploads_apart and this.input_root is not None:  # first: the graph names what is there
            await finish(this.input_root)
            uploads = await place(this.repository, request.snapshot.backup_id, this.input_root, this.others)
        if rag is None:
            done = await _replace(this)
        else:
            mode = root_mode_of(this.facts)
            done = await hand_over(
                Handover(this.repository, request.snapshot, this.wanted, rag, this.look, mode, finished)
            )
    return uploads, replace(done, finished=finished)


async def _judge(this: _Restore, core: _bridge.Repository) -> str | None:
    """What the graph is good for that is brought back; None for a plain directory and for single items. What was found
    when it was taken holds, for every file that is staged has the digest it had then; one that was never judged is
    judged now. Trouble while judging never keeps a restore from being made.
    """
    request = this.request
    if this.layout.kind is files.Kind.PLAIN or request.items is not None:
        return None
    if request.snapshot.verdict or request.dry_run or request.allow_unusable:
        return request.snapshot.verdict
    try:
        return (await validation.validate_snapshot(core, request.snapshot, this.facts)).verdict
    except OperationCancelled:
        raise
    except LightragBkpError as error:
        logger.warning("event=not_judged id=%s error=%r", request.snapshot.backup_id, str(error))
        return None


def _refuse_unusable(this: _Restore) -> None:
    """Nothing that may still be of use is replaced by what cannot be used. To an empty place it goes without asking."""
    root, snapshot_id = this.layout.root, this.request.snapshot.backup_id
    if files.holds_items(root):
        raise RefusedError(
            f"the graph of snapshot {snapshot_id} is unusable, and {root!r} holds one: restore another one, or to an"
            " empty directory, or pass allow_unusable=True (--allow-unusable)",
            op="restore",
            target=root,
        )


def _refuse(this: _Restore) -> None:
    """Refuses what cannot be meant."""
    request, layout = this.request, this.layout
    refuse_blocked(os.path.join(os.path.abspath(request.target_dir), layout.workspace))
    if request.input_dir is not None:
        refuse_blocked(os.path.join(request.input_dir, layout.workspace))
    if layout.kind is files.Kind.PLAIN and (request.workspace, request.input_dir) != (None, None):
        raise InvalidInputError(
            "the snapshot is of a plain directory, which has neither workspace nor uploads: leave them out",
            op="restore",
            target=request.snapshot.backup_id,
        )
    if request.workspace is not None and request.workspace != this.facts.get("workspace", ""):
        check_new(layout.workspace, layout.working_dir)
        if not request.replace and files.holds_items(layout.root):
            raise ConflictError(
                f"{layout.root!r} holds a graph already: take another workspace, or say replace (--replace)",
                op="restore",
                target=layout.root,
            )
    if this.uploads_apart and this.input_root is not None:
        trees.check_inputs(this.input_root, layout.root)
        trees.check_apart(this.input_root, this.repository.storage_path, "the input directory")
        if files.holds_items(this.input_root):
            raise ConflictError(
                f"{this.input_root!r} is a LightRAG workspace, no place for uploads: correct the input directory",
                op="restore",
                target=this.input_root,
            )


def _outcome(this: _Restore, done: Done, uploads: int, seconds: float) -> RestoreOutcome:
    outcome = RestoreOutcome(
        snapshot_id=this.request.snapshot.backup_id,
        target_dir=this.layout.root,
        items=_items(done),
        needed_bytes=done.needed_bytes,
        safety_snapshot=done.safety_snapshot,
        restart_required=this.layout.kind is files.Kind.LIGHTRAG and done.changes and not done.reloaded,
        dry_run=this.request.dry_run,
        seconds=seconds,
        reloaded=done.reloaded,
        held_ms=done.held_ms,
        uploads=uploads,
        sidecars=done.sidecars,
    )
    logger.info(
        "event=restore graph=%s id=%s items=%d changed=%d bytes=%d safety=%s reloaded=%s dry_run=%s seconds=%.3f",
        this.repository.graph_id,
        outcome.snapshot_id,
        len(outcome.items),
        done.differing + len(done.removed),
        done.needed_bytes,
        done.safety_snapshot,
        done.reloaded,
        outcome.dry_run,
        seconds,
    )
    return outcome


def _items(done: Done) -> Sequence[RestoredItem]:
    """All items, then what goes: made when asked for, for there may be very many."""
    count = len(done.rows)

    def item(at: int) -> RestoredItem:
        if at >= count:
            return RestoredItem(done.removed[at - count], None, RestoreAction.REMOVE, 0)
        name, kind, action, size = done.rows[at]
        return RestoredItem(name, _TYPES[kind], _ACTIONS[action], size)

    return Listing(range(count + len(done.removed)), item)


def _stays(target: Target, staged: Staged) -> bool:
    """Whether the items there may stay as they are. LightRAG rewrites files without changing them, so of a graph the
    bytes decide; of a plain directory modes and times as well.
    """
    return staged.same and (staged.exact or not target.plain)


async def _plan(this: _Restore) -> Done:
    target = await in_thread(this.look)
    planned = await plan(this.repository, this.wanted, target.layout.root)
    removed = await in_thread(surplus, this.wanted, target, planned.items)
    changes = removed or not _stays(target, planned)
    if changes:
        await in_thread(refuse_mounts, target.layout.root, planned, removed)
    needed_bytes = planned.needed_bytes if changes else 0
    done = Done(planned.rows, planned.differing, needed_bytes, removed)
    return replace(done, reloaded=await in_thread(_would_reload, this, done))


def _would_reload(this: _Restore, done: Done) -> bool:
    """Whether a running LightRAG would serve what is restored (handover.py)."""
    rag = this.rag()
    if rag is None:
        return False
    from ..sources import takeover  # brings LightRAG's own modules in, which the caller has loaded

    return not done.changes or not takeover.lacking(rag)["reload"]


async def _replace(this: _Restore) -> Done:
    """Stages, keeps the present state, puts in place. Any failure before the last step leaves the target as it was."""
    target = await in_thread(this.look)
    root, snapshot = target.layout.root, this.request.snapshot
    # Held while comparing too: nobody else restores meanwhile.
    async with Staging(root, shared=target.shared, mode=root_mode_of(this.facts)) as staging:
        planned = await plan(this.repository, this.wanted, root)
        removed = await in_thread(surplus, this.wanted, target, planned.items)
        if _stays(target, planned) and not removed and this.input_root is None:
            return Done(planned.rows, 0, 0, removed)
        await in_thread(refuse_mounts, root, planned, removed)
        staged = await staging.fill(this.repository, this.wanted, keep=_keep(target, staging.way), planned=planned)
        done = Done(staged.rows, staged.differing, staged.needed_bytes, removed, sidecars=staged.sidecars)
        if _stays(target, staged) and not removed:
            return done
        safety = await keep_present(this.repository, snapshot, target, Consistency.CRASH)
        await staging.publish(staged.items, removed, safety)
        return replace(done, safety_snapshot=safety)


def _keep(target: Target, way: int) -> int:
    """What of the target need not be written anew. Files of a graph are never linked into the new directory: before
    1.5.0 LightRAG writes into files that are there, and both directories would change.
    """
    if way == _bridge.PUBLISH_JOURNAL:
        return _bridge.KEEP_EXACT if target.plain else _bridge.KEEP_SAME
    return _bridge.KEEP_LINKED if target.plain and target.trees else _bridge.KEEP_NOTHING


def works_at(rag: Any, root: str) -> bool:
    """Whether this LightRAG has the files at `root` open. One that was finalised has not: its files are at rest."""
    if rag is None or files.Layout.at(files.Kind.LIGHTRAG, rag.working_dir, rag.workspace or "").root != root:
        return False
    from ..sources import live  # brings LightRAG's own modules in, which the caller has loaded

    return live.is_open(rag)


async def finish(root: str) -> bool:
    """Rolls an interrupted restore of `root` forward, or clears what never committed; False when none waits."""
    if not await in_thread(waits, root):
        return False
    directory = await in_thread(os.path.realpath, root)
    with advising_on_stuck(directory, "the newest safety snapshot of its graph"):
        finished = bool(await _bridge.run(_bridge.publish_finish_job(directory)))
    logger.info("event=restore_finished target=%r", root)
    return finished
