"""Failovers and undos whose process is killed: both are told of, finished or taken back, and leave nothing behind."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest
from support.folders import Fingerprint
from support.points import GRAPH, again, items, kill_at, killed

from lightrag_bkp.errors import Busy, RefusedError
from lightrag_bkp.recovering.failover import Failover
from lightrag_bkp.recovering.points import PointStore
from lightrag_bkp.recovery import DisasterRecoveryManager, HealthStatus, RecoveryPoint
from lightrag_bkp.restoring.staging import Staging

pytestmark = pytest.mark.usefixtures("short_rest")

States = dict[str, Fingerprint]


def states(directories: dict[str, Path]) -> States:
    return {graph_id: items(place) for graph_id, place in directories.items() if place.exists()}


@pytest.fixture
async def valid(recovery: DisasterRecoveryManager, point: RecoveryPoint) -> str:
    assert await recovery.validate_recovery_point(point.checkpoint_id)
    return point.checkpoint_id


@pytest.fixture
def new(valid: str, directories: dict[str, Path]) -> States:
    """What the point holds."""
    return states(directories)


@pytest.fixture
def old(new: States, directories: dict[str, Path]) -> States:
    """What is there when a failover begins."""
    for place in directories.values():
        (place / GRAPH).write_text("worked on since")
    return states(directories)


async def said(recovery: DisasterRecoveryManager) -> str:
    """What health says of the recovery points, which must be critical."""
    (found,) = (one for one in (await recovery.health_check())["components"] if one["component"] == "recovery points")
    assert found["status"] == HealthStatus.CRITICAL
    return str(found["message"])


@pytest.mark.parametrize("restored", [1, 2])
async def test_a_failover_whose_process_died_can_be_undone_or_repeated(
    recovery: DisasterRecoveryManager,
    valid: str,
    new: States,
    old: States,
    directories: dict[str, Path],
    restored: int,
) -> None:
    """It dies behind the restore of the first or second graph, before that is written down."""
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, PointStore, "add", restored))
    found = states(directories)
    assert [found[graph_id] == new[graph_id] for graph_id in ("sales", "support")] == [True, restored == 2]
    assert again(recovery).get_recovery_status()["interrupted"] == valid
    assert "repeat or undo it" in await said(recovery)
    assert (await again(recovery).undo_failover(valid)).ok
    assert states(directories) == old
    assert recovery.get_recovery_status()["interrupted"] is None
    assert (await recovery.failover(valid)).ok
    assert states(directories) == new


async def test_repeating_a_failover_that_died_settles_it(
    recovery: DisasterRecoveryManager,
    valid: str,
    new: States,
    old: States,
    directories: dict[str, Path],
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, PointStore, "add", 1))
    assert (await recovery.failover(valid)).ok
    assert states(directories) == new
    status = recovery.get_recovery_status()
    assert (status["interrupted"], status["advice"]) == (None, None)
    last = recovery.failovers(valid)[-1]
    undone = await recovery.undo_failover(valid)
    assert (undone.ok, undone.undoes, undone.undoes_at) == (True, last.failover_id, last.began_at)
    assert states(directories) == {"sales": new["sales"], "support": old["support"]}, "what it was before the last one"
    await nothing_to_undo(recovery, valid)
    sales = recovery.backup.require_graph("sales")
    named = recovery.find_recovery_point(valid).snapshots["sales"].id
    (first,) = (one for one in sales.list_snapshots() if one.metadata.get("replaced_by") == named)
    outcome = await sales.restore(first.backup_id, tmp_path / "before", allow_unusable=True)
    assert items(Path(outcome.target_dir)) == old["sales"], "what the one that died had replaced"


async def nothing_to_undo(recovery: DisasterRecoveryManager, valid: str) -> None:
    """No failover of the point asks for anything, and none can be taken back."""
    status = again(recovery).get_recovery_status()
    assert (status["interrupted"], status["advice"]) == (None, None)
    with pytest.raises(RefusedError, match="has no failover to undo"):
        await again(recovery).undo_failover(valid)


async def test_an_undo_never_reaches_an_earlier_failover(
    recovery: DisasterRecoveryManager, valid: str, old: States, directories: dict[str, Path]
) -> None:
    """One died, one repeated it, the third ended well and is undone: the work since the second is what stays."""
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, PointStore, "add", 1))
    assert (await recovery.failover(valid)).ok
    (directories["sales"] / GRAPH).write_text("newer work")
    newer = states(directories)
    assert (await recovery.failover(valid)).ok
    assert (await recovery.undo_failover(valid)).ok
    assert states(directories) == newer
    await nothing_to_undo(recovery, valid)
    assert states(directories) == newer


async def test_an_undo_that_died_stays_settled_when_what_settled_it_is_undone(
    recovery: DisasterRecoveryManager, valid: str, old: States
) -> None:
    assert (await recovery.failover(valid)).ok
    doom = partial(kill_at, Failover, "_take_back", 0, after=True)
    await asyncio.to_thread(killed, recovery, "undo_failover", valid, doom)
    assert (await recovery.failover(valid)).ok
    assert recovery.get_recovery_status()["interrupted"] is None
    assert (await recovery.undo_failover(valid)).ok
    await nothing_to_undo(recovery, valid)


async def test_a_failover_of_another_point_settles_for_ever(
    recovery: DisasterRecoveryManager, valid: str, directories: dict[str, Path]
) -> None:
    other = (await recovery.create_recovery_point(["sales", "support"])).checkpoint_id
    (directories["sales"] / GRAPH).write_text("worked on since")
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, PointStore, "add", 1))
    refusal = f"half done: the failover of recovery point {valid} died: repeat or undo it"
    with pytest.raises(RefusedError, match=refusal):
        await recovery.delete_recovery_point(valid)
    assert (await recovery.failover(other)).ok
    await nothing_to_undo(recovery, valid)
    assert (await recovery.undo_failover(other)).ok
    await nothing_to_undo(recovery, valid)
    assert await recovery.delete_recovery_point(other)
    await nothing_to_undo(recovery, valid)
    assert await recovery.delete_recovery_point(valid)


async def test_a_dry_run_of_an_undo_says_what_it_would_do(
    recovery: DisasterRecoveryManager, valid: str, old: States, directories: dict[str, Path]
) -> None:
    """Also of one that died behind its second graph, of which nothing is written."""
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, PointStore, "add", 2))
    (died,) = recovery.failovers(valid)
    before, records = states(directories), recovery._store.records(valid)
    planned = await recovery.undo_failover(valid, dry_run=True)
    assert (planned.dry_run, planned.undo, planned.undoes) == (True, True, died.failover_id)
    assert [(one.graph_id, one.target_dir) for one in planned.graphs] == [(n, str(p)) for n, p in directories.items()]
    assert (states(directories), recovery._store.records(valid)) == (before, records)
    assert (await recovery.undo_failover(valid)).ok
    assert states(directories) == old


@pytest.mark.parametrize("taken_back", [0, 1])
@pytest.mark.parametrize("first", ["ended", "died"])
async def test_an_undo_whose_process_died_is_told_and_finished(
    recovery: DisasterRecoveryManager,
    valid: str,
    old: States,
    directories: dict[str, Path],
    taken_back: int,
    first: str,
) -> None:
    """The undo of a failover that ended, or of one that died before it wrote its second graph down."""
    if first == "ended":
        assert (await recovery.failover(valid)).ok
    else:
        await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, PointStore, "add", 2))
    doom = partial(kill_at, Failover, "_take_back", taken_back, after=True)
    await asyncio.to_thread(killed, recovery, "undo_failover", valid, doom)
    assert [states(directories)[one] == old[one] for one in ("support", "sales")] == [True, taken_back == 1]
    status = again(recovery).get_recovery_status()
    assert status["interrupted"] == valid and [one["state"] for one in status["failovers"]] == ["undoing"]
    message = await said(recovery)
    assert message == status["advice"] and "the undo of the failover" in message
    assert message.endswith(f"died: finish it, lightrag-bkp recovery failover {valid} --undo")
    assert (await again(recovery).undo_failover(valid)).ok
    assert states(directories) == old
    assert [one.state for one in recovery.failovers(valid)] == ["undone"]
    assert recovery.get_recovery_status()["interrupted"] is None


async def test_an_undo_that_failed_is_told_with_its_reason_and_finished(
    recovery: DisasterRecoveryManager, valid: str, old: States, directories: dict[str, Path]
) -> None:
    assert (await recovery.failover(valid)).ok
    aside = directories["sales"].with_name("aside")
    directories["sales"].rename(aside)
    directories["sales"].write_text("a file in the way")
    assert not (await recovery.undo_failover(valid)).ok
    message = await said(recovery)
    assert "failed (graph sales: " in message and "no directory" in message
    directories["sales"].unlink()
    aside.rename(directories["sales"])
    with pytest.raises(RefusedError, match=r"the undo of the failover .* finish it, lightrag-bkp recovery failover"):
        await recovery.delete_recovery_point(valid)
    assert (await recovery.undo_failover(valid)).ok
    assert states(directories) == old


async def test_what_a_failover_that_died_had_staged_is_cleared_by_its_undo(
    recovery: DisasterRecoveryManager, valid: str, old: States, directories: dict[str, Path], tmp_path: Path
) -> None:
    names = {path.name for path in tmp_path.iterdir()}
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, Staging, "fill", 1, after=True))
    assert any(path.name.startswith(".lrb_restore") for path in tmp_path.iterdir())
    assert (await recovery.undo_failover(valid)).ok
    assert {path.name for path in tmp_path.iterdir()} == names
    assert states(directories) == old
    assert recovery.get_recovery_status()["interrupted"] is None
    with pytest.raises(RefusedError, match="no failover to undo"):
        await recovery.undo_failover(valid)


@pytest.mark.parametrize(
    "doom",
    [
        partial(kill_at, Staging, "fill", 0, after=True),
        partial(kill_at, Staging, "publish", 0, after=True),
        partial(kill_at, PointStore, "add", 2),
    ],
    ids=["staged", "published", "written down"],
)
async def test_what_was_missing_is_missing_again(
    recovery: DisasterRecoveryManager, valid: str, directories: dict[str, Path], tmp_path: Path, doom: partial[None]
) -> None:
    """Also its directory, and also where the failover died right behind the restore, of which nothing is written."""
    names = {path.name for path in tmp_path.iterdir()} - {"sales"}
    shutil.rmtree(directories["sales"])
    await asyncio.to_thread(killed, recovery, "failover", valid, doom)
    assert (await recovery.undo_failover(valid)).ok
    assert {path.name for path in tmp_path.iterdir()} == names


async def test_a_graph_begun_anew_where_nothing_was_is_no_matter_of_an_undo(
    recovery: DisasterRecoveryManager, valid: str, directories: dict[str, Path]
) -> None:
    shutil.rmtree(directories["sales"])
    await asyncio.to_thread(killed, recovery, "failover", valid, partial(kill_at, Staging, "fill", 0, after=True))
    directories["sales"].mkdir()
    (directories["sales"] / GRAPH).write_text("begun anew")
    assert (await recovery.undo_failover(valid)).ok
    assert (directories["sales"] / GRAPH).read_text() == "begun anew"


async def test_no_point_is_deleted_under_a_failover(recovery: DisasterRecoveryManager, valid: str) -> None:
    with (
        again(recovery)._store.alone("failover"),
        pytest.raises(Busy, match="failover is under way: delete when it is"),
    ):
        await recovery.delete_recovery_point(valid)
    assert await recovery.validate_recovery_point(valid), "its snapshots are held as before"
    assert await recovery.delete_recovery_point(valid)
