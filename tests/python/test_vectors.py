"""Vector files: real ones of several dimensions and all they go through, and invented ones of every kind, come back
byte for byte; and what LightRAG rewrites without changing it is stored once."""

import base64
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import graphs
from support.folders import fingerprint

from lightrag_bkp.sync import BackupManager, GraphBackup

ENTITIES, RELATIONS, CHUNKS = 150, 300, 30


def comes_back(graph: GraphBackup, source: Path, target: Path) -> bool:
    """Whether a snapshot of `source` taken now is restored to the last bit."""
    snapshot = graph.create_snapshot(on_busy="crash")  # nobody else is there; the others wait for two seconds at rest
    return graph.restore_snapshot(snapshot.backup_id, target) and fingerprint(target) == fingerprint(source)


async def reopen(directory: Path, dim: int, change: Callable[[Any], Any] | None = None) -> None:
    """What a restart does to the files: every stored row is normalised again, and all files are written anew."""
    async with graphs.opened(directory, dim=dim) as rag:
        if change:
            await change(rag)
        for store in (rag.entities_vdb, rag.relationships_vdb, rag.chunks_vdb):
            (await store._get_client()).save()
        await rag._insert_done()


async def delete_entity(rag: Any) -> None:
    await rag.adelete_by_entity("E77")


async def edit_entity(rag: Any) -> None:
    await rag.aedit_entity("E33", {"description": "E33 is made by somebody else."})


async def insert_more(rag: Any) -> None:
    text = json.dumps(graphs.custom_graph(20, 40, 5)).replace('"E', '"F').replace('"Text', '"Note')
    await rag.ainsert_custom_kg(json.loads(text))


@pytest.mark.parametrize("dim", [16, 100, 384, 1024])
async def test_real_directories_come_back_after_everything(dim: int, tmp_path: Path) -> None:
    source = tmp_path / "source"
    await graphs.build_custom_graph(source, ENTITIES, RELATIONS, CHUNKS, dim=dim)
    with BackupManager(tmp_path / "backups") as manager:
        graph = manager.register_graph("g", source)
        for number, change in enumerate([None, reopen, delete_entity, edit_entity, insert_more]):
            if change is reopen:
                await reopen(source, dim)
            elif change:
                await reopen(source, dim, change)
            assert comes_back(graph, source, tmp_path / f"restored{number}")
        assert graph.verify_snapshot("latest").ok


async def test_a_restart_stores_next_to_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    await graphs.build_custom_graph(source, ENTITIES, RELATIONS, CHUNKS, dim=512)
    before = {path.name: path.read_bytes() for path in source.glob("vdb_*")}
    with BackupManager(tmp_path / "backups") as manager:
        graph = manager.register_graph("g", source)
        first = graph.create_snapshot(on_busy="crash")
        await reopen(source, 512)
        assert all((source / name).read_bytes() != content for name, content in before.items())
        second = graph.create_snapshot(on_busy="crash")
    assert first.stored_bytes < 0.5 * first.size_bytes
    assert second.stored_bytes < 0.01 * second.size_bytes


async def test_documents_through_the_whole_pipeline_come_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    await graphs.build_pipeline_graph(source, documents=4, dim=48)
    with BackupManager(tmp_path / "backups") as manager:
        graph = manager.register_graph("g", source)
        graph.create_snapshot(on_busy="crash")
        async with graphs.opened(source, dim=48) as rag:
            await graphs.insert_documents(rag, 4, 2)
            (document, *_) = json.loads((source / "kv_store_doc_status.json").read_text())
            assert (await rag.adelete_by_doc_id(document)).status == "success"
        assert comes_back(graph, source, tmp_path / "restored")


# ---- invented files ----

texts = st.text(max_size=40) | st.sampled_from(['"vector": "', '"matrix": "', "\\", "\n", "é\u2028", "x" * 3000])
keys = st.sampled_from(["content", "__write_seq__", "matrix", "vector ", "file_path"])
halves = st.integers(0, 0xFFFF) | st.integers(0x2000, 0x3BFF)


@st.composite
def payloads(draw: st.DrawFn, dim: int) -> str:
    row = struct.pack(f"<{dim}H", *draw(st.lists(halves, min_size=dim, max_size=dim)))
    kind = draw(st.integers(0, 9))
    if kind == 0:  # what no LightRAG writes
        return draw(st.sampled_from(["AAAA", "AB==", "AA", "****", base64.b64encode(row[:-1]).decode()]))
    return base64.b64encode(zlib.compress(row, draw(st.integers(0, 9)))).decode()


@st.composite
def vector_files(draw: st.DrawFn) -> bytes:
    """A file in the shape of NanoVectorDB's, or nearly."""
    dim = draw(st.integers(1, 12))
    count = draw(st.integers(1, 40))
    data = []
    for number in range(count):
        record: dict[str, Any] = {"__id__": f"ent-{number}" if draw(st.booleans()) else draw(texts)}
        record.update(draw(st.dictionaries(keys, texts, max_size=3)))
        record["vector"] = draw(payloads(dim))
        data.append(record)
    rows = count + draw(st.sampled_from([0] * 9 + [1]))
    numbers = st.floats(width=32) | st.floats(-1, 1, width=32)
    values = draw(st.lists(numbers, min_size=dim, max_size=dim)) * rows
    matrix = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    storage: dict[str, Any] = {"embedding_dim": dim, "data": data, "matrix": matrix}
    if draw(st.booleans()):
        storage["additional_data"] = draw(st.dictionaries(texts, texts, max_size=2))
    indent = draw(st.sampled_from([None, None, 2]))
    content = json.dumps(storage, ensure_ascii=draw(st.booleans()), indent=indent).encode("utf-8", "surrogatepass")
    return content + b" " * draw(st.sampled_from([0, 5000]))


SHARED_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where a snapshot costs no fsync."""


@given(content=vector_files())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_file_in_that_shape_comes_back(content: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as name:
        place = Path(name)
        (place / "source").mkdir()
        (place / "source" / "file").write_bytes(content)
        with BackupManager(place / "backups") as manager:
            graph = manager.register_graph("plain", place / "source")
            assert comes_back(graph, place / "source", place / "restored")


def test_rows_that_need_more_corrections_than_a_chunk_holds_are_stored_as_bytes(tmp_path: Path) -> None:
    """Elements just below a power of two, in rows a little shorter than 1: half of them do not come back by
    multiplying."""
    dim, rows = 16384, 70
    below = np.float32(2.0**-20).view(np.uint32) - np.random.default_rng(1).integers(1, 2000, (rows, dim), np.uint32)
    matrix = below.view(np.float32)
    matrix[:, 0] = 1 - 2.0**-13
    payload = base64.b64encode(zlib.compress(matrix[0].astype(np.float16).tobytes())).decode()
    storage = {
        "embedding_dim": dim,
        "data": [{"__id__": "x", "vector": payload}] * rows,
        "matrix": base64.b64encode(matrix.tobytes()).decode(),
    }
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text(json.dumps(storage))
    with BackupManager(tmp_path / "backups") as manager:
        assert comes_back(manager.register_graph("plain", tmp_path / "source"), tmp_path / "source", tmp_path / "back")
