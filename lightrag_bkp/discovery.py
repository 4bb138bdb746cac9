"""What LightRAG keeps in a working directory, for somebody who has no backup of it yet."""

import os
import re
from dataclasses import dataclass
from datetime import datetime

from .arguments import check_path
from .errors import NotFoundError
from .models import moment
from .sources.files import holds_items, workspaces
from .sources.names import is_item

UNNAMED = "default"
"""Suggested as graph id of the unnamed workspace."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace of LightRAG.

    Attributes:
        working_dir: absolute. workspace: "" for the unnamed one. root: where its files lie.
        graph_id: a graph id that suits it, unique in one working directory.
        files, size_bytes, changed_at: number, size and last change (aware, UTC) of LightRAG's files there.
    """

    working_dir: str
    workspace: str
    root: str
    graph_id: str
    files: int
    size_bytes: int
    changed_at: datetime


def discover(working_dir: str | os.PathLike[str]) -> list[Workspace]:
    """All workspaces in a working directory, the unnamed one first; empty when it holds nothing of LightRAG.

    Raises:
        NotFoundError: no such directory. InvalidInputError: an empty path.
    """
    directory = check_path(working_dir, "working_dir")
    if not os.path.isdir(directory):
        raise NotFoundError(f"{directory!r} is not a directory: name LightRAG's working directory", target=directory)
    names = [*([""] if holds_items(directory) else []), *workspaces(directory)]
    found: list[Workspace] = []
    for name in names:
        found.append(_workspace(directory, name, {one.graph_id for one in found}))
    return found


def _workspace(working_dir: str, name: str, taken: set[str]) -> Workspace:
    root = os.path.join(working_dir, name) if name else working_dir
    with os.scandir(root) as entries:
        stats = [entry.stat(follow_symlinks=False) for entry in entries if is_item(entry.name)]
    return Workspace(
        working_dir,
        name,
        root,
        _graph_id(name, taken),
        files=len(stats),
        size_bytes=sum(found.st_size for found in stats),
        changed_at=moment(max((found.st_mtime_ns for found in stats), default=0)),
    )


def _graph_id(workspace: str, taken: set[str]) -> str:
    wanted = re.sub(r"[^A-Za-z0-9_.-]", "-", workspace).lstrip("_.-")[:120] or UNNAMED
    chosen, number = wanted, 2
    while chosen in taken:
        chosen, number = f"{wanted}-{number}", number + 1
    return chosen
