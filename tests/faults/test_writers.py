"""A writer stopped at the worst moment, and an answer that never arrived: real processes, stopped by the seam at one
chosen call."""

import errno
from pathlib import Path

import pytest
from support.trouble import Trouble, contents, end, stopped

from lightrag_bkp.errors import DamagedError
from lightrag_bkp.sync import BackupManager, GraphBackup

BACK_UP = """
storage, source = sys.argv[1:]
print(BackupManager(storage).register_graph("g", source).create_snapshot().backup_id)
"""
pytestmark = pytest.mark.usefixtures("secret")
COMMIT = "link:log/:0"
"""Of a repository that exists, the first link into log/ is the commit."""


@pytest.fixture
def graph(tmp_path: Path, source: Path, secret: None) -> GraphBackup:
    return BackupManager(tmp_path / "storage").register_graph("g", source)


def assert_restores(graph: GraphBackup, snapshot_id: str, target: Path, expected: dict[str, bytes]) -> None:
    graph.restore_snapshot(snapshot_id, target)
    assert contents(target) == expected


def packs(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "storage" / "graphs" / "g" / "packs").iterdir()}


@pytest.mark.parametrize("changed", [False, True], ids=["unchanged source", "changed source"])
def test_a_writer_stopped_before_its_commit_while_its_base_is_swept(
    tmp_path: Path, source: Path, graph: GraphBackup, trouble: Trouble, changed: bool
) -> None:
    base = graph.create_snapshot().backup_id
    old_packs = packs(tmp_path)
    if changed:
        (source / "small").write_text("there")
    storage = tmp_path / "storage"
    process = trouble.start(BACK_UP, storage, source, root=storage, at=COMMIT, do="stop")
    with stopped(process):
        assert graph.delete_snapshot(base)
        graph.prune(wait_s=0)
        assert not packs(tmp_path) & old_packs, "the base was to be swept"
    snapshot_id = end(process).strip()
    assert [kept.backup_id for kept in graph.list_snapshots()] == [snapshot_id]
    assert_restores(graph, snapshot_id, tmp_path / "target", contents(source))
    assert graph.verify_snapshot().ok


def test_what_is_tried_sealed_is_sealed(tmp_path: Path, graph: GraphBackup, request: pytest.FixtureRequest) -> None:
    graph.create_snapshot()
    keys = tmp_path / "storage" / "graphs" / "g" / "keys"
    assert keys.exists() == ("sealed" in request.node.name.split("[")[1])


def test_a_writer_stopped_before_its_commit_while_another_commits(
    tmp_path: Path, source: Path, graph: GraphBackup, trouble: Trouble
) -> None:
    """Both have seen the same last entry: one number, two creators."""
    graph.create_snapshot()
    (source / "small").write_text("there")
    storage = tmp_path / "storage"
    process = trouble.start(BACK_UP, storage, source, root=storage, at=COMMIT, do="stop")
    with stopped(process):
        other = graph.create_snapshot().backup_id
    mine = end(process).strip()
    assert [kept.backup_id for kept in graph.list_snapshots()][-2:] == [other, mine]
    for number, snapshot_id in enumerate((other, mine)):
        assert_restores(graph, snapshot_id, tmp_path / f"target{number}", contents(source))
    assert graph.verify_snapshot().ok


@pytest.mark.parametrize("answer", [errno.EIO, errno.EEXIST, errno.ENFILE, errno.ESTALE, errno.ENOSPC])
def test_a_commit_whose_answer_was_lost_is_recognised(
    tmp_path: Path, source: Path, graph: GraphBackup, trouble: Trouble, answer: int
) -> None:
    graph.create_snapshot()
    (source / "small").write_text("there")
    storage = tmp_path / "storage"
    snapshot_id = trouble.run(BACK_UP, storage, source, root=storage, at=COMMIT, do=f"lose={answer}").strip()
    assert len(graph.list_snapshots()) == 2 and graph.list_snapshots()[-1].backup_id == snapshot_id
    assert_restores(graph, snapshot_id, tmp_path / "target", contents(source))
    assert graph.verify_snapshot().ok


def log_of(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "storage" / "graphs" / "g" / "log").iterdir())


def delete_one(log: list[Path]) -> None:
    log[1].unlink()


def swap_two(log: list[Path]) -> None:
    aside = log[1].with_name("aside")
    log[1].rename(aside)
    log[2].rename(log[1])
    aside.rename(log[2])


def roll_back(log: list[Path]) -> None:
    for path in log[-2:]:
        path.unlink()


@pytest.mark.parametrize("harm", [delete_one, swap_two, roll_back])
def test_a_log_that_lost_its_order_is_found_and_prune_refuses(
    tmp_path: Path, source: Path, graph: GraphBackup, harm: object
) -> None:
    ids = []
    for number in range(4):
        (source / "small").write_text(f"number {number}")
        ids.append(graph.create_snapshot().backup_id)
    graph.delete_snapshot(ids[0])
    graph.prune(wait_s=3600)
    harm(log_of(tmp_path))  # type: ignore[operator]
    before = packs(tmp_path)
    fresh = BackupManager(tmp_path / "storage").register_graph("g", source)
    try:
        found = [finding.object for finding in fresh.verify_snapshot().findings]
    except DamagedError as error:  # so damaged that it does not open
        found = [error.target]
    assert any(name.startswith("log") for name in found), found
    with pytest.raises(DamagedError, match="log"):
        fresh.prune(wait_s=0)
    assert packs(tmp_path) == before
