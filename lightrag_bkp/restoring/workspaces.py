"""Names for a workspace that does not exist yet.

LightRAG keeps a workspace apart by its name, in each backend in its own way, and some names mean the same there. A new
name is taken only when it stays apart in all of them, so that a clone can move to another backend later.
"""

import os
import re

from ..arguments import check_workspace
from ..errors import ConflictError, InvalidInputError
from ..sources import files

_MOST = 41
"""PostgreSQL cuts "<workspace>_chunk_entity_relation" after 63 bytes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_ALIASES = ("base", "default")
"""What Neo4j, Memgraph and PostgreSQL call the unnamed workspace."""
_JOINTS = ("text", "entity", "relation", "full")
"""Where a workspace's name meets a store's: "w" + "text_chunks" is "w_text" + "chunks"."""
_DIRECTORIES = ("inputs", "scan_spool")
"""Directories of other meaning beside workspaces."""


def check_new(workspace: str, working_dir: str) -> str:
    """Returns `workspace` when a graph may be restored under this name, in which it was not taken.

    Args:
        workspace: "" is the unnamed one, which is always there.
        working_dir: where it goes; may be missing.

    Raises:
        InvalidInputError: the name would not stay apart from others, or LightRAG's server would change it.
        ConflictError: it would be taken for a workspace that is there.
    """
    check_workspace(workspace)
    if not workspace:
        return workspace
    if not _NAME.fullmatch(workspace) or len(workspace) > _MOST:
        raise InvalidInputError(
            f"workspace {workspace!r} cannot be used for a clone: take 1 to {_MOST} of A-Z a-z 0-9 _ (first a letter or"
            " digit), which no backend of LightRAG changes",
            op="restore",
            target=workspace,
        )
    if workspace.lower() in (*_ALIASES, *_JOINTS, *_DIRECTORIES):
        raise InvalidInputError(
            f"workspace {workspace!r} cannot be used for a clone: a backend of LightRAG means something else by it",
            op="restore",
            target=workspace,
        )
    others = files.workspaces(working_dir) if os.path.isdir(working_dir) else []
    for other in others:
        if other != workspace and _confusable(other.lower(), workspace.lower()):
            raise ConflictError(
                f"workspace {workspace!r} would be taken for {other!r}, which is in {working_dir!r}: take another name",
                op="restore",
                target=workspace,
            )
    return workspace


def _confusable(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer in (shorter, *(f"{shorter}_{joint}" for joint in _JOINTS))
