"""Bringing all graphs of a recovery point back, or none: validate, restore each, verify each, record.

The first failure rolls back every graph that was restored. What is done is written into the point as it happens, so
that a failover whose process died can be seen, finished by another one, and undone.
"""

import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ..awaiting import to_the_end
from ..errors import DamagedError, LightragBkpError
from ..graph import GraphBackup
from ..graph.known import root_of
from ..models import RestoreAction, RestoredItem, RestoreOutcome, moment
from ..restoring.restore import finish, works_at
from ..restoring.staging import waits
from ..restoring.target import layout_of, missing_levels
from ..sources import files, serving
from ..sources.names import LLM_CACHE
from ..threads import in_thread
from .history import BEGUN, ENDED, RESTORED, UNDOING, UNDONE, FailoverOutcome, GraphFailover, PastFailover, Phase
from .points import FAILOVER, PointStore, RecoveryPoint

logger = logging.getLogger("lightrag_bkp")

FindGraph = Callable[[str], GraphBackup]


@dataclass(frozen=True, slots=True)
class Left:
    """What a failover left to be undone.

    Attributes:
        past: with everything it restored. unsure: graphs of which nobody knows whether it restored them, each with the
            directory it was to go to.
    """

    past: PastFailover
    unsure: Mapping[str, str]


class Failover:
    """One failover of a recovery point.

    Args:
        store: where it is recorded. find: gives a graph by id. point: what is brought back.
    """

    def __init__(self, store: PointStore, find: FindGraph, point: RecoveryPoint) -> None:
        self._store, self._find, self._point = store, find, point
        self._id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self._started_at, self._started = datetime.now(UTC), time.monotonic()
        self._phases: list[Phase] = []
        self._done: dict[str, GraphFailover] = {}

    async def plan(self) -> FailoverOutcome:
        """What would be done."""
        for graph_id in self._point.graphs:
            await self._restore(graph_id, dry_run=True)
        return replace(self._outcome(), rto_s=0.0, dry_run=True)

    async def run(self, validated_s: float) -> FailoverOutcome:
        """Restores and verifies every graph; the outcome says whether that worked. `validated_s`: how long the
        validation before it took.

        Raises:
            RefusedError: a LightRAG server in another process can be seen to have one of them open; nothing was done.
        """
        for graph_id, snapshot in self._point.snapshots.items():
            await _refuse_served(await in_thread(self._find, graph_id), snapshot.id)
        self._started -= validated_s
        self._phases.append(Phase("validate", None, validated_s, True))
        lacking = await in_thread(_lacking, self._find, self._point)
        named = {name: one.id for name, one in self._point.snapshots.items()}
        await self._record(BEGUN, {"graphs": named, "lacking": lacking})
        try:
            for graph_id in self._point.graphs:
                async with self._phase("restore", graph_id):
                    await to_the_end(self._restore(graph_id, dry_run=False))
                await self._record(RESTORED, asdict(self._done[graph_id]))
            for graph_id in self._point.graphs:
                async with self._phase("verify", graph_id):
                    await self._verify(graph_id)
        except BaseException as error:
            outcome = await to_the_end(self._roll_back(error))
            if not isinstance(error, Exception):
                raise
            return outcome
        outcome = self._outcome()
        await self._record(ENDED, outcome.document())
        _log(outcome)
        return outcome

    def plan_undo(self, left: Left) -> FailoverOutcome:
        """What an undo would do; graphs of which nobody knows whether they were restored are named, too."""
        past, named = left.past, self._point.snapshots
        unsure = (_unrecorded(graph_id, named[graph_id].id, root, None) for graph_id, root in left.unsure.items())
        return replace(
            self._outcome(),
            graphs=(*past.restored, *unsure),
            rto_s=0.0,
            dry_run=True,
            undo=True,
            undoes=past.failover_id,
            undoes_at=past.began_at,
        )

    async def undo(self, left: Left) -> FailoverOutcome:
        """Makes every graph of an earlier failover what it was before that; the last one first."""
        past = left.past
        planned = self.plan_undo(left)
        await self._record(UNDOING, {"undoes": past.failover_id})
        failed = ""
        steps = [(one.graph_id, partial(self._take_back, one)) for one in reversed(past.restored)]
        steps += [(graph_id, partial(self._settle, graph_id, root, past)) for graph_id, root in left.unsure.items()]
        for graph_id, step in steps:
            try:
                async with self._phase("undo", graph_id):
                    await step()
            except LightragBkpError as error:
                failed = failed or f"graph {graph_id}: {error}"
        done = self._outcome()
        outcome = replace(
            planned,
            phases=done.phases,
            rto_s=done.rto_s,
            graphs=past.restored,
            ok=not failed,
            error=failed,
            dry_run=False,
        )
        await self._record(UNDONE, outcome.document())
        _log(outcome)
        return outcome

    # ---- steps ----

    async def _take_back(self, done: GraphFailover) -> None:
        graph = await in_thread(self._find, done.graph_id)
        await graph.undo_restore(_as_restore(done))

    async def _settle(self, graph_id: str, root: str, past: PastFailover) -> None:
        """Ends what a failover that died may have begun at `root`. Where nothing was before, what is there goes away
        again, but only if it is what the failover brought: somebody may have begun anew.
        """
        await finish(root)
        if graph_id not in past.lacking:
            return
        graph, named = await in_thread(self._find, graph_id), self._point.snapshots[graph_id]
        there = await graph.bring_home(named.id, dry_run=True)
        if not there.changed or not await in_thread(files.holds_items, root):
            await self._take_back(_unrecorded(graph_id, named.id, root, None, past.lacking[graph_id]))

    async def _restore(self, graph_id: str, *, dry_run: bool) -> None:
        graph, named = await in_thread(self._find, graph_id), self._point.snapshots[graph_id]
        outcome = await graph.bring_home(named.id, dry_run=dry_run)
        done = GraphFailover(
            graph_id=graph_id,
            snapshot_id=named.id,
            target_dir=outcome.target_dir,
            changed=len(outcome.changed),
            safety_snapshot=outcome.safety_snapshot,
            reloaded=outcome.reloaded,
            restart_required=outcome.restart_required,
            data_loss_s=0.0,
            made_dirs=outcome.made_dirs,
        )
        self._done[graph_id] = done  # from here on it is rolled back, whatever comes
        if outcome.changed:
            last = await in_thread(_last_change, graph, outcome, self._started_at)
            lost_s = max((last - named.created_at).total_seconds(), 0.0)
            self._done[graph_id] = replace(done, data_loss_s=lost_s)

    async def _verify(self, graph_id: str) -> None:
        """The files are the snapshot's. Where LightRAG runs it may have gone on already: there the restore itself has
        compared them before they were exchanged.
        """
        done = self._done[graph_id]
        if done.reloaded:
            return
        graph = await in_thread(self._find, graph_id)
        again = await graph.bring_home(done.snapshot_id, dry_run=True)
        if again.changed:
            names = ", ".join(one.name for one in again.changed[:3])
            raise DamagedError(
                f"graph {graph_id!r} is not what was restored: {names} changed meanwhile; is LightRAG running?",
                target=done.target_dir,
            )

    async def _roll_back(self, error: BaseException) -> FailoverOutcome:
        """Undoes what was restored, the last one first; goes on when one cannot be undone."""
        reason, left = self._reason(error), []
        for graph_id in reversed(self._point.graphs):
            snapshot_id = self._point.snapshots[graph_id].id
            try:
                graph = await in_thread(self._find, graph_id)
                # A restore may fail after its commit: then only its safety snapshot tells.
                done = self._done.get(graph_id) or await in_thread(interrupted, graph, snapshot_id, self._started_at)
                if done is not None:
                    async with self._phase("roll back", graph_id):
                        await self._take_back(done)
            except LightragBkpError as failed:
                left.append(f"graph {graph_id} was not rolled back: {failed}")
        outcome = replace(self._outcome(), ok=False, error="; ".join([reason, *left]), rolled_back=not left, rpo_s=0.0)
        await self._record(ENDED, outcome.document())
        _log(outcome)
        return outcome

    def _reason(self, error: BaseException) -> str:
        """What failed, and with which graph."""
        said = str(error) or type(error).__name__
        failed = next((one.graph_id for one in reversed(self._phases) if not one.ok), None)
        return said if failed is None or repr(failed) in said else f"graph {failed}: {said}"

    @asynccontextmanager
    async def _phase(self, name: str, graph_id: str) -> AsyncIterator[None]:
        started = time.monotonic()
        try:
            yield
        except BaseException as error:
            said = str(error) or type(error).__name__
            self._phases.append(Phase(name, graph_id, time.monotonic() - started, False, said))
            raise
        self._phases.append(Phase(name, graph_id, time.monotonic() - started, True))

    def _outcome(self) -> FailoverOutcome:
        graphs = tuple(self._done.values())
        return FailoverOutcome(
            checkpoint_id=self._point.checkpoint_id,
            failover_id=self._id,
            ok=True,
            started_at=self._started_at,
            phases=tuple(self._phases),
            graphs=graphs,
            rto_s=time.monotonic() - self._started,
            rpo_s=_largest(graphs),
        )

    async def _record(self, state: str, document: Mapping[str, Any]) -> None:
        await self._store.add(
            self._point.checkpoint_id, FAILOVER, {"state": state, "failover_id": self._id, **document}
        )


async def left_by(find: FindGraph, point: RecoveryPoint, past: PastFailover) -> Left:
    """What a failover left to be undone, also one that died and could not write everything down any more."""
    if past.ok:
        return Left(past, {})
    restored, unsure = list(past.restored), {}
    known = {one.graph_id for one in restored}
    for graph_id in [one for one in point.graphs if one not in known]:
        graph, snapshot_id = await in_thread(find, graph_id), point.snapshots[graph_id].id
        found = await in_thread(interrupted, graph, snapshot_id, past.began_at)
        root = await in_thread(_home_of, graph, snapshot_id)
        if found is not None:
            restored.append(found)
        elif root is not None and (graph_id in past.lacking or await in_thread(waits, root)):
            unsure[graph_id] = root
    return Left(replace(past, restored=tuple(restored)), unsure)


def interrupted(graph: GraphBackup, snapshot_id: str, since: datetime) -> GraphFailover | None:
    """A restore of this snapshot that began since then and of which nobody knows how it ended, as its safety snapshot
    tells; None when it kept none.
    """
    for kept in reversed(graph.list_snapshots()):
        if kept.safety and kept.created_at >= since and kept.metadata.get("replaced_by") == snapshot_id:
            facts = kept.facts
            target_dir = os.path.join(str(facts.get("source_dir", "")), str(facts.get("workspace", "")))
            return _unrecorded(graph.graph_id, snapshot_id, os.path.normpath(target_dir), kept.backup_id)
    return None


def _unrecorded(
    graph_id: str, snapshot_id: str, target_dir: str, safety_snapshot: str | None, made_dirs: int = 0
) -> GraphFailover:
    """A restore nobody could write down any more."""
    return GraphFailover(
        graph_id=graph_id,
        snapshot_id=snapshot_id,
        target_dir=target_dir,
        changed=1,
        safety_snapshot=safety_snapshot,
        reloaded=False,
        restart_required=True,
        data_loss_s=0.0,
        made_dirs=made_dirs,
    )


def _home_of(graph: GraphBackup, snapshot_id: str) -> str | None:
    """Where a failover puts a graph; None when nobody knows."""
    layout = _layout_of(graph, snapshot_id)
    return None if layout is None else layout.root


def _layout_of(graph: GraphBackup, snapshot_id: str) -> files.Layout | None:
    snapshot = graph.get_snapshot(snapshot_id)
    facts = {} if snapshot is None else snapshot.facts
    home = graph.source_dir or facts.get("source_dir")
    return layout_of(facts, home) if isinstance(home, str) and facts else None


async def _refuse_served(graph: GraphBackup, snapshot_id: str) -> None:
    """Raises RefusedError when a graph would be replaced under a LightRAG server of another process."""
    layout = await in_thread(_layout_of, graph, snapshot_id)
    if layout is None or layout.kind is not files.Kind.LIGHTRAG:
        return
    if not await in_thread(works_at, graph.rag, layout.root):
        await serving.refuse_served(layout.working_dir, layout.workspace, graph.server_url)


def _lacking(find: FindGraph, point: RecoveryPoint) -> dict[str, int]:
    """Of which graphs nothing is there, each with how many directories have to be made for it."""
    homes = {graph_id: _home_of(find(graph_id), point.snapshots[graph_id].id) for graph_id in point.graphs}
    return {name: missing_levels(root) for name, root in homes.items() if root is not None and _holds_nothing(root)}


def _holds_nothing(root: str) -> bool:
    try:
        return not os.listdir(root)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def elsewhere(find: FindGraph, left: Left) -> list[str]:
    """Directories an undo would write to on the word of the stored records alone: neither the registered directory of
    their graph nor a workspace in it.
    """
    places = [*((one.graph_id, one.target_dir) for one in left.past.restored), *left.unsure.items()]
    return [place for graph_id, place in places if not _is_home(find(graph_id), place)]


def _is_home(graph: GraphBackup, target_dir: str) -> bool:
    if graph.source_dir is None:
        return False
    home, workspace = os.path.realpath(graph.source_dir), os.path.realpath(root_of(graph.source_dir, graph.workspace))
    target = os.path.realpath(target_dir)
    return os.path.isabs(target_dir) and (target in (home, workspace) or os.path.dirname(target) == home)


def _as_restore(one: GraphFailover) -> RestoreOutcome:
    """What the restore of a graph returned, as far as undoing it needs: whether any names changed, but not which."""
    return RestoreOutcome(
        snapshot_id=one.snapshot_id,
        target_dir=one.target_dir,
        items=(RestoredItem("", None, RestoreAction.REPLACE, 0),) if one.changed else (),
        needed_bytes=0,
        safety_snapshot=one.safety_snapshot,
        restart_required=one.restart_required,
        dry_run=False,
        seconds=0.0,
        made_dirs=one.made_dirs,
    )


def _last_change(graph: GraphBackup, outcome: RestoreOutcome, otherwise: datetime) -> datetime:
    """When the graph that is replaced was last changed: as its safety snapshot says, or, when nothing was changed yet,
    its files. The LLM cache does not count: queries write it, and nothing of the graph is in it.
    """
    if outcome.dry_run:
        changed = _times_in(outcome.target_dir)
    else:
        kept = None if outcome.safety_snapshot is None else graph.get_snapshot(outcome.safety_snapshot)
        changed = [] if kept is None else [item.mtime_ns for item in kept.items if item.name != LLM_CACHE]
    return moment(max(changed)) if changed else otherwise


def _times_in(root: str) -> list[int]:
    try:
        with os.scandir(root) as entries:
            return [one.stat().st_mtime_ns for one in entries if one.is_file() and one.name != LLM_CACHE]
    except OSError:
        return []


def _largest(graphs: tuple[GraphFailover, ...]) -> float:
    return max((one.data_loss_s for one in graphs), default=0.0)


def _log(outcome: FailoverOutcome) -> None:
    logger.info(
        "event=failover point=%s id=%s ok=%s undo=%s rolled_back=%s graphs=%d rto_s=%.3f rpo_s=%.0f error=%r",
        outcome.checkpoint_id,
        outcome.failover_id,
        outcome.ok,
        outcome.undo,
        outcome.rolled_back,
        len(outcome.graphs),
        outcome.rto_s,
        outcome.rpo_s,
        outcome.error,
    )
