"""The checker the other tests trust: it finds nothing in a whole graph and every kind of tear."""

import asyncio
import shutil
from pathlib import Path

import pytest
from support import check, graphs


def test_whole_graphs_have_no_findings(built_graph: Path, tmp_path: Path) -> None:
    asyncio.run(graphs.build_custom_graph(tmp_path, 30, 50, 10, workspace="custom"))
    assert check.findings(built_graph) == []
    assert check.findings(tmp_path, "custom") == []


@pytest.fixture(scope="module")
def earlier_and_later(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same graph before and after three more documents, some of their entities new."""
    earlier, later = tmp_path_factory.mktemp("earlier"), tmp_path_factory.mktemp("later")
    asyncio.run(graphs.build_pipeline_graph(earlier, 3))
    shutil.copytree(earlier, later, dirs_exist_ok=True)

    async def continue_later() -> None:
        async with graphs.opened(later) as rag:
            await graphs.insert_documents(rag, 3, 3, entities=80)

    asyncio.run(continue_later())
    return earlier, later


@pytest.mark.parametrize(
    "torn",
    [
        "graph_chunk_entity_relation.graphml",
        "vdb_entities.json",
        "vdb_relationships.json",
        "vdb_chunks.json",
        "kv_store_text_chunks.json",
        "kv_store_full_docs.json",
        "kv_store_full_entities.json",
        "kv_store_full_relations.json",
        "kv_store_entity_chunks.json",
        "kv_store_relation_chunks.json",
    ],
)
def test_one_file_from_another_moment_is_found(earlier_and_later: tuple[Path, Path], tmp_path: Path, torn: str) -> None:
    earlier, later = earlier_and_later
    shutil.copytree(later, tmp_path, dirs_exist_ok=True)
    shutil.copy2(earlier / torn, tmp_path / torn)
    assert check.findings(tmp_path) != []
