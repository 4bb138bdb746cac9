"""A snapshot's items written beside their target, until they take its place or go away."""

import asyncio
import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from . import _bridge, capture
from .errors import LightragBkpError
from .models import ProgressCallback
from .repository import GraphRepository
from .target import present_directory

PHASES = {"1": "plan", "2": "write", "3": "check"}
SAME = 3
DIRECTORY = 2

Row = tuple[str, int, int, int]
"""(name, type, action, size) of one item, as the core says it."""


@dataclass(frozen=True)
class Wanted:
    """What to stage: a snapshot, or some items of it."""

    snapshot_id: str
    items: Sequence[str] | None = None
    progress: ProgressCallback | None = None


class Staging:
    """A staging directory that goes away unless it is published."""

    def __init__(self, root: str, way: int) -> None:
        self.root = root
        self.way = way
        self.path, self.fd = _bridge.publish_stage(root, way)
        self._kept = False

    async def __aenter__(self) -> "Staging":
        return self

    def dress(self, mode: int | None) -> None:
        """Gives the directory itself the mode it had, if that is known and the directory is to be the target; its owner
        may always put files in it.
        """
        if mode is not None and self.way != _bridge.PUBLISH_JOURNAL:
            os.chmod(self.fd, mode | 0o700)

    async def fill(self, repository: GraphRepository, wanted: Wanted, *, whole: bool) -> tuple[list[Row], int]:
        """Writes the items, each compared with its digest; without `whole` only those that differ from the target's,
        and directories. Returns all rows and the bytes needed.
        """
        core = await repository.require()
        with present_directory(self.root) as present:
            job = _bridge.restore_job(
                core,
                wanted.snapshot_id,
                staging_dir=self.fd,
                compare_dir=present,
                only=wanted.items,
                stage_same=whole,
            )
        rows, needed = await _bridge.run(job, capture.named(wanted.progress, PHASES))
        return rows, needed

    async def publish(self, names: Sequence[str], removed: Sequence[str]) -> None:
        """Puts the staged names in place of the present ones. From here on only the core knows how far it came."""
        self._kept = True
        await _bridge.run(_bridge.publish_commit_job(self.root, self.way, self.path, names, removed))

    async def settle(self) -> None:
        """After a failure while publishing: what never committed is cleared, what did is rolled forward.

        Raises:
            LightragBkpError: that failed as well; the next restore does it.
        """
        self._let_go()
        await _bridge.run(_bridge.publish_finish_job(self.root))

    async def __aexit__(self, *exc: object) -> None:
        try:
            if not self._kept:
                await asyncio.shield(asyncio.to_thread(_bridge.publish_abandon, self.root, self.way, self.path))
        finally:
            self._let_go()
        if self._kept and exc[0] is not None:
            with suppress(LightragBkpError):
                await self.settle()

    def _let_go(self) -> None:
        """The descriptor's lock says that a living process is at work here; it goes last."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            # Unlocked by name: a child forked meanwhile has the descriptor too and would keep the lock.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)


async def plan(repository: GraphRepository, wanted: Wanted, root: str) -> tuple[list[Row], int]:
    """As `Staging.fill`, but nothing is written: what would be."""
    core = await repository.require()
    with present_directory(root) as present:
        job = _bridge.restore_job(core, wanted.snapshot_id, compare_dir=present, only=wanted.items, dry_run=True)
    rows, needed = await _bridge.run(job, capture.named(wanted.progress, PHASES))
    return rows, needed


def to_put(rows: Sequence[Row], *, whole: bool) -> list[str]:
    """The names of what is staged."""
    return [name for name, kind, action, _ in rows if whole or kind == DIRECTORY or action != SAME]


def surplus(wanted: Wanted, present: Iterable[str], rows: Sequence[Row]) -> list[str]:
    """What is there and the snapshot lacks. The rows of a whole restore are all its items."""
    if wanted.items is not None:
        return []
    kept = {row[0] for row in rows}
    return sorted((name for name in present if name not in kept), key=os.fsencode)
