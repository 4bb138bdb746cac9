"""Directories written by three generations of LightRAG are kept and brought back; tests/compat/make_old.py made
them."""

import shutil
from pathlib import Path

import pytest
from lightrag import QueryParam
from support import check, graphs

from lightrag_bkp import BackupManager

DIRECTORIES = Path(__file__).parents[1] / "compat" / "directories"
VERSIONS = sorted(path.name for path in DIRECTORIES.iterdir())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_three_generations_are_there() -> None:
    assert [version.rpartition(".")[0] for version in VERSIONS] == ["1.4", "1.5", "1.5"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_directory_of_that_release_comes_back(version: str, tmp_path: Path) -> None:
    written, restored = DIRECTORIES / version, tmp_path / "restored"
    async with BackupManager(tmp_path / "backups") as manager:
        graph = manager.register_graph("old", written)
        snapshot = await graph.create_snapshot()
        assert await graph.restore_snapshot(snapshot.backup_id, restored)
    assert contents(restored) == contents(written)
    assert check.findings(restored) == []
    async with graphs.opened(restored, dim=16) as rag:
        names = await rag.get_graph_labels()
        param = QueryParam(mode="local", ll_keywords=names[:1], hl_keywords=["cooperation"], only_need_context=True)
        assert names[0] in str(await rag.aquery(f"Who works with {names[0]}?", param=param))


async def test_a_repository_of_plain_bytes_goes_on_with_vectors(tmp_path: Path) -> None:
    """Made before vector files had an encoding of their own: it restores, and what comes later lives beside it."""
    written = DIRECTORIES / "1.5.7"
    storage = tmp_path / "backups"
    shutil.copytree(DIRECTORIES.parent / "repositories" / "plain-bytes", storage)
    async with BackupManager(storage) as manager:
        graph = manager.register_graph("old", written)
        (old,) = graph.list_snapshots()
        assert await graph.restore_snapshot(old.backup_id, tmp_path / "old")
        assert contents(tmp_path / "old") == contents(written)
        other = tmp_path / "other"
        shutil.copytree(written, other)
        async with graphs.opened(other, dim=16) as rag:
            await rag.ainsert_custom_kg(graphs.custom_graph(60, 120, 12))
        new = await graph.create_snapshot(other, on_busy="crash")
        assert (await graph.verify_snapshot(old.backup_id)).ok and (await graph.verify_snapshot(new.backup_id)).ok
        assert await graph.restore_snapshot(new.backup_id, tmp_path / "new")
        assert await graph.restore_snapshot(old.backup_id, tmp_path / "old again")
    assert contents(tmp_path / "new") == contents(other)
    assert contents(tmp_path / "old again") == contents(written)
