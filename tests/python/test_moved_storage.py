"""A manager that lives for days, whose storage path leads elsewhere meanwhile: what it says is stored lies where the
next process looks for it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest import MonkeyPatch

from lightrag_bkp import _bridge
from lightrag_bkp.errors import StorageError
from lightrag_bkp.sync import BackupManager, GraphBackup


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "mounted" / "storage"


@pytest.fixture
def graph(storage: Path, folder: Path) -> GraphBackup:
    """With a snapshot, and a handle that stays open."""
    known = BackupManager(storage).register_graph("g", folder)
    known.create_snapshot()
    return known


def renamed(storage: Path) -> None:
    storage.rename(storage.with_name("aside"))
    storage.mkdir()


def copied(storage: Path) -> None:
    storage.rename(storage.with_name("aside"))
    shutil.copytree(storage.with_name("aside"), storage)


def graph_begun_anew(storage: Path) -> None:
    (storage / "graphs" / "g").rename(storage.with_name("aside"))


REPLACED = pytest.mark.parametrize(
    ("replace", "left"),
    [(renamed, 0), (copied, 1), (graph_begun_anew, 0)],
    ids=lambda one: getattr(one, "__name__", ""),
)


@REPLACED
def test_a_snapshot_goes_where_the_path_says(
    storage: Path, graph: GraphBackup, replace: Callable[[Path], None], left: int
) -> None:
    replace(storage)
    assert len(graph.list_snapshots()) == left
    taken = graph.create_snapshot(graph.source_dir)
    fresh = BackupManager(storage).register_graph("g")
    assert [one.backup_id for one in fresh.list_snapshots()][left:] == [taken.backup_id]
    assert fresh.verify_snapshot(taken.backup_id).ok
    assert os.path.exists(taken.checkpoint_path)


def test_a_storage_that_is_gone_is_named_until_it_is_back(storage: Path, graph: GraphBackup) -> None:
    aside = storage.with_name("aside")
    storage.rename(aside)
    for work in (graph.list_snapshots, graph.create_snapshot, graph.stats, graph.prune, graph.create_snapshot):
        with pytest.raises(StorageError, match=f"the storage path '{storage}' is gone: mount it or put it back"):
            work()
    assert not storage.exists()
    aside.rename(storage)
    graph.create_snapshot()
    assert len(BackupManager(storage).register_graph("g").list_snapshots()) == 2


@pytest.mark.parametrize(
    ("replace", "said"),
    [
        (lambda storage: shutil.rmtree(storage), "is gone: mount it or put it back"),
        (copied, "another directory was put in this place meanwhile, and nothing was entered"),
    ],
    ids=["removed", "copied"],
)
def test_nothing_is_reported_that_was_taken_while_the_storage_went_away(
    storage: Path,
    graph: GraphBackup,
    folder: Path,
    replace: Callable[[Path], None],
    said: str,
    monkeypatch: MonkeyPatch,
) -> None:
    (folder / "more").write_bytes(b"new")
    begin = _bridge.backup_job

    def pulled(*words: Any, **named: Any) -> Any:  # between opening the repository and the work itself
        replace(storage)
        return begin(*words, **named)

    monkeypatch.setattr(_bridge, "backup_job", pulled)
    with pytest.raises(StorageError, match=said):
        graph.create_snapshot()
    left = storage.with_name("aside") / "graphs" / "g" / "log"
    assert not left.exists() or len(os.listdir(left)) == 2  # what came first, and no entry more
