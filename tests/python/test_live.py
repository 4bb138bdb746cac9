"""Cuts in LightRAG's own process, on real LightRAG."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lightrag.kg import shared_storage
from support import check, graphs, pins

from lightrag_bkp.errors import Busy, InvalidInputError
from lightrag_bkp.sources import files, internals, live


def pinning(directory: Path, workspace: str = "") -> Callable[[], files.Pins]:
    layout = files.detect(directory, workspace)
    return lambda: files.pin(layout)


def stamps(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}


@asynccontextmanager
async def ingesting(rag: Any, first: int, count: int) -> AsyncIterator[asyncio.Task[None]]:
    """Documents are taken in during the block, and have been at its end."""
    task = asyncio.create_task(graphs.insert_documents(rag, first, count))
    await graphs.until_busy(rag)
    yield task
    await task


@asynccontextmanager
async def reserved(rag: Any, kind: str, **flags: Any) -> AsyncIterator[None]:
    """The pipeline is taken by a job of `kind` during the block, as LightRAG's own routes take it."""
    status = await shared_storage.get_namespace_data("pipeline_status", workspace=rag.workspace)
    lock = shared_storage.get_namespace_lock("pipeline_status", workspace=rag.workspace)
    taken = await shared_storage.acquire_reservation(
        status,
        lock,
        owner_key="busy_owner",
        owner="test",
        owner_kind=kind,
        flags={"busy": True, **flags},
        reject_when=(),
    )
    assert taken.acquired
    yield
    await shared_storage.release_owned_reservation(
        rag.workspace,
        owner_key="busy_owner",
        token="test",
        action=lambda state: state.update({"busy_owner": None, "busy": False} | dict.fromkeys(flags, False)),
    )


async def test_an_idle_graph_is_pinned_without_being_flushed(graph_dir: Path, tmp_path: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        before = stamps(graph_dir)
        cut = await live.cut(rag, pinning(graph_dir))
        assert cut.consistency == "quiesced"
        assert cut.held_ms < 50  # The bar is 5 ms; a loaded machine gets some room.
        assert stamps(graph_dir) == before
        assert check.findings(pins.copy_out(cut.value, tmp_path / "cut")) == []


async def test_what_an_idle_graph_has_not_written_is_written_before(graph_dir: Path, tmp_path: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        before = stamps(graph_dir)
        await rag.llm_response_cache.upsert({"default:query:0": {"return": "a new answer"}})
        cut = await live.cut(rag, pinning(graph_dir))
        after = stamps(graph_dir)
        assert [name for name in before if before[name] != after[name]] == ["kv_store_llm_response_cache.json"]
        assert (
            "a new answer"
            in (pins.copy_out(cut.value, tmp_path / "cut") / "kv_store_llm_response_cache.json").read_text()
        )


async def test_what_belongs_together_is_written_together(graph_dir: Path, tmp_path: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        row = {
            "chunk-new": {"content": "new", "full_doc_id": "doc", "chunk_order_index": 0, "tokens": 3, "file_path": "f"}
        }
        await rag.text_chunks.upsert(dict(row))
        await rag.chunks_vdb.upsert(dict(row))
        cut = await live.cut(rag, pinning(graph_dir))
        copied = pins.copy_out(cut.value, tmp_path / "cut")
        assert "chunk-new" in (copied / "kv_store_text_chunks.json").read_text()
        assert check.findings(copied) == []


async def test_a_hundred_cuts_during_parallel_ingestion(tmp_path: Path) -> None:
    """The first cut finds merges under way that started before there was a gate."""
    directory, wanted = tmp_path / "rag_storage", 100
    copies: list[Path] = []
    held: list[float] = []
    async with graphs.opened(directory, dim=16, delay_s=0.1, max_parallel_insert=4) as rag:
        await graphs.insert_documents(rag, 0, 1)

        async def feed() -> None:
            number = 1
            while len(copies) < wanted:
                await rag.apipeline_enqueue_documents(
                    [graphs.document(n) for n in range(number, number + 4)],
                    file_paths=[f"report-{n}.txt" for n in range(number, number + 4)],
                )
                number += 4
                await asyncio.sleep(0.3)

        async def run() -> None:
            while len(copies) < wanted:
                await rag.apipeline_process_enqueue_documents()
                await asyncio.sleep(0.01)
            await rag.apipeline_process_enqueue_documents()

        feeding, running = asyncio.create_task(feed()), asyncio.create_task(run())
        await graphs.until_busy(rag)
        while len(copies) < wanted:
            cut = await live.cut(rag, pinning(directory))
            copy = await asyncio.to_thread(pins.copy_out, cut.value, tmp_path / f"cut-{len(copies)}")
            if cut.consistency == "gated":
                copies.append(copy)
                held.append(cut.held_ms)
            await asyncio.sleep(0.03)
        await asyncio.gather(feeding, running)
    print(f"\nheld: median {sorted(held)[len(held) // 2]:.1f} ms, at most {max(held):.1f} ms")
    found = {copy.name: wrong for copy in copies if (wrong := await asyncio.to_thread(check.findings, copy))}
    assert found == {}
    assert set(check.documents_by_status(directory)) == {"processed"}
    in_flight = [copy for copy in copies if set(check.documents_by_status(copy)) - {"processed"}]
    assert len(in_flight) > wanted // 2, "the cuts were meant to hit documents in flight"


async def test_a_cut_that_is_cancelled_anywhere_leaves_the_gate_open(tmp_path: Path) -> None:
    directory = tmp_path / "rag_storage"
    async with graphs.opened(directory, dim=16, delay_s=0.05) as rag:
        await graphs.insert_documents(rag, 0, 2)
        async with ingesting(rag, 2, 24):
            for step in range(40):
                cutter = asyncio.create_task(live.cut(rag, pinning(directory)))
                for _ in range(step):
                    await asyncio.sleep(0)
                await asyncio.sleep(step / 2000)
                cutter.cancel()
                await asyncio.gather(cutter, return_exceptions=True)
            cut = await live.cut(rag, pinning(directory))
            copied = pins.copy_out(cut.value, tmp_path / "cut")
    assert check.findings(copied) == []
    assert len(check.documents_by_status(directory)["processed"]) == 26


async def test_a_pin_that_fails_inside_the_gate_opens_it(tmp_path: Path) -> None:
    directory = tmp_path / "rag_storage"
    async with graphs.opened(directory, dim=16, delay_s=0.05) as rag:
        await graphs.insert_documents(rag, 0, 2)

        def refuse() -> None:
            raise PermissionError("not readable")

        async with ingesting(rag, 2, 8) as ingestion:
            with pytest.raises(PermissionError, match="not readable"):
                await live.cut(rag, refuse)
            assert not ingestion.done()
        with pytest.raises(PermissionError, match="not readable"):
            await live.cut(rag, refuse)
        assert (await live.cut(rag, pinning(directory))).consistency == "quiesced"


async def test_a_cutter_thrown_away_inside_the_gate_does_not_wedge_the_graph(tmp_path: Path) -> None:
    directory = tmp_path / "rag_storage"
    async with graphs.opened(directory, dim=16, delay_s=0.05) as rag:
        await graphs.insert_documents(rag, 0, 2)
        gate = internals.install_gate(rag)
        thrown_away = gate.closed(asyncio.Event().wait, 60)
        thrown_away.send(None)
        thrown_away.close()
        await asyncio.wait_for(graphs.insert_documents(rag, 2, 2), 30)
        assert len(check.documents_by_status(directory)["processed"]) == 4


async def test_each_graph_has_its_own_gate(tmp_path: Path) -> None:
    async with graphs.opened(tmp_path, "one", dim=16) as one, graphs.opened(tmp_path, "two", dim=16) as two:
        gate = internals.install_gate(one)
        assert internals.install_gate(one) is gate
        internals.install_gate(two)
        held_back = asyncio.create_task(graphs.insert_documents(one, 0, 2))

        async def other_goes_on() -> bool:
            await asyncio.wait_for(graphs.insert_documents(two, 0, 4), 30)
            return held_back.done()

        assert await gate.closed(other_goes_on, 5) is False
        await held_back
        async with ingesting(one, 2, 4), ingesting(two, 4, 4):
            cuts = await asyncio.gather(
                live.cut(one, pinning(tmp_path, "one")), live.cut(two, pinning(tmp_path, "two"))
            )
        for name, cut in zip(("a", "b"), cuts, strict=True):
            assert check.findings(pins.copy_out(cut.value, tmp_path / "cuts" / name)) == []


async def test_cuts_at_the_same_time_do_not_disturb_each_other(graph_dir: Path, tmp_path: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        row = {
            "chunk-new": {"content": "new", "full_doc_id": "doc", "chunk_order_index": 0, "tokens": 3, "file_path": "f"}
        }
        await rag.text_chunks.upsert(dict(row))
        await rag.chunks_vdb.upsert(dict(row))
        unsaved = [live.cut(rag, pinning(graph_dir)) for _ in range(4)]
        copies = [pins.copy_out(cut.value, tmp_path / f"a{n}") for n, cut in enumerate(await asyncio.gather(*unsaved))]
        async with ingesting(rag, 6, 6):
            busy = [live.cut(rag, pinning(graph_dir)) for _ in range(4)]
            copies += [
                pins.copy_out(cut.value, tmp_path / f"b{n}") for n, cut in enumerate(await asyncio.gather(*busy))
            ]
    assert {copy.name: wrong for copy in copies if (wrong := check.findings(copy))} == {}
    assert all("chunk-new" in (copy / "kv_store_text_chunks.json").read_text() for copy in copies)


async def test_direct_edits_are_cut_between_not_within(graph_dir: Path, tmp_path: Path) -> None:
    async with graphs.opened(graph_dir) as rag:

        async def edit() -> None:
            for n in range(12):
                await rag.acreate_entity(f"Hand {n}", {"description": "made by hand", "entity_type": "hand"})
                await rag.acreate_relation(f"Hand {n}", "E3", {"description": "points at", "keywords": "pointing"})

        editing = asyncio.create_task(edit())
        copies: list[Path] = []
        while not editing.done():
            cut = await live.cut(rag, pinning(graph_dir))
            copies.append(pins.copy_out(cut.value, tmp_path / f"cut-{len(copies)}"))
            await asyncio.sleep(0.01)
        await editing
    assert len(copies) > 3
    assert {copy.name: wrong for copy in copies if (wrong := check.findings(copy))} == {}


async def test_on_busy_says_what_a_busy_graph_gets(tmp_path: Path) -> None:
    directory = tmp_path / "rag_storage"
    async with graphs.opened(directory, dim=16, delay_s=0.1) as rag:
        await graphs.insert_documents(rag, 0, 1)
        async with ingesting(rag, 1, 6):
            with pytest.raises(Busy, match=r"job '.+', \d documents left"):
                await live.cut(rag, pinning(directory), on_busy="fail")
            at_once = await live.cut(rag, pinning(directory), on_busy="crash")
            assert (at_once.consistency, at_once.held_ms) == ("crash", 0.0)
        assert (await live.cut(rag, pinning(directory), on_busy="fail")).consistency == "quiesced"
        with pytest.raises(InvalidInputError, match="on_busy"):
            await live.cut(rag, pinning(directory), on_busy="never")


@pytest.mark.parametrize("kind", ["clear", "delete", "custom_chunks"])
async def test_jobs_the_gate_does_not_stop_are_waited_for(graph_dir: Path, kind: str) -> None:
    async with graphs.opened(graph_dir) as rag:
        async with reserved(rag, kind, job_name="Tidying", docs=7, cur_batch=3):
            with pytest.raises(Busy, match=r"busy after 0\.2 s: job 'Tidying', 4 documents left"):
                await live.cut(rag, pinning(graph_dir), deadline_s=0.2)
            waiting = asyncio.create_task(live.cut(rag, pinning(graph_dir)))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert (await waiting).consistency == "quiesced"


async def test_ingestion_by_another_process_is_waited_for(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag, reserved(rag, "processing"):
        status = await shared_storage.get_namespace_data("pipeline_status", workspace="")
        status["busy_owner"] = {**status["busy_owner"], "pid": os.getppid()}
        with pytest.raises(Busy):
            await live.cut(rag, pinning(graph_dir), deadline_s=0.2)


async def test_uploads_being_accepted_are_waited_for(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        status = await shared_storage.get_namespace_data("pipeline_status", workspace="")
        status["pending_enqueues"] = 1
        with pytest.raises(Busy, match="documents are being accepted"):
            await live.cut(rag, pinning(graph_dir), deadline_s=0.1)


async def test_a_missing_name_lowers_the_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, required = tmp_path / "rag_storage", internals.REQUIRED
    monkeypatch.setattr(internals, "REQUIRED", {**required, "gated": ("lightrag.operate:no_such_merge",)})
    async with graphs.opened(directory, dim=16, delay_s=0.05) as rag:
        await graphs.insert_documents(rag, 0, 1)
        async with ingesting(rag, 1, 3) as ingestion:
            waited = await live.cut(rag, pinning(directory))
            assert waited.consistency == "quiesced"
            await asyncio.wait_for(ingestion, 1)
        assert waited.facts["lightrag_lacks"] == ["lightrag.operate:no_such_merge"]
        monkeypatch.setattr(internals, "REQUIRED", {**required, "quiesced": ("lightrag.file_atomic:gone",)})
        assert (await live.cut(rag, pinning(directory))).consistency == "settled"
        monkeypatch.setattr(internals, "REQUIRED", {**required, "settled": ("lightrag.kg.gone:get_namespace_data",)})
        assert (await live.cut(rag, pinning(directory))).consistency == "unfenced"


async def test_everything_required_is_there_in_this_lightrag(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        assert internals.missing(rag) == {"settled": [], "quiesced": [], "gated": []}


async def test_a_cut_from_another_loop_is_refused(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        raised: list[BaseException] = []

        def elsewhere() -> None:
            try:
                asyncio.run(live.cut(rag, pinning(graph_dir)))
            except InvalidInputError as error:
                raised.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert "another event loop" in str(raised[0])


async def test_closed_storages_are_refused(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        pass
    with pytest.raises(InvalidInputError, match="FINALIZED"):
        await live.cut(rag, pinning(graph_dir))


async def test_stores_and_facts(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        assert live.storage_classes(rag)["chunks_vdb"] == "NanoVectorDBStorage"
        assert live.foreign_stores(rag) == []
        facts = json.loads(json.dumps(internals.lightrag_facts(rag)))
        assert (facts["embedding_dim"], facts["workspace"]) == (64, "")
        assert facts["lightrag_version"]


async def test_stores_that_are_not_files_are_named(tmp_path: Path) -> None:
    async with graphs.opened(tmp_path, vector_storage="NoopVectorDBStorage") as rag:
        assert live.foreign_stores(rag) == [
            f"{name}: NoopVectorDBStorage" for name in ("entities_vdb", "relationships_vdb", "chunks_vdb")
        ]


async def test_waiting_and_holding_are_told_apart(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        started = time.perf_counter()
        async with reserved(rag, "clear"):
            waiting = asyncio.create_task(live.cut(rag, pinning(graph_dir)))
            await asyncio.sleep(0.15)
        cut = await waiting
        assert 100 < cut.waited_ms < (time.perf_counter() - started) * 1e3
        assert cut.held_ms < 50
