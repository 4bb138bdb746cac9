"""The front of the package on real LightRAG directories: take, list, hold, delete, clean up, count."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import graphs

from lightrag_bkp import BackupManager, BackupStatus, RetentionPolicy
from lightrag_bkp.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
)

pytestmark = pytest.mark.usefixtures("short_rest")

DOC_STATUS = "kv_store_doc_status.json"


async def test_create_snapshot(manager: BackupManager, graph_dir: Path) -> None:
    before = datetime.now(UTC)
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot(metadata={"tag": "first"})

    assert snapshot.status is BackupStatus.COMPLETED
    assert before - timedelta(seconds=1) <= snapshot.created_at <= datetime.now(UTC) + timedelta(seconds=1)
    assert snapshot.backup_id.startswith(snapshot.created_at.strftime("%Y%m%dT%H%M%SZ-"))
    assert Path(snapshot.checkpoint_path).is_file()
    assert snapshot.size_bytes == sum(path.stat().st_size for path in graph_dir.iterdir())
    assert 0 < snapshot.stored_bytes < snapshot.size_bytes
    assert snapshot.retention_until == snapshot.created_at + timedelta(days=30)
    assert (snapshot.consistency, snapshot.verdict, snapshot.held) == ("unfenced", "usable", False)
    assert snapshot.metadata == {"tag": "first"}
    assert [item.name for item in snapshot.items] == sorted(path.name for path in graph_dir.iterdir())
    assert snapshot.facts["layout"] == "lightrag"
    assert snapshot.facts["embedding_dim"] == 64


async def test_list_snapshots(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    assert graph.list_snapshots() == []
    made = [await graph.create_snapshot(metadata={"n": n}) for n in range(3)]

    assert [s.backup_id for s in graph.list_snapshots()] == [s.backup_id for s in made]
    assert [s.metadata["n"] for s in BackupManager(manager.storage_path).register_graph("g").list_snapshots()] == [
        0,
        1,
        2,
    ]
    assert graph.get_snapshot("latest") == graph.get_snapshot(made[2].backup_id)
    assert graph.get_snapshot("unknown") is None
    assert {s.data_hash for s in made} == {made[0].data_hash}
    assert {s.retention_reason for s in graph.list_snapshots()} <= {"minimum", "days"}


async def test_restore_snapshot(manager: BackupManager, graph_dir: Path, tmp_path: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot()
    original = {path.name: path.read_bytes() for path in graph_dir.iterdir()}
    shutil.rmtree(graph_dir)

    assert await graph.restore_snapshot(snapshot.backup_id, graph_dir) is True
    assert await graph.restore_snapshot("latest", tmp_path / "second") is True
    for target in (graph_dir, tmp_path / "second"):
        assert {path.name: path.read_bytes() for path in target.iterdir()} == original
    async with graphs.opened(graph_dir) as rag:
        assert len(await rag.chunk_entity_relation_graph.get_all_labels()) > 10


async def test_snapshot_retention(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    old, held, new = [await graph.create_snapshot() for _ in range(3)]
    await graph.hold(held.backup_id)

    day_31 = datetime.now(UTC) + timedelta(days=31)
    policy = RetentionPolicy(minimum=1)
    planned = await graph.prune(dry_run=True, retention=policy, now=day_31)
    assert planned.dropped == (old.backup_id,), "the held one and the last one stay"
    assert len(graph.list_snapshots()) == 3, "a dry run changes nothing"
    assert (await graph.prune(dry_run=True, retention=RetentionPolicy(minimum=0), now=day_31)).dropped == (
        old.backup_id,
        new.backup_id,
    )
    assert (await graph.prune(dry_run=True, retention=RetentionPolicy(days=False, keep_last=1))).dropped == (
        old.backup_id,
    ), "a held one takes no place of keep_last"

    forever = BackupManager(manager.storage_path, 0).register_graph("h", graph_dir)
    assert (await forever.create_snapshot()).retention_until is None
    assert (await forever.prune(dry_run=True, retention=RetentionPolicy(minimum=0), now=day_31)).dropped == ()


async def test_cleanup_old_snapshots(graph_dir: Path, tmp_path: Path) -> None:
    manager = BackupManager(tmp_path / "storage", retention=RetentionPolicy(days=False, keep_last=1))
    graph = manager.register_graph("g", graph_dir)
    for n in range(3):
        (graph_dir / DOC_STATUS).write_bytes(json.dumps({"n": n, "text": f"{n}" * 100_000}).encode())
        last = await graph.create_snapshot()

    assert await graph.cleanup_old_snapshots() == 2
    assert [s.backup_id for s in graph.list_snapshots()] == [last.backup_id]
    assert await graph.cleanup_old_snapshots() == 0
    freed = await graph.prune(wait_s=0)
    assert freed.bytes_freed > 0, "space nobody uses returns"
    assert (await graph.verify_snapshot()).ok
    await graph.restore_snapshot(last.backup_id, tmp_path / "restored")
    assert (tmp_path / "restored" / DOC_STATUS).read_bytes() == (graph_dir / DOC_STATUS).read_bytes()


async def test_backup_manager_stats(manager: BackupManager, graph_dir: Path, tmp_path: Path) -> None:
    first = manager.register_graph("one", graph_dir)
    made = [await first.create_snapshot() for _ in range(2)]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").write_bytes(b"12345")
    await manager.register_graph("two", tmp_path / "plain").create_snapshot()
    manager.register_graph("three", graph_dir)

    stats = BackupManager(manager.storage_path).get_total_stats()
    assert (stats["total_graphs"], stats["total_snapshots"]) == (2, 3)
    assert manager.get_total_stats()["total_graphs"] == 3, "a registered graph counts before its first snapshot"
    assert stats["total_size_bytes"] == 2 * made[0].size_bytes + 5
    assert 0 < stats["stored_bytes"] == sum(graph["stored_bytes"] for graph in stats["graphs"].values())
    assert stats["graphs"]["one"]["latest"] == made[1].backup_id
    assert stats["graphs"]["two"]["size_bytes"] == 5


async def test_cleanup_of_all_graphs_goes_on_after_a_failure(
    graph_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = BackupManager(tmp_path / "storage", retention=RetentionPolicy(days=False, keep_last=1))
    for graph_id in ("a", "b"):
        graph = manager.register_graph(graph_id, graph_dir)
        await graph.create_snapshot()
        await graph.create_snapshot()
    for entry in (tmp_path / "storage" / "graphs" / "a" / "log").iterdir():
        entry.chmod(0o640)
        entry.write_bytes(b"not an entry")
    manager.close()
    assert await manager.cleanup_all_graphs() == 1
    assert "event=cleanup_failed graph=a" in caplog.text
    assert "error" in manager.get_total_stats()["graphs"]["a"]


def test_registering_again_gives_the_same_graph(manager: BackupManager, tmp_path: Path) -> None:
    graph = manager.register_graph("g", tmp_path)
    assert manager.register_graph("g", tmp_path) is graph
    assert manager.register_graph("g") is graph
    assert manager.get_graph("g") is graph is manager.get_graph_backup("g")
    assert manager.get_graph("unknown") is None


@pytest.mark.parametrize(
    ("again", "named"),
    [
        ({"source_dir": "/elsewhere"}, "source_dir"),
        ({"source_dir": "/data", "workspace": "w"}, "workspace"),
        ({"workspace": "w"}, "workspace"),
        ({"input_dir": "/other"}, "input_dir"),
    ],
)
def test_registering_differently_is_a_conflict(manager: BackupManager, again: dict[str, str], named: str) -> None:
    manager.register_graph("g", "/data", input_dir="/inputs")
    with pytest.raises(ConflictError, match=named):
        manager.register_graph("g", **again)


def test_registering_adds_what_was_not_known(manager: BackupManager) -> None:
    graph = manager.register_graph("g")
    manager.register_graph("g", "/data", workspace="w")
    assert (graph.source_dir, graph.workspace) == ("/data", "w")


def test_a_workspace_that_is_not_said_is_no_conflict(manager: BackupManager) -> None:
    graph = manager.register_graph("g", "/data", workspace="w")
    assert manager.register_graph("g", "/data") is graph
    assert graph.workspace == "w"
    with pytest.raises(ConflictError, match="workspace"):
        manager.register_graph("g", workspace="")


@pytest.mark.parametrize("path", ["", b"bytes", 5, "nul\0"])
async def test_paths_that_are_none_are_refused(manager: BackupManager, tmp_path: Path, path: Any) -> None:
    (tmp_path / "file").write_text("")
    graph = manager.register_graph("g")
    for refused in (
        lambda: BackupManager(path),
        lambda: manager.register_graph("h", path),
        lambda: manager.register_graph("h", tmp_path, input_dir=path),
    ):
        with pytest.raises(InvalidInputError, match="name a directory"):
            refused()
    for pending in (graph.create_snapshot(path), graph.restore("latest", path), graph.finish_restore(path)):
        with pytest.raises(InvalidInputError, match="name a directory"):
            await pending


@pytest.mark.parametrize("graph_id", ["", "a/b", "..", ".hidden", "x" * 129, "a b", "a\n"])
def test_graph_ids_are_checked(manager: BackupManager, graph_id: str) -> None:
    with pytest.raises(InvalidInputError, match="graph id"):
        manager.register_graph(graph_id)


def test_constructing_touches_nothing(tmp_path: Path) -> None:
    manager = BackupManager(tmp_path / "storage")
    manager.register_graph("g", tmp_path / "rag")
    assert manager.get_total_stats()["total_snapshots"] == 0
    assert not (tmp_path / "storage").exists()


def test_without_a_storage_path_the_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTRAG_BACKUP_STORAGE_PATH", raising=False)
    with pytest.raises(ConfigurationError, match="LIGHTRAG_BACKUP_STORAGE_PATH"):
        BackupManager()


async def test_configured_graphs_are_registered(
    graph_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.setenv("LIGHTRAG_BACKUP_GRAPHS", f"g={graph_dir}")
    monkeypatch.setenv("LIGHTRAG_BACKUP_RETENTION_DAYS", "3")
    async with BackupManager() as manager:
        graph = manager.get_graph("g")
        assert graph is not None
        assert (await graph.create_snapshot()).retention_days == 3
    with BackupManager() as manager:
        assert manager.get_total_stats()["total_snapshots"] == 1


async def test_the_storage_path_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("content")
    (tmp_path / "disk").mkdir()
    (tmp_path / "backups").symlink_to("disk")
    graph = BackupManager(tmp_path / "backups").register_graph("g", tmp_path / "folder")
    snapshot = await graph.create_snapshot()
    assert [found.backup_id for found in graph.list_snapshots()] == [snapshot.backup_id]
    assert (tmp_path / "disk" / "graphs" / "g" / "log").is_dir()
