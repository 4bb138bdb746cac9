"""Routes about where copies go: targets, the graphs that go there, and sending."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from ..documents import replication_document, target_document
from ..errors import ConflictError, NotFoundError, RefusedError
from ..models import ProgressCallback
from ..probing import ProbeSettings, TargetHealth
from ..replication import GraphReplicator, ReplicationLog, ReplicationManager, ReplicationTarget
from ..replication_targets import TARGET_ID, unknown_target
from ..threads import in_thread
from .auth import Admin, Operator, Reader
from .context import Ctx, root_of
from .documents import for_caller
from .paging import Paged
from .problems import NotReplicated, PlainJSON, ProblemRoute, documented
from .runner import Done, Job
from .schemas import GraphId, OperationAnswer
from .schemas_replication import (
    LogsAnswer,
    ReplicateBody,
    ReplicationsAnswer,
    ReplicationStatusAnswer,
    TargetAnswer,
    TargetBody,
    TargetChange,
    TargetHealthAnswer,
    TargetId,
    TargetsAnswer,
)

router = APIRouter(prefix="/replication", tags=["replication"], route_class=ProblemRoute)


# ---- targets ----


@router.post("/targets", status_code=201, response_model=TargetAnswer, responses=documented(409))
async def add_target(context: Ctx, caller: Admin, request: Request, body: TargetBody) -> Response:
    """Registers an instance copies can go to. Its key is kept sealed, and shown to nobody."""
    manager = context.require_replication()
    target = _target(body)
    async with context.audited("target_add", caller, target=target.target_id, detail=target.name):
        await in_thread(_register, manager, target)
    location = f"{root_of(request)}/replication/targets/{target.target_id}"
    return PlainJSON(target_document(target), 201, {"Location": location})


@router.get("/targets", response_model=TargetsAnswer, responses=documented())
def list_targets(context: Ctx, caller: Reader, paged: Paged) -> Response:
    """All targets, oldest first."""
    return PlainJSON(paged.of("targets", context.require_replication().list_targets(), target_document))


@router.get("/targets/{target_id}", response_model=TargetAnswer, responses=documented(404))
def show_target(context: Ctx, caller: Reader, target_id: TargetId) -> Response:
    """One target."""
    return PlainJSON(target_document(context.require_replication().require_target(target_id)))


@router.patch("/targets/{target_id}", response_model=TargetAnswer, responses=documented(404, 409))
async def change_target(context: Ctx, caller: Admin, target_id: TargetId, body: TargetChange) -> Response:
    """Changes what is given, and keeps the rest. The key is kept for its server alone: the URL of another one needs a
    key with it.
    """
    manager = context.require_replication()
    named = ", ".join(sorted(body.model_fields_set))
    async with context.audited("target_change", caller, target=target_id, detail=named):
        changed = await in_thread(_change, manager, target_id, body)
    return PlainJSON(target_document(changed))


@router.delete("/targets/{target_id}", status_code=204, response_class=Response, responses=documented(404))
async def remove_target(context: Ctx, caller: Admin, target_id: TargetId) -> Response:
    """Forgets a target, for all graphs. Copies that lie there stay there."""
    manager = context.require_replication()
    async with context.audited("target_remove", caller, target=target_id):
        if not await in_thread(manager.remove_target, target_id):
            raise unknown_target(target_id)
    return Response(status_code=204)


@router.get("/targets/{target_id}/health", response_model=TargetHealthAnswer, responses=documented(404))
async def check_target(context: Ctx, caller: Reader, target_id: TargetId) -> Response:
    """Asks a target now whether it can receive. How often one target is asked is limited."""
    manager = context.require_replication()
    target = await in_thread(manager.require_target, target_id)
    context.guard.count_probe(target_id)
    seen = await manager.check_target_health(target_id)
    return PlainJSON(_seen(target, seen))


# ---- the targets of a graph ----


@router.get("/graphs/{graph_id}/status", response_model=ReplicationStatusAnswer, responses=documented())
def show_status(context: Ctx, caller: Reader, graph_id: GraphId) -> Response:
    """Where copies of a graph go, and how far each is behind, as far as is known without asking."""
    status = _replicator(context, graph_id).get_replication_status()
    return PlainJSON(for_caller(status, caller))


@router.put("/graphs/{graph_id}/targets/{target_id}", status_code=204, response_class=Response,
            responses=documented(404))  # fmt: skip
async def link_target(context: Ctx, caller: Admin, graph_id: GraphId, target_id: TargetId) -> Response:
    """From now on copies of the graph go there too."""
    manager, replicator = context.require_replication(), _replicator(context, graph_id)
    async with context.audited("target_link", caller, graph_id=graph_id, target=target_id):
        target = await in_thread(manager.require_target, target_id)
        await in_thread(replicator.add_target, target)
    return Response(status_code=204)


@router.delete("/graphs/{graph_id}/targets/{target_id}", status_code=204, response_class=Response,
               responses=documented(404))  # fmt: skip
async def unlink_target(context: Ctx, caller: Admin, graph_id: GraphId, target_id: TargetId) -> Response:
    """No more copies of the graph go there. What lies there stays."""
    replicator = _replicator(context, graph_id)
    async with context.audited("target_unlink", caller, graph_id=graph_id, target=target_id):
        if not await in_thread(replicator.remove_target, target_id):
            said = f"graph {graph_id!r} has no replication target {target_id!r}"
            raise NotFoundError(said, target=target_id)
    return Response(status_code=204)


@router.post("/graphs/{graph_id}/replicate", status_code=202, response_model=OperationAnswer,
             responses={200: {"model": ReplicationsAnswer, "description": "It was waited for, and is done"},
                        **documented(404, 409, 412, 502)})  # fmt: skip
async def replicate(
    context: Ctx, caller: Operator, job: Job, graph_id: GraphId, body: ReplicateBody | None = None
) -> Response:
    """Brings the newest snapshot, those that are held, and the log to the graph's targets: what each lacks."""
    replicator, asked = _replicator(context, graph_id), body or ReplicateBody()

    async def work(progress: ProgressCallback) -> Done:
        logs = await replicator.replicate(
            asked.snapshot_id, asked.target_id, patience_s=asked.patience_s, progress=progress
        )
        names = await in_thread(_names, replicator)
        return _brought(graph_id, [_log(one, names) for one in logs])

    return await job.run("replicate", work, caller=caller, graph_id=graph_id, target=asked.snapshot_id)


@router.get("/graphs/{graph_id}/logs", response_model=LogsAnswer, responses=documented())
def list_logs(
    context: Ctx,
    caller: Reader,
    paged: Paged,
    graph_id: GraphId,
    target_id: Annotated[str | None, Query(pattern=TARGET_ID, description="Of this target only.")] = None,
) -> Response:
    """The newest attempts to bring the graph to its targets, the newest first: at most 1,000 are known."""
    replicator = _replicator(context, graph_id)
    names = _names(replicator)
    answer = paged.of("logs", replicator.logs(target_id), lambda one: _log(one, names))
    return PlainJSON(answer | {"logs": for_caller(answer["logs"], caller)})


# ---- steps ----


def _replicator(context: Ctx, graph_id: str) -> GraphReplicator:
    return context.require_replication().get_graph_replicator(graph_id)


def _target(body: TargetBody) -> ReplicationTarget:
    connection = ProbeSettings(
        allow_http=body.allow_http, allow_private=body.allow_private, bytes_per_second=body.bytes_per_second
    )
    key = None if body.api_key is None else body.api_key.get_secret_value()
    made = ReplicationTarget(body.name, body.base_url, key, body.enabled, connection=connection)
    return made if body.target_id is None else replace(made, target_id=body.target_id)


def _register(manager: ReplicationManager, target: ReplicationTarget) -> None:
    _refuse_taken(manager, target.name, target.target_id)
    if not manager.register_target(target):
        raise ConflictError(f"there is a replication target {target.target_id!r} already", target=target.target_id)


def _change(manager: ReplicationManager, target_id: str, body: TargetChange) -> ReplicationTarget:
    manager.require_target(target_id)
    if body.name is not None:
        _refuse_taken(manager, body.name, target_id)
    key = None if body.api_key is None else body.api_key.get_secret_value()
    return manager.update_target(target_id, name=body.name, base_url=body.base_url, api_key=key, enabled=body.enabled)


def _refuse_taken(manager: ReplicationManager, name: str, target_id: str) -> None:
    """Here and at the command line targets are called by their names. Programs go by ids: they may register theirs at
    each start.
    """
    if any(one.name == name and one.target_id != target_id for one in manager.list_targets()):
        raise ConflictError(f"there is a replication target called {name!r}: take another name", target=name)


def _names(replicator: GraphReplicator) -> dict[str, str]:
    return {one.target_id: one.name for one in replicator.list_targets()}


def _brought(graph_id: str, replications: list[dict[str, Any]]) -> Done:
    """The answer; when no target has it, a failure."""
    if not replications:
        raise RefusedError(f"graph {graph_id!r} has no target that is enabled, so nothing was sent", target=graph_id)
    there = [one for one in replications if one["is_there"]]
    if not there:
        said = "; ".join(f"target {one['name']}: {one['error_message'] or one['status']}" for one in replications)
        raise NotReplicated(said, replications=replications, target=graph_id)
    return Done({"graph_id": graph_id, "ok": len(there) == len(replications), "replications": replications})


# ---- documents ----


def _log(log: ReplicationLog, names: dict[str, str]) -> dict[str, Any]:
    return replication_document(log, names.get(log.target_id)) | {"graph_id": log.graph_id}


def _seen(target: ReplicationTarget, health: TargetHealth) -> dict[str, Any]:
    return {
        "target_id": target.target_id,
        "name": target.name,
        **asdict(health),
        "status": health.status.value,
        "last": health.last.value,
        "checked_at": health.checked_at and health.checked_at.isoformat(),
        "since": health.since and health.since.isoformat(),
    }
