"""LightRAG's files: finding them, and opening all of a graph at one moment.

The empty workspace's files lie beside other workspaces' directories, so items are taken by name, never by recursion.
LightRAG (1.5.0 and later) replaces its files and never rewrites them: a set of open descriptors *is* the graph at that
moment, while the server goes on. `pin` opens them, `moved` says which names lead elsewhere by now.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ..errors import IncompleteSourceError, NotFoundError, SourceChangedError, refusals_named
from .names import (
    CONFIG_DIR,
    CONFIG_NAMES,
    DOC_STATUS,
    FAISS_META,
    FULL_DOCS,
    OWN_DIR,
    VECTOR_NAMESPACES,
    is_half_written,
    is_item,
    missing,
    why_never,
)
from .names import LLM_CACHE as LLM_CACHE
from .trees import open_directory

if TYPE_CHECKING:
    from .._bridge import Source

_HEAD_BYTES = 64
_LINK_REASON = "symbolic link: recorded as a link, what it leads to is not part of the snapshot"


class Kind(StrEnum):
    """LIGHTRAG: a workspace of a LightRAG working directory. PLAIN: any other directory."""

    LIGHTRAG = "lightrag"
    PLAIN = "plain"


@dataclass(frozen=True)
class Layout:
    """Where the files of one graph lie.

    Attributes:
        kind: what the directory is.
        working_dir: absolute, symlinks resolved.
        workspace: "" or one path component.
        root: the directory of the items: working_dir, or working_dir/workspace.
    """

    kind: Kind
    working_dir: str
    workspace: str
    root: str

    @classmethod
    def at(cls, kind: Kind, directory: str | os.PathLike[str], workspace: str = "") -> "Layout":
        """The layout of a directory that may not exist yet."""
        working_dir = os.path.realpath(directory)
        return cls(kind, working_dir, workspace, os.path.join(working_dir, workspace) if workspace else working_dir)

    @property
    def label(self) -> str:
        """Names this source among others of the same repository."""
        return f"{self.working_dir}:{self.workspace}"


Identity = tuple[int, int, int, int]


@dataclass
class Pins:
    """The open descriptors of a graph's files at one moment. Close it, or hand it to a `Source`.

    Attributes:
        layout: where they were opened.
        fds: item name -> descriptor; `identities` is what each was at that moment (device, inode, size, mtime).
        links: names of items that are symlinks.
        skipped: (name, reason) of everything beside the items.
    """

    layout: Layout
    fds: dict[str, int] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def close(self) -> None:
        """Closes what is still open; may be called again."""
        while self.fds:
            os.close(self.fds.popitem()[1])

    def __del__(self) -> None:
        self.close()

    @property
    def names(self) -> list[str]:
        """All item names, symlinks too."""
        return sorted([*self.identities, *self.links])

    def copy(self) -> "Pins":
        """The same moment once more, with descriptors of its own."""
        twin = Pins(self.layout, {}, dict(self.identities), list(self.links), list(self.skipped))
        for name, fd in self.fds.items():
            twin.fds[name] = os.dup(fd)
        return twin

    def hand_to(self, source: "Source") -> None:
        """Gives descriptors, links and what was left out to `source`. The pins hold nothing afterwards.

        Raises:
            SourceChangedError: a file was rewritten in place since it was opened; `source` is of no use then.
        """
        while self.fds:
            name, fd = self.fds.popitem()
            source.pin(name, fd)
            if _identity(os.fstat(fd)) != self.identities[name]:  # after: what `source` noted is what was opened
                path = os.path.join(self.layout.root, name)
                raise SourceChangedError(f"{path}: rewritten in place since it was opened", op="pin", target=path)
        if self.links:
            with open_directory(self.layout.root) as root:
                for name in self.links:
                    source.add_tree(root, "", only=name)
        for name, reason in self.skipped:
            source.skip(name, reason)


def holds_items(path: str) -> bool:
    """Whether a directory has a file of LightRAG's directly in it; False when it cannot be listed."""
    try:
        with os.scandir(path) as entries:
            return any(is_item(entry.name) for entry in entries)
    except OSError:
        return False


def workspaces(working_dir: str) -> list[str]:
    """Names of the named workspaces of a working directory, sorted."""
    with os.scandir(working_dir) as entries:
        children = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in children if holds_items(os.path.join(working_dir, name)))


def closed_directories(working_dir: str) -> list[str]:
    """Names of directories in a working directory that may not be looked into, sorted: each may be a workspace."""
    with os.scandir(working_dir) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not os.access(entry.path, os.R_OK | os.X_OK)
        )


def detect(source_dir: str | os.PathLike[str], workspace: str = "") -> Layout:
    """Finds out what a directory is.

    Args:
        source_dir: LightRAG's working directory, or any other directory.
        workspace: of LightRAG; its files lie in <source_dir>/<workspace>.

    Raises:
        NotFoundError: no such directory, or a LightRAG directory without this workspace, or with nothing in it yet.
            StorageError: the system refused a look at it.
    """
    graph = Layout.at(Kind.LIGHTRAG, source_dir, workspace)
    with refusals_named(graph.working_dir):
        return _detect(graph)


def _detect(graph: Layout) -> Layout:
    working_dir, root, workspace = graph.working_dir, graph.root, graph.workspace
    if not _is_directory(working_dir):
        raise NotFoundError(
            f"{working_dir!r} is not a directory: name LightRAG's working directory", op="read", target=working_dir
        )
    if holds_items(root):
        return graph
    others = workspaces(working_dir)
    if workspace or others:
        hint = f"workspaces there: {', '.join(others)}" if others else "check the directory and the workspace"
        named = f"workspace {workspace!r}" if workspace else "the empty workspace"
        raise NotFoundError(
            f"{named} has no files of LightRAG in {root!r}, or nothing was written there yet; {hint}",
            op="read",
            target=root,
        )
    with os.scandir(working_dir) as entries:
        if next(entries, None) is None:
            raise NotFoundError(
                f"{working_dir!r} is empty: there is nothing to keep yet", op="read", target=working_dir
            )
    return Layout.at(Kind.PLAIN, working_dir)


def pin(layout: Layout) -> Pins:
    """Opens all items of a LightRAG workspace at this moment: some 0.1 ms, no byte is read.

    Raises:
        NotFoundError: nothing is there (any more). StorageError: an item cannot be opened.
    """
    pins = Pins(layout)
    try:
        with refusals_named(layout.root), open_directory(layout.root) as root:
            for name in _open_order(_list_items(root, layout, pins)):
                _pin_item(pins, name, name, root)
        _pin_config(pins, layout.working_dir)
    except BaseException:
        pins.close()
        raise
    if not pins.names:
        raise NotFoundError(f"no files of LightRAG in {layout.root!r}", op="pin", target=layout.root)
    return pins


def _is_directory(path: str) -> bool:
    """As `os.path.isdir`, but what may not be looked at is an error."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def moved(pins: Pins) -> list[str]:
    """Names that no longer lead to what is pinned (replaced, rewritten, removed) or that are new; sorted."""
    changed = {name for name, identity in pins.identities.items() if _identity_at(pins, name) != identity}
    with open_directory(pins.layout.root) as root:
        changed |= set(_list_items(root, pins.layout, Pins(pins.layout))) - set(pins.names)
    return sorted(changed)


def half_written(root: str) -> dict[str, float]:
    """Files LightRAG is writing in a directory, or left half-written when it died: name -> when they last grew."""
    found = {}
    with os.scandir(root) as entries:
        for entry in entries:
            if is_half_written(entry.name):
                with suppress(OSError):  # it has a store's name by now
                    found[entry.name] = entry.stat(follow_symlinks=False).st_mtime
    return found


def torn_pairs(fds: Mapping[str, int]) -> list[str]:
    """Which Faiss indexes among pinned files are of a later moment than their metadata: LightRAG writes the index
    first, and the metadata a while later.
    """
    pairs = ((name, name + FAISS_META) for name in fds if name + FAISS_META in fds)
    return sorted(index for index, meta in pairs if os.fstat(fds[index]).st_mtime_ns > os.fstat(fds[meta]).st_mtime_ns)


def refuse_incomplete(pins: Pins) -> None:
    """Raises IncompleteSourceError when files of a whole graph are missing, or are no regular files."""
    gone = missing(pins.identities)
    if not gone:
        return
    link = "a symbolic link, which is not followed"
    found = {name: link if name in pins.links else reason for name, reason in pins.skipped if name in gone}
    absent = [name for name in gone if name not in found]
    said = [f"{name} is {what}" for name, what in found.items()] + [f"{', '.join(absent)} missing"] * bool(absent)
    remedies = ["that part of the graph is not in files here, or LightRAG has not written it yet"] * bool(absent)
    remedies += ["put the file itself there"] * bool(found)
    raise IncompleteSourceError(
        f"{'; '.join(said)} in {pins.layout.root!r}: {'; '.join(remedies)}{', or' if found else ';'}"
        " pass partial=True, or --partial, to take what is there",
        op="pin",
        target=pins.layout.root,
    )


def embedding_dim(pins: Pins) -> int | None:
    """Dimension of the vectors, from the head of a pinned NanoVectorDB file; None when it does not say."""
    for namespace in VECTOR_NAMESPACES:
        fd = pins.fds.get(f"vdb_{namespace}.json")
        found = None if fd is None else _nano_dimension(os.pread(fd, _HEAD_BYTES, 0))
        if found is not None:
            return found
    return None


def dimension_of(path: str) -> int | None:
    """Dimension of the vectors in one file of NanoVectorDB or Faiss; None for any other file, or when it does not
    say.
    """
    name = os.path.basename(path)
    if not is_item(name) or not name.startswith(("vdb_", "faiss_")):
        return None
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if name.endswith(".index"):  # a tag of four letters, then the dimension
        return int.from_bytes(head[4:8], "little") if head[:2] == b"Ix" and len(head) >= 8 else None
    return _nano_dimension(head)


def _nano_dimension(head: bytes) -> int | None:
    found = re.match(rb'\{\s*"embedding_dim":\s*(\d{1,6})\b', head)
    return int(found[1]) if found else None


def _open_order(names: list[str]) -> Iterator[str]:
    # Enqueueing writes full_docs before doc_status: opened in the other order, full_docs has every document
    # doc_status knows.
    first = [name for name in (DOC_STATUS, FULL_DOCS) if name in names]
    yield from first
    yield from sorted(set(names) - set(first))


def _list_items(root_fd: int, layout: Layout, pins: Pins) -> list[str]:
    names = []
    with os.scandir(root_fd) as entries:
        for entry in entries:
            if is_item(entry.name):
                if entry.is_file(follow_symlinks=False) or entry.is_symlink():
                    names.append(entry.name)
                else:
                    with suppress(FileNotFoundError):  # removed since it was listed
                        pins.skipped.append((entry.name, _no_file(entry.stat(follow_symlinks=False))))
            elif entry.name not in (CONFIG_DIR, OWN_DIR) or layout.workspace:
                pins.skipped.append((entry.name, _why_skipped(entry, layout)))
    return names


def _no_file(found: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return f"{kinds.get(stat.S_IFMT(found.st_mode), 'a device')}, not a regular file"


def _why_skipped(entry: os.DirEntry[str], layout: Layout) -> str:
    reason = why_never(entry.name)
    if reason is None and entry.is_dir(follow_symlinks=False):
        reason = "directory beside the graph's files" if layout.workspace else "other workspace or foreign directory"
    return reason or "not one of LightRAG's files"


def _pin_item(pins: Pins, item: str, name: str, directory_fd: int) -> None:
    """Opens `name` in the directory as item `item`; notes it instead where it is no regular file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(name, flags, dir_fd=directory_fd)
    except FileNotFoundError:
        return  # removed since it was listed
    except OSError:
        found = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode) and item == name:
            pins.links.append(item)
            pins.skipped.append((item, _LINK_REASON))
            return
        if not stat.S_ISREG(found.st_mode):
            pins.skipped.append((item, _no_file(found)))
            return
        raise
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode):
        pins.fds[item] = fd
        pins.identities[item] = _identity(found)
    else:
        os.close(fd)
        pins.skipped.append((item, _no_file(found)))


def _pin_config(pins: Pins, working_dir: str) -> None:
    """The configuration stores all workspaces share are items of each; their lock files never."""
    path = os.path.join(working_dir, CONFIG_DIR)
    if not os.path.isdir(path) or os.path.islink(path):
        return
    with open_directory(path, os.O_NOFOLLOW) as directory:
        for name in sorted(os.listdir(directory)):
            item = f"{CONFIG_DIR}/{name}"
            if name in CONFIG_NAMES:
                _pin_item(pins, item, name, directory)
            else:
                pins.skipped.append((item, why_never(name) or "not one of LightRAG's files"))


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _identity_at(pins: Pins, item: str) -> Identity | None:
    root = pins.layout.working_dir if item.startswith(CONFIG_DIR + "/") else pins.layout.root
    try:
        return _identity(os.stat(os.path.join(root, item), follow_symlinks=False))
    except OSError:
        return None
