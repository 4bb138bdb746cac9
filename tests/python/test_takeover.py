"""Restores into a running LightRAG, on real LightRAG: what it serves, what it writes later, and what came meanwhile."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lightrag import QueryParam
from lightrag.kg import shared_storage
from support import check, dying, graphs
from support.folders import Fingerprint, fingerprint

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import Busy, ConflictError, RestoreUnfinishedError, UnsupportedError
from lightrag_bkp.restoring.staging import Staging
from lightrag_bkp.sources import internals, takeover

pytestmark = pytest.mark.usefixtures("short_rest")

Hook = Callable[[], Awaitable[None]]
OTHER_ROWS = {
    "chunk-other": {"content": "E3 unwritten", "full_doc_id": "doc", "chunk_order_index": 0, "file_path": "f"}
}


@pytest.fixture
async def rag(graph_dir: Path) -> AsyncIterator[Any]:
    """The LightRAG of `graph_dir`, running: 6 documents."""
    async with graphs.opened(graph_dir) as running:
        yield running


@pytest.fixture
def graph(rag: Any, tmp_path: Path) -> GraphBackup:
    return BackupManager(tmp_path / "storage").register_graph("g", rag=rag)


async def counts(rag: Any) -> dict[str, int]:
    """How much LightRAG has in memory."""
    known = await rag.chunk_entity_relation_graph._get_graph()
    stores = ("entities_vdb", "relationships_vdb", "chunks_vdb")
    vectors = {name: len(await getattr(rag, name)._get_client()) for name in stores}
    rows = {name: len(getattr(rag, name)._data) for name in ("doc_status", "full_docs", "text_chunks", "entity_chunks")}
    return {"nodes": known.number_of_nodes(), "edges": known.number_of_edges(), **vectors, **rows}


async def context(rag: Any, entity: str) -> str:
    """What a query about an entity finds."""
    return str(await rag.aquery(f"What is {entity} about?", QueryParam(mode="local", only_need_context=True)))


async def status(rag: Any) -> dict[str, Any]:
    found = await shared_storage.get_namespace_data("pipeline_status", workspace=rag.workspace)
    return {name: found.get(name) for name in ("busy", "destructive_busy", "busy_owner", "operation_record")}


FREE = {"busy": False, "destructive_busy": False, "busy_owner": None, "operation_record": None}


def documents(directory: Path) -> dict[str, str]:
    """Document ids and their status, as files say."""
    rows = json.loads((directory / "kv_store_doc_status.json").read_text("utf-8"))
    return {name: row["status"] for name, row in rows.items()}


def items(directory: Path) -> Fingerprint:
    """The files of LightRAG with their bytes, but for the cache, which queries write."""
    found = fingerprint(directory)
    return {name: found[name] for name in found if b"llm_response_cache" not in name and found[name][0] == "file"}


def while_held(monkeypatch: pytest.MonkeyPatch, work: Hook) -> None:
    """Does `work` in the midst of the next restores, when the old state was kept and nothing is exchanged yet."""
    exchange = takeover.Held.exchange

    async def hooked(self: takeover.Held, *arguments: Any) -> None:
        await work()
        await exchange(self, *arguments)

    monkeypatch.setattr(takeover.Held, "exchange", hooked)


# ---- what LightRAG serves and writes ----


@pytest.mark.parametrize("workspace", ["", "named"])
@pytest.mark.parametrize("beside", [False, True])
async def test_a_running_lightrag_serves_what_was_restored(tmp_path: Path, workspace: str, beside: bool) -> None:
    """Twice in a row; and what it ingests later is added to that, with nothing of what was replaced."""
    directory = tmp_path / "rag_storage"
    root = directory / workspace
    if beside:
        await graphs.build_pipeline_graph(directory, 1, "neighbour")
    async with graphs.opened(directory, workspace) as rag:
        graph = BackupManager(tmp_path / "storage").register_graph("g", rag=rag)
        await graphs.insert_documents(rag, 0, 3)
        before, answer = await counts(rag), await context(rag, "E3")
        snapshot = await graph.create_snapshot()
        kept = items(root)
        for first in (100, 200):
            await graphs.insert_documents(rag, first, 3)
            assert await counts(rag) != before
            outcome = await graph.restore(snapshot.backup_id, directory)
            assert (outcome.reloaded, outcome.restart_required) == (True, False)
            assert await counts(rag) == before
            assert await context(rag, "E3") == answer
            assert items(root) == kept
            assert await status(rag) == FREE
        await graphs.insert_documents(rag, 300, 2)
        assert len(documents(root)) == 5, "nothing of the old state came back"
        assert check.findings(directory, workspace) == []
        now = await counts(rag)
    async with graphs.opened(directory, workspace) as rag:
        assert await counts(rag) == now, "memory and files agree"
    if beside:
        assert check.findings(directory, "neighbour") == []


async def test_the_replaced_state_is_kept_whole(rag: Any, graph: GraphBackup, graph_dir: Path, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 3)
    now, answer = await counts(rag), await context(rag, "E5")
    outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert outcome.safety_snapshot is not None
    kept = graph.get_snapshot(outcome.safety_snapshot)
    assert kept is not None and (kept.safety, kept.consistency) == (True, "quiesced")
    await graph.restore(outcome.safety_snapshot, graph_dir)
    assert await counts(rag) == now
    assert await context(rag, "E5") == answer
    assert check.findings(graph_dir) == []


async def test_what_was_never_written_is_not_resurrected(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    """Rows in buffers and redo logs of vectors, and dirty key-value rows, belong to the old state."""
    snapshot = await graph.create_snapshot()
    before = await counts(rag)
    await rag.text_chunks.upsert({key: dict(row) for key, row in OTHER_ROWS.items()})
    await rag.chunks_vdb.upsert({key: dict(row) for key, row in OTHER_ROWS.items()})
    assert rag.chunks_vdb._pending_upserts
    await graph.restore(snapshot.backup_id, graph_dir)
    assert await counts(rag) == before
    buffers = [getattr(rag.chunks_vdb, name) for name in internals.memory._BUFFERS]
    assert not any(buffers) and not rag.chunks_vdb._client_dirty
    await graphs.insert_documents(rag, 100, 1)
    assert "chunk-other" not in (graph_dir / "vdb_chunks.json").read_text()
    assert "chunk-other" not in (graph_dir / "kv_store_text_chunks.json").read_text()
    assert check.findings(graph_dir) == []


async def test_a_lightrag_that_cannot_write_is_restored_all_the_same(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it could not write is in a redo log, and must not get into the restored file."""
    snapshot = await graph.create_snapshot()
    before = await counts(rag)

    async def refuse(*_: Any) -> None:
        raise OSError("no room")

    with monkeypatch.context() as failing:
        failing.setattr(type(rag.chunks_vdb), "_save_to_disk_locked", refuse)
        for store in (rag.text_chunks, rag.chunks_vdb):
            await store.upsert({key: dict(row) for key, row in OTHER_ROWS.items()})
        with pytest.raises(OSError, match="no room"):
            await rag.chunks_vdb.index_done_callback()
        assert rag.chunks_vdb._unsaved_upserts and rag.chunks_vdb._client_dirty
        await graph.restore(snapshot.backup_id, graph_dir)
    assert not rag.chunks_vdb._unsaved_upserts and not rag.chunks_vdb._client_dirty
    assert await counts(rag) == before
    await graphs.insert_documents(rag, 100, 1)
    assert "chunk-other" not in (graph_dir / "vdb_chunks.json").read_text()
    assert check.findings(graph_dir) == []


async def test_restoring_what_is_there_already_changes_nothing(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    snapshot = await graph.create_snapshot()
    before = items(graph_dir)
    outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert (outcome.changed, outcome.safety_snapshot, outcome.reloaded) == ((), None, True)
    assert not outcome.restart_required
    assert items(graph_dir) == before
    assert await status(rag) == FREE


async def test_a_dry_run_says_whether_lightrag_goes_on(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 1)
    now = await counts(rag)
    outcome = await graph.restore(snapshot.backup_id, graph_dir, dry_run=True)
    assert (len(outcome.changed) > 0, outcome.reloaded, outcome.restart_required) == (True, True, False)
    monkeypatch.setattr(rag.chunks_vdb, "_unheard_of", {"a": 1}, raising=False)
    outcome = await graph.restore(snapshot.backup_id, graph_dir, dry_run=True)
    assert (outcome.reloaded, outcome.restart_required) == (False, True)
    assert await counts(rag) == now


async def test_one_item_is_handed_over_alone(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    snapshot = await graph.create_snapshot()
    await rag.llm_response_cache.upsert({"default:query:new": {"return": "newer"}})
    await graph.restore(snapshot.backup_id, graph_dir, items=["kv_store_llm_response_cache.json"])
    assert "default:query:new" not in rag.llm_response_cache._data
    assert len(rag.text_chunks._data) > 0


async def test_another_directory_is_restored_at_rest(rag: Any, graph: GraphBackup, tmp_path: Path) -> None:
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 1)
    now = await counts(rag)
    outcome = await graph.restore(snapshot.backup_id, tmp_path / "elsewhere")
    assert (outcome.reloaded, outcome.restart_required, outcome.held_ms) == (False, True, None)
    assert await counts(rag) == now


# ---- what comes meanwhile ----


async def test_documents_that_arrive_meanwhile_are_processed_afterwards(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await graph.create_snapshot()
    old = set(documents(graph_dir))
    arrived: list[asyncio.Task[None]] = []

    async def arrive() -> None:
        arrived.append(asyncio.create_task(graphs.insert_documents(rag, 300, 2)))
        await asyncio.sleep(0.05)
        assert not arrived[0].done()

    await graphs.insert_documents(rag, 100, 2)
    while_held(monkeypatch, arrive)
    await graph.restore(snapshot.backup_id, graph_dir)
    await arrived[0]
    now = documents(graph_dir)
    assert len(now) == len(old) + 2 and old < set(now)
    assert set(now.values()) == {"processed"}
    assert check.findings(graph_dir) == []


async def test_work_that_was_asked_for_meanwhile_is_begun_afterwards(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot has a document that waits; LightRAG is told to go on while it is held, and says nothing."""
    await rag.apipeline_enqueue_documents([graphs.document(50)], file_paths=["report-50.txt"])
    snapshot = await graph.create_snapshot()
    await rag.apipeline_process_enqueue_documents()
    while_held(monkeypatch, rag.apipeline_process_enqueue_documents)
    await graph.restore(snapshot.backup_id, graph_dir)
    async with asyncio.timeout(20):
        while "pending" in documents(graph_dir).values() or (await status(rag))["busy"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert set(documents(graph_dir).values()) == {"processed"}
    assert check.findings(graph_dir) == []


async def test_direct_edits_wait(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 1)
    edits: list[asyncio.Task[Any]] = []

    async def edit() -> None:
        made = {"description": "made by hand", "entity_type": "concept"}
        edits.append(asyncio.create_task(rag.acreate_entity("Handmade", made)))
        await asyncio.sleep(0.05)
        assert not edits[0].done()

    while_held(monkeypatch, edit)
    await graph.restore(snapshot.backup_id, graph_dir)
    await edits[0]
    assert "Handmade" in (graph_dir / "graph_chunk_entity_relation.graphml").read_text()
    assert check.findings(graph_dir) == []


async def test_queries_go_on_and_see_one_state_or_the_other(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    """What is in memory is looked at all the time: old, and from one moment on new; never a part of both."""
    snapshot = await graph.create_snapshot()
    new = await counts(rag)
    await graphs.insert_documents(rag, 100, 4)
    old = await counts(rag)
    seen: list[dict[str, int]] = []

    async def watch() -> None:
        while True:
            found = {name: len(getattr(rag, name)._data) for name in ("doc_status", "text_chunks", "entity_chunks")}
            if not seen or seen[-1] != found:
                seen.append(found)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await graph.restore(snapshot.backup_id, graph_dir)
    watching.cancel()
    assert seen == [{name: state[name] for name in seen[0]} for state in (old, new)]


async def test_ingestion_under_way_is_busy(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    snapshot = await graph.create_snapshot()
    ingestion = asyncio.create_task(graphs.insert_documents(rag, 100, 3))
    while not (await status(rag))["busy"]:  # noqa: ASYNC110 - LightRAG has no event for it
        await asyncio.sleep(0.002)
    with pytest.raises(Busy, match="a job is running"):
        await graph.restore(snapshot.backup_id, graph_dir)
    await ingestion
    assert len(documents(graph_dir)) == 9
    assert check.findings(graph_dir) == []
    assert sorted(path.name for path in graph_dir.parent.iterdir()) == ["rag_storage", "storage"]


async def test_a_job_that_begins_while_it_is_staged_is_busy(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 1)
    fill = Staging.fill
    ingestion: list[asyncio.Task[None]] = []

    async def filled(self: Staging, *arguments: Any, **options: Any) -> Any:
        staged = await fill(self, *arguments, **options)  # first: a slow disk must not outlast the ingestion
        ingestion.append(asyncio.create_task(graphs.insert_documents(rag, 200, 3)))
        while not (await status(rag))["busy"]:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        return staged

    monkeypatch.setattr(Staging, "fill", filled)
    with pytest.raises(Busy):
        await graph.restore(snapshot.backup_id, graph_dir)
    await ingestion[0]
    assert set(documents(graph_dir).values()) == {"processed"} and len(documents(graph_dir)) == 10
    assert check.findings(graph_dir) == []


# ---- what goes wrong ----


async def test_files_lightrag_cannot_read_are_taken_back(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    before, kept = await counts(rag), items(graph_dir)
    spoilt = graph_dir.parent / "spoilt"
    await graph.restore((await graph.create_snapshot()).backup_id, spoilt)
    (spoilt / "graph_chunk_entity_relation.graphml").write_text("<graphml>")
    (spoilt / "vdb_others.json").write_text("{}")
    snapshot = await graph.create_snapshot(spoilt, on_busy="crash")
    with pytest.raises(Exception, match=r"no element found|not well-formed"):
        await graph.restore(snapshot.backup_id, graph_dir, allow_unusable=True)
    assert items(graph_dir) == kept
    assert await counts(rag) == before
    assert await status(rag) == FREE
    await graphs.insert_documents(rag, 100, 1)
    assert check.findings(graph_dir) == []


async def test_a_key_value_file_that_is_no_json_changes_nothing(rag: Any, graph: GraphBackup, graph_dir: Path) -> None:
    before, kept = await counts(rag), items(graph_dir)
    spoilt = graph_dir.parent / "spoilt"
    await graph.restore((await graph.create_snapshot()).backup_id, spoilt)
    (spoilt / "kv_store_text_chunks.json").write_text("{")
    snapshot = await graph.create_snapshot(spoilt, on_busy="crash")
    with pytest.raises(ValueError):
        await graph.restore(snapshot.backup_id, graph_dir, allow_unusable=True)
    assert items(graph_dir) == kept
    assert await counts(rag) == before
    assert await status(rag) == FREE


async def test_another_dimension_is_refused(rag: Any, graph: GraphBackup, graph_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    await graphs.build_pipeline_graph(other, 1, "w", dim=32)
    snapshot = await graph.create_snapshot()
    for path in (other / "w").iterdir():
        path.rename(other / path.name)
    snapshot = await graph.create_snapshot(other)
    kept = items(graph_dir)
    with pytest.raises(ConflictError, match="have 32 components and this LightRAG's embedding 64"):
        await graph.restore(snapshot.backup_id, graph_dir)
    assert items(graph_dir) == kept


@pytest.mark.parametrize("lack", ["name", "unknown container"])
async def test_what_cannot_be_reloaded_needs_a_restart(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    """Files are restored, memory keeps the old state whole, and nobody can write that over the files."""
    snapshot = await graph.create_snapshot()
    kept = items(graph_dir)
    await graphs.insert_documents(rag, 100, 2)
    now = await counts(rag)
    if lack == "name":
        required = internals.REQUIRED_TO_RESTORE | {"reload": ("lightrag.utils:gone",)}
        monkeypatch.setattr(internals.memory, "REQUIRED_TO_RESTORE", required)
    else:
        rag.entities_vdb._journal_of_tomorrow = {"a": "row"}
    outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert (outcome.reloaded, outcome.restart_required) == (False, True)
    assert items(graph_dir) == kept
    assert await counts(rag) == now
    with pytest.raises(Busy, match="restart LightRAG"):
        await rag.ainsert("another document")
    with pytest.raises(Busy, match="restart LightRAG"):
        await rag.acreate_entity("Handmade", {"description": "made by hand"})
    await rag.apipeline_process_enqueue_documents()
    with pytest.raises(Busy):
        await graph.restore(snapshot.backup_id, graph_dir)
    await graphs.close_rag(rag)
    assert items(graph_dir) == kept
    assert check.findings(graph_dir) == []
    async with graphs.opened(graph_dir) as restarted:
        assert len(restarted.doc_status._data) == 6


async def test_a_lightrag_that_cannot_be_held_is_left_alone(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await graph.create_snapshot()
    required = internals.REQUIRED_TO_RESTORE | {"reserve": ("lightrag.kg.gone:get_namespace_data",)}
    monkeypatch.setattr(internals.memory, "REQUIRED_TO_RESTORE", required)
    with pytest.raises(UnsupportedError, match="stop it"):
        await graph.restore(snapshot.backup_id, graph_dir)


async def test_without_reservations_the_flags_are_set_by_hand(
    rag: Any, graph: GraphBackup, graph_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in LightRAG before 1.5.5."""
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 1)
    seen: list[dict[str, Any]] = []

    async def look() -> None:
        seen.append(await status(rag))

    with monkeypatch.context() as older:
        older.delattr(shared_storage, "acquire_reservation")
        older.delattr(shared_storage, "release_owned_reservation")
        while_held(older, look)
        outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert outcome.reloaded
    assert seen[0]["busy"] and seen[0]["destructive_busy"]
    assert (await status(rag))["busy"] is False
    await graphs.insert_documents(rag, 200, 1)
    assert len(documents(graph_dir)) == 7


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
async def test_a_cancelled_restore_leaves_old_or_new_and_a_free_pipeline(
    rag: Any, graph: GraphBackup, graph_dir: Path, share: float
) -> None:
    snapshot = await graph.create_snapshot()
    new, new_counts = items(graph_dir), await counts(rag)
    await graphs.insert_documents(rag, 100, 2)
    whole_s = (await graph.restore(snapshot.backup_id, graph_dir)).seconds
    await graphs.insert_documents(rag, 100, 2)
    old, old_counts = items(graph_dir), await counts(rag)
    restore = asyncio.create_task(graph.restore(snapshot.backup_id, graph_dir))
    await asyncio.sleep(share * whole_s)
    restore.cancel()
    await asyncio.wait([restore])
    assert (items(graph_dir), await counts(rag)) in ((old, old_counts), (new, new_counts))
    assert await status(rag) == FREE
    await graphs.insert_documents(rag, 200, 1)
    assert check.findings(graph_dir) == []


# ---- what dies ----


@pytest.mark.parametrize("workspace", ["", "named"], ids=["journal", "exchange"])
def test_killed_at_each_step_it_is_old_or_new(tmp_path: Path, workspace: str) -> None:
    """A process with the LightRAG in it dies at every step of a restore, and before every change of the file system."""
    old, graph, snapshot_id = asyncio.run(_two_states(tmp_path, workspace))
    new = items(tmp_path / "new" / workspace)
    outcomes: dict[str | int, str] = {}
    for step in [*dying.STEPS, *range(100)]:
        directory = tmp_path / "rag_storage"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(tmp_path / "old", directory)
        code = dying.die(directory, workspace, graph.graph_id, tmp_path / "storage", snapshot_id, step)
        asyncio.run(graph.finish_restore(directory))
        found = items(directory / workspace)
        outcomes[step] = {True: "old", False: "a mix"}[found == old] if found != new else "new"
        assert {path.name for path in tmp_path.iterdir()} == {"new", "old", "rag_storage", "storage"}
        if code == 0:
            break
        assert code == (-signal.SIGKILL if step in dying.STEPS else 77), "the child failed on its own"
    else:
        pytest.fail("there are more changes of the file system than thought of")
    assert "a mix" not in outcomes.values()
    assert [outcomes[step] for step in dying.STEPS] == ["old"] * 4 + ["new"] * 3
    by_change = [outcome for step, outcome in outcomes.items() if isinstance(step, int)]
    assert by_change == sorted(by_change, reverse=True) and set(by_change) == {"old", "new"}
    assert check.findings(directory, workspace) == []


async def _two_states(tmp_path: Path, workspace: str) -> tuple[Fingerprint, GraphBackup, str]:
    """Directories `new` and `old`, each with a neighbour; what is in `old`, and the snapshot of `new`."""
    await graphs.build_pipeline_graph(tmp_path / "new", 1, "neighbour")
    await graphs.build_pipeline_graph(tmp_path / "new", 2, workspace)
    graph = BackupManager(tmp_path / "storage").register_graph("g", tmp_path / "new", workspace=workspace)
    snapshot = await graph.create_snapshot()
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    async with graphs.opened(tmp_path / "old", workspace) as rag:
        await graphs.insert_documents(rag, 100, 2)
    return items(tmp_path / "old" / workspace), graph, snapshot.backup_id


async def test_what_was_rolled_forward_under_a_running_lightrag_is_read_anew(
    rag: Any, graph: GraphBackup, graph_dir: Path, tmp_path: Path
) -> None:
    """A process without the LightRAG dies in the midst of a restore to its files, which the next restore finishes: then
    nothing differs any more but what LightRAG has in memory.
    """
    (graph_dir / "neighbour").mkdir()
    before = await counts(rag)
    snapshot = await graph.create_snapshot()
    await graphs.insert_documents(rag, 100, 1)
    journal = graph_dir / ".lrb_restore" / "journal"
    for change in range(3, 40):
        code = dying.die_beside(graph_dir, tmp_path / "storage", snapshot.backup_id, change)
        if journal.exists():
            break
    assert code == 77
    with pytest.raises(RestoreUnfinishedError, match="restore there again"):
        await graph.create_snapshot()
    outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert (outcome.reloaded, outcome.restart_required, outcome.changed) == (True, False, ())
    assert await counts(rag) == before
    await graphs.insert_documents(rag, 200, 1)
    assert len(documents(graph_dir)) == before["doc_status"] + 1
    assert check.findings(graph_dir) == []


async def test_a_finalised_lightrag_is_at_rest(graph_dir: Path, tmp_path: Path) -> None:
    async with graphs.opened(graph_dir) as running:
        graph = BackupManager(tmp_path / "storage").register_graph("g", rag=running)
        snapshot = await graph.create_snapshot()
    before = fingerprint(graph_dir)
    shutil.rmtree(graph_dir)
    outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert outcome.restart_required
    assert fingerprint(graph_dir) == before
