"""What anybody may have put where recovery points lie: named in one sentence, with what to do, and the page goes on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.program import Program

from lightrag_bkp import _bridge
from lightrag_bkp.errors import DamagedError, InvalidInputError
from lightrag_bkp.recovery import DisasterRecoveryManager
from lightrag_bkp.sync import BackupManager, GraphBackup
from lightrag_bkp.sync.recovery import DisasterRecoveryManager as SyncManager


def pointed(snapshot_id: str, graph: str = "sales") -> dict[str, Any]:
    named = {"id": snapshot_id, "digest": "", "created_at": "2026-01-01T00:00:00Z"}
    return {"description": "", "snapshots": {graph: named}}


def drilled(**other: Any) -> dict[str, Any]:
    return {"ok": True, "level": "drill", "rto_s": 1, "graphs": [{"graph_id": "sales"}], **other}


def restored(**other: Any) -> dict[str, Any]:
    well = {"graph_id": "sales", "snapshot_id": "1", "target_dir": "/a", "changed": 1, "safety_snapshot": None}
    return {"failover_id": "f", "state": "restored", **well, **other}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("validation", {"ok": True, "level": "catalogue", "graphs": {"sales": []}}),
        ("drill", drilled()),
        ("failover", restored(target_dir="/name that is no UTF-8 \udcff")),
    ],
)
async def test_what_is_well_is_taken(recovery: DisasterRecoveryManager, kind: str, said: dict[str, Any]) -> None:
    """Or the refusals below would mean nothing."""
    storage, name = recovery.backup.storage_path, "29990101T000000Z-0badf00d"
    os.makedirs(storage, exist_ok=True)
    for at, document in enumerate([{"record": "point", **pointed("1")}, {"record": kind, **said}]):
        _bridge.point_append(storage, name, at == 0, json.dumps(document), None)
    assert recovery.get_recovery_point(name) is not None
    assert (await recovery.health_check())["components"]


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (0, "point", {"description": "x", "snapshots": [1]}),
        (
            0,
            "point",
            {"description": "x", "snapshots": {"sales": {"id": "1", "digest": "", "created_at": "2026-01-01"}}},
        ),
        (0, "point", {"description": [], "snapshots": {}}),
        (0, "drill", {"ok": True, "level": "drill", "graphs": [], "rto_s": 1}),
        (1, "point", {"description": "x", "snapshots": {}}),
        (1, "validation", {"ok": "x", "level": 5, "graphs": []}),
        (1, "validation", {"ok": True, "level": "digests", "graphs": {"sales": 7}}),
        (1, "drill", {"ok": True, "level": "drill", "graphs": [], "rto_s": "1e999"}),
        (1, "drill", {"ok": True, "level": "drill", "graphs": [], "rto_s": float("nan")}),
        (1, "drill", {"ok": True, "level": "drill", "graphs": [7], "rto_s": 1}),
        (0, "point", pointed("../x\0")),
        (0, "point", pointed("1", graph="../sales")),
        (1, "validation", {"ok": True, "level": "digests", "graphs": {}}),
        (1, "validation", {"ok": True, "level": "digests", "graphs": {"sales": [], "other": []}}),
        (1, "validation", {"ok": True, "level": "digests", "graphs": {"sales": ["gone"]}}),
        (1, "validation", {"ok": False, "level": "digests", "graphs": {"sales": []}}),
        (1, "validation", {"ok": True, "level": "drill", "graphs": {"sales": []}}),
        (1, "validation", {"ok": True, "level": "thorough", "graphs": {"sales": []}}),
        (1, "drill", drilled(level="digests")),
        (1, "drill", drilled(graphs=[])),
        (1, "drill", drilled(graphs=[{"graph_id": "sales", "restore_s": None, "validate_s": None}])),
        (1, "drill", drilled(graphs=[{"graph_id": "sales", "restore_s": 1.0}])),
        (1, "drill", drilled(graphs=[{"graph_id": "sales", "problems": ["gone"]}])),
        (1, "failover", restored(target_dir="/a\0b")),
        (1, "failover", restored(target_dir="/a\ud800b")),
        (1, "failover", restored(snapshot_id="../x\0")),
        (1, "failover", restored(safety_snapshot="\ud800")),
        (1, "failover", restored(graph_id="other")),
        (1, "failover", {"failover_id": 5, "state": "begun"}),
        (1, "failover", {"failover_id": "f", "state": "restored", "graph_id": "sales"}),
        (1, "failover", {"failover_id": "f", "state": "ended", "ok": 1, "rto_s": []}),
    ],
)
async def test_a_record_that_is_none_is_one_sentence(
    recovery: DisasterRecoveryManager, number: int, kind: str, said: dict[str, Any]
) -> None:
    storage, name = recovery.backup.storage_path, "29990101T000000Z-0badf00d"
    os.makedirs(storage, exist_ok=True)
    for at, document in enumerate([*[{"record": "point", **pointed("1")}][:number], {"record": kind, **said}]):
        _bridge.point_append(storage, name, at == 0, json.dumps(document), None)
    with pytest.raises(DamagedError, match=rf"^recovery_points/{name}/{number:020} .*: restore it from a copy, or del"):
        recovery.get_recovery_point(name)
    assert list(recovery.get_recovery_status()["unreadable"]) == [name]
    assert (await recovery.health_check())["status"] == "critical"
    assert await recovery.delete_recovery_point(name)


@pytest.fixture
def points(program: Program, kept: GraphBackup, folder: Path) -> list[Path]:
    """Two recovery points, as they lie in the program's storage."""
    manager = BackupManager(program.storage)
    manager.register_graph("kept", folder)
    made = [SyncManager(manager).create_recovery_point(["kept"]).checkpoint_id for _ in range(2)]
    return [program.storage / "recovery_points" / name for name in made]


def test_points_in_each_others_place(program: Program, points: list[Path]) -> None:
    first, second = points
    first.rename(first.with_name("aside"))
    second.rename(first)
    first.with_name("aside").rename(second)
    said = program.sentence("recovery", "show", second.name, code=1)
    assert second.name in said and said.endswith(": restore it from a copy, or delete the recovery point")
    assert set(program.json("recovery", "list", code=1)["unreadable"]) == {first.name, second.name}
    assert "cannot be read" in program("status", code=1).out


def test_a_point_that_is_a_symlink(program: Program, points: list[Path]) -> None:
    aside = points[1].rename(program.directory / "aside")
    points[1].symlink_to(aside)
    said = program.sentence("recovery", "show", points[1].name, code=1)
    assert said.endswith(": restore it from a copy, or delete the recovery point")
    assert points[0].name in program("recovery", "list", code=1).out


@pytest.mark.parametrize("what", ["file", "symlink", "dangling"])
def test_the_directory_of_all_points_is_none(program: Program, points: list[Path], what: str) -> None:
    place, aside = points[0].parent, program.directory / "aside"
    place.rename(aside)
    if what == "file":
        place.write_text("a file")
    else:
        place.symlink_to(aside if what == "symlink" else "nowhere")
    said = f"'{place}' is a symlink or file and no directory, so that no recovery point is known: move it away and"
    for words in (("show", points[0].name), ("delete", "latest"), ("create", "kept"), ("failover", "latest", "--yes")):
        assert program.sentence("recovery", *words, code=1).startswith(said)
    listed = program("recovery", "list", code=1)
    assert said in listed.err and listed.out == ""
    page = program("status", code=1).out
    assert f"CRITICAL recovery points: {said}" in page and page.startswith("GRAPH")


@pytest.mark.parametrize("name", ["a\0", "\ud800", "../up", ""])
async def test_what_can_be_no_id(recovery: DisasterRecoveryManager, name: str) -> None:
    for work in (
        recovery.validate_recovery_point,
        recovery.run_drill,
        recovery.initiate_failover,
        recovery.undo_failover,
        recovery.delete_recovery_point,
    ):
        with pytest.raises(InvalidInputError, match="cannot be the id of a recovery point"):
            await work(name)
    with pytest.raises(InvalidInputError, match="cannot be the id of a recovery point"):
        recovery.get_recovery_point(name)
