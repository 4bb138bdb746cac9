"""Fixtures of tests that run jobs of the core, or the program."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.postgres import empty_database, postgres_server
from support.program import Program
from support.shipping import Site, new_site
from support.toxiproxy import Toxiproxy, toxiproxy

import lightrag_bkp
from lightrag_bkp import _bridge
from lightrag_bkp.recovery import DisasterRecoveryManager, RecoveryPoint
from lightrag_bkp.replication import ReplicationManager
from lightrag_bkp.sources import outside
from lightrag_bkp.state import State
from lightrag_bkp.sync import BackupManager, GraphBackup


@pytest.fixture
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long files must have been at rest is the matter of test_outside; elsewhere it would only cost time."""
    monkeypatch.setattr(outside, "REST_S", 0.05)


@pytest.fixture
def manager(tmp_path: Path) -> lightrag_bkp.BackupManager:
    return lightrag_bkp.BackupManager(tmp_path / "storage")


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(os.urandom(100_000))
    return path


@pytest.fixture
def endless_file(tmp_path: Path) -> Path:
    """So big that no test reads it to its end; it takes no room."""
    path = tmp_path / "endless"
    path.touch()
    os.truncate(path, 1 << 42)
    return path


@pytest.fixture
def repo(tmp_path: Path) -> _bridge.Repository:
    """An empty repository of the graph "graph" below `tmp_path`."""
    opened = _bridge.run_blocking(_bridge.open_job(str(tmp_path), "graph", True))
    assert isinstance(opened, _bridge.Repository)
    return opened


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """`lightrag-bkp` in `tmp_path`."""
    return Program(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain directory: `notes`, and `deep/letter`."""
    directory = tmp_path / "folder"
    (directory / "deep").mkdir(parents=True)
    (directory / "notes").write_text("first")
    (directory / "deep" / "letter").write_text("dear reader")
    return directory


@pytest.fixture
def kept(program: Program, folder: Path) -> GraphBackup:
    """The graph "kept" in the program's storage, with three snapshots of `folder`, each with other notes."""
    graph = BackupManager(program.storage).register_graph("kept", folder)
    for text in ("first", "second", "third"):
        (folder / "notes").write_text(text)
        graph.create_snapshot(metadata={"text": text})
    return graph


@pytest.fixture
def directories(built_graph: Path, tmp_path: Path) -> dict[str, Path]:
    """The working directories of two graphs."""
    places = {"sales": tmp_path / "sales", "support": tmp_path / "support"}
    for place in places.values():
        shutil.copytree(built_graph, place)
    return places


@pytest.fixture
def backup(directories: dict[str, Path], tmp_path: Path) -> lightrag_bkp.BackupManager:
    manager = lightrag_bkp.BackupManager(tmp_path / "storage")
    for graph_id, place in directories.items():
        manager.register_graph(graph_id, place)
    return manager


@pytest.fixture
def recovery(backup: lightrag_bkp.BackupManager) -> DisasterRecoveryManager:
    return DisasterRecoveryManager(backup)


@pytest.fixture
async def point(recovery: DisasterRecoveryManager) -> RecoveryPoint:
    return await recovery.create_recovery_point(["support", "sales"], "before the upgrade")


# ---- the database ----


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    """A database that nobody used before."""
    if request.param == "sqlite":
        return State(f"sqlite:///{tmp_path / 'state.db'}", str(tmp_path / "key"))
    url = request.getfixturevalue("postgres")
    empty_database(url)
    return State(url, str(tmp_path / "key"))


# ---- sending to receivers ----


@pytest.fixture(scope="module")
def proxy() -> Iterator[Toxiproxy]:
    with toxiproxy() as running:
        yield running


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def site(stack: ExitStack, proxy: Toxiproxy, tmp_path: Path) -> Site:
    return new_site(stack, proxy, tmp_path / "there")


@pytest.fixture
def backups(tmp_path: Path) -> lightrag_bkp.BackupManager:
    return lightrag_bkp.BackupManager(tmp_path / "here")


@pytest.fixture
def replication(tmp_path: Path) -> Iterator[ReplicationManager]:
    with ReplicationManager(storage_path=tmp_path / "here") as manager:
        yield manager
