"""Graphs and their snapshots: listed, taken, judged, held, brought back, deleted and cleaned up."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from .. import capture
from ..backup import BackupManager
from ..errors import InvalidInputError, LightragBkpError, NotFoundError
from ..graph import READERS_WAIT_S, GraphBackup
from ..models import BackupSnapshot, ProgressCallback, VerifyLevel
from ..threads import in_thread
from . import documents
from .auth import Admin, Caller, Operator, Reader
from .context import PREFIX, Context, Ctx
from .paging import Paged
from .problems import PlainJSON, ProblemRoute, documented, problem_of
from .runner import Done, Job, Work
from .schemas import GraphId, OperationAnswer
from .schemas_backup import (
    CleanupAnswer,
    CleanupBody,
    DeletedSnapshot,
    GraphsAnswer,
    HoldAnswer,
    HoldBody,
    RestoreAnswer,
    RestoreBody,
    SnapshotAnswer,
    SnapshotBody,
    SnapshotDetails,
    SnapshotId,
    SnapshotsAnswer,
    StatsAnswer,
    VerifyAllBody,
    VerifyAnswer,
    VerifyBody,
)

router = APIRouter(prefix="/backup", tags=["backup"], route_class=ProblemRoute)

_BEGUN: dict[int | str, dict[str, Any]] = {202: {"model": OperationAnswer, "description": "It is under way"}}


# ---- graphs ----


@router.get("/graphs", response_model=GraphsAnswer, responses=documented())
def list_graphs(context: Ctx, caller: Reader, paged: Paged) -> Response:
    """All graphs that are registered or have snapshots here, by name."""
    manager = context.require_backup()
    answer = paged.of("graphs", manager.graph_ids(), lambda graph_id: _graph(manager, graph_id, caller))
    return PlainJSON(answer)


@router.get("/stats", response_model=StatsAnswer, responses=documented())
def get_stats(context: Ctx, caller: Reader) -> Response:
    """How many snapshots and bytes there are."""
    manager = context.require_backup()
    graphs = [_graph(manager, graph_id, caller) for graph_id in manager.graph_ids()]
    totals = {
        "total_graphs": len(graphs),
        "total_snapshots": sum(one["snapshots"] for one in graphs),
        "total_size_bytes": sum(one["size_bytes"] for one in graphs),
        "total_stored_bytes": sum(one["stored_bytes"] for one in graphs),
    }
    place = manager.storage_path if caller.sees_places else None
    return PlainJSON({"storage_path": place, **totals, "graphs": graphs})


def _graph(manager: BackupManager, graph_id: str, caller: Caller) -> dict[str, Any]:
    known = manager.require_graph(graph_id)
    try:
        figures = known.stats()
        latest = None if figures["latest"] is None else known.get_snapshot(figures["latest"])
        figures["latest_at"] = latest and latest.created_at.isoformat()
        figures["error"] = known.log_damage()
    except LightragBkpError as error:
        figures = {"error": str(error)}
    return documents.graph(figures, known, caller)


# ---- snapshots ----


@router.post(
    "/graphs/{graph_id}/snapshots",
    status_code=201,
    response_model=SnapshotAnswer,
    responses={**_BEGUN, **documented(404, 409, 412, 502, 507)},
)
async def create_snapshot(
    context: Ctx, caller: Operator, job: Job, graph_id: GraphId, body: SnapshotBody | None = None
) -> Response:
    """Takes a snapshot of the graph as it is at one moment. LightRAG goes on working."""
    graph, asked = await context.graph(graph_id), body or SnapshotBody()
    metadata = _metadata(asked)

    async def work(progress: ProgressCallback) -> Done:
        taken = await graph.create_snapshot(
            metadata=metadata,
            on_busy=asked.on_busy,
            deadline_s=asked.deadline_s,
            partial=asked.partial,
            validate=asked.validate_,
            progress=progress,
        )
        place = f"/backup/graphs/{graph_id}/snapshots/{taken.backup_id}"
        return Done(documents.snapshot(taken, caller), taken.backup_id, place)

    return await job.run("snapshot", work, caller=caller, graph_id=graph_id)


def _metadata(asked: SnapshotBody) -> dict[str, Any]:
    """Metadata with the tags among them, as the program stores them."""
    metadata = dict(asked.metadata or {})
    for name, value in (asked.tags or {}).items():
        if metadata.setdefault(name, value) != value:
            raise InvalidInputError(f"tag {name!r} says something else than the metadata of that name", target=name)
    capture.metadata_text(metadata)  # what cannot be stored is refused before an operation begins
    return metadata


@router.get("/graphs/{graph_id}/snapshots", response_model=SnapshotsAnswer, responses=documented(404, 502))
def list_snapshots(context: Ctx, caller: Reader, paged: Paged, graph_id: GraphId) -> Response:
    """All snapshots of a graph, the newest first."""
    graph = context.require_backup().require_graph(graph_id)
    found = graph.list_snapshots()[::-1]
    answer = paged.of("snapshots", found, lambda one: documents.snapshot(one, caller))
    damage = {"damage": graph.log_damage(), "alarm": graph.log_alarm()}
    return PlainJSON(answer | documents.for_caller(damage, caller))


@router.get(
    "/graphs/{graph_id}/snapshots/{snapshot_id}", response_model=SnapshotDetails, responses=documented(404, 502)
)
def get_snapshot(
    context: Ctx,
    caller: Reader,
    graph_id: GraphId,
    snapshot_id: SnapshotId,
    items: Annotated[Literal["first", "all"], Query(description="The first 1,000 items, or all of them.")] = "first",
) -> Response:
    """One snapshot: what it holds, what was left out, and what was found in it."""
    graph = context.require_backup().require_graph(graph_id)
    found = graph.find_snapshot(snapshot_id)
    # What keeps a snapshot depends on the others: a listing knows it.
    one = next((listed for listed in graph.list_snapshots() if listed.backup_id == found.backup_id), found)
    return PlainJSON(documents.details(one, graph, caller, every_item=items == "all"))


@router.delete(
    "/graphs/{graph_id}/snapshots/{snapshot_id}", response_model=DeletedSnapshot, responses=documented(404, 409, 502)
)
async def delete_snapshot(context: Ctx, caller: Admin, graph_id: GraphId, snapshot_id: SnapshotId) -> Response:
    """Deletes a snapshot. The space it alone uses returns at the next clean-up."""
    graph, found = await _found(context, graph_id, snapshot_id)
    wanted = found.backup_id
    async with context.audited("snapshot_delete", caller, graph_id=graph_id, target=wanted):
        if not await graph.delete_snapshot(wanted):
            raise NotFoundError(f"snapshot {wanted} of graph {graph_id!r} is gone already", op="delete", target=wanted)
    return PlainJSON({"graph_id": graph_id, "backup_id": wanted, "deleted": True})


@router.post(
    "/graphs/{graph_id}/snapshots/{snapshot_id}/restore",
    response_model=RestoreAnswer,
    responses={**_BEGUN, **documented(404, 409, 412, 502, 507)},
)
async def restore_snapshot(
    context: Ctx,
    caller: Admin,
    job: Job,
    graph_id: GraphId,
    snapshot_id: SnapshotId,
    body: RestoreBody | None = None,
) -> Response:
    """Brings a snapshot back where the graph lives. What is there is kept first, as a safety snapshot. A LightRAG that
    runs here goes on with the restored state.
    """
    graph, found = await _found(context, graph_id, snapshot_id)
    asked = body or RestoreBody()

    async def work(progress: ProgressCallback) -> Done:
        outcome = await graph.bring_home(
            found.backup_id,
            items=asked.items,
            dry_run=asked.dry_run,
            workspace=asked.workspace,
            replace=asked.replace,
            allow_unusable=asked.allow_unusable,
            progress=progress,
        )
        return Done(await in_thread(documents.restored, outcome), found.backup_id)

    return await job.run("restore", work, caller=caller, graph_id=graph_id, target=found.backup_id)


# ---- looked at ----


@router.post(
    "/graphs/{graph_id}/snapshots/{snapshot_id}/verify",
    response_model=VerifyAnswer,
    responses={**_BEGUN, **documented(404, 409, 502, 507)},
)
async def verify_snapshot(
    context: Ctx,
    caller: Operator,
    job: Job,
    graph_id: GraphId,
    snapshot_id: SnapshotId,
    body: VerifyBody | None = None,
) -> Response:
    """Checks that a snapshot can be brought back. What is found wrong is an answer: 200, and `ok` false."""
    graph, found = await _found(context, graph_id, snapshot_id)
    level = (body or VerifyBody()).level
    work = _verification(context, graph, found.backup_id, level)
    return await job.run("verify", work, caller=caller, graph_id=graph_id, target=found.backup_id)


@router.post(
    "/graphs/{graph_id}/verify", response_model=VerifyAnswer, responses={**_BEGUN, **documented(404, 409, 502)}
)
async def verify_graph(
    context: Ctx, caller: Operator, job: Job, graph_id: GraphId, body: VerifyAllBody | None = None
) -> Response:
    """Checks everything that is stored of a graph."""
    graph = await context.graph(graph_id)
    work = _verification(context, graph, None, VerifyLevel((body or VerifyAllBody()).level))
    return await job.run("verify", work, caller=caller, graph_id=graph_id)


def _verification(context: Context, graph: GraphBackup, backup_id: str | None, level: VerifyLevel) -> Work:
    scratch_dir = context.require_backup().recovery.scratch_dir

    async def work(progress: ProgressCallback) -> Done:
        outcome = await graph.verify_snapshot(backup_id, level, scratch_dir=scratch_dir, progress=progress)
        return Done(documents.verified(outcome), backup_id)

    return work


# ---- held ----


@router.post(
    "/graphs/{graph_id}/snapshots/{snapshot_id}/hold", response_model=HoldAnswer, responses=documented(404, 409, 502)
)
async def hold_snapshot(
    context: Ctx, caller: Operator, graph_id: GraphId, snapshot_id: SnapshotId, body: HoldBody | None = None
) -> Response:
    """Keeps a snapshot until it is released, whatever the policy says. Each holder has a hold of its own."""
    return await _change_hold(context, caller, "hold", graph_id, snapshot_id, body or HoldBody())


@router.post(
    "/graphs/{graph_id}/snapshots/{snapshot_id}/release", response_model=HoldAnswer, responses=documented(404, 409, 502)
)
async def release_snapshot(
    context: Ctx, caller: Operator, graph_id: GraphId, snapshot_id: SnapshotId, body: HoldBody | None = None
) -> Response:
    """Ends a hold."""
    return await _change_hold(context, caller, "release", graph_id, snapshot_id, body or HoldBody())


async def _change_hold(
    context: Context, caller: Caller, op: Literal["hold", "release"], graph_id: str, snapshot_id: str, body: HoldBody
) -> Response:
    graph, found = await _found(context, graph_id, snapshot_id)
    change = graph.hold if op == "hold" else graph.release
    async with context.audited(op, caller, graph_id=graph_id, target=found.backup_id, detail=body.holder):
        changed = await change(found.backup_id, body.holder)
    now = await in_thread(graph.find_snapshot, found.backup_id)
    said = {"holder": body.holder, "held": now.held, "holders": list(now.holders), "changed": changed}
    return PlainJSON({"graph_id": graph_id, "backup_id": now.backup_id, **said})


# ---- cleaned up ----


@router.post("/cleanup", response_model=CleanupAnswer, responses={**_BEGUN, **documented(404, 409, 502, 507)})
async def clean_up(context: Ctx, caller: Admin, job: Job, body: CleanupBody | None = None) -> Response:
    """Drops what the policy does not keep, and frees its space: of one graph, or of all. Of all, one that fails is an
    `error` in the answer and stops no other.
    """
    manager, asked = context.require_backup(), body or CleanupBody()
    if asked.graph_id is not None:
        await context.graph(asked.graph_id)

    async def work(progress: ProgressCallback) -> Done:
        names = [asked.graph_id] if asked.graph_id else await in_thread(manager.graph_ids)
        graphs: dict[str, Mapping[str, Any]] = {}
        for name in names:
            try:
                graphs[name] = await _pruned(await context.graph(name), asked, progress)
            except LightragBkpError as error:
                if asked.graph_id is not None:
                    raise
                graphs[name] = documents.not_pruned(problem_of(error, f"{PREFIX}/backup/cleanup"))
        dropped = sum(len(one.get("dropped", ())) for one in graphs.values())
        return Done({"deleted_snapshots": dropped, "dry_run": asked.dry_run, "graphs": graphs})

    return await job.run("cleanup", work, caller=caller, graph_id=asked.graph_id, frees_room=True)


async def _pruned(graph: GraphBackup, asked: CleanupBody, progress: ProgressCallback) -> dict[str, Any]:
    judged = await in_thread(graph.list_snapshots) if asked.dry_run else None
    wait_s = 0.0 if asked.now else READERS_WAIT_S
    return documents.pruned(await graph.prune(dry_run=asked.dry_run, wait_s=wait_s, progress=progress), judged)


async def _found(context: Context, graph_id: str, snapshot_id: str) -> tuple[GraphBackup, BackupSnapshot]:
    """A graph, and one of its snapshots by the whole id, a unique beginning of it, or "latest"."""
    graph = await context.graph(graph_id)
    return graph, await in_thread(graph.find_snapshot, snapshot_id)
