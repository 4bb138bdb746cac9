"""The twins without await, with and without a loop that runs already."""

import asyncio
import gc
import inspect
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from lightrag_bkp import backup, doctor, recovery, replication, sync
from lightrag_bkp.errors import InvalidInputError, NotFoundError


@pytest.fixture
def graph(tmp_path: Path) -> sync.GraphBackup:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("content")
    return sync.BackupManager(tmp_path / "storage").register_graph("g", tmp_path / "source")


def check_whole_life(graph: sync.GraphBackup, tmp_path: Path) -> None:
    first = graph.create_snapshot(metadata={"n": 1})
    second = graph.create_snapshot()
    assert [s.backup_id for s in graph.list_snapshots()] == [first.backup_id, second.backup_id]
    assert graph.verify_snapshot().ok
    assert graph.hold(first.backup_id) and graph.release(first.backup_id)
    assert graph.restore_snapshot("latest", tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "content"
    assert graph.delete_snapshot(first.backup_id)
    assert graph.cleanup_old_snapshots() == 0


def test_without_a_loop(graph: sync.GraphBackup, tmp_path: Path) -> None:
    check_whole_life(graph, tmp_path)


async def test_inside_a_running_loop(graph: sync.GraphBackup, tmp_path: Path) -> None:
    check_whole_life(graph, tmp_path)


def test_manager_reads_everything_back(graph: sync.GraphBackup, tmp_path: Path) -> None:
    graph.create_snapshot()
    with sync.BackupManager(tmp_path / "storage") as manager:
        assert manager.graph_ids() == ["g"]
        assert manager.get_total_stats()["total_snapshots"] == 1
        found = manager.get_graph("g")
        assert found is not None and len(found.list_snapshots()) == 1
        assert manager.get_graph("unknown") is None
        assert manager.cleanup_all_graphs() == 0


def test_a_graph_is_one_object_with_the_settings_of_its_original(graph: sync.GraphBackup, tmp_path: Path) -> None:
    graph.create_snapshot()
    with sync.BackupManager(tmp_path / "storage", 7) as manager:
        found = manager.require_graph("g")
        assert manager.get_graph("g") is manager.register_graph("g", tmp_path / "source", workspace="w") is found
        assert manager.storage_path == str(tmp_path / "storage")
        for name in ("source_dir", "workspace", "input_dir", "rag", "server_url", "retention_days", "retention"):
            assert getattr(found, name) == getattr(found.graph, name), name
        assert (found.source_dir, found.workspace, found.retention_days) == (str(tmp_path / "source"), "w", 7)
        assert found.stats()["snapshots"] == 1
        found.close()
        assert len(found.list_snapshots()) == 1


def test_errors_come_through(graph: sync.GraphBackup, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="unknown"):
        graph.restore("unknown", tmp_path / "target")


async def test_lightrag_of_the_callers_loop_is_refused(tmp_path: Path) -> None:
    class Rag:
        working_dir = str(tmp_path)
        workspace = ""

    graph = sync.BackupManager(tmp_path / "storage").register_graph("g", rag=Rag())
    with pytest.raises(InvalidInputError, match="await create_snapshot"):
        graph.create_snapshot()
    manager = sync.BackupManager(tmp_path / "other")
    manager.register_graph("g", rag=Rag())
    with pytest.raises(InvalidInputError, match="await failover"):
        sync.DisasterRecoveryManager(manager).failover("unknown")


def test_an_interrupt_cancels_the_work_and_waits_for_it() -> None:
    """Also one that comes while the thread that works is only beginning. One that comes within a callback of the
    garbage collector Python itself throws away.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gc.disable()
    try:
        for _ in range(100):
            interrupt_once()
    finally:
        gc.enable()
        sys.setswitchinterval(interval)


def interrupt_once() -> None:
    events: list[str] = []

    async def work() -> None:
        events.append("started")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.001)
            events.append("settled")

    def interrupt() -> None:
        while not events:
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        sync.run(work())
    interrupter.join()
    assert events == ["started", "settled"]


def test_recovery_without_a_loop(graph: sync.GraphBackup, tmp_path: Path) -> None:
    with sync.BackupManager(tmp_path / "storage") as manager:
        manager.register_graph("g", tmp_path / "source")
        recovery = sync.DisasterRecoveryManager(manager)
        point = recovery.create_recovery_point(["g"], "mine")
        assert recovery.run_drill(point.checkpoint_id).ok
        (tmp_path / "source" / "file").write_text("spoilt")
        assert recovery.initiate_failover(point.checkpoint_id)
        assert (tmp_path / "source" / "file").read_text() == "content"
        assert recovery.health_check()["status"] == "healthy"
        assert sync.HealthValidator(manager).validate_backups("g")["last_drill"]["ok"]
        assert recovery.delete_recovery_point(point.checkpoint_id)


@pytest.mark.parametrize(
    ("home", "name"),
    [
        (backup, "GraphBackup"),
        (backup, "BackupManager"),
        (recovery, "DisasterRecoveryManager"),
        (recovery, "HealthValidator"),
        (replication, "ReplicationManager"),
        (replication, "GraphReplicator"),
    ],
)
def test_twins_have_the_same_methods_and_arguments(home: ModuleType, name: str) -> None:
    original, twin = getattr(home, name), getattr(sync, name)
    for method, function in inspect.getmembers(original, inspect.isfunction):
        if method.startswith("_"):
            continue
        assert list(inspect.signature(getattr(twin, method)).parameters) == list(
            inspect.signature(function).parameters
        ), method


def test_twins_of_functions_have_the_same_arguments() -> None:
    assert list(inspect.signature(sync.diagnose).parameters) == list(inspect.signature(doctor.diagnose).parameters)
