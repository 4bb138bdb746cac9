"""A snapshot handed to a running LightRAG, which goes on with it: no restart, and nothing of the old state comes back.

Everything is staged while LightRAG works. Then nobody may write to it: the present state is kept, files and memory
change together, and what came meanwhile is processed. A LightRAG whose memory cannot be switched gets the files and no
more: it stays closed for writers until it is restarted.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .. import _bridge
from ..awaiting import to_the_end
from ..errors import ConflictError, UnsupportedError
from ..models import BackupSnapshot, Consistency
from ..repository import GraphRepository
from ..sources import files
from ..threads import in_thread
from .safety import keep_present
from .staging import Row, Staged, Staging, Wanted, plan, refuse_mounts, surplus
from .target import Target

logger = logging.getLogger("lightrag_bkp")


_RESTART = "its files were restored; restart LightRAG to work with them"


@dataclass(frozen=True)
class Done:
    """What was done, or with dry_run would be.

    Attributes:
        rows: all items; differing: how many of them were not the same. removed: names taken away, in byte order.
        needed_bytes: what was written. safety_snapshot: keeps the former state. sidecars: locations of parsed documents
            changed.
        reloaded: a running LightRAG serves the new state. held_ms: how long that LightRAG took no documents.
        finished: before, an interrupted restore was rolled forward there.
    """

    rows: Sequence[Row]
    differing: int
    needed_bytes: int
    removed: list[str]
    safety_snapshot: str | None = None
    sidecars: int = 0
    reloaded: bool = False
    held_ms: float | None = None
    finished: bool = False

    @property
    def changes(self) -> bool:
        """Whether items at the target are other ones than before."""
        return self.finished or self.differing > 0 or bool(self.removed)


@dataclass(frozen=True)
class Handover:
    """One snapshot, the running LightRAG, and how to look at the target whenever needed.

    Attributes:
        root_mode: of the directory the items were in, or None. finished: an interrupted restore has just been rolled
            forward there, so that LightRAG's memory is older than its files.
    """

    repository: GraphRepository
    snapshot: BackupSnapshot
    wanted: Wanted
    rag: Any
    look: Callable[[], Target]
    root_mode: int | None
    finished: bool


async def hand_over(this: Handover) -> Done:
    """Restores into the directory of a running LightRAG. Any failure leaves files and memory as they were.

    Raises:
        Busy: it is at work. UnsupportedError: it cannot be kept from writing. ConflictError: its embedding has another
            dimension than the snapshot's vectors.
    """
    from ..sources import takeover  # brings LightRAG's own modules in, which the caller has loaded

    await takeover.refuse_busy(this.rag)
    target = await in_thread(this.look)
    root, snapshot_id = target.layout.root, this.snapshot.backup_id
    async with Staging(root, shared=target.shared, mode=this.root_mode) as staging:
        staged = await staging.fill(this.repository, this.wanted)
        removed = await in_thread(surplus, this.wanted, target, staged.items)
        await in_thread(refuse_mounts, root, staged, removed)
        await in_thread(_check_dimension, staging.path, this.rag)
        return await takeover.alone(
            this.rag,
            partial(_while_held, this, staging, staged),
            job=f"restoring snapshot {snapshot_id}",
            operation={"snapshot": snapshot_id, "graph": this.repository.graph_id},
        )


async def take_away(graph_id: str, root: str, names: list[str], rag: Any) -> None:
    """Removes items from the directory of a running LightRAG, and from its memory what they held.

    Raises:
        Busy, UnsupportedError: as `hand_over`; UnsupportedError also when its memory cannot be switched.
    """
    from ..sources import takeover

    async def while_held(held: Any) -> None:
        async with Staging(root, _bridge.PUBLISH_JOURNAL) as staging:
            contents = await held.contents(partial(_path_after, staging, set(names)))
            await held.exchange(partial(staging.publish, [], names), contents)

    without = takeover.lacking(rag)["reload"]
    if without:
        raise UnsupportedError(f"this LightRAG has no {', '.join(without)}: stop it first", op="restore", target=root)
    await takeover.alone(rag, while_held, job="taking a restored snapshot back", operation={"graph": graph_id})


async def _while_held(this: Handover, staging: Staging, staged: Staged, held: Any) -> Done:
    """What happens while nobody writes to LightRAG."""
    consistency = await _settle(this, held)
    target = await in_thread(this.look)
    now = staged
    if staged.same and not staged.sidecars:  # when it was staged; LightRAG may have written since
        now = await plan(this.repository, replace(this.wanted, progress=None), staging.root)
    removed = await in_thread(surplus, this.wanted, target, now.items)
    done = Done(now.rows, now.differing, staged.needed_bytes, removed, sidecars=staged.sidecars)
    if not removed and now.same and not staged.sidecars:
        reloaded = not this.finished or await _reread(this, staging, held)
        return replace(done, reloaded=reloaded, held_ms=held.held_ms)
    safety = await keep_present(this.repository, this.snapshot, target, consistency)
    reloaded = await _exchange(this, staging, staged.put, removed, safety, held)
    return replace(done, safety_snapshot=safety, reloaded=reloaded, held_ms=held.held_ms)


async def _settle(this: Handover, held: Any) -> Consistency:
    """Brings the files up to what is in memory. A LightRAG that cannot write may be the reason for the restore: then
    the files are kept as they are.
    """
    try:
        await held.write_unsaved()
    except Exception as error:
        logger.warning("event=unwritten_state graph=%s error=%r", this.repository.graph_id, error)
        return Consistency.CRASH
    return Consistency.QUIESCED


async def _exchange(
    this: Handover, staging: Staging, put: list[str], removed: list[str], safety: str | None, held: Any
) -> bool:
    """Puts the staged files in place and into memory; returns whether the latter was possible."""
    if _lacks_reload(this):
        await to_the_end(staging.publish(put, removed, safety))
        await held.keep(_RESTART)
        return False

    contents = await held.contents(partial(_path_after, staging, {*put, *removed}))
    try:
        await held.exchange(partial(staging.publish, put, removed, safety), contents)
    except Exception as error:
        logger.error("event=restore_undone graph=%s error=%r", this.repository.graph_id, error)
        await staging.settle()
        await to_the_end(_undo(this, put, safety, held))
        raise
    return True


async def _reread(this: Handover, staging: Staging, held: Any) -> bool:
    """Puts the files that are in place already into memory; returns whether that was possible."""
    if _lacks_reload(this):
        await held.keep(_RESTART)
        return False
    await held.exchange(_in_place, await held.contents(partial(_path_after, staging, set())))
    return True


async def _in_place() -> None:
    """What is to be published is there."""


def _lacks_reload(this: Handover) -> bool:
    """Whether this LightRAG's memory cannot be switched."""
    from ..sources import takeover

    without = takeover.lacking(this.rag)["reload"]
    if without:
        logger.warning("event=no_reload graph=%s lacks=%s", this.repository.graph_id, ", ".join(without))
    return bool(without)


async def _undo(this: Handover, put: list[str], safety: str | None, held: Any) -> None:
    """Makes files and memory what they were, wherever the exchange stopped."""
    try:
        target = await in_thread(this.look)
        async with Staging(target.layout.root, _bridge.PUBLISH_JOURNAL) as staging:
            back: list[str] = []
            there = await in_thread(lambda: _there(staging.root, {*put, *target.present()}))
            if safety is not None:
                old = await staging.fill(this.repository, Wanted(safety), keep=_bridge.KEEP_SAME)
                back, there = old.put, {name for name in there if not old.items.has(name)}
            removed = sorted(there, key=os.fsencode)
            contents = await held.contents(partial(_path_after, staging, {*back, *removed}))
            await held.exchange(partial(staging.publish, back, removed), contents)
    except Exception:
        await held.keep("a restore failed and could not be undone; restart LightRAG")
        raise


def _there(root: str, names: set[str]) -> set[str]:
    return {name for name in names if os.path.lexists(os.path.join(root, name))}


def _path_after(staging: Staging, changed: set[str], known_as: str) -> str:
    """Where that lies now which LightRAG will find at the path `known_as`; nothing lies there when it is removed."""
    name = os.path.basename(known_as)
    return os.path.join(staging.path, name) if name in changed else known_as


def _check_dimension(staged: str, rag: Any) -> None:
    """Refuses vectors this LightRAG could not compare with its own."""
    expected = getattr(getattr(rag, "embedding_func", None), "embedding_dim", None)
    for name in sorted(os.listdir(staged)):
        found = files.dimension_of(os.path.join(staged, name))
        if None not in (expected, found) and found != expected:
            raise ConflictError(
                f"the vectors of {name} have {found} components and this LightRAG's embedding {expected}: restore to"
                " another directory, or open LightRAG with the embedding the snapshot was made with",
                op="restore",
                target=name,
            )
