"""Snapshots kept: verified, judged, held, deleted and cleaned up."""

import logging
import os
import time
from datetime import datetime
from typing import Literal

from .. import _bridge, arguments, validation, verification
from ..errors import ConflictError, InvalidInputError
from ..holders import point_of
from ..models import ProgressCallback, PruneOutcome, RetentionPolicy, VerifyLevel, VerifyOutcome
from ..repository import EXPIRED, read_facts, scan
from ..threads import in_thread
from ..verdicts import Validation
from .known import KnownGraph

logger = logging.getLogger("lightrag_bkp")

READERS_WAIT_S = 3600.0
"""How long packs taken out of use stay on disk, for readers that opened them before."""
_PRUNE_PHASES = {
    **{1: "log", 2: "list", 3: "mark", 4: "weigh", 5: "enter", 6: "repack", 7: "enter", 8: "unlink", 9: "tidy"},
    10: "done",
}
_LONGEST_WAIT_S = 10 * 365 * 86_400


class Keeping(KnownGraph):
    """What becomes of a graph's snapshots; see `GraphBackup`."""

    async def delete_snapshot(self, snapshot_id: str) -> bool:
        """Drops a snapshot. The space it alone uses returns at the next clean-up (`prune`), not now.

        Args:
            snapshot_id: or "latest".

        Returns:
            False when there is no such snapshot.

        Raises:
            ConflictError: it is held. InvalidInputError: this cannot be an id.
        """
        arguments.check_snapshot_id(snapshot_id)
        core = await self._repository.open()
        found = None if core is None else await in_thread(self._find, core, snapshot_id)
        if core is None or found is None:
            return False
        wanted = found.backup_id
        dropped = [] if found.held else await _bridge.run(_bridge.drop_job(core, [wanted], "deleted"))
        if dropped:
            logger.info("event=delete graph=%s id=%s", self.graph_id, wanted)
            return True
        row = await in_thread(core.snapshot, wanted)
        if row is None:
            return False
        raise ConflictError(f"snapshot {wanted} is held by {', '.join(row[12])}: release it first", target=wanted)

    async def hold(self, snapshot_id: str, holder: str = "user") -> bool:
        """Keeps a snapshot whatever the policy says, until `release`.

        Args:
            snapshot_id: or "latest".
            holder: on whose behalf; each holder has a hold of its own.

        Returns:
            False when `holder` held it already.

        Raises:
            NotFoundError: no such snapshot. InvalidInputError: the holder's name cannot be stored, or is a recovery
                point's, which holds by itself.
        """
        return await change_hold(self, "hold", snapshot_id, _refuse_point(holder))

    async def release(self, snapshot_id: str, holder: str = "user") -> bool:
        """Ends a hold.

        Returns:
            False when `holder` did not hold it.

        Raises:
            NotFoundError: no such snapshot. InvalidInputError: the holder is a recovery point, which lets go when it is
                deleted.
        """
        return await change_hold(self, "release", snapshot_id, _refuse_point(holder))

    async def verify_snapshot(
        self,
        snapshot_id: str | None = None,
        level: VerifyLevel | str = VerifyLevel.DIGESTS,
        *,
        scratch_dir: str | os.PathLike[str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> VerifyOutcome:
        """Checks that a snapshot (None: everything stored) can be brought back. Rotten packs are noted, so that the
        next snapshot stores their content again.

        Args:
            snapshot_id: or "latest", or None, which a drill does not take.
            level: "catalogue", "digests" or "drill"; see `VerifyLevel`.
            scratch_dir: where a drill restores to; the system's directory for temporary files by default.
            progress: called on the loop's thread, at most 10 times a second.

        Returns:
            What was found; findings are no exception.

        Raises:
            NotFoundError: no such snapshot, or nothing stored. InvalidInputError: an unknown level, or a drill of
                everything. DamagedError: the log is so damaged that nothing could be looked at. StorageError: no
                scratch directory can be made. ConflictError: it lies where the graph is, or in the storage path.
        """
        wanted = VerifyLevel(arguments.check_choice(level, "level", tuple(VerifyLevel)))
        arguments.check_progress(progress)
        chosen = None if scratch_dir is None else arguments.check_path(scratch_dir, "scratch_dir")
        snapshot = None if snapshot_id is None else await self._require(snapshot_id)
        if wanted is VerifyLevel.DRILL:
            from ..restoring import trial  # only for drills, as in `verification`

            storage_path = self._repository.storage_path
            await in_thread(trial.refuse_scratch, chosen, storage_path, [self.source_dir])
        return await verification.verify(self._repository, snapshot, wanted, chosen, progress)

    async def validate_snapshot(
        self, snapshot_id: str, *, embedding_dim: int | None = None, progress: ProgressCallback | None = None
    ) -> Validation:
        """Judges a snapshot anew, straight from what is stored; `BackupSnapshot.validation` is what was found when it
        was taken.

        Args:
            snapshot_id: or "latest".
            embedding_dim: the dimension LightRAG is configured with, to compare with.
            progress: called on the loop's thread, at most 10 times a second.

        Raises:
            NotFoundError: no such snapshot. InvalidInputError: it is of a plain directory, or an argument cannot be
                used. DamagedError: what is stored cannot be read.
        """
        dim = validation.check_dim(embedding_dim)
        arguments.check_progress(progress)
        snapshot = await self._require(snapshot_id)
        core = await self._repository.require()
        facts = await in_thread(read_facts, core, snapshot.backup_id)
        return await validation.validate_snapshot(core, snapshot, facts, embedding_dim=dim, progress=progress)

    async def prune(
        self,
        *,
        dry_run: bool = False,
        retention: RetentionPolicy | None = None,
        now: datetime | None = None,
        wait_s: float = READERS_WAIT_S,
        progress: ProgressCallback | None = None,
    ) -> PruneOutcome:
        """Drops what the policy does not keep and frees space nothing uses.

        Args:
            dry_run: change nothing, only say what would go and what space that frees.
            retention: another policy than the graph's own.
            now: the instant the policy is asked about, aware; the present by default.
            wait_s: how long packs taken out of use stay for readers, in seconds; 0 deletes them at once.
            progress: called on the loop's thread, at most 10 times a second.

        Raises:
            DamagedError: what is stored cannot be told apart from garbage with certainty, so no space was freed.
            Busy: others kept writing; try again. InvalidInputError: an argument cannot be used.
        """
        started = time.monotonic()
        wait_ns = int(arguments.check_seconds(wait_s, "wait_s", _LONGEST_WAIT_S) * 1e9)
        arguments.check_instant(now)
        arguments.check_retention(retention)
        arguments.check_flags(dry_run=dry_run)
        arguments.check_progress(progress)
        core = await self._repository.open()
        if core is None:
            return PruneOutcome((), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, dry_run, 0.0)
        rows = await in_thread(core.snapshots)
        reasons = scan(rows, retention or self.retention, now)
        dropped = [row[0] for row, reason in zip(rows, reasons, strict=True) if reason == EXPIRED]
        if dropped and not dry_run:
            dropped = list(await _bridge.run(_bridge.drop_job(core, dropped, "retention")))
        without = dropped if dry_run else ()
        job = _bridge.prune_job(core, wait_ns=wait_ns, dry_run=dry_run, repack=True, dropped=without)
        freed = await _bridge.run(job, progress, commits=not dry_run, phases=_PRUNE_PHASES)
        outcome = PruneOutcome(
            dropped=tuple(dropped),
            kept=len(rows) - len(dropped),
            dry_run=dry_run,
            seconds=time.monotonic() - started,
            **freed,
        )
        logger.info(
            "event=prune graph=%s dropped=%d kept=%d bytes_freed=%d bytes_retired=%d dry_run=%s seconds=%.3f",
            self.graph_id,
            len(dropped),
            outcome.kept,
            outcome.bytes_freed,
            outcome.bytes_retired,
            dry_run,
            outcome.seconds,
        )
        return outcome

    async def cleanup_old_snapshots(self) -> int:
        """As `prune` with the graph's own policy; returns how many snapshots were dropped."""
        return len((await self.prune()).dropped)


async def change_hold(graph: Keeping, op: Literal["hold", "release"], snapshot_id: str, holder: str) -> bool:
    """Begins or ends a hold of anybody, also of a recovery point: only who keeps the records of points may do that.

    Returns:
        False when it was so already.

    Raises:
        NotFoundError: no such snapshot. InvalidInputError: the holder's name cannot be stored.
    """
    snapshot = await graph._require(snapshot_id)
    core = await graph._repository.require()
    make_job = _bridge.hold_job if op == "hold" else _bridge.release_job
    changed = bool(await _bridge.run(make_job(core, snapshot.backup_id, holder)))
    logger.info("event=%s graph=%s id=%s holder=%r changed=%s", op, graph.graph_id, snapshot.backup_id, holder, changed)
    return changed


def _refuse_point(holder: str) -> str:
    """Returns `holder` when it can hold and is no recovery point: what one holds, its records vouch for. Nor may it
    look like one where it is listed, or like nothing at all.
    """
    if not arguments.check_characters(holder, "holder").strip():
        raise InvalidInputError("a holder of blanks alone would be seen by nobody: name who holds")
    if point_of(holder.strip().lower()) is not None:
        raise InvalidInputError(
            f"{holder!r} stands for a recovery point: create the point to hold its snapshots, and delete it to release"
            " them"
        )
    return holder
