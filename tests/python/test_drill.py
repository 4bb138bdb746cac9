"""Drills of snapshots: restored to a scratch directory, compared, judged, timed, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import breaking
from support.program import Program

from lightrag_bkp import BackupManager, VerifyLevel
from lightrag_bkp.errors import InvalidInputError, NotFoundError


def rot(storage: Path) -> None:
    """Spoils the content of every stored pack."""
    for pack in storage.glob("graphs/*/packs/*"):
        content = bytearray(pack.read_bytes())
        content[80:200] = bytes(120)
        pack.chmod(0o640)
        pack.write_bytes(content)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


async def test_a_snapshot_that_comes_back(graph_dir: Path, tmp_path: Path, scratch: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        taken = await graph.create_snapshot(on_busy="crash")
        drilled = await graph.verify_snapshot("latest", "drill", scratch_dir=scratch)
        assert (drilled.ok, drilled.level, drilled.verdict) == (True, VerifyLevel.DRILL, "usable")
        assert (drilled.objects, drilled.bytes_read) == (taken.item_count, taken.size_bytes)
        assert drilled.restore_s and drilled.judge_s
        assert drilled.restore_s + drilled.judge_s <= drilled.seconds
        assert list(scratch.iterdir()) == []
        assert [one.backup_id for one in graph.list_snapshots()] == [taken.backup_id]
        with pytest.raises(InvalidInputError, match="a drill is of one snapshot"):
            await graph.verify_snapshot(level="drill")
        with pytest.raises(NotFoundError):
            await graph.verify_snapshot("20260101T000000Z-deadbeef", "drill")


@pytest.mark.parametrize(
    ("damage", "verdict", "ok"),
    [
        (lambda d: breaking.truncate(d, breaking.store("text_chunks")), "unusable", False),
        (lambda d: breaking.truncate(d, breaking.vectors("entities")), "repairable", True),
    ],
)
async def test_what_came_back_is_judged(
    damage: Callable[[Path], object], verdict: str, ok: bool, graph_dir: Path, tmp_path: Path, scratch: Path
) -> None:
    """The bytes are what they were; what they mean was lost before. What can be repaired is worth having."""
    damage(graph_dir)
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        await graph.create_snapshot(on_busy="crash", validate="off")
        drilled = await graph.verify_snapshot("latest", "drill", scratch_dir=scratch)
        assert (drilled.ok, drilled.verdict) == (ok, verdict)
        assert ok or "the graph is unusable, because of files that LightRAG cannot read" in drilled.findings[0].message
        assert list(scratch.iterdir()) == []


async def test_a_plain_directory_has_no_verdict(folder: Path, tmp_path: Path, scratch: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("plain", folder)
        await graph.create_snapshot()
        drilled = await graph.verify_snapshot("latest", "drill", scratch_dir=scratch)
        assert (drilled.ok, drilled.verdict) == (True, None)


async def test_rot_is_named_and_noted(graph_dir: Path, tmp_path: Path, scratch: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        await graph.create_snapshot(on_busy="crash")
        rot(tmp_path / "storage")
        graph.close()
        drilled = await graph.verify_snapshot("latest", "drill", scratch_dir=scratch)
        assert not drilled.ok and drilled.level is VerifyLevel.DRILL and drilled.restore_s is None
        assert any(one.object.startswith("packs/") for one in drilled.findings)
        assert list(scratch.iterdir()) == []
        healed = await graph.create_snapshot(on_busy="crash")  # the damage was noted: everything is stored again
        assert (await graph.verify_snapshot(healed.backup_id, "drill", scratch_dir=scratch)).ok


def test_the_program_drills(graph_dir: Path, program: Program, scratch: Path) -> None:
    program.environ["LIGHTRAG_RECOVERY_SCRATCH_DIR"] = str(scratch)
    program("snapshot", "g", graph_dir, "--on-busy", "crash")
    said = program("verify", "g", "latest", "--level", "drill").out
    assert "no damage" in said and "back in" in said and said.rstrip().endswith("usable")
    document = program.json("verify", "g", "latest", "--level", "drill")
    assert document["ok"] and document["verdict"] == "usable" and document["restore_s"] > 0
    assert list(scratch.iterdir()) == []
    assert "a drill is of one snapshot" in program("verify", "g", "--level", "drill", code=2).err
    breaking.truncate(graph_dir, breaking.store("text_chunks"))
    program("snapshot", "g", graph_dir, "--on-busy", "crash")
    assert "the graph is unusable" in program("verify", "g", "latest", "--level", "drill", code=3).out
