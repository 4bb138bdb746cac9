"""Routes for probes of orchestrators: is it alive, is it ready. Neither asks who wants to know, or names anything."""

import os

from fastapi import APIRouter, Response

from ..backup import BackupManager
from ..errors import LightragBkpError
from ..graph.known import root_of
from ..staging import is_half_done
from .context import Context, Ctx
from .problems import PlainJSON, ProblemRoute
from .schemas import Answer

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
def ready(context: Ctx) -> Response:
    """503 while the storage or the database cannot be used, or an interrupted restore waits to be finished."""
    found = [*_storage(context.backup), *_restores(context.backup), *_database(context)]
    reasons = list(dict.fromkeys(found))
    headers = {"Retry-After": "5"} if reasons else {}
    return PlainJSON({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200, headers)


def _storage(backup: BackupManager | None) -> list[str]:
    """A storage path that is not there yet is made by the first snapshot."""
    if backup is None or not os.path.lexists(backup.storage_path):
        return []
    if not os.path.isdir(backup.storage_path) or not os.access(backup.storage_path, os.R_OK | os.X_OK):
        return ["the storage cannot be read"]
    return [] if os.access(backup.storage_path, os.W_OK) else ["the storage cannot be written"]


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


def _database(context: Context) -> list[str]:
    try:
        if not context.state.is_absent:
            with context.state.connected():
                pass
        damage = context.damage()
    except LightragBkpError:
        return ["the database cannot be used"]
    return [] if damage is None else [f"the database is damaged: {damage}"]
