"""What a verdict is good for: an unusable graph replaces nothing, fails drills and recovery points, and is told."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import breaking
from support.program import Program

from lightrag_bkp import BackupManager, GraphBackup, validation
from lightrag_bkp.errors import LimitError, RefusedError
from lightrag_bkp.recovering import live_verdict
from lightrag_bkp.recovery import DisasterRecoveryManager, HealthStatus, HealthValidator
from lightrag_bkp.sources import outside

CHUNKS = breaking.store("text_chunks")


@pytest.fixture
def manager(tmp_path: Path) -> BackupManager:
    return BackupManager(tmp_path / "storage")


def spoil(directory: Path) -> None:
    """The texts of all chunks are lost."""
    breaking.truncate(directory, CHUNKS)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


# ---- restores ----


@pytest.mark.parametrize("judged", ["on", "off"])
async def test_it_replaces_nothing_unless_told_to(
    judged: str, manager: BackupManager, graph_dir: Path, tmp_path: Path
) -> None:
    """A snapshot that was not judged when it was taken is judged before anything changes."""
    good = contents(graph_dir)
    graph = manager.register_graph("g", graph_dir)
    spoil(graph_dir)
    snapshot = await graph.create_snapshot(on_busy="crash", validate=judged)
    spoilt = contents(graph_dir)
    for name, content in good.items():
        (graph_dir / name).write_bytes(content)
    with pytest.raises(RefusedError, match=r"is unusable, and .* holds one"):
        await graph.restore(snapshot.backup_id, graph_dir)
    assert contents(graph_dir) == good
    assert len(graph.list_snapshots()) == 1
    empty = await graph.restore(snapshot.backup_id, tmp_path / "empty")
    assert (empty.verdict, contents(tmp_path / "empty")) == ("unusable", spoilt)
    some = await graph.restore(snapshot.backup_id, graph_dir, items=["vdb_chunks.json"])
    assert some.verdict is None
    forced = await graph.restore(snapshot.backup_id, graph_dir, allow_unusable=True)
    assert contents(graph_dir) == spoilt
    await graph.undo_restore(forced)
    assert contents(graph_dir) == good


async def test_what_was_spoilt_comes_back_by_undoing(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot(on_busy="crash")
    spoil(graph_dir)
    spoilt = contents(graph_dir)
    restored = await graph.restore(snapshot.backup_id, graph_dir)
    assert restored.verdict == "usable"
    await graph.undo_restore(restored)
    assert contents(graph_dir) == spoilt


async def test_trouble_while_judging_keeps_no_restore_from_being_made(
    manager: BackupManager, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot(on_busy="crash", validate="off")

    async def refuse(*_: Any, **options: Any) -> Any:
        raise LimitError("too much")

    monkeypatch.setattr(validation, "validate_snapshot", refuse)
    (graph_dir / CHUNKS).write_text("{}")
    restored = await graph.restore(snapshot.backup_id, graph_dir)
    assert (restored.verdict, [one.name for one in restored.changed]) == (None, [CHUNKS])


def test_the_program_asks_for_the_word(graph_dir: Path, program: Program) -> None:
    good = contents(graph_dir)
    spoil(graph_dir)
    program("snapshot", "g", graph_dir, "--on-busy", "crash")
    (graph_dir / CHUNKS).write_bytes(good[CHUNKS])
    assert "--allow-unusable" in program("restore", "g", "latest", graph_dir, "--dry-run").out
    assert "--allow-unusable" in program("restore", "g", "latest", graph_dir, "--yes", code=1).err
    said = program("restore", "g", "latest", graph_dir, "--yes", "--allow-unusable").out
    assert "the graph is unusable: lightrag-bkp validate says" in said


# ---- recovery points ----


@pytest.mark.parametrize("judged", ["on", "off"])
async def test_a_point_with_it_is_not_valid(
    judged: str, manager: BackupManager, graph_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "REST_S", 0.05)
    monkeypatch.setitem(GraphBackup.create_snapshot.__kwdefaults__, "validate", judged)
    shutil.copytree(graph_dir, tmp_path / "other")
    spoil(graph_dir)
    manager.register_graph("other", tmp_path / "other")
    manager.register_graph("spoilt", graph_dir)
    recovery = DisasterRecoveryManager(manager)
    point = (await recovery.create_recovery_point(["other", "spoilt"])).checkpoint_id
    assert not await recovery.validate_recovery_point(point)
    ((graph_id, said),) = recovery.problems(point)
    assert graph_id == "spoilt" and "is unusable: lightrag-bkp show spoilt " in said
    assert said.endswith("says why; mend the graph and make another point, or fall back on an older one")
    assert await recovery.validate_recovery_point(point, "catalogue") is (judged == "off")
    before = contents(tmp_path / "other")
    assert not await recovery.validate_recovery_point(point, "drill")
    drilled = await recovery.run_drill(point)
    assert [(one.ok, one.verdict) for one in drilled.graphs] == [(True, "usable"), (False, "unusable")]
    with pytest.raises(RefusedError, match="is not valid"):
        await recovery.failover(point)
    assert contents(tmp_path / "other") == before


# ---- health ----


async def health(manager: BackupManager) -> tuple[HealthStatus, str | None, str]:
    found = await HealthValidator(manager).validate_graph("g")
    return found["status"], found["verdict"], found["message"]


async def test_health_tells_the_verdict_of_the_live_graph(
    manager: BackupManager, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "REST_S", 0.0)
    monkeypatch.setattr(outside, "_CLOCK_MARGIN_S", 0.05)
    manager.register_graph("g", graph_dir)
    assert await health(manager) == (HealthStatus.HEALTHY, "usable", "its files are usable")
    with breaking.vector_file(graph_dir, "entities") as file:
        file.matrix[0] *= 2
    await asyncio.sleep(0.1)  # at rest from here on
    status, verdict, said = await health(manager)
    assert (status, verdict) == (HealthStatus.DEGRADED, "repairable") and "because of" in said
    spoil(graph_dir)
    await asyncio.sleep(0.1)
    assert (await health(manager))[:2] == (HealthStatus.CRITICAL, "unusable")


async def test_a_graph_that_did_not_change_is_not_read_for_it(
    manager: BackupManager, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = manager.register_graph("g", graph_dir)
    await graph.create_snapshot(on_busy="crash")
    judge_pins, read = validation.judge_pins, []

    async def counted(pins: Any, **options: Any) -> Any:
        read.append(pins)
        return await judge_pins(pins, **options)

    monkeypatch.setattr(validation, "judge_pins", counted)
    status, verdict, said = await health(manager)
    assert (status, verdict, read) == (HealthStatus.HEALTHY, "usable", [])
    assert "those of the newest snapshot" in said
    (graph_dir / CHUNKS).touch()
    assert (await health(manager))[1] == "usable" and len(read) == 1
    (graph_dir / "kv_store_full_entities.json").unlink()
    await health(manager)
    assert len(read) > 1


async def test_somebody_at_work_is_no_alarm(
    manager: BackupManager, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_verdict, "_PAUSE_S", 0.01)
    manager.register_graph("g", graph_dir)
    with breaking.vector_file(graph_dir, "chunks") as file:  # written a moment ago: the rest may follow
        del file.data[0]
        file.matrix = file.matrix[1:]
    status, verdict, said = await health(manager)
    assert (status, verdict) == (HealthStatus.HEALTHY, None) and "somebody is at work" in said
