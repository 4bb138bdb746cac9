"""One graph: delete, hold, verify, and what is logged."""

from pathlib import Path

import pytest
from support.jobs import make_source

from lightrag_bkp import BackupManager, _bridge
from lightrag_bkp.errors import ConflictError, DamagedError, NotFoundError
from lightrag_bkp.sources import outside

DOC_STATUS = "kv_store_doc_status.json"


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long files must have been at rest is the matter of test_outside; here it would only cost time."""
    monkeypatch.setattr(outside, "REST_S", 0.05)


@pytest.fixture
def manager(tmp_path: Path) -> BackupManager:
    return BackupManager(tmp_path / "storage")


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
