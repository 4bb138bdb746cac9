"""Routes about recovery points: several graphs protected as one, tried, and brought back as one."""

from typing import Any

from fastapi import APIRouter, Response

from ..errors import NotFoundError
from ..models import ProgressCallback, VerifyLevel
from ..recovering.proving import unusable
from ..recovering.status import point_document
from ..recovery import DisasterRecoveryManager, FailoverOutcome, RecoveryPoint
from ..threads import in_thread
from ..verdicts import Verdict
from .auth import Admin, Operator, Reader
from .context import Context, Ctx
from .documents import for_caller
from .paging import Paged
from .problems import FailoverFailed, PlainJSON, ProblemRoute, documented
from .runner import Done, Job
from .schemas import OperationAnswer
from .schemas_recovery import (
    CheckpointBody,
    CheckpointDetails,
    CheckpointId,
    CheckpointsAnswer,
    DrillAnswer,
    FailoverAnswer,
    FailoverBody,
    HealthAnswer,
    MadeCheckpoint,
    RecoveryStatusAnswer,
    ValidateBody,
    ValidatedAnswer,
)

router = APIRouter(prefix="/recovery", tags=["recovery"], route_class=ProblemRoute)


def _long(status: int, model: Any, *problems: int) -> dict[str, Any]:
    """How a route of long work is documented."""
    done: dict[int | str, dict[str, Any]] = {status: {"model": model, "description": "It was waited for, and is done"}}
    return {"status_code": 202, "response_model": OperationAnswer, "responses": done | documented(*problems)}


# ---- recovery points ----


@router.post("/checkpoints", **_long(201, MadeCheckpoint, 404, 409, 412, 502, 507))
async def create(context: Ctx, caller: Operator, job: Job, body: CheckpointBody) -> Response:
    """Takes a snapshot of every graph, as one recovery point: of all graphs or of none. They are held until it is
    deleted.
    """
    manager = context.require_recovery()

    async def work(progress: ProgressCallback) -> Done:
        point = await manager.create_recovery_point(body.graph_ids, body.description)
        document = point_document(point) | {"unusable": await in_thread(_unusable, manager, point)}
        return Done(document, point.checkpoint_id, f"/recovery/checkpoints/{point.checkpoint_id}")

    return await job.run("checkpoint", work, caller=caller)


@router.get("/checkpoints", response_model=CheckpointsAnswer, responses=documented(502))
def list_points(context: Ctx, caller: Reader, paged: Paged) -> Response:
    """Recovery points, oldest first."""
    manager = context.require_recovery()
    answer = paged.of("checkpoints", manager.list_recovery_points(), point_document)
    written = manager.get_recovery_status()
    left = {"unreadable": written["unreadable"], "left_held": written["left_held"]}
    return PlainJSON(answer | for_caller(left, caller))


@router.get("/checkpoints/{checkpoint_id}", response_model=CheckpointDetails, responses=documented(404, 412, 502))
def show(context: Ctx, caller: Reader, checkpoint_id: CheckpointId) -> Response:
    """What a recovery point brings back, and what became of it."""
    manager = context.require_recovery()
    point = manager.find_recovery_point(checkpoint_id)
    written = manager.get_recovery_status()
    told = {
        "failovers": [one.document() for one in manager.failovers(point.checkpoint_id)],
        "advice": written["advice"] if written["interrupted"] == point.checkpoint_id else None,
        "problems": manager.problems(point.checkpoint_id),
    }
    return PlainJSON(point_document(point) | for_caller(told, caller))


@router.delete("/checkpoints/{checkpoint_id}", status_code=204, response_class=Response,
               responses=documented(404, 409, 412, 502))  # fmt: skip
async def delete(context: Ctx, caller: Admin, checkpoint_id: CheckpointId) -> Response:
    """Deletes a recovery point, also a damaged one, and lets its snapshots go."""
    manager = context.require_recovery()
    async with context.audited("checkpoint_delete", caller, target=checkpoint_id):
        wanted = await in_thread(_to_delete, manager, checkpoint_id)
        if not await manager.delete_recovery_point(wanted):
            raise NotFoundError(f"there is no recovery point {wanted!r}: a listing names all", target=wanted)
    return Response(status_code=204)


# ---- what is done with them ----


@router.post("/checkpoints/{checkpoint_id}/validate", **_long(200, ValidatedAnswer, 404, 409, 412, 502, 507))
async def validate(
    context: Ctx, caller: Operator, job: Job, checkpoint_id: CheckpointId, body: ValidateBody | None = None
) -> Response:
    """Checks that a recovery point can be brought back; the answer is written down."""
    manager, point = await _found(context, checkpoint_id)
    level = VerifyLevel.DIGESTS if body is None else body.level

    async def work(progress: ProgressCallback) -> Done:
        ok = await manager.validate_recovery_point(point.checkpoint_id, level)
        problems = [] if ok else await in_thread(manager.problems, point.checkpoint_id)
        said = {"checkpoint_id": point.checkpoint_id, "ok": ok, "level": level, "problems": problems}
        return Done(said)

    return await job.run("validate", work, caller=caller, target=point.checkpoint_id)


@router.post("/checkpoints/{checkpoint_id}/drill", **_long(200, DrillAnswer, 404, 409, 412, 502, 507))
async def drill(context: Ctx, caller: Operator, job: Job, checkpoint_id: CheckpointId) -> Response:
    """Brings every graph back to a scratch directory, looks at it, and cleans up; the outcome is written down."""
    manager, point = await _found(context, checkpoint_id)

    async def work(progress: ProgressCallback) -> Done:
        return Done((await manager.run_drill(point.checkpoint_id)).document())

    return await job.run("drill", work, caller=caller, target=point.checkpoint_id)


@router.post("/checkpoints/{checkpoint_id}/failover", **_long(200, FailoverAnswer, 404, 409, 412, 502, 507))
async def fail_over(
    context: Ctx, caller: Admin, job: Job, checkpoint_id: CheckpointId, body: FailoverBody | None = None
) -> Response:
    """Brings every graph back where it lives, or none: any failure rolls all of them back."""
    manager, point = await _found(context, checkpoint_id)
    dry_run = body is not None and body.dry_run

    async def work(progress: ProgressCallback) -> Done:
        return _done(await manager.failover(point.checkpoint_id, dry_run=dry_run))

    return await job.run("failover", work, caller=caller, target=point.checkpoint_id)


@router.post("/checkpoints/{checkpoint_id}/undo", **_long(200, FailoverAnswer, 404, 409, 412, 502, 507))
async def undo(
    context: Ctx, caller: Admin, job: Job, checkpoint_id: CheckpointId, body: FailoverBody | None = None
) -> Response:
    """Makes every graph what it was before the last failover of this point, in the directories they are configured
    with.
    """
    manager, point = await _found(context, checkpoint_id)
    dry_run = body is not None and body.dry_run

    async def work(progress: ProgressCallback) -> Done:
        return _done(await manager.undo_failover(point.checkpoint_id, dry_run=dry_run))

    return await job.run("undo", work, caller=caller, target=point.checkpoint_id)


# ---- how it stands ----


@router.get("/health", response_model=HealthAnswer, responses=documented(502))
async def health(context: Ctx, caller: Reader) -> Response:
    """Looks at every graph, its backups and replicas, and at the recovery points. What is bad is in the answer, whose
    status is 200 all the same: `/health/ready` is for probes.
    """
    seen = await context.require_recovery().health_check()
    parts = {"graphs": "graph", "backups": "backups", "replication": "replication"}
    answer = {
        "overall_status": seen["status"],
        "timestamp": seen["checked_at"],
        "components": seen["components"],
        **{name: {graph: told[part] for graph, told in seen["graphs"].items()} for name, part in parts.items()},
    }
    return PlainJSON(for_caller(answer, caller))


@router.get("/status", response_model=RecoveryStatusAnswer, responses=documented(502))
def status(context: Ctx, caller: Reader) -> Response:
    """What could be brought back, as far as it is written down; nothing is checked."""
    written = context.require_recovery().get_recovery_status()
    return PlainJSON(for_caller(written, caller))


# ---- steps ----


async def _found(context: Context, checkpoint_id: str) -> tuple[DisasterRecoveryManager, RecoveryPoint]:
    manager = context.require_recovery()
    return manager, await in_thread(manager.find_recovery_point, checkpoint_id)


def _to_delete(manager: DisasterRecoveryManager, named: str) -> str:
    """The whole id of a point that may be damaged, or of which nothing but held snapshots is left."""
    if named == "latest":
        return manager.find_recovery_point(named).checkpoint_id
    return named if named in manager.get_recovery_status()["left_held"] else manager.find_recovery_id(named)


def _unusable(manager: DisasterRecoveryManager, point: RecoveryPoint) -> list[str]:
    """What keeps a new point from being valid."""
    taken = (manager.backup.require_graph(name).get_snapshot(one.id) for name, one in point.snapshots.items())
    return [unusable(one) for one in taken if one is not None and one.verdict == Verdict.UNUSABLE]


def _done(outcome: FailoverOutcome) -> Done:
    """The answer; what went wrong is a failure, although all was rolled back."""
    if not outcome.ok:
        back = "everything is what it was before" if outcome.rolled_back else "NOT everything is what it was before"
        said = outcome.error if outcome.undo else f"{outcome.error}; {back}"
        raise FailoverFailed(said, outcome=outcome.document(), target=outcome.checkpoint_id)
    return Done(outcome.document())
