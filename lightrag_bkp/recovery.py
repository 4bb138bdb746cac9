"""Disaster recovery: several graphs protected as one, brought back as one, and proved before the day it counts.

    from lightrag_bkp.recovery import DisasterRecoveryManager

    recovery = DisasterRecoveryManager()                      # the graphs of the configuration
    point = await recovery.create_recovery_point(["support", "sales"], "before the upgrade")
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    outcome = await recovery.failover(point.checkpoint_id)    # both graphs, or none
    await recovery.undo_failover(point.checkpoint_id)

Everything that is known of a recovery point lies in files of its own (see `recovering/points`); no server and no
database is needed to come back.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import arguments
from .backup import BackupManager, GraphBackup, check_place
from .beginnings import meant, several
from .errors import DamagedError, InvalidInputError, NotFoundError, RefusedError
from .models import VerifyLevel
from .recovering import drills, failover, proving, status, taking
from .recovering.drills import DrillOutcome, GraphDrill
from .recovering.failover import Failover
from .recovering.health import ComponentHealth, HealthStatus, HealthValidator, check_manager, worst
from .recovering.history import SETTLED, FailoverOutcome, GraphFailover, PastFailover, Phase, history, to_undo
from .recovering.points import (
    FAILOVER,
    VALIDATION,
    NamedSnapshot,
    PointStore,
    RecoveryPoint,
    problems,
)
from .restoring import trial
from .threads import held, in_thread

if TYPE_CHECKING:
    from .replication import ReplicationManager

__all__ = [
    "ComponentHealth", "DisasterRecoveryManager", "DrillOutcome", "FailoverOutcome", "GraphDrill", "GraphFailover",
    "HealthStatus", "HealthValidator", "NamedSnapshot", "Phase", "RecoveryPoint",
]  # fmt: skip

logger = logging.getLogger("lightrag_bkp")

UNDO_ELSEWHERE = "undo elsewhere"
FRESH_S = 24 * 3600
"""A validation this young is believed by a failover; what it brings back is compared with its digests in any case."""


class DisasterRecoveryManager:
    """Recovery points over the graphs of one storage path.

    Args:
        backup: knows the graphs; the configured ones when None. replication: knows the targets; None: there are none.

    Raises:
        ConfigurationError: no storage path is configured, or a setting cannot be used.
    """

    def __init__(self, backup: BackupManager | None = None, replication: "ReplicationManager | None" = None) -> None:
        self.backup = check_manager(backup)
        self.health = HealthValidator(self.backup, replication)
        self.replication = self.health.replication
        self._store = PointStore(self.backup.storage_path, self.backup.keyring)

    # ---- recovery points ----

    async def create_recovery_point(self, graph_ids: Sequence[str], description: str = "") -> RecoveryPoint:
        """Takes a snapshot of every graph and makes a recovery point of them; of all graphs or of none.

        The snapshots are held before the point exists, until it is deleted.

        Raises:
            InvalidInputError: no graph is named. NotFoundError: a graph is unknown. What `create_snapshot` raises; then
                nothing is left.
        """
        named = arguments.check_names(graph_ids, "graph_ids")
        if not named:
            raise InvalidInputError("name the graphs of the recovery point as a list of ids", op="create")
        arguments.check_text(description, "description")
        graphs = await in_thread(lambda: [self.backup.require_graph(graph_id) for graph_id in sorted(set(named))])
        return await taking.take(self._store, graphs, description)

    def list_recovery_points(self) -> list[RecoveryPoint]:
        """All recovery points that can be read, oldest first. `get_recovery_status` names those that cannot.

        Raises:
            StorageError: the storage path was there, and leads nowhere now.
        """
        check_place(self.backup)
        return self._store.points()[0]

    def get_recovery_point(self, checkpoint_id: str) -> RecoveryPoint | None:
        """The recovery point of this id, None when there is none.

        Raises:
            DamagedError: what is written about it is not what was written. InvalidInputError: this cannot be an id.
        """
        try:
            return self._store.point(checkpoint_id)
        except NotFoundError:
            return None

    def find_recovery_point(self, beginning: str) -> RecoveryPoint:
        """The one recovery point whose id is `beginning`, or begins with it; or the newest one, for "latest".

        "latest" is the newest one that was made, and never silently an older one: while it is damaged, or snapshots are
        held for one whose records are gone, it is refused.

        Raises:
            NotFoundError: there is none. InvalidInputError: there are several; the message names them. RefusedError:
                the newest one cannot be read.
        """
        if beginning != "latest":
            return self._store.point(self.find_recovery_id(beginning))
        ids, left = self._store.ids(), status.left_held(self.backup, self._store)
        if left and left[-1] > max(ids, default=""):
            raise _latest_refused(left[-1], "it holds snapshots and has no records")
        if not ids:
            raise NotFoundError("there is no recovery point 'latest': a listing names all", target=beginning)
        try:
            return self._store.point(ids[-1])
        except DamagedError as error:
            raise _latest_refused(ids[-1], str(error)) from error

    def find_recovery_id(self, beginning: str) -> str:
        """The one id that is `beginning`, or begins with it, of a recovery point that may be damaged.

        Raises:
            NotFoundError: there is none. InvalidInputError: there are several; the message names them.
        """
        arguments.check_text(beginning, "beginning")
        found = meant(self._store.ids(), beginning)
        if not found:
            raise NotFoundError(f"there is no recovery point {beginning!r}: a listing names all", target=beginning)
        if len(found) > 1:
            raise several("recovery points", found, beginning)
        return found[0]

    async def delete_recovery_point(self, checkpoint_id: str) -> bool:
        """Deletes a recovery point, also a damaged one, and lets go of the snapshots it held, also of what a creation
        that died left held.

        Returns:
            False when there was neither.

        Raises:
            Busy: a failover is under way. RefusedError: a failover of it, or an undo, is half done, which only its
                records can finish.
        """
        async with held(self._store.alone("delete")):
            await in_thread(self._refuse_half_done, checkpoint_id)
            for one in await in_thread(status.settled_by, self._store, checkpoint_id):
                settled = {"state": SETTLED, "failover_id": one.failover_id}
                await self._store.add(one.checkpoint_id, FAILOVER, settled)
            existed = await self._store.delete(checkpoint_id)
            graphs = await in_thread(self._graphs)
            released = await taking.let_go(graphs, checkpoint_id)
        logger.info("event=recovery_point_deleted id=%s existed=%s released=%d", checkpoint_id, existed, released)
        return existed or released > 0

    async def validate_recovery_point(self, checkpoint_id: str, level: VerifyLevel | str = "digests") -> bool:
        """Checks that a recovery point can be brought back, and writes down the answer.

        Args:
            level: "catalogue" (every object is there), "digests" (every byte is read and hashed) or "drill" (besides,
                it is brought back to a scratch directory).

        Raises:
            NotFoundError: no such point. InvalidInputError: an unknown level.
        """
        arguments.check_choice(level, "level", tuple(VerifyLevel))
        point = await in_thread(self._store.point, checkpoint_id)
        if level == VerifyLevel.DRILL:
            return (await self.run_drill(checkpoint_id)).ok
        started = time.monotonic()
        find = self.backup.require_graph
        graphs = {graph_id: await proving.problems(find, point, graph_id, level) for graph_id in point.graphs}
        ok = not any(graphs.values())
        seconds = time.monotonic() - started
        document = {"ok": ok, "level": str(level), "graphs": graphs, "seconds": seconds}
        await self._store.add(checkpoint_id, VALIDATION, document)
        logger.info("event=validation point=%s level=%s ok=%s seconds=%.3f", checkpoint_id, level, ok, seconds)
        return ok

    def problems(self, checkpoint_id: str) -> list[tuple[str, str]]:
        """What the newest validation or drill found wrong: (graph id, what); empty when it found nothing, or there was
        none.

        Raises:
            NotFoundError: no such point.
        """
        return problems(self._store.records(checkpoint_id))

    async def run_drill(self, checkpoint_id: str) -> DrillOutcome:
        """Brings every graph of a recovery point back to a scratch directory, looks at it, and cleans up; the outcome
        is written down.

        Raises:
            NotFoundError: no such point. ConflictError: the scratch directory lies where graphs or backups are. What
                says that a graph could not be tried: of that nothing is written down.
        """
        point, scratch_dir = await in_thread(self._store.point, checkpoint_id), self.backup.recovery.scratch_dir
        live = [graph.source_dir for graph in await in_thread(self._graphs)]
        await in_thread(trial.refuse_scratch, scratch_dir, self.backup.storage_path, live)
        return await drills.run(self._store, self.backup.require_graph, point, scratch_dir)

    # ---- failover ----

    async def initiate_failover(self, checkpoint_id: str) -> bool:
        """As `failover`; returns whether every graph was brought back."""
        return (await self.failover(checkpoint_id)).ok

    async def failover(self, checkpoint_id: str, *, dry_run: bool = False) -> FailoverOutcome:
        """Brings every graph of a recovery point back where it lives, or none: any failure rolls all of them back.

        A LightRAG of this process that has a graph open goes on with it; another one must not run.

        Args:
            dry_run: only validate and say what would change.

        Returns:
            How it went; a failure that was rolled back is no exception.

        Raises:
            NotFoundError: no such point. RefusedError: the point is not valid. Busy: another failover is under way.
        """
        arguments.check_flags(dry_run=dry_run)
        point = await in_thread(self._store.point, checkpoint_id)
        async with held(self._store.alone("failover")):
            started = time.monotonic()
            if not await self._valid(point):
                raise RefusedError(
                    f"recovery point {checkpoint_id} is not valid: `validate` says why, and another one may be",
                    op="failover",
                    target=checkpoint_id,
                )
            this = Failover(self._store, self.backup.require_graph, point)
            return await (this.plan() if dry_run else this.run(time.monotonic() - started))

    async def undo_failover(
        self, checkpoint_id: str, *, elsewhere: bool = False, dry_run: bool = False
    ) -> FailoverOutcome:
        """Makes every graph what it was before the last failover of this point, also one whose process died; an undo
        that died or failed is finished. Once that is done there is nothing more to undo: never an earlier failover.

        Args:
            elsewhere: also in directories that are not those the graphs are registered with: what the stored records
                name, which without a key whoever writes to the storage can choose.
            dry_run: only say what would be undone.

        Raises:
            NotFoundError: no such point. RefusedError: there is nothing to undo, or it lies elsewhere (the error's `op`
                is UNDO_ELSEWHERE then). Busy: a failover is under way.
        """
        arguments.check_flags(elsewhere=elsewhere, dry_run=dry_run)
        point = await in_thread(self._store.point, checkpoint_id)
        async with held(self._store.alone("undo")):
            find = self.backup.require_graph
            waiting = await in_thread(status.unsettled_failovers, self._store)
            past = to_undo(await in_thread(self.failovers, checkpoint_id), waiting, checkpoint_id)
            left = await failover.left_by(find, point, past)
            if dry_run:
                return Failover(self._store, find, point).plan_undo(left)
            strange = [] if elsewhere else await in_thread(failover.elsewhere, find, left)
            if strange:
                raise RefusedError(
                    f"the undo would write to {', '.join(map(repr, strange))}, as nothing but the stored records says:"
                    " configure it as the source_dir of its graph",
                    op=UNDO_ELSEWHERE,
                    target=checkpoint_id,
                )
            return await Failover(self._store, find, point).undo(left)

    def failovers(self, checkpoint_id: str) -> list[PastFailover]:
        """All failovers of a point, oldest first.

        Raises:
            NotFoundError: no such point.
        """
        return history(checkpoint_id, self._store.records(checkpoint_id))

    # ---- how it stands ----

    async def health_check(self) -> dict[str, Any]:
        """Looks at every graph, its backups and replicas, and at the recovery points.

        Returns:
            {status (the worst), checked_at, components: [ComponentHealth as objects], graphs: {id: {graph, backups,
            replication}} as `HealthValidator` answers}.
        """
        graphs, parts = {}, []
        for graph_id in await in_thread(self.backup.graph_ids):
            answers = {
                "graph": await self.health.validate_graph(graph_id),
                "backups": await self.health.validate_backups(graph_id),
                "replication": await self.health.validate_replication(graph_id),
            }
            graphs[graph_id] = answers
            for part, answer in answers.items():
                at = datetime.fromisoformat(answer["checked_at"])
                parts.append(ComponentHealth(f"{graph_id}/{part}", answer["status"], answer["message"], at))
        parts.append(await in_thread(status.health, self.backup, self._store))
        return {
            "status": worst([part.status for part in parts]),
            "checked_at": datetime.now(UTC).isoformat(),
            "components": [part.document() for part in parts],
            "graphs": graphs,
        }

    def get_recovery_status(self) -> dict[str, Any]:
        """What could be brought back, as far as it is written down; nothing is checked.

        Returns:
            {recovery_points (number), latest (the newest point as an object, or None), latest_validated (id of the
            newest valid one, or None), last_drill ({checkpoint_id, at, age_s, ok, rto_s} or None), failovers: newest
            last, interrupted (id of the point whose failover, or the undo of it, died or failed half-way, or None),
            advice (what is then to be done, or None), unreadable: {id: why}, left_held: ids of points that do not
            exist and hold snapshots, graphs: {id: {latest, latest_at, points}}}.
        """
        return status.of(self.backup, self._store)

    # ---- steps ----

    def _graphs(self) -> list[GraphBackup]:
        return [self.backup.require_graph(graph_id) for graph_id in self.backup.graph_ids()]

    async def _valid(self, point: RecoveryPoint) -> bool:
        """Whether the point is valid now: as a fresh validation said, or a new one says."""
        at = point.validation_timestamp
        fresh = at is not None and timedelta() <= datetime.now(UTC) - at < timedelta(seconds=FRESH_S)
        if fresh and point.validated and point.level != VerifyLevel.CATALOGUE:
            return True
        return await self.validate_recovery_point(point.checkpoint_id)

    def _refuse_half_done(self, checkpoint_id: str) -> None:
        for one in status.unsettled_failovers(self._store):
            if one.checkpoint_id == checkpoint_id:
                raise RefusedError(
                    f"not deleted while this is half done: {one.advice}", op="delete", target=checkpoint_id
                )


def _latest_refused(checkpoint_id: str, why: str) -> RefusedError:
    return RefusedError(
        f"recovery point {checkpoint_id} is the newest one and cannot be read: {why}; name an older one by its id,"
        " restore the records from a copy, or delete it",
        op="find",
        target=checkpoint_id,
    )
