"""Directories whose files are not pinned: uploads, and directories that are no LightRAG graph.

The core lists them and opens one file at a time, with the same identity before and after reading, so that descriptors
stay bounded whatever their number.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ConflictError, NotFoundError
from .names import INPUTS, STAGING_PREFIX

if TYPE_CHECKING:
    from .._bridge import Source


@contextmanager
def open_directory(path: str, flags: int = 0) -> Iterator[int]:
    """A directory's descriptor, closed in the end."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags)
    try:
        yield fd
    finally:
        os.close(fd)


def sync_directory(path: str) -> None:
    """Makes the names in a directory durable."""
    with open_directory(path) as fd:
        os.fsync(fd)


def names_below(root: str) -> Iterator[str]:
    """All names below a directory, relative to it; links are not followed."""
    for directory, children, others in os.walk(root):
        below = os.path.relpath(directory, root)
        for name in (*children, *others):
            yield name if below == "." else f"{below}/{name}"


def add_plain(source: "Source", root: str) -> None:
    """Adds everything below a plain directory, but never the staging of a restore."""
    with open_directory(root) as directory:
        names = os.listdir(directory)
        staging = [name for name in names if name.startswith(STAGING_PREFIX)]
        if not staging:
            source.add_tree(directory, "")
            return
        for name in sorted(set(names) - set(staging)):
            source.add_tree(directory, "", only=name)
        for name in staging:
            source.skip(name, "staging of a restore")


def add_inputs(source: "Source", input_dir: str, workspace: str) -> None:
    """Adds uploads and `__parsed__` of one workspace under `inputs/`.

    LightRAG keeps a named workspace's uploads in <input_dir>/<workspace>; those of the empty workspace lie beside them,
    so of directories only LightRAG's own (`__parsed__` and the like) belong to it.

    Raises:
        NotFoundError: no such directory.
    """
    root = os.path.join(os.path.realpath(input_dir), workspace)
    if not os.path.isdir(root):
        raise NotFoundError(f"input directory {root!r} does not exist: correct input_dir", op="read", target=root)
    with open_directory(root) as directory:
        foreign = [] if workspace else list(_foreign_directories(directory))
        if not foreign:
            source.add_tree(directory, INPUTS)
            return
        for name in sorted(set(os.listdir(directory)) - set(foreign)):
            source.add_tree(directory, INPUTS, only=name)
        for name in foreign:
            source.skip(f"{INPUTS}/{name}", "directory of another workspace")


def check_apart(path: str, storage_path: str, what: str) -> None:
    """Raises ConflictError when one directory lies inside the other."""
    path, storage_path = os.path.realpath(path), os.path.realpath(storage_path)
    if is_inside(path, storage_path) or is_inside(storage_path, path):
        raise ConflictError(
            f"{what} {path!r} and the backup storage {storage_path!r} lie inside one another: keep them apart",
            op="check",
            target=path,
        )


def check_inputs(input_dir: str, working_dir: str) -> None:
    """Raises ConflictError when the uploads' directory holds the graph: its files would be stored twice."""
    inputs, graph = os.path.realpath(input_dir), os.path.realpath(working_dir)
    if is_inside(graph, inputs):
        raise ConflictError(
            f"the input directory {inputs!r} holds the graph's own {graph!r}: name the directory of the uploads",
            op="check",
            target=inputs,
        )


def is_inside(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or below it; both absolute."""
    return os.path.commonpath([path, directory]) == directory


def _foreign_directories(directory_fd: int) -> Iterator[str]:
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("__"):
                yield entry.name
