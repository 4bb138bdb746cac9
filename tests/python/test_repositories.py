"""What any version has written restores for ever, byte for byte, by this program and by `compat/reader.py`.

The repositories and the manifests of what is in them are made once (`compat/make_repositories.py`) and never again.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compat import make_repositories, reader
from support.folders import fingerprint

from lightrag_bkp.sync import BackupManager

KEPT = Path(make_repositories.__file__).parent / "repositories"
VERSIONS = sorted(manifest.parent for manifest in KEPT.glob("*/manifest.json"))
STORAGES = [version / name for version in VERSIONS for name in ("open", "sealed")]


@pytest.fixture(params=STORAGES, ids=lambda storage: f"{storage.parent.name}-{storage.name}")
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any], str | None]]:
    """A copy of one storage path of one version, what its manifest says of each graph, and its passphrase."""
    kept: Path = request.param
    manifest = json.loads((kept.parent / "manifest.json").read_text())
    shutil.copytree(kept, tmp_path / "storage")
    yield tmp_path / "storage", manifest[kept.name], manifest["passphrase"] if kept.name == "sealed" else None


def test_every_version_is_restored_by_the_program(shelf: tuple[Path, Any, str | None], tmp_path: Path) -> None:
    storage, graphs, passphrase = shelf
    with BackupManager(storage, passphrase=passphrase) as manager:
        assert manager.graph_ids() == sorted(graphs)
        for graph_id, snapshots in graphs.items():
            graph = manager.get_graph(graph_id)
            assert graph is not None
            assert {snapshot.backup_id for snapshot in graph.list_snapshots()} == set(snapshots)
            for snapshot_id, items in snapshots.items():
                target = tmp_path / graph_id / snapshot_id
                graph.restore_snapshot(snapshot_id, target)
                assert make_repositories.described(fingerprint(target)) == items


def test_every_version_is_restored_by_the_reader(shelf: tuple[Path, Any, str | None], tmp_path: Path) -> None:
    storage, graphs, passphrase = shelf
    for graph_id, snapshots in graphs.items():
        repository = storage / "graphs" / graph_id
        master = reader.master_key(repository / "keys", passphrase.encode()) if passphrase else None
        for snapshot_id, items in snapshots.items():
            target = tmp_path / f"{graph_id} {snapshot_id}"
            reader.restore(repository, snapshot_id, target, master)
            assert make_repositories.described(fingerprint(target)) == items


def test_every_version_is_whole_and_can_be_gone_on_with(shelf: tuple[Path, Any, str | None], tmp_path: Path) -> None:
    storage, _, passphrase = shelf
    with BackupManager(storage, passphrase=passphrase) as manager:
        graph = manager.register_graph("kept")
        assert graph.verify_snapshot().ok
        before = graph.list_snapshots()
        graph.restore_snapshot("latest", tmp_path / "back")
        again = graph.create_snapshot(tmp_path / "back")
        assert again.data_hash == before[-1].data_hash and again.stored_bytes < 4096
        assert graph.verify_snapshot().ok
