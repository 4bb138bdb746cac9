"""Tests of a program that works with LightRAG, each with a graph of its own: `pytest examples/test_with_a_graph.py`.

The graph is built once; add `--graph-cache .graphs` to keep it for the next run, or `-n 2` to share it between workers.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import graphs  # LightRAG with stand-ins for LLM and embedding; your program's own in their place


async def build(directory: Path) -> None:
    """Six documents, through the whole pipeline."""
    await graphs.build_pipeline_graph(directory, documents=6)


async def forget(directory: Path, name: str) -> None:
    """What is tested: a program that deletes an entity."""
    async with graphs.opened(directory) as rag:
        await rag.adelete_by_entity(name)


def test_an_entity_is_forgotten_and_the_rest_fits_together(graph_snapshot, assert_graph_usable) -> None:
    directory = graph_snapshot(build)
    assert_graph_usable(directory)
    asyncio.run(forget(directory, "E3"))
    assert '"E3"' not in (directory / "graph_chunk_entity_relation.graphml").read_text()
    assert_graph_usable(directory)


def test_nobody_else_notices(graph_snapshot) -> None:
    assert '"E3"' in (graph_snapshot(build) / "graph_chunk_entity_relation.graphml").read_text()
