"""One application on a real server for each module; each test has graphs of its own in it."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.serving import Kept
from support.web import Web, application, serving

from lightrag_bkp import BackupManager
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.sources import outside

_numbers = itertools.count()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "storage"


@pytest.fixture(scope="module")
def manager(storage: Path) -> BackupManager:
    return BackupManager(storage)


@pytest.fixture(scope="module")
def web(manager: BackupManager) -> Iterator[Web]:
    """Somebody who may do everything."""
    with serving(application(manager)) as url:
        yield Web(url)


@pytest.fixture
def reader(web: Web, storage: Path) -> Web:
    """Somebody who may only read."""
    return web.as_one_with(open_keys(storage).add(f"reader-{next(_numbers)}", "read")[1])


@pytest.fixture
def keep(manager: BackupManager) -> Callable[[Path], Kept]:
    """Serves a directory as a graph."""

    def kept(directory: Path) -> Kept:
        graph_id = f"graph-{next(_numbers)}"
        manager.register_graph(graph_id, directory)
        return Kept(graph_id, directory)

    return kept


@pytest.fixture
def plain(keep: Callable[[Path], Kept], tmp_path: Path) -> Kept:
    """A plain directory with one file."""
    directory = tmp_path / "plain"
    directory.mkdir()
    (directory / "notes").write_text("first")
    return keep(directory)


@pytest.fixture
def graph(keep: Callable[[Path], Kept], built_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A graph of LightRAG. How long its files must have been at rest is the matter of test_outside."""
    monkeypatch.setattr(outside, "REST_S", 0.05)
    return keep(Path(shutil.copytree(built_graph, tmp_path / "rag_storage")))


@pytest.fixture
def endless(keep: Callable[[Path], Kept], tmp_path: Path) -> Kept:
    """A directory whose snapshot no test sees the end of."""
    directory = tmp_path / "endless"
    directory.mkdir()
    with open(directory / "zeros", "wb") as file:
        file.truncate(1 << 42)
    return keep(directory)
