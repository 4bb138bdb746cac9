"""A snapshot's items written beside their target, until they take its place or go away."""

import fcntl
import filecmp
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from .. import _bridge
from ..errors import (
    Busy,
    ConflictError,
    DamagedError,
    LightragBkpError,
    NoSpaceError,
    NotFoundError,
    OperationCancelled,
    RestoreUnfinishedError,
    StorageError,
)
from ..models import ProgressCallback
from ..repository import GraphRepository
from ..sources import trees
from ..sources.names import FULL_DOCS, INPUTS, STAGING_PREFIX
from ..threads import carried_out, in_thread, obtained
from . import sidecars
from .target import Target, holds_staging, present_directory

PHASES = {1: "plan", 2: "write", 3: "check"}
CREATE, REPLACE, SAME = 1, 2, 3
FILE, DIRECTORY, SYMLINK = 1, 2, 3

Row = tuple[str, int, int, int]
"""(name, type, action, size) of one item, as the core says it."""


@dataclass(frozen=True)
class Wanted:
    """What to stage: a snapshot, or some items of it.

    Attributes:
        snapshot_id: of the snapshot. items: only these; None for all.
        input_root: where the graph's uploads will lie, absolute: parsed documents are looked for there, and uploads are
            no items of the target. None leaves both as they are in the snapshot.
        progress: told how far it is.
    """

    snapshot_id: str
    items: Sequence[str] | None = None
    input_root: str | None = None
    progress: ProgressCallback | None = None

    def chosen(self, core: _bridge.Repository) -> Sequence[str] | None:
        """The names to ask the core for."""
        if self.items is not None or self.input_root is None:
            return self.items
        firsts = {name.partition("/")[0] for name, *_ in core.body(self.snapshot_id)[1]}
        return sorted(firsts - {INPUTS}, key=os.fsencode)


@dataclass(frozen=True)
class Staged:
    """What is staged, or by a plan would be.

    Attributes:
        items: all of them, as the core knows them. rows: the same, less what changed on the way.
        needed_bytes: what had to be written. differing: how many are not the same there already.
        exact: those that are the same have their times too. sidecars: how many locations of parsed documents were
            changed.
    """

    items: _bridge.Restored
    rows: Sequence[Row]
    needed_bytes: int
    differing: int
    exact: bool
    sidecars: int = 0

    @classmethod
    def of(cls, items: _bridge.Restored) -> "Staged":
        """What the core says."""
        create, replaced, same, exact, needed_bytes = items.totals()
        return cls(items, items, needed_bytes, create + replaced, same == exact)

    @property
    def same(self) -> bool:
        """Whether nothing differs from what is there."""
        return self.differing == 0

    @property
    def put(self) -> list[str]:
        """The names of what is staged."""
        return self.items.staged()


def waits(root: str) -> bool:
    """Whether an interrupted restore of `root` waits to be finished or cleared."""
    return _bridge.publish_pending(os.path.realpath(root))


def is_half_done(root: str) -> bool:
    """Whether an interrupted restore has begun to change what is in `root`. One that had only staged has left it as it
    was: that is cleared by the next restore, and in nobody's way until then.
    """
    return holds_staging(root) and _bridge.publish_half_done(os.path.realpath(root))


def refuse_pending(root: str) -> None:
    """Raises RestoreUnfinishedError when an interrupted restore has begun to change `root`."""
    if is_half_done(root):
        raise RestoreUnfinishedError(
            f"an interrupted restore waits in {root!r}: restore there again, which finishes it first",
            op="check",
            target=root,
        )


@contextmanager
def advising_on_stuck(root: str, kept: str | None) -> Iterator[None]:
    """Says of a restore that began to change things and cannot be finished where it stopped, what ends it, and which
    snapshot keeps what was there. What the trouble is, is a matter of the target and not of a snapshot.
    """
    try:
        yield
    except (Busy, OperationCancelled):
        raise
    except LightragBkpError as error:
        if isinstance(error, DamagedError):
            advice = f"move what begins with {STAGING_PREFIX} in it and beside it away, then restore the whole snapshot"
        else:
            advice = "mend that (unmount what is mounted there), then restore again, which finishes it first"
        former = f"; what was there before is in {kept}" if kept else ""
        raise RestoreUnfinishedError(
            f"the restore into {root!r} stopped half-way: {error}: {advice}{former}",
            errno=error.errno or 0,
            op="finish a restore",
            target=root,
        ) from error


class Staging:
    """A staging directory that goes away unless it is published. Of a target that is a symlink, as a workspace may be,
    the directory it leads to is replaced and the link stays: the core follows none.

    Args:
        root: the target. way: how to publish; by default what suits the place.
        shared: there is more in the target than what is restored.
        mode: what the directory itself had, if that is known; it is given to one that is to be the target, and its
            owner may always put files in it.
    """

    def __init__(self, root: str, way: int | None = None, *, shared: bool = False, mode: int | None = None) -> None:
        self._given = (root, way, shared, mode)
        self._kept = False
        self._safety: str | None = None

    async def __aenter__(self) -> "Staging":
        return await obtained(self._begin, Staging._abandon)

    def _begin(self) -> "Staging":
        root, way, shared, mode = self._given
        self.root = os.path.realpath(root)
        self.way = _bridge.publish_choose(self.root, shared) if way is None else way
        try:
            self.path, self.fd = _bridge.publish_stage(self.root, self.way)
        except NoSpaceError:
            raise
        except (NotFoundError, StorageError) as error:
            if error.op == "lock":
                raise
            raise StorageError(
                f"nothing can be written beside {root!r} ({error}): name a directory of a file system that can be"
                " written, or check owner and mode of the one above it",
                errno=error.errno or 0,
                op="stage",
                target=root,
            ) from error
        if mode is not None and self.way != _bridge.PUBLISH_JOURNAL:
            os.chmod(self.fd, mode | 0o700)
        return self

    def _abandon(self) -> None:
        try:
            _bridge.publish_abandon(self.root, self.way, self.path)
        finally:
            self._let_go()

    async def fill(
        self,
        repository: GraphRepository,
        wanted: Wanted,
        *,
        keep: int = _bridge.KEEP_NOTHING,
        planned: Staged | None = None,
    ) -> Staged:
        """Writes the items, each compared with its digest.

        Args:
            wanted: which.
            keep: what of the target need not be written anew, see `lrb_restore_keep`. Directories are always staged.
            planned: what `plan` said; it is used up.
        """
        core = await repository.require()
        planned = planned or await plan(repository, wanted, self.root)
        if wanted.input_root is not None:
            keep = _bridge.KEEP_NOTHING
        job = await in_thread(self._stage_job, core, planned.items, keep)
        staged = Staged.of(await _bridge.run(job, wanted.progress, phases=PHASES))
        moved = 0
        if wanted.input_root is not None:
            moved = await in_thread(sidecars.rewrite, self.path, wanted.input_root)
        if not moved:
            return staged
        rows = await in_thread(lambda: [self._compared(row) if row[0] == FULL_DOCS else row for row in staged.rows])
        return replace(staged, rows=rows, differing=sum(row[2] != SAME for row in rows), sidecars=moved)

    def _stage_job(self, core: _bridge.Repository, items: _bridge.Restored, keep: int) -> _bridge.Job:
        with present_directory(self.root) as present:
            return _bridge.stage_job(core, items, staging_dir=self.fd, compare_dir=present, keep=keep)

    def _compared(self, row: Row) -> Row:
        """The row of a file that is no longer what the snapshot holds."""
        new, old = os.path.join(self.path, row[0]), os.path.join(self.root, row[0])
        there = os.path.isfile(old)
        action = SAME if there and filecmp.cmp(new, old, shallow=False) else REPLACE if there else CREATE
        return row[0], row[1], action, os.path.getsize(new)

    async def publish(
        self, names: _bridge.Restored | Sequence[str], removed: Sequence[str], safety: str | None = None
    ) -> None:
        """Puts the staged names in place of the present ones, which the snapshot `safety` keeps. From here on only the
        core knows how far it came.
        """
        self._kept, self._safety = True, safety
        await _bridge.run(_bridge.publish_commit_job(self.root, self.way, self.path, names, removed))

    async def settle(self) -> None:
        """After a failure while publishing: what never committed is cleared, what did is rolled forward.

        Raises:
            LightragBkpError: that failed as well; the next restore does it.
        """
        await carried_out(self._let_go)
        with advising_on_stuck(self.root, f"safety snapshot {self._safety}" if self._safety else None):
            await _bridge.run(_bridge.publish_finish_job(self.root))

    async def __aexit__(self, *exc: object) -> None:
        if not self._kept or exc[0] is None:
            await carried_out(self._let_go if self._kept else self._abandon)
            return
        try:
            await self.settle()
        except RestoreUnfinishedError:
            if isinstance(exc[1], LightragBkpError) and not isinstance(exc[1], OperationCancelled):
                raise
        except LightragBkpError:  # another process is at it
            pass

    def _let_go(self) -> None:
        """The descriptor's lock says that a living process is at work here; it goes last."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            # Unlocked by name: a child forked meanwhile has the descriptor too and would keep the lock.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)


async def plan(repository: GraphRepository, wanted: Wanted, root: str | None) -> Staged:
    """Compares the items with what is at `root`, or with nothing; nothing is written."""
    job = await in_thread(_plan_job, await repository.require(), wanted, root)
    return Staged.of(await _bridge.run(job, wanted.progress, phases=PHASES))


def _plan_job(core: _bridge.Repository, wanted: Wanted, root: str | None) -> _bridge.Job:
    with present_directory(root or "") as present:
        return _bridge.plan_job(core, wanted.snapshot_id, compare_dir=present, only=wanted.chosen(core))


async def unpack(repository: GraphRepository, snapshot_id: str, directory: str) -> None:
    """Writes all items into an empty directory, each compared with its digest, but not made durable."""
    core = await repository.require()
    planned = await plan(repository, Wanted(snapshot_id), None)
    await _bridge.run(await in_thread(_unpack_job, core, planned.items, directory))


def _unpack_job(core: _bridge.Repository, items: _bridge.Restored, directory: str) -> _bridge.Job:
    with trees.open_directory(directory) as target:
        if os.listdir(target):
            raise ConflictError(f"{directory!r} is not empty: name a new directory", op="unpack", target=directory)
        return _bridge.stage_job(core, items, staging_dir=target, durable=False)


def refuse_mounts(root: str, planned: Staged, removed: Sequence[str]) -> None:
    """Refuses to replace or to remove a mount point: before anything is written, and a dry run too. What was mounted
    meanwhile the core refuses, before the first change.
    """
    with present_directory(root) as present:
        if present >= 0:
            planned.items.refuse_mounts(present, removed)


def surplus(wanted: Wanted, target: Target, items: _bridge.Restored) -> list[str]:
    """What is there and the snapshot lacks, in byte order. The items of a whole restore are all of them."""
    if wanted.items is not None:
        return []
    there = _bridge.Source()
    for directory, prefix in target.trees:
        with trees.open_directory(directory) as opened:
            there.add_tree(opened, prefix)
    lacked = [name for name in target.stores if not items.has(name)]
    return sorted([*lacked, *items.surplus(there)], key=os.fsencode)
