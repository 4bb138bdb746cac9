"""Recovery points over several graphs, on real LightRAG directories: made, proved, lost on purpose, brought back."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lightrag import QueryParam
from support import check, graphs, standins
from support.points import GRAPH, again, items

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import (
    Busy,
    DamagedError,
    InvalidInputError,
    LockedError,
    NoSpaceError,
    NotFoundError,
    RefusedError,
)
from lightrag_bkp.graph.keeping import change_hold
from lightrag_bkp.recovery import DisasterRecoveryManager, HealthStatus, RecoveryPoint

pytestmark = pytest.mark.usefixtures("short_rest")


def held_by(graph: GraphBackup) -> set[str]:
    return {holder for snapshot in graph.list_snapshots() for holder in snapshot.holders}


def objects(recovery: DisasterRecoveryManager, point: RecoveryPoint) -> list[Path]:
    return sorted((Path(recovery.backup.storage_path) / "recovery_points" / point.checkpoint_id).iterdir())


def rot(recovery: DisasterRecoveryManager, graph_id: str) -> None:
    """Spoils everything a graph has stored."""
    for pack in (Path(recovery.backup.storage_path) / "graphs" / graph_id / "packs").iterdir():
        content = bytearray(pack.read_bytes())
        content[80:200] = bytes(120)
        pack.chmod(0o640)
        pack.write_bytes(content)


async def answers(directory: Path) -> str:
    """What LightRAG answers from a directory; it must fit together."""
    assert check.findings(directory) == []
    async with graphs.opened(directory) as rag:
        return str(await rag.aquery("What is E3 about?", QueryParam(mode="local", only_need_context=True)))


# ---- the eight ----


async def test_create_recovery_point(
    recovery: DisasterRecoveryManager, backup: BackupManager, directories: dict[str, Path]
) -> None:
    point = await recovery.create_recovery_point(["support", "sales"], "before the upgrade")
    assert point.graphs == ("sales", "support")
    assert (point.description, point.validated, point.validation_timestamp) == ("before the upgrade", False, None)
    assert abs(datetime.now(UTC) - point.created_at) < timedelta(minutes=1)
    for graph_id in directories:
        snapshot = backup.require_graph(graph_id).get_snapshot(point.snapshots[graph_id].id)
        assert snapshot is not None and snapshot.data_hash == point.snapshots[graph_id].digest
        assert snapshot.holders == (f"recovery:{point.checkpoint_id}",)
        assert snapshot.metadata == {"recovery_point": point.checkpoint_id, "description": "before the upgrade"}
    (written,) = objects(recovery, point)
    assert written.name == "0" * 20 and written.stat().st_mode & 0o777 == 0o440


async def test_list_recovery_points(recovery: DisasterRecoveryManager) -> None:
    assert recovery.list_recovery_points() == []
    made = [await recovery.create_recovery_point([graph_id]) for graph_id in ("support", "sales", "support")]
    assert [one.checkpoint_id for one in recovery.list_recovery_points()] == [one.checkpoint_id for one in made]
    assert recovery.find_recovery_point("latest") == made[-1]
    assert again(recovery).list_recovery_points() == recovery.list_recovery_points()


async def test_get_recovery_point(recovery: DisasterRecoveryManager, point: RecoveryPoint) -> None:
    assert recovery.get_recovery_point(point.checkpoint_id) == point
    assert again(recovery).get_recovery_point(point.checkpoint_id) == point
    assert recovery.get_recovery_point("unknown") is None
    with pytest.raises(InvalidInputError):
        recovery.get_recovery_point("../support")


@pytest.mark.parametrize("level", ["catalogue", "digests", "drill"])
async def test_validate_recovery_point(recovery: DisasterRecoveryManager, point: RecoveryPoint, level: str) -> None:
    assert await recovery.validate_recovery_point(point.checkpoint_id, level)
    valid = again(recovery).get_recovery_point(point.checkpoint_id)
    assert valid is not None and (valid.validated, valid.level) == (True, level)
    assert valid.validation_timestamp is not None and valid.validation_timestamp >= point.created_at
    rot(recovery, "sales")
    if level != "catalogue":
        assert not await recovery.validate_recovery_point(point.checkpoint_id, level)
        invalid = recovery.get_recovery_point(point.checkpoint_id)
        assert invalid is not None and not invalid.validated, "the newest one counts"


async def test_recovery_status(recovery: DisasterRecoveryManager, point: RecoveryPoint) -> None:
    status = recovery.get_recovery_status()
    assert (status["recovery_points"], status["latest_validated"], status["last_drill"]) == (1, None, None)
    assert status["latest"]["checkpoint_id"] == point.checkpoint_id
    assert await recovery.validate_recovery_point(point.checkpoint_id, "drill")
    assert await recovery.initiate_failover(point.checkpoint_id)
    status = json.loads(json.dumps(again(recovery).get_recovery_status()))
    assert status["latest_validated"] == point.checkpoint_id
    assert status["last_drill"]["ok"] and 0 < status["last_drill"]["rto_s"] < 60
    assert [(one["state"], one["ok"]) for one in status["failovers"]] == [("ended", True)]
    assert (status["interrupted"], status["unreadable"], status["left_held"]) == (None, {}, [])
    assert status["graphs"]["sales"]["points"] == [point.checkpoint_id]


async def test_failover_simulation(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, directories: dict[str, Path]
) -> None:
    """A dry run says what would come back, and changes nothing."""
    (directories["sales"] / GRAPH).write_text("spoilt")
    shutil.rmtree(directories["support"])
    before = items(directories["sales"])
    outcome = await recovery.failover(point.checkpoint_id, dry_run=True)
    assert (outcome.ok, outcome.dry_run) == (True, True)
    changed = {one.graph_id: one.changed for one in outcome.graphs}
    assert changed["sales"] == 1 and changed["support"] == len(before)
    assert items(directories["sales"]) == before
    assert not directories["support"].exists()
    assert recovery.failovers(point.checkpoint_id) == []


async def test_health_check(recovery: DisasterRecoveryManager, directories: dict[str, Path]) -> None:
    nothing = await recovery.health_check()
    assert nothing["status"] == HealthStatus.CRITICAL
    assert nothing["graphs"]["sales"]["backups"]["message"] == "nothing was ever stored"
    point = await recovery.create_recovery_point(["support", "sales"])
    unproved = await recovery.health_check()
    assert unproved["status"] == HealthStatus.DEGRADED
    assert "run a drill" in unproved["graphs"]["sales"]["backups"]["message"]
    await recovery.run_drill(point.checkpoint_id)
    well = json.loads(json.dumps(await recovery.health_check()))
    assert well["status"] == "healthy", well
    assert {one["component"] for one in well["components"]} == {
        *(f"{graph_id}/{part}" for graph_id in directories for part in ("graph", "backups", "replication")),
        "recovery points",
    }
    assert well["graphs"]["sales"]["replication"]["message"] == "none configured"
    shutil.rmtree(directories["sales"])
    lost = await recovery.health_check()
    assert (lost["status"], lost["graphs"]["sales"]["graph"]["status"]) == (HealthStatus.CRITICAL,) * 2


async def test_disaster_recovery_workflow(
    recovery: DisasterRecoveryManager, directories: dict[str, Path], built_graph: Path
) -> None:
    """Two graphs destroyed, each in its own way; both come back, LightRAG answers, and what was there can be had."""
    expected = await answers(directories["sales"])
    point = await recovery.create_recovery_point(["support", "sales"], "nightly")
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    original = {graph_id: items(place) for graph_id, place in directories.items()}
    shutil.rmtree(directories["sales"])
    (directories["support"] / GRAPH).unlink()
    (directories["support"] / "vdb_entities.json").write_text("{}")
    damaged = items(directories["support"])
    outcome = await again(recovery).failover(point.checkpoint_id)
    assert outcome.ok and outcome.error == ""
    assert {graph_id: items(place) for graph_id, place in directories.items()} == original
    assert [await answers(place) for place in directories.values()] == [expected] * 2
    assert [(one.name, one.graph_id) for one in outcome.phases] == [
        ("validate", None),
        *(("restore", one) for one in sorted(directories)),
        *(("verify", one) for one in sorted(directories)),
    ]
    assert 0 < sum(one.seconds for one in outcome.phases) <= outcome.rto_s < 60
    assert 0 < outcome.rpo_s < 60
    undone = await again(recovery).undo_failover(point.checkpoint_id)
    assert undone.ok and undone.undo
    assert items(directories["support"]) == damaged
    assert not directories["sales"].exists()
    assert [one.state for one in recovery.failovers(point.checkpoint_id)] == ["undone"]
    with pytest.raises(RefusedError, match="no failover to undo"):
        await recovery.undo_failover(point.checkpoint_id)
    assert await recovery.initiate_failover(point.checkpoint_id)
    assert {graph_id: items(place) for graph_id, place in directories.items()} == original


# ---- all or nothing ----


async def test_no_point_is_made_when_one_graph_cannot_be_taken(
    recovery: DisasterRecoveryManager, backup: BackupManager, directories: dict[str, Path]
) -> None:
    shutil.rmtree(directories["sales"])
    with pytest.raises(NotFoundError):
        await recovery.create_recovery_point(["support", "sales"])
    assert recovery.list_recovery_points() == []
    assert backup.require_graph("support").list_snapshots() == []


async def test_no_point_is_made_when_it_cannot_be_written(
    recovery: DisasterRecoveryManager, backup: BackupManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise NoSpaceError("no room")

    monkeypatch.setattr(type(recovery._store), "_append", refuse)
    with pytest.raises(NoSpaceError):
        await recovery.create_recovery_point(["support", "sales"])
    assert [backup.require_graph(graph_id).list_snapshots() for graph_id in ("support", "sales")] == [[], []]


@pytest.mark.parametrize("names", [[], "support", ["support", "unknown"]])
async def test_graphs_must_be_named_and_known(recovery: DisasterRecoveryManager, names: Any) -> None:
    with pytest.raises((InvalidInputError, NotFoundError)):
        await recovery.create_recovery_point(names)


async def test_a_failing_graph_rolls_the_others_back(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, directories: dict[str, Path]
) -> None:
    """`sales` comes back, `support` cannot: `sales` is made what it was, and both states are told."""
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    (directories["sales"] / GRAPH).write_text("worked on since")
    shutil.rmtree(directories["support"])
    directories["support"].write_text("a file in the way")
    before = items(directories["sales"])
    outcome = await recovery.failover(point.checkpoint_id)
    assert (outcome.ok, outcome.rolled_back) == (False, True)
    assert "no directory" in outcome.error
    assert items(directories["sales"]) == before
    assert [(one.name, one.graph_id, one.ok) for one in outcome.phases] == [
        ("validate", None, True),
        ("restore", "sales", True),
        ("restore", "support", False),
        ("roll back", "sales", True),
    ]
    assert await recovery.initiate_failover(point.checkpoint_id) is False
    assert [one.ok for one in again(recovery).failovers(point.checkpoint_id)] == [False, False]
    with pytest.raises(RefusedError):
        await recovery.undo_failover(point.checkpoint_id)
    health = await recovery.health_check()
    assert "recovery points" in {
        one["component"] for one in health["components"] if one["status"] == HealthStatus.HEALTHY
    }


async def test_a_graph_that_was_gone_is_gone_again_after_a_rollback(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, directories: dict[str, Path]
) -> None:
    shutil.rmtree(directories["sales"])
    shutil.rmtree(directories["support"])
    directories["support"].write_text("a file in the way")
    outcome = await recovery.failover(point.checkpoint_id)
    assert (outcome.ok, outcome.rolled_back) == (False, True)
    assert not directories["sales"].exists()


async def test_what_changes_behind_the_restore_is_noticed_and_rolled_back(
    recovery: DisasterRecoveryManager,
    point: RecoveryPoint,
    directories: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a LightRAG does that nobody stopped: it writes its memory over the restored files."""
    (directories["sales"] / GRAPH).write_text("old memory")
    bring_home = GraphBackup.bring_home

    async def overwritten(self: GraphBackup, snapshot_id: str, *, dry_run: bool = False, **options: Any) -> Any:
        outcome = await bring_home(self, snapshot_id, dry_run=dry_run, **options)
        if not dry_run and self.graph_id == "sales":
            (directories["sales"] / GRAPH).write_text("old memory")
        return outcome

    monkeypatch.setattr(GraphBackup, "bring_home", overwritten)
    outcome = await recovery.failover(point.checkpoint_id)
    assert (outcome.ok, outcome.rolled_back) == (False, True)
    assert "is LightRAG running?" in outcome.error
    assert (directories["sales"] / GRAPH).read_text() == "old memory"


@pytest.mark.parametrize("records", [1, 2, 3])
async def test_a_cancelled_failover_is_rolled_back(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, directories: dict[str, Path], records: int
) -> None:
    """It is cancelled once it has written so many records: before, between and behind the restores."""
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    for place in directories.values():
        (place / GRAPH).write_text("worked on since")
    before = {graph_id: items(place) for graph_id, place in directories.items()}
    add, written = recovery._store.add, 0

    async def cancelling(*arguments: Any) -> None:
        nonlocal written
        await add(*arguments)
        written += 1
        if written == records:
            running.cancel()

    recovery._store.add = cancelling  # type: ignore[method-assign]
    running = asyncio.create_task(recovery.failover(point.checkpoint_id))
    await asyncio.wait([running])
    assert running.cancelled()
    assert {graph_id: items(place) for graph_id, place in directories.items()} == before
    (past,) = recovery.failovers(point.checkpoint_id)
    assert (past.state, past.ok, past.restored) == ("ended", False, ())


async def test_an_invalid_point_is_refused(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, directories: dict[str, Path]
) -> None:
    (directories["sales"] / GRAPH).write_text("worked on since")
    before = items(directories["sales"])
    rot(recovery, "support")
    with pytest.raises(RefusedError, match="is not valid"):
        await recovery.initiate_failover(point.checkpoint_id)
    assert items(directories["sales"]) == before
    with pytest.raises(NotFoundError):
        await recovery.failover("unknown")


async def test_a_fresh_validation_is_reused(recovery: DisasterRecoveryManager, point: RecoveryPoint) -> None:
    assert await recovery.validate_recovery_point(point.checkpoint_id, "catalogue")
    await recovery.failover(point.checkpoint_id, dry_run=True)
    assert len(objects(recovery, point)) == 3, "the catalogue alone is not enough"
    await recovery.failover(point.checkpoint_id, dry_run=True)
    assert len(objects(recovery, point)) == 3


async def test_two_failovers_do_not_meet(recovery: DisasterRecoveryManager, point: RecoveryPoint) -> None:
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    with again(recovery)._store.alone("failover"):
        for work in (recovery.failover, recovery.undo_failover):
            with pytest.raises(Busy, match="another failover is under way"):
                await work(point.checkpoint_id)


# ---- what dies, rots or is left ----


async def test_deleting_lets_go_of_the_snapshots(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, backup: BackupManager
) -> None:
    other = await recovery.create_recovery_point(["sales"])
    assert await recovery.delete_recovery_point(point.checkpoint_id)
    assert [one.checkpoint_id for one in recovery.list_recovery_points()] == [other.checkpoint_id]
    assert held_by(backup.require_graph("support")) == set()
    assert held_by(backup.require_graph("sales")) == {f"recovery:{other.checkpoint_id}"}
    assert not await recovery.delete_recovery_point(point.checkpoint_id)


async def test_holds_of_a_point_that_never_came_to_be_are_named_and_let_go(
    recovery: DisasterRecoveryManager, backup: BackupManager
) -> None:
    graph = backup.require_graph("sales")
    snapshot = await graph.create_snapshot()
    await change_hold(graph, "hold", snapshot.backup_id, "recovery:20260101T000000Z-deadbeef")
    assert recovery.get_recovery_status()["left_held"] == ["20260101T000000Z-deadbeef"]
    assert await recovery.delete_recovery_point("20260101T000000Z-deadbeef")
    assert held_by(graph) == set()


async def test_nobody_releases_what_a_point_holds_but_who_deletes_it(
    point: RecoveryPoint, backup: BackupManager
) -> None:
    graph = backup.require_graph("sales")
    for change in (graph.release, graph.hold):
        with pytest.raises(InvalidInputError, match="delete it to release"):
            await change(point.snapshots["sales"].id, point.holder)
    assert held_by(graph) == {point.holder}


async def test_no_clean_up_takes_what_a_point_names(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, backup: BackupManager
) -> None:
    graph = backup.require_graph("sales")
    await graph.create_snapshot()
    await graph.prune(now=datetime.now(UTC) + timedelta(days=400))
    assert point.snapshots["sales"].id in {one.backup_id for one in graph.list_snapshots()}
    await change_hold(graph, "release", point.snapshots["sales"].id, point.holder)
    assert not await recovery.validate_recovery_point(point.checkpoint_id), "what is not held is not safe"


async def test_a_damaged_point_hides_no_other_and_is_told(
    recovery: DisasterRecoveryManager, point: RecoveryPoint
) -> None:
    other = await recovery.create_recovery_point(["sales"])
    (written,) = objects(recovery, point)
    written.chmod(0o640)
    content = bytearray(written.read_bytes())
    content[200] ^= 1
    written.write_bytes(content)
    assert [one.checkpoint_id for one in recovery.list_recovery_points()] == [other.checkpoint_id]
    with pytest.raises(DamagedError):
        recovery.get_recovery_point(point.checkpoint_id)
    assert list(recovery.get_recovery_status()["unreadable"]) == [point.checkpoint_id]
    assert (await recovery.health_check())["status"] == HealthStatus.CRITICAL


async def test_a_snapshot_that_is_another_one_is_found(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, backup: BackupManager
) -> None:
    shutil.rmtree(Path(backup.storage_path) / "graphs" / "sales")
    backup.require_graph("sales").close()
    for level in ("digests", "drill"):
        assert not await recovery.validate_recovery_point(point.checkpoint_id, level)


async def test_a_drill_leaves_nothing_behind(
    recovery: DisasterRecoveryManager, point: RecoveryPoint, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    object.__setattr__(recovery.backup.recovery, "scratch_dir", str(scratch))
    outcome = await recovery.run_drill(point.checkpoint_id)
    assert outcome.ok and [one.graph_id for one in outcome.graphs] == ["sales", "support"]
    assert 0 < outcome.rto_s <= outcome.seconds
    assert list(scratch.iterdir()) == []
    rot(recovery, "sales")
    failed = await recovery.run_drill(point.checkpoint_id)
    assert [one.ok for one in failed.graphs] == [False, True]
    assert list(scratch.iterdir()) == []


async def test_a_point_of_sealed_graphs_is_sealed(directories: dict[str, Path], tmp_path: Path) -> None:
    manager = BackupManager(tmp_path / "storage", passphrase="swordfish")
    for graph_id, place in directories.items():
        manager.register_graph(graph_id, place)
    recovery = DisasterRecoveryManager(manager)
    point = await recovery.create_recovery_point(["support", "sales"], "a secret description")
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    shutil.rmtree(directories["sales"])
    assert await recovery.initiate_failover(point.checkpoint_id)
    written = b"".join(path.read_bytes() for path in objects(recovery, point))
    assert not any(word in written for word in (b"secret", b"sales", point.snapshots["sales"].id.encode()))
    for words in ({}, {"passphrase": "another"}):
        stranger = DisasterRecoveryManager(BackupManager(tmp_path / "storage", **words))
        with pytest.raises(LockedError):
            stranger.list_recovery_points()
        with pytest.raises(LockedError):
            stranger.get_recovery_point(point.checkpoint_id)


# ---- with LightRAG running ----


@pytest.fixture
def model_answers() -> asyncio.Event:
    """Set; while it is not, the model of `running` lets everybody wait."""
    event = asyncio.Event()
    event.set()
    return event


@pytest.fixture
async def running(
    directories: dict[str, Path], tmp_path: Path, model_answers: asyncio.Event
) -> AsyncIterator[dict[str, Any]]:
    """Both graphs open in this process, as workspaces of their own."""
    answer = standins.language_model()

    async def model(*words: Any, **options: Any) -> str:
        await model_answers.wait()
        return await answer(*words, **options)

    rags: dict[str, Any] = {}
    for graph_id in ("sales", "support"):
        rags[graph_id] = await graphs.open_rag(tmp_path / "live", graph_id, llm_model_func=model)
        await graphs.insert_documents(rags[graph_id], 0, 2)
    yield rags
    for rag in rags.values():
        await graphs.close_rag(rag)


async def test_failover_of_running_graphs(running: dict[str, Any], tmp_path: Path) -> None:
    manager = BackupManager(tmp_path / "storage")
    for graph_id, rag in running.items():
        manager.register_graph(graph_id, rag=rag)
    recovery = DisasterRecoveryManager(manager)
    point = await recovery.create_recovery_point(list(running))
    for rag in running.values():
        await graphs.insert_documents(rag, 100, 1)
    outcome = await recovery.failover(point.checkpoint_id)
    assert outcome.ok and all(one.reloaded for one in outcome.graphs)
    assert [len(rag.doc_status._data) for rag in running.values()] == [2, 2]
    assert (await recovery.undo_failover(point.checkpoint_id)).ok
    assert [len(rag.doc_status._data) for rag in running.values()] == [3, 3]
    for graph_id, rag in running.items():
        await graphs.insert_documents(rag, 200, 1)
        assert check.findings(tmp_path / "live", graph_id) == []


async def test_a_busy_graph_rolls_the_others_back_in_memory_too(
    running: dict[str, Any], model_answers: asyncio.Event, tmp_path: Path
) -> None:
    manager = BackupManager(tmp_path / "storage")
    for graph_id, rag in running.items():
        manager.register_graph(graph_id, rag=rag)
    recovery = DisasterRecoveryManager(manager)
    point = await recovery.create_recovery_point(list(running))
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    await graphs.insert_documents(running["sales"], 100, 1)
    model_answers.clear()
    ingestion = asyncio.create_task(graphs.insert_documents(running["support"], 100, 6))
    await graphs.until_busy(running["support"])
    outcome = await recovery.failover(point.checkpoint_id)
    model_answers.set()
    await ingestion
    assert (outcome.ok, outcome.rolled_back) == (False, True)
    assert "at work" in outcome.error
    assert [len(rag.doc_status._data) for rag in running.values()] == [3, 8]
    for graph_id in running:
        assert check.findings(tmp_path / "live", graph_id) == []
