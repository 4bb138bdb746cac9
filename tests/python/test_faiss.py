"""Graphs whose vectors are in Faiss: an index and its metadata are one pair, in every cut and after a restore."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faiss
import pytest
from lightrag import QueryParam
from support import graphs, pins

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import Busy, ConflictError, DamagedError
from lightrag_bkp.recovering.health import HealthValidator
from lightrag_bkp.sources import files, live
from lightrag_bkp.validation import validate_directory

pytestmark = pytest.mark.usefixtures("short_rest")

NAMESPACES = ("entities", "relationships", "chunks")


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[Any]:
    async with graphs.opened(directory, vector_storage="FaissVectorDBStorage", **options) as rag:
        yield rag


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    async with opened(tmp_path / "rag_storage") as rag:
        await graphs.insert_documents(rag, 0, 3)
    return tmp_path / "rag_storage"


@pytest.fixture
def graph(directory: Path, tmp_path: Path) -> GraphBackup:
    return BackupManager(tmp_path / "storage").register_graph("g", directory)


def pairs(directory: Path) -> dict[str, tuple[int, int]]:
    """Vectors in the index and rows in the metadata, by namespace."""
    found = {}
    for namespace in NAMESPACES:
        index = directory / f"faiss_index_{namespace}.index"
        meta = json.loads(Path(f"{index}.meta.json").read_text("utf-8"))
        found[namespace] = (faiss.read_index(str(index)).ntotal, len(meta))
    return found


def stores(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


async def held(rag: Any) -> dict[str, int]:
    """Vectors in memory, by namespace."""
    return {name: (await getattr(rag, f"{name}_vdb")._get_index()).ntotal for name in NAMESPACES}


async def context(rag: Any) -> str:
    return str(await rag.aquery("What is E3 about?", QueryParam(mode="local", only_need_context=True)))


async def test_a_faiss_graph_comes_back(graph: GraphBackup, directory: Path, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    assert {f"faiss_index_{one}.index{end}" for one in NAMESPACES for end in ("", ".meta.json")} <= {
        item.name for item in snapshot.items
    }
    await graph.restore(snapshot.backup_id, tmp_path / "restored")
    assert stores(tmp_path / "restored") == stores(directory)
    async with opened(directory) as rag:
        expected = await held(rag), await context(rag)
    async with opened(tmp_path / "restored") as rag:
        assert (await held(rag), await context(rag)) == expected
        await graphs.insert_documents(rag, 100, 1)
    assert all(vectors == rows for vectors, rows in pairs(tmp_path / "restored").values())


async def test_a_running_lightrag_with_faiss_serves_what_was_restored(directory: Path, tmp_path: Path) -> None:
    async with opened(directory) as rag:
        graph = BackupManager(tmp_path / "storage").register_graph("g", rag=rag)
        before, answer = await held(rag), await context(rag)
        snapshot = await graph.create_snapshot()
        for first in (100, 200):
            await graphs.insert_documents(rag, first, 2)
            assert await held(rag) != before
            assert (await graph.restore(snapshot.backup_id, directory)).reloaded
            assert (await held(rag), await context(rag)) == (before, answer)
        await graphs.insert_documents(rag, 300, 1)
        now = await held(rag)
    assert {namespace: (count, count) for namespace, count in now.items()} == pairs(directory)


async def test_cuts_while_documents_are_ingested_hold_whole_pairs(tmp_path: Path) -> None:
    directory, copies = tmp_path / "rag_storage", []
    async with opened(directory, delay_s=0.05, max_parallel_insert=4) as rag:
        await graphs.insert_documents(rag, 0, 1)
        ingestion = asyncio.create_task(graphs.insert_documents(rag, 10, 16))
        while not ingestion.done():
            cut = await live.cut(rag, lambda: files.pin(files.detect(directory)))
            if cut.consistency == "gated":
                copies.append(pins.copy_out(cut.value, tmp_path / f"cut-{len(copies)}"))
            else:
                cut.value.close()
            await asyncio.sleep(0.02)
        await ingestion
    assert len(copies) >= 5
    for copy in copies:
        assert all(vectors == rows for vectors, rows in pairs(copy).values())


def tear(directory: Path) -> tuple[Path, Path]:
    """Makes an index newer than its metadata, as it is while these are being written; returns both."""
    index = directory / "faiss_index_chunks.index"
    meta = Path(f"{index}.meta.json")
    os.utime(index, ns=(0, meta.stat().st_mtime_ns + 1))
    return index, meta


async def test_a_pair_is_waited_for_while_its_other_half_is_written(graph: GraphBackup, directory: Path) -> None:
    """For longer than files need to rest."""
    index, meta = tear(directory)
    written = Path(f"{meta}.tmp.7.7.7")
    written.write_text("{")
    with pytest.raises(Busy, match=r"faiss_index_chunks\.index\.meta\.json\.tmp\.7\.7\.7 being written"):
        await graph.create_snapshot(deadline_s=0.3)
    waiting = asyncio.create_task(graph.create_snapshot(deadline_s=20))
    await asyncio.sleep(0.6)
    assert not waiting.done()
    written.write_bytes(meta.read_bytes())
    os.utime(written, ns=(0, index.stat().st_mtime_ns + 1))
    written.rename(meta)
    assert (await waiting).consistency == "unfenced"


@pytest.mark.parametrize("on_busy", ["wait", "fail"])
async def test_a_torn_pair_at_rest_is_damage(graph: GraphBackup, directory: Path, on_busy: str) -> None:
    """As a LightRAG leaves it that was killed between the halves, with what it had begun to write an hour ago."""
    _, meta = tear(directory)
    left = Path(f"{meta}.tmp.7.7.7")
    left.write_text("{")
    os.utime(left, (0, time.time() - 3600))
    started = time.monotonic()
    said = r"faiss_index_chunks\.index newer than its \.meta\.json.* nothing has changed since.* touch the"
    with pytest.raises(DamagedError, match=said):
        await graph.create_snapshot(on_busy=on_busy, deadline_s=60)
    assert time.monotonic() - started < 20
    assert graph.list_snapshots() == []
    assert (await graph.create_snapshot(on_busy="crash")).consistency == "crash"
    meta.touch()
    assert (await graph.create_snapshot()).consistency == "unfenced"


async def test_all_say_of_a_torn_pair_what_a_snapshot_refuses(directory: Path, tmp_path: Path) -> None:
    """Its files fit together, as far as they tell; their times alone do not."""
    manager = BackupManager(tmp_path / "storage")
    graph, health = manager.register_graph("g", directory), HealthValidator(manager)
    assert (await validate_directory(directory)).findings == ()
    assert (await health.validate_graph("g"))["status"] == "healthy"
    _, meta = tear(directory)
    await asyncio.sleep(0.5)  # somebody may be at work on what has not rested
    for _ in range(2):  # a snapshot that was forced does not make it well
        (said,) = (found := await validate_directory(directory)).findings
        assert (said.check, said.ids) == ("faiss_times", ("faiss_index_chunks.index newer than its .meta.json",))
        assert found.usable
        answer = await health.validate_graph("g")
        assert (answer["status"], answer["verdict"]) == ("degraded", "usable")
        assert "faiss_index_chunks.index newer than its .meta.json" in answer["message"]
        await graph.create_snapshot(on_busy="crash")
    meta.touch()
    assert (await validate_directory(directory)).findings == ()
    assert (await health.validate_graph("g"))["status"] == "healthy"


async def test_another_dimension_is_refused(graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    async with opened(tmp_path / "other", dim=32) as rag:
        await graphs.insert_documents(rag, 0, 1)
        target = BackupManager(tmp_path / "storage").register_graph("g", rag=rag)
        with pytest.raises(ConflictError, match="have 64 components and this LightRAG's embedding 32"):
            await target.restore(snapshot.backup_id, tmp_path / "other")
