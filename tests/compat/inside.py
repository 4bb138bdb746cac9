"""What make_old.py runs in each environment: `write DIR` builds a small directory, `cut RUNG` cuts a graph while it
ingests, `restore -` restores one while it runs."""

import asyncio
import inspect
import sys
import tempfile
from pathlib import Path

from lightrag.operate import merge_nodes_and_edges
from support import check, graphs, pins

from lightrag_bkp import BackupManager
from lightrag_bkp.sources import files, internals, live

_CUTS = 10


async def write(directory: Path) -> None:
    """Three documents, small vectors."""
    await graphs.build_pipeline_graph(directory, documents=3, dim=16, entities=12)
    for leftover in directory.glob("*.log"):
        leftover.unlink()
    found = check.findings(directory)
    assert not found, found


async def cut(rung: str) -> None:
    """Cuts while documents are ingested; every cut fits together and says `rung`, or "quiesced" when the job was
    between two documents."""
    anchors_first = "on_anchors_durable" in inspect.signature(merge_nodes_and_edges).parameters
    with tempfile.TemporaryDirectory() as scratch:
        directory, copies, rungs = Path(scratch) / "rag_storage", [], []
        async with graphs.opened(directory, dim=16, delay_s=0.05) as rag:
            await graphs.insert_documents(rag, 0, 1)
            for number in range(_CUTS):
                ingestion = asyncio.create_task(graphs.insert_documents(rag, 1 + 4 * number, 4))
                await asyncio.sleep(0.1)
                taken = await live.cut(rag, lambda: files.pin(files.detect(directory)))
                copies.append(pins.copy_out(taken.value, Path(scratch) / f"cut-{number}"))
                rungs.append(taken.consistency)
                await ingestion
            lacking = [name for names in internals.missing(rag).values() for name in names]
        found = [wrong for copy in copies for wrong in check.findings(copy, anchors_first=anchors_first)]
        assert not found, found
        assert set(check.documents_by_status(directory)) == {"processed"}
        assert rung in rungs and set(rungs) <= {rung, "quiesced"}, rungs
        print(f"  {_CUTS} cuts consistent: {', '.join(rungs)}; lacking: {', '.join(lacking) or 'nothing'}")


async def restore() -> None:
    """Restores into a running LightRAG, twice; it serves what was restored, and what it ingests later fits."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "rag_storage"
        async with graphs.opened(directory, dim=16) as rag:
            graph = BackupManager(Path(scratch) / "storage").register_graph("g", rag=rag)
            await graphs.insert_documents(rag, 0, 2)
            snapshot = await graph.create_snapshot()
            for first in (10, 20):
                await graphs.insert_documents(rag, first, 2)
                assert (await graph.restore(snapshot.backup_id, directory)).reloaded
                assert len(rag.doc_status._data) == 2
                assert not check.findings(directory), check.findings(directory)
            await graphs.insert_documents(rag, 30, 1)
            assert len(rag.doc_status._data) == 3
        assert not check.findings(directory), check.findings(directory)
        print("  restored while running, twice")


if __name__ == "__main__":
    command, argument = sys.argv[1:]
    works = {"write": lambda: write(Path(argument)), "cut": lambda: cut(argument), "restore": restore}
    asyncio.run(works[command]())
