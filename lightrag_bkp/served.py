"""The graph that a running LightRAG serves, as it is known to a `BackupManager`."""

from typing import Any

from . import arguments, config
from .backup import BackupManager, registered_at
from .discovery import UNNAMED
from .errors import ConfigurationError, ConflictError
from .graph import GraphBackup


def register(backup: BackupManager, rag: Any, input_dir: str | None = None) -> GraphBackup:
    """Registers it: under the id its directory and workspace are configured with, else its workspace's name, else
    "default". Again, it is the same graph.

    Args:
        input_dir: taken with its snapshots unless another one is configured.

    Raises:
        ConfigurationError: that cannot be an id, or is another graph's.
    """
    workspace = arguments.check_rag(rag).workspace or ""
    known = registered_at(backup, rag.working_dir, workspace)
    graph_id = workspace or UNNAMED if known is None else known.graph_id
    if not arguments.is_graph_id(graph_id):
        raise _without_id(rag, f"{graph_id!r} cannot be the id of a graph")
    try:
        graph = backup.register_graph(graph_id, rag=rag)
    except ConflictError:
        raise _without_id(rag, f"{graph_id!r} is another graph's id") from None
    if graph.input_dir is None and input_dir is not None:
        backup.register_graph(graph_id, input_dir=input_dir)
    return graph


def _without_id(rag: Any, why: str) -> ConfigurationError:
    workspace = rag.workspace or ""
    place = f"{rag.working_dir}{':' if workspace else ''}{workspace}"
    return ConfigurationError(
        f"the graph that is served, workspace {workspace!r} of {rag.working_dir!r}, has no id of its own, for {why}:"
        f" give it one, {config.GRAPHS_VARIABLE}=name={place}",
        target=config.GRAPHS_VARIABLE,
    )
