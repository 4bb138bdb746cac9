"""What the shell offers for a graph or a snapshot: read from the repository, silent when that cannot be read."""

import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..backup import BackupManager


def graph_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of known graphs that begin with what is typed."""
    try:
        return [name for name in _manager(context).graph_ids() if name.startswith(incomplete)]
    except Exception:
        return []


def snapshot_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the graph's snapshots that begin with what is typed, newest first, each with its time; `latest` too."""
    try:
        graph = _manager(context).get_graph(context.params["graph"])
        stored = [] if graph is None else graph.list_snapshots()
        offered = [("latest", "the newest one")] if stored else []
        offered += [(one.backup_id, f"{one.created_at:%Y-%m-%d %H:%M}") for one in reversed(stored)]
        return [pair for pair in offered if pair[0].startswith(incomplete)]
    except Exception:
        return []


def _manager(context: typer.Context) -> "BackupManager":
    from ..backup import BackupManager
    from ..config import REMOTE_VARIABLE, STORAGE_VARIABLE

    server = context.params.get("server") or context.find_root().params.get("server")
    if os.environ.get(REMOTE_VARIABLE) if server is None else server:
        raise LookupError("no server is asked while somebody types")
    storage = context.params.get("storage") or context.find_root().params.get("storage")
    if storage:
        os.environ[STORAGE_VARIABLE] = storage
    return BackupManager()
