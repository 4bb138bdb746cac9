"""Drills: every graph of a recovery point restored to a scratch directory, looked at, timed, and cleaned up."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import (
    DamagedError,
    ForeignObjectError,
    LightragBkpError,
    NotFoundError,
    OperationCancelled,
    UnsupportedError,
)
from ..graph import GraphBackup
from ..models import VerifyLevel, age_of
from ..threads import in_thread
from .points import DRILL, PointStore, Record, RecoveryPoint

logger = logging.getLogger("lightrag_bkp")

_VERDICTS = (DamagedError, ForeignObjectError, NotFoundError, UnsupportedError)
"""Errors that say what a snapshot is; any other says why it could not be tried."""


@dataclass(frozen=True, slots=True)
class GraphDrill:
    """How the drill of one graph went.

    Attributes:
        graph_id, snapshot_id: what was restored. ok: it came back whole, and can be used. problems: what is wrong with
            it, if anything.
        verdict: what the graph that came back is good for; None for a plain directory, and when it did not come back.
        restore_s, validate_s: how long restoring took, and comparing and judging, in seconds.
    """

    graph_id: str
    snapshot_id: str
    ok: bool
    verdict: str | None
    problems: tuple[str, ...]
    restore_s: float
    validate_s: float


@dataclass(frozen=True, slots=True)
class DrillOutcome:
    """How a drill went.

    Attributes:
        checkpoint_id: of the recovery point. ok: every graph came back whole. graphs: how each went.
        started_at: aware, UTC. seconds: of everything, cleaning up as well.
        rto_s: what restoring and looking at all graphs took: what a failover would take about.
    """

    checkpoint_id: str
    ok: bool
    started_at: datetime
    graphs: tuple[GraphDrill, ...]
    rto_s: float
    seconds: float

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"started_at": self.started_at.isoformat()}


def newest(records: Mapping[str, list[Record]]) -> dict[str, Any] | None:
    """The newest drill: {checkpoint_id, at, age_s (None: at a time yet to come), ok, rto_s}; None when there was none.

    Args:
        records: of every recovery point, by its id.
    """
    held = [(one.at, name, one.document) for name, found in records.items() for one in found if one.kind == DRILL]
    if not held:
        return None
    at, checkpoint_id, document = max(held, key=lambda drill: drill[0])
    age = age_of(at, datetime.now(UTC))
    age_s = None if age is None else age.total_seconds()
    ok, rto_s = bool(document.get("ok")), document.get("rto_s")
    return {"checkpoint_id": checkpoint_id, "at": at.isoformat(), "age_s": age_s, "ok": ok, "rto_s": rto_s}


async def run(
    store: PointStore, find: Callable[[str], GraphBackup], point: RecoveryPoint, scratch_dir: str | None
) -> DrillOutcome:
    """Drills a recovery point and records the outcome in it.

    Args:
        scratch_dir: where to restore to; the system's directory for temporary files when None.

    Raises:
        LightragBkpError: a graph could not be tried (no room, no scratch directory, no passphrase); nothing is recorded
            then unless others are damaged. What is wrong with a graph is no exception.
    """
    started_at, started = datetime.now(UTC), time.monotonic()
    graphs: list[GraphDrill] = []
    untried: dict[str, LightragBkpError] = {}
    for graph_id in point.graphs:
        try:
            graphs.append(await _drill(find, point, graph_id, scratch_dir))
        except OperationCancelled:
            raise
        except LightragBkpError as error:
            untried[graph_id] = error
    if untried and all(one.ok for one in graphs):
        raise _not_tried(*untried.popitem())
    graphs += [_failed(point, graph_id, f"could not be tried: {error}") for graph_id, error in untried.items()]
    outcome = DrillOutcome(
        checkpoint_id=point.checkpoint_id,
        ok=all(one.ok for one in graphs),
        started_at=started_at,
        graphs=tuple(graphs),
        rto_s=sum(one.restore_s + one.validate_s for one in graphs),
        seconds=time.monotonic() - started,
    )
    await store.add(point.checkpoint_id, DRILL, {"level": str(VerifyLevel.DRILL), **outcome.document()})
    logger.info("event=drill point=%s ok=%s rto_s=%.3f", point.checkpoint_id, outcome.ok, outcome.rto_s)
    return outcome


async def _drill(
    find: Callable[[str], GraphBackup], point: RecoveryPoint, graph_id: str, scratch_dir: str | None
) -> GraphDrill:
    named = point.snapshots[graph_id]
    try:
        graph = await in_thread(find, graph_id)
        snapshot = await in_thread(graph.get_snapshot, named.id)
        if snapshot is None or snapshot.data_hash != named.digest:
            return _failed(point, graph_id, "the snapshot is not the one the recovery point names")
        outcome = await graph.verify_snapshot(named.id, VerifyLevel.DRILL, scratch_dir=scratch_dir)
    except _VERDICTS as error:
        return _failed(point, graph_id, str(error))
    problems = tuple(one.message for one in outcome.findings)
    took = outcome.restore_s or 0.0, outcome.judge_s or 0.0
    return GraphDrill(graph_id, named.id, not problems, outcome.verdict, problems, *took)


def _failed(point: RecoveryPoint, graph_id: str, problem: str) -> GraphDrill:
    return GraphDrill(graph_id, point.snapshots[graph_id].id, False, None, (problem,), 0.0, 0.0)


def _not_tried(graph_id: str, error: LightragBkpError) -> LightragBkpError:
    """The same error, with what it says of the drill: nothing about the snapshot."""
    said = f"graph {graph_id!r} could not be tried, which says nothing against its snapshot: {error}"
    return type(error)(said, code=error.code, errno=error.errno or 0, op="drill", target=graph_id)
