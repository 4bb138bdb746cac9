"""The directory a restore goes to, and what of the graph is there now."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import _bridge
from ..arguments import check_workspace
from ..errors import ConflictError, DamagedError, UnsupportedError
from ..sources import files, names, trees


@dataclass(frozen=True)
class Target:
    """The directory a snapshot goes to.

    Attributes:
        layout: where, and as what.
        inputs: whether uploads come along, below `inputs/`.
        shared: the directory holds more than this graph, so it cannot be exchanged as a whole.
        stores: names of this graph's own items there now. trees: directories all in which belongs to it too, each with
            what stands before its names. A whole restore replaces or removes all of them.
    """

    layout: files.Layout
    inputs: bool
    shared: bool
    stores: frozenset[str] = frozenset()
    trees: tuple[tuple[str, str], ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it is to become equal to a plain directory, modes and times included."""
        return self.layout.kind is files.Kind.PLAIN

    def present(self) -> Iterator[str]:
        """The names of all that is there of it."""
        yield from self.stores
        for directory, prefix in self.trees:
            yield from (f"{prefix}/{name}" if prefix else name for name in trees.names_below(directory))


def layout_of(
    facts: Mapping[str, Any], target_dir: str | os.PathLike[str], workspace: str | None = None
) -> files.Layout:
    """Where a snapshot's items go: to the workspace they are of, or another one."""
    kind, workspace = stored_layout(facts, workspace)
    return files.Layout.at(kind, target_dir, workspace)


def stored_layout(facts: Mapping[str, Any], workspace: str | None = None) -> tuple[files.Kind, str]:
    """What a snapshot is of, and a workspace: its own, or that one. The facts come from a stored object, and are not
    trusted.
    """
    kind, workspace = facts.get("layout"), facts.get("workspace", "") if workspace is None else workspace
    if not isinstance(workspace, str):
        raise DamagedError(f"the snapshot's workspace is {workspace!r}, which is no name", op="parse")
    if kind is None:
        raise DamagedError("the snapshot's facts do not say what it is of: they have no layout", op="parse")
    if kind not in list(files.Kind):
        raise UnsupportedError(f"the snapshot is of layout {kind!r}, which this version does not know")
    return files.Kind(kind), check_workspace(workspace)


def root_mode_of(facts: Mapping[str, Any]) -> int | None:
    """The mode of the directory the items were in; None in snapshots that do not say."""
    mode = facts.get("root_mode")
    return mode & 0o7777 if isinstance(mode, int) else None


def look(layout: files.Layout, inputs: bool, storage_path: str, some_only: bool) -> Target:
    """What is at the target now. Refuses a target whose exchange or mirroring would harm something else."""
    storage_path = os.path.realpath(storage_path)
    holds_storage = trees.is_inside(storage_path, layout.root)
    if trees.is_inside(layout.root, storage_path) or (holds_storage and layout.kind is files.Kind.PLAIN):
        trees.check_apart(layout.root, storage_path, "the target")
    if not os.path.isdir(layout.root):
        if os.path.lexists(layout.root):
            raise _no_directory(layout.root)
        return Target(layout, inputs, some_only)
    _refuse_reserved(layout.root)
    if layout.kind is files.Kind.PLAIN:
        _refuse_graph(layout.root)
        return Target(layout, False, some_only, trees=((layout.root, ""),))
    there = set(os.listdir(layout.root))
    stores = frozenset(filter(names.is_item, there))
    _refuse_disguised(layout.root, stores)
    beside = there - stores - {names.CONFIG_DIR}
    uploads = os.path.join(layout.root, names.INPUTS)
    if inputs:
        _refuse_workspace(uploads)
        beside.discard(names.INPUTS)
    shared = some_only or holds_storage or (layout.workspace == "" and bool(beside))
    below = ((uploads, names.INPUTS),) if inputs and os.path.isdir(uploads) else ()
    return Target(layout, inputs, shared, stores, below)


def missing_levels(root: str) -> int:
    """How many directories would have to be made for `root` to be one."""
    levels = 0
    while not os.path.lexists(root):
        levels, root = levels + 1, os.path.dirname(root)
    return levels


def refuse_blocked(path: str) -> None:
    """Refuses a path no directory can be made at: on the way lies something else, or a symlink that leads nowhere, and
    what would be made there is not where it was asked for.
    """
    while path != os.path.dirname(path):
        if os.path.islink(path) and not os.path.exists(path):
            raise ConflictError(
                f"{path!r} is a symlink to {os.readlink(path)!r}, where nothing is: make that directory, or name"
                " another target",
                target=path,
            )
        if os.path.exists(path) and not os.path.isdir(path):
            raise _no_directory(path)
        path = os.path.dirname(path)


def _no_directory(path: str) -> ConflictError:
    return ConflictError(f"{path!r} is there and no directory: name another target", target=path)


def _refuse_reserved(root: str) -> None:
    """What has the name under which a restore stages and is no directory is somebody else's, and no snapshot has it."""
    path = os.path.join(root, names.STAGING_PREFIX)
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        raise ConflictError(
            f"{path!r} has the name under which restores prepare their files, and is no directory of one: move it away,"
            " or name another target",
            target=path,
        )


def _refuse_disguised(root: str, stores: frozenset[str]) -> None:
    """What has the name of a LightRAG file and is none is kept by no safety snapshot, so nothing may replace it."""
    for name in sorted(stores):
        path = os.path.join(root, name)
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "directory" if stat.S_ISDIR(mode) else "symlink" if stat.S_ISLNK(mode) else "special file"
            raise ConflictError(
                f"{path!r} is a {kind} with the name of a file of LightRAG's: move it away, or name another target",
                target=path,
            )


def _refuse_graph(root: str) -> None:
    """A plain target is made equal to the snapshot, which must not happen to a graph."""
    if files.holds_items(root) or files.workspaces(root):
        raise ConflictError(
            f"{root!r} holds a LightRAG graph and the snapshot is of a plain directory: name another target",
            target=root,
        )


def _refuse_workspace(uploads: str) -> None:
    if files.holds_items(uploads):
        raise ConflictError(
            f"{uploads!r} is a LightRAG workspace, and the snapshot's uploads would go there: name another target",
            target=uploads,
        )


def add_present(source: _bridge.Source, target: Target) -> None:
    """Lists what a whole restore would replace or remove, for a safety snapshot of it."""
    root = target.layout.root
    if not os.path.isdir(root):
        return
    if target.plain:
        trees.add_plain(source, root)
        return
    if files.holds_items(root):
        pins = files.pin(target.layout)
        try:
            pins.hand_to(source)
        finally:
            pins.close()
    inputs = os.path.join(root, names.INPUTS)
    if target.inputs and os.path.isdir(inputs):
        with trees.open_directory(inputs) as directory:
            source.add_tree(directory, names.INPUTS)


def holds_staging(root: str) -> bool:
    """Whether a restore, under way or interrupted, has something of its own in `root`."""
    try:
        return any(name.startswith(names.STAGING_PREFIX) for name in os.listdir(root))
    except OSError:
        return False


@contextmanager
def present_directory(root: str) -> Iterator[int]:
    """A descriptor of the target, or -1 when it is not there yet."""
    if not os.path.isdir(root):
        yield -1
        return
    with trees.open_directory(root) as directory:
        yield directory
