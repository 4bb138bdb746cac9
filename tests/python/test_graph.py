"""One graph: delete, hold, verify, and what is logged."""

import copy
import dataclasses
import math
import os
import pickle
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.jobs import make_source

from lightrag_bkp import BackupManager, _bridge
from lightrag_bkp.errors import ConflictError, DamagedError, InvalidInputError, NotFoundError, StorageError

pytestmark = pytest.mark.usefixtures("short_rest")

DOC_STATUS = "kv_store_doc_status.json"


def stored_files(tmp_path: Path, graph_id: str, kind: str) -> list[str]:
    return sorted(path.name for path in (tmp_path / "storage" / "graphs" / graph_id / kind).iterdir())


async def test_delete_snapshot(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    first, second = [await graph.create_snapshot() for _ in range(2)]
    assert await graph.delete_snapshot(first.backup_id) is True
    assert await graph.delete_snapshot(first.backup_id) is False
    assert await graph.delete_snapshot("unknown") is False
    assert graph.get_snapshot(first.backup_id) is None
    with pytest.raises(NotFoundError, match=first.backup_id):
        await graph.restore_snapshot(first.backup_id, graph_dir)
    assert [s.backup_id for s in graph.list_snapshots()] == [second.backup_id]


async def test_delete_takes_latest_as_all_others_do(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    assert await graph.delete_snapshot("latest") is False
    first, second = [await graph.create_snapshot() for _ in range(2)]
    await graph.hold("latest")
    with pytest.raises(ConflictError, match=second.backup_id):
        await graph.delete_snapshot("latest")
    await graph.release("latest")
    assert await graph.delete_snapshot("latest") is True
    assert [s.backup_id for s in graph.list_snapshots()] == [first.backup_id]


async def test_hold_keeps_a_snapshot_until_released(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot()
    assert await graph.hold(snapshot.backup_id) is True
    assert await graph.hold(snapshot.backup_id) is False
    assert await graph.hold(snapshot.backup_id, "audit") is True
    with pytest.raises(ConflictError, match="held by"):
        await graph.delete_snapshot(snapshot.backup_id)
    shown = graph.get_snapshot(snapshot.backup_id)
    assert shown is not None and shown.held and set(shown.holders) == {"user", "audit"}
    for holder in shown.holders:
        assert await graph.release(snapshot.backup_id, holder) is True
    assert await graph.release(snapshot.backup_id) is False
    assert await graph.delete_snapshot(snapshot.backup_id) is True


async def test_holding_and_releasing_are_logged(
    manager: BackupManager, graph_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot()
    caplog.set_level("INFO", "lightrag_bkp")
    caplog.clear()
    for change in (graph.hold, graph.hold, graph.release):
        await change("latest", "the auditor")
    what = f"graph=g id={snapshot.backup_id} holder='the auditor'"
    assert [record.getMessage() for record in caplog.records] == [
        f"event=hold {what} changed=True",
        f"event=hold {what} changed=False",
        f"event=release {what} changed=True",
    ]


async def test_verify_finds_a_flipped_byte_and_the_next_snapshot_heals(
    manager: BackupManager, graph_dir: Path, tmp_path: Path
) -> None:
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot()
    assert (await graph.verify_snapshot("latest", "catalogue")).ok
    pack = tmp_path / "storage" / "graphs" / "g" / "packs" / stored_files(tmp_path, "g", "packs")[0]
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o640)
    pack.write_bytes(content)

    outcome = await graph.verify_snapshot(snapshot.backup_id)
    assert not outcome.ok
    assert any(pack.name in finding.object for finding in outcome.findings)
    healed = await graph.create_snapshot()
    await graph.restore_snapshot(healed.backup_id, tmp_path / "target")
    assert (tmp_path / "target" / DOC_STATUS).read_bytes() == (graph_dir / DOC_STATUS).read_bytes()
    again = await graph.verify_snapshot()
    assert again.ok and [note.object for note in again.notes] == [f"packs/{pack.name}"], "it is still there"


async def test_one_line_is_logged_per_operation(
    manager: BackupManager, graph_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lightrag_bkp")
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot()
    await graph.verify_snapshot(snapshot.backup_id)
    await graph.delete_snapshot(snapshot.backup_id)
    operations = [record for record in caplog.records if record.name == "lightrag_bkp" and record.levelname == "INFO"]
    lines = [record.getMessage() for record in operations]
    assert [line.split()[0] for line in lines] == ["event=snapshot", "event=verify", "event=delete"]
    assert all("graph=g" in line and f"id={snapshot.backup_id}" in line for line in lines)


@pytest.mark.parametrize("read_before", [False, True])
async def test_snapshots_can_be_copied_compared_and_pickled(
    manager: BackupManager, graph_dir: Path, read_before: bool
) -> None:
    graph = manager.register_graph("g", graph_dir)
    made = await graph.create_snapshot()
    snapshot = graph.get_snapshot("latest")
    assert snapshot == made and made.held_ms is not None, "how long LightRAG was held does not make it another one"
    (listed,) = graph.list_snapshots()
    assert listed.retention_reason and listed == snapshot, "neither does why the policy keeps it"
    names, facts = [item.name for item in made.items], dict(made.facts)
    if read_before:
        assert snapshot.facts == facts
    assert dataclasses.asdict(snapshot)["backup_id"] == made.backup_id
    copied = [copy.copy(snapshot), copy.deepcopy(snapshot)]
    for one in copied:
        assert one == made and ([item.name for item in one.items], one.facts) == (names, facts)
    pickled = pickle.dumps(snapshot)
    await graph.delete_snapshot("latest")
    loaded = pickle.loads(pickled)
    assert loaded == made and ([item.name for item in loaded.items], loaded.facts) == (names, facts)


@pytest.mark.parametrize("text", ["not json", "[1]", '"' + "x" * 10, "[" * 100_000])
async def test_what_was_written_by_others_is_named_as_damage(manager: BackupManager, tmp_path: Path, text: str) -> None:
    """Facts and metadata are stored as text; a foreign writer may put anything there."""
    (tmp_path / "file").write_text("content")
    core = await _bridge.run(_bridge.open_job(str(manager.storage_path), "g", True))
    source = make_source(tmp_path / "file")
    words = {"consistency": "plain", "retention_days": 0}
    await _bridge.run(_bridge.backup_job(core, source, metadata=text[:1000], facts=text, **words))
    graph = manager.register_graph("g")
    snapshot = graph.list_snapshots()[0]
    with pytest.raises(DamagedError, match=snapshot.backup_id):
        _ = snapshot.metadata
    with pytest.raises(DamagedError, match=snapshot.backup_id):
        _ = snapshot.facts
    with pytest.raises(DamagedError, match=snapshot.backup_id):
        await graph.restore(snapshot.backup_id, tmp_path / "target")
    assert not (tmp_path / "target").exists()


async def test_small_changes_do_not_leave_small_packs_for_ever(manager: BackupManager, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    graph = manager.register_graph("g", folder)
    taken = []
    for number in range(40):
        (folder / f"file {number}").write_text(f"content {number}" * 100)
        taken.append(await graph.create_snapshot())
    assert len(stored_files(tmp_path, "g", "packs")) == 40
    await graph.prune(wait_s=0)
    assert len(stored_files(tmp_path, "g", "packs")) == 1
    entries = stored_files(tmp_path, "g", "log")
    await graph.prune(wait_s=0)
    assert stored_files(tmp_path, "g", "log") == entries
    for snapshot in (taken[0], taken[20], taken[-1]):
        assert (await graph.verify_snapshot(snapshot.backup_id, "digests")).ok


async def test_snapshots_of_one_graph_are_of_one_workspace(manager: BackupManager, graph_dir: Path) -> None:
    shutil.copytree(graph_dir, graph_dir / "wsb")
    await manager.register_graph("g", graph_dir).create_snapshot()
    other = BackupManager(manager.storage_path).register_graph("g", graph_dir, workspace="wsb")
    with pytest.raises(ConflictError, match="of workspace '', not 'wsb': take another graph id"):
        await other.create_snapshot()
    assert len(other.list_snapshots()) == 1
    await BackupManager(manager.storage_path).register_graph("h", graph_dir, workspace="wsb").create_snapshot()


async def test_a_graph_known_from_its_repository_is_taken_where_it_was_taken_last(
    manager: BackupManager, graph_dir: Path
) -> None:
    data = graph_dir.parent / "data"
    os.renames(graph_dir, data / "team")
    await manager.register_graph("g", data, workspace="team").create_snapshot()
    later = BackupManager(manager.storage_path).get_graph("g")
    assert later is not None
    assert (await later.create_snapshot()).facts["workspace"] == "team"
    data.rename(graph_dir.parent / "moved")
    with pytest.raises(NotFoundError, match="pass the source_dir"):
        await later.create_snapshot()
    moved = BackupManager(manager.storage_path).register_graph("g", graph_dir.parent / "moved", workspace="team")
    assert (await moved.create_snapshot()).facts["source_dir"] == str(graph_dir.parent / "moved")


@pytest.mark.parametrize("snapshot_id", [None, 5, "\0", "\udcff"])
async def test_what_is_no_snapshot_id_is_refused(manager: BackupManager, tmp_path: Path, snapshot_id: Any) -> None:
    graph = manager.register_graph("g")
    for look in (graph.get_snapshot, graph.find_snapshot):
        with pytest.raises(InvalidInputError, match="is no snapshot id"):
            look(snapshot_id)
    for work in (graph.delete_snapshot(snapshot_id), graph.restore(snapshot_id, tmp_path), graph.hold(snapshot_id)):
        with pytest.raises(InvalidInputError, match="is no snapshot id"):
            await work


@pytest.mark.parametrize(
    "words",
    [
        *({"wait_s": wait_s} for wait_s in (None, "1", True, -1, math.nan, math.inf)),
        *({"now": now} for now in ("x", 5, datetime(2026, 1, 1))),
    ],
)
async def test_what_prune_cannot_use_is_named(manager: BackupManager, words: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(words))):
        await manager.register_graph("g").prune(**words)


@pytest.mark.parametrize("items", ["name", [b"name"], [None]])
async def test_items_that_are_no_list_of_names_are_refused(manager: BackupManager, tmp_path: Path, items: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a list of names"):
        await manager.register_graph("g").restore("latest", tmp_path / "target", items=items)


def test_a_message_says_what_it_is_about() -> None:
    assert str(StorageError("Permission denied", target="/data/file")) == "/data/file: Permission denied"
    assert str(StorageError("'/data/file' is gone", target="/data/file")) == "'/data/file' is gone"
    assert str(DamagedError("the log is damaged")) == "the log is damaged"
