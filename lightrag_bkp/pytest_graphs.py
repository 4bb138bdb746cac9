"""What the fixtures of `pytest_plugin` do; imported when a test asks for one."""

import inspect
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

from . import locking, sync
from .validation import validate_directory

if TYPE_CHECKING:
    from .pytest_plugin import Build

logger = logging.getLogger("lightrag_bkp")


class Shelf:
    """Graphs that were built once, below one directory; shared by processes and runs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._kept = directory / "kept"
        self._manager = sync.BackupManager(self._kept, retention_days=0)

    def fill(self, directory: Path, name: str, build: "Build", workspace: str) -> None:
        """Fills a new directory with the graph of this name, which `build` makes when it is not there yet."""
        graph = self._manager.register_graph(name)
        if graph.get_snapshot("latest") is None:
            with locking.alone(self._directory / f"{name}.lock"):  # other workers may be building it
                if graph.get_snapshot("latest") is None:
                    self._build(graph, build, workspace)
        graph.unpack("latest", directory / workspace)

    def _build(self, graph: sync.GraphBackup, build: "Build", workspace: str) -> None:
        """Builds beside what is kept, and keeps what came out; a build that fails leaves nothing."""
        scratch = Path(tempfile.mkdtemp(prefix="building-", dir=self._directory))
        try:
            built = build(scratch)
            if inspect.isawaitable(built):
                sync.run(_finished(built))
            taken = sync.BackupManager(self._kept, retention_days=0)
            taken.register_graph(graph.graph_id, scratch, workspace=workspace).create_snapshot(on_busy="crash")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


async def _finished(built: Awaitable[object]) -> object:
    return await built


def assert_graph_usable(directory: str | os.PathLike[str], workspace: str = "", *, partial: bool = False) -> None:
    """Fails, with what is wrong, unless LightRAG could work with the graph in a directory as it is.

    Args:
        directory: the working directory. workspace: "" for the unnamed one.
        partial: stores that have no file there are somewhere else.

    Raises:
        AssertionError: it could not. NotFoundError: nothing of LightRAG is there.
    """
    __tracebackhide__ = True
    found = sync.run(validate_directory(directory, workspace, partial=partial))
    if not found.usable:
        page = "\n".join(found.page())
        raise AssertionError(f"the graph in {os.fspath(directory)!r} cannot be used as it is\n{page}")
