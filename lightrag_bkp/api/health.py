"""Routes for probes of orchestrators: is it alive, is it ready. Neither asks who wants to know, or names anything."""

import asyncio
import os
from typing import Any

from fastapi import APIRouter, Response

from .. import _bridge, presence
from ..backup import BackupManager
from ..errors import LightragBkpError
from ..graph.known import root_of
from ..restoring.staging import is_half_done
from ..sources import workers
from ..threads import in_thread
from .context import Context, Ctx
from .problems import PlainJSON, ProblemRoute
from .schemas import Answer

_LONGEST_S = 5.0
"""Longer than a database that is silent takes to be given up."""
_LEAST_BYTES = 1 << 20

router = APIRouter(prefix="/health", tags=["health"], route_class=ProblemRoute)


class AliveAnswer(Answer):
    """The process answers."""

    status: str


class ReadyAnswer(Answer):
    """Whether backups can be taken and brought back; why not."""

    ready: bool
    reasons: list[str]


@router.head("/live", include_in_schema=False)
@router.get("/live", response_model=AliveAnswer)
async def live() -> Response:
    """Always 200: who hears it knows that the process answers."""
    return PlainJSON({"status": "alive"})


@router.head("/ready", include_in_schema=False)
@router.get("/ready", response_model=ReadyAnswer,
            responses={503: {"model": ReadyAnswer, "description": "Not ready; the reasons say why"}})  # fmt: skip
async def ready(context: Ctx) -> Response:
    """503 while storage or database cannot be used or say nothing, an interrupted restore waits to be finished, or the
    server has to be restarted after one.
    """
    reasons = await _reasons(context)
    headers = {"Retry-After": "5"} if reasons else {}
    return PlainJSON({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200, headers)


async def _reasons(context: Context) -> list[str]:
    """One look at a time, in one thread, for all who ask meanwhile: what hangs would else take a thread for each."""
    look = context.look
    if look is None or look.done() or look.get_loop() is not asyncio.get_running_loop():
        look = context.look = asyncio.create_task(in_thread(_found, context))
    done, _ = await asyncio.wait([look], timeout=_LONGEST_S)
    return await look if done else ["the storage or the database does not answer"]


def _found(context: Context) -> list[str]:
    backup = context.backup
    found = [*_storage(backup), *_restores(backup), *_barred(context.rag), *_database(context)]
    return list(dict.fromkeys(found))


def _storage(backup: BackupManager | None) -> list[str]:
    """A storage path that is not there yet is made by the first snapshot."""
    if backup is None:
        return []
    try:
        presence.require(backup.storage_path)
    except LightragBkpError:
        return ["the storage is not mounted"]
    if not os.path.lexists(backup.storage_path):
        return []
    if not os.path.isdir(backup.storage_path) or not os.access(backup.storage_path, os.R_OK | os.X_OK):
        return ["the storage cannot be read"]
    if not os.access(backup.storage_path, os.W_OK):
        return ["the storage cannot be written"]
    return [] if _bridge.free_bytes(backup.storage_path) >= _LEAST_BYTES else ["the storage is full"]


def _restores(backup: BackupManager | None) -> list[str]:
    if backup is None:
        return []
    try:
        graphs = [backup.require_graph(name) for name in backup.graph_ids()]
    except (LightragBkpError, OSError):
        return ["the storage cannot be read"]
    roots = {root_of(one.source_dir, one.workspace) for one in graphs if one.source_dir is not None}
    unfinished = any(is_half_done(root) for root in roots)
    return ["an interrupted restore waits to be finished"] if unfinished else []


def _barred(rag: Any) -> list[str]:
    reason = None if rag is None else workers.barred(rag)
    return [] if reason is None else [reason]


def _database(context: Context) -> list[str]:
    try:
        if not context.state.is_absent:
            with context.state.connected():
                pass
        damage = context.damage()
    except LightragBkpError:
        return ["the database cannot be used"]
    return [] if damage is None else [f"the database is damaged: {damage}"]
