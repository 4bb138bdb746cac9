"""Directories written by three generations of LightRAG are kept and brought back; tests/compat/make_old.py made
them."""

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
