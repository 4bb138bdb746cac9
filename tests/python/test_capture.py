"""Taking snapshots of real LightRAG directories: what is taken, what is refused, what is recorded."""

import asyncio
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import check, graphs
from support.beside import beside

from lightrag_bkp import BackupManager, Progress
from lightrag_bkp.errors import (
    Busy,
    ConfigurationError,
    ConflictError,
    IncompleteSourceError,
    InvalidInputError,
    NotFoundError,
)
from lightrag_bkp.sources import trees

pytestmark = pytest.mark.usefixtures("short_rest")

DOC_STATUS = "kv_store_doc_status.json"


async def test_unchanged_graph_adds_at_most_an_entry(manager: BackupManager, graph_dir: Path) -> None:
    graph = manager.register_graph("g", graph_dir)
    await graph.create_snapshot()
    assert (await graph.create_snapshot()).stored_bytes <= 4096


async def test_every_operation_names_its_phases(
    manager: BackupManager, graph_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = manager.register_graph("g", graph_dir)
    seen: list[str] = []

    def report(at: Progress) -> None:
        seen.append(at.phase)

    def fail(_: Progress) -> None:
        raise RuntimeError("too late")

    await graph.create_snapshot(progress=fail)
    assert "event=progress_failed phase=commit" in caplog.text
    await graph.verify_snapshot("latest", progress=report)
    await graph.verify_snapshot(level="catalogue", progress=report)
    await graph.prune(progress=report)
    await graph.validate_snapshot("latest", progress=report)
    assert [phase for phase in seen if phase in ("done", "validate")] == ["done", "done", "done", "validate"]
    assert "start" not in seen


async def test_progress_arrives_on_the_loops_thread(manager: BackupManager, graph_dir: Path) -> None:
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        asyncio.get_running_loop()
        seen.append(progress)

    snapshot = await manager.register_graph("g", graph_dir).create_snapshot(progress=report)
    assert seen[-1].phase == "commit"
    assert (seen[-1].items_done, seen[-1].items_total) == (len(snapshot.items), len(snapshot.items))
    assert seen[-1].bytes_in == seen[-1].bytes_total


async def test_named_workspace_lies_in_its_directory(manager: BackupManager, built_graph: Path, tmp_path: Path) -> None:
    working_dir = tmp_path / "working"
    for workspace in ("a", "b"):
        shutil.copytree(built_graph, working_dir / workspace)
    (working_dir / "b" / DOC_STATUS).write_bytes(b"{}")
    graph = manager.register_graph("g", working_dir, workspace="b")
    snapshot = await graph.create_snapshot()
    assert snapshot.skipped == ()
    await graph.restore(snapshot.backup_id, tmp_path / "target")
    assert (tmp_path / "target" / "b" / DOC_STATUS).read_bytes() == b"{}"
    assert not (tmp_path / "target" / "a").exists()


async def test_the_empty_workspace_leaves_the_others_alone(
    manager: BackupManager, built_graph: Path, graph_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(built_graph, graph_dir / "other")
    (graph_dir / "notes.txt").write_text("mine")
    graph = manager.register_graph("g", graph_dir)
    snapshot = await graph.create_snapshot()
    assert {skip.name for skip in snapshot.skipped} == {"other", "notes.txt"}
    (graph_dir / DOC_STATUS).write_bytes(b"{}")
    (graph_dir / "other" / DOC_STATUS).write_bytes(b'{"kept": {}}')
    outcome = await graph.restore(snapshot.backup_id, graph_dir)
    assert [item.name for item in outcome.changed] == [DOC_STATUS]
    assert (graph_dir / DOC_STATUS).read_bytes() == (built_graph / DOC_STATUS).read_bytes()
    assert (graph_dir / "other" / DOC_STATUS).read_bytes() == b'{"kept": {}}'
    assert (graph_dir / "notes.txt").read_text() == "mine"


async def test_incomplete_graph_is_refused_unless_partial(manager: BackupManager, graph_dir: Path) -> None:
    (graph_dir / "vdb_relationships.json").unlink()
    graph = manager.register_graph("g", graph_dir)
    with pytest.raises(IncompleteSourceError, match=r"vdb_relationships\.json.*partial=True, or --partial"):
        await graph.create_snapshot()
    assert graph.list_snapshots() == []
    assert (await graph.create_snapshot(partial=True)).facts["missing"] == ["vdb_relationships.json"]


async def test_uploads_come_along(manager: BackupManager, graph_dir: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    (inputs / "__parsed__").mkdir(parents=True)
    (inputs / "workspace_of_another").mkdir()
    for n in range(40):
        (inputs / f"upload {n}.txt").write_text(f"upload {n}")
    (inputs / "__parsed__" / "done.txt").write_text("done")
    graph = manager.register_graph("g", graph_dir, input_dir=inputs)
    snapshot = await graph.create_snapshot()
    assert [skip.name for skip in snapshot.skipped] == ["inputs/workspace_of_another"]
    await graph.restore(snapshot.backup_id, tmp_path / "target")
    restored = tmp_path / "target" / "inputs"
    assert (restored / "upload 39.txt").read_text() == "upload 39"
    assert (restored / "__parsed__" / "done.txt").read_text() == "done"
    assert not (restored / "workspace_of_another").exists()


async def test_running_lightrag_is_asked(manager: BackupManager, graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        graph = manager.register_graph("g", rag=rag)
        snapshot = await graph.create_snapshot()
    assert snapshot.consistency == "quiesced"
    assert snapshot.facts["storage_classes"]["entities_vdb"] == "NanoVectorDBStorage"
    assert snapshot.held_ms is not None and snapshot.held_ms < 1000
    with pytest.raises(InvalidInputError, match="working_dir"):
        manager.register_graph("h", graph_dir / "elsewhere", rag=rag)


@pytest.mark.parametrize("metadata", [{"x": object()}, {"x": float("nan")}, {"x": "y" * 20_000}])
async def test_metadata_must_be_small_json(manager: BackupManager, graph_dir: Path, metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="metadata"):
        await manager.register_graph("g", graph_dir).create_snapshot(metadata=metadata)


@pytest.mark.parametrize("deadline_s", [None, "x", True, float("nan"), float("inf"), -1])
@pytest.mark.parametrize("on_busy", ["wait", "crash"])
async def test_a_deadline_is_a_number_of_seconds(
    manager: BackupManager, graph_dir: Path, deadline_s: Any, on_busy: str
) -> None:
    with pytest.raises(InvalidInputError, match="deadline_s"):
        await manager.register_graph("g", graph_dir).create_snapshot(deadline_s=deadline_s, on_busy=on_busy)
    assert not Path(manager.storage_path).exists()


async def test_what_is_only_named_like_a_store_is_skipped_without_waiting(
    manager: BackupManager, graph_dir: Path
) -> None:
    (graph_dir / "kv_store_old.json").mkdir()
    os.mkfifo(graph_dir / "kv_store_x.json")
    snapshot = await manager.register_graph("g", graph_dir).create_snapshot(on_busy="fail")
    assert {(skip.name, skip.reason) for skip in snapshot.skipped} == {
        ("kv_store_old.json", "a directory, not a regular file"),
        ("kv_store_x.json", "a FIFO, not a regular file"),
    }


async def test_files_replaced_while_they_are_read_do_not_disturb(manager: BackupManager, graph_dir: Path) -> None:
    names = sorted(path.name for path in graph_dir.iterdir())
    for name in names:
        (graph_dir / name).write_bytes(os.urandom(4_000_000))
    graph = manager.register_graph("g", graph_dir)
    pinned = asyncio.Event()
    task = asyncio.create_task(graph.create_snapshot(on_busy="crash", progress=lambda _: pinned.set()))
    await pinned.wait()
    while not task.done():
        for name in names:
            temporary = graph_dir / f"{name}.tmp.1.2.3"
            temporary.write_bytes(b"newer")
            os.replace(temporary, graph_dir / name)
        await asyncio.sleep(0.005)
    snapshot = await task
    assert {item.size_bytes for item in snapshot.items} == {4_000_000}, "the pinned moment, not what came later"
    assert snapshot.consistency == "crash"


@pytest.mark.parametrize("given", [{"server_url": "http://127.0.0.1:1"}, {}])
async def test_a_graph_without_files_is_an_error(manager: BackupManager, tmp_path: Path, given: dict[str, str]) -> None:
    (tmp_path / "rag").mkdir()
    if given:
        (tmp_path / "rag" / "README").write_text("not a store")
    with pytest.raises(NotFoundError):
        await manager.register_graph("g", tmp_path / "rag", **given).create_snapshot()
    assert not (tmp_path / "storage").exists()


async def test_stores_that_are_no_files_are_named(manager: BackupManager, graph_dir: Path) -> None:
    class RedisKVStorage:
        """Stands for a store of that class; only its name counts here."""

    async with graphs.opened(graph_dir) as rag:
        own, rag.full_docs = rag.full_docs, RedisKVStorage()
        try:
            with pytest.raises(IncompleteSourceError, match="full_docs: RedisKVStorage"):
                await manager.register_graph("g", rag=rag).create_snapshot()
        finally:
            rag.full_docs = own


async def test_snapshots_during_ingestion_come_back_consistent(
    manager: BackupManager, graph_dir: Path, tmp_path: Path
) -> None:
    async with graphs.opened(graph_dir, delay_s=0.05) as rag:
        graph = manager.register_graph("g", rag=rag)
        ingestion = asyncio.create_task(graphs.insert_documents(rag, 100, 12))
        made = []
        while not ingestion.done():
            made.append(await graph.create_snapshot())
            await asyncio.sleep(0.1)
        await ingestion
    assert "gated" in {snapshot.consistency for snapshot in made}
    for snapshot in made:
        target = tmp_path / snapshot.backup_id
        await graph.restore(snapshot.backup_id, target)
        assert check.findings(target) == []


async def test_one_device_for_both_is_said_once(
    manager: BackupManager, graph_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = manager.register_graph("g", graph_dir)
    with caplog.at_level(logging.WARNING, logger="lightrag_bkp"):
        await graph.create_snapshot()
        await graph.create_snapshot()
    said = [record.getMessage() for record in caplog.records if "shared_device" in record.getMessage()]
    assert len(said) == 1 and manager.storage_path in said[0]


async def test_an_error_about_a_file_says_where_it_is(
    manager: BackupManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that changes between being listed and being read, each time it is tried."""
    plain = tmp_path / "plain"
    plain.mkdir()
    grown = plain / "grown.txt"
    grown.write_text("grows")
    listed = trees.add_plain

    def list_and_grow(*args: Any) -> None:
        listed(*args)
        grown.write_text(grown.read_text() + "!")

    monkeypatch.setattr(trees, "add_plain", list_and_grow)
    with pytest.raises(Busy) as caught:
        await manager.register_graph("p", plain).create_snapshot(on_busy="fail")
    where = os.path.realpath(grown)
    assert caught.value.target == where
    assert f"changed each time it was read: {where}: the file was changed" in str(caught.value)


@contextmanager
def appended_to(path: Path) -> Iterator[None]:
    """Somebody appends to a file without a pause during the block."""

    def work(stop: threading.Event) -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.wait(0.0005):
                file.write(b"line\n")

    with beside(work):
        yield


@pytest.mark.parametrize("kind", ["plain", "lightrag"])
@pytest.mark.parametrize(("on_busy", "at_least_s", "at_most_s"), [("wait", 3, 4.5), ("fail", 0, 3), ("crash", 0, 3)])
async def test_a_file_that_is_appended_to_all_the_time_is_named(
    manager: BackupManager,
    graph_dir: Path,
    tmp_path: Path,
    kind: str,
    on_busy: str,
    at_least_s: float,
    at_most_s: float,
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    source = {"plain": plain, "lightrag": graph_dir}[kind]
    grown = source / "kv_store_text_chunks.json"
    with grown.open("ab") as file:
        file.write(os.urandom(8 << 20))
    if kind == "plain":
        grown = grown.rename(plain / "grown")
    started = time.monotonic()
    with appended_to(grown), pytest.raises(Busy, match=grown.name) as caught:
        await manager.register_graph("g", source).create_snapshot(on_busy=on_busy, deadline_s=3)
    assert at_least_s <= time.monotonic() - started <= at_most_s
    said = str(caught.value)
    assert ("written in place" in said or "each time it was read" in said) and "replaced while" not in said


# ---- what one graph's snapshots are of ----


async def test_uploads_are_remembered_with_the_directory(
    manager: BackupManager, graph_dir: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "uploads"
    inputs.mkdir()
    (inputs / "letter.txt").write_text("dear reader")
    await manager.register_graph("g", graph_dir, input_dir=inputs).create_snapshot()
    for named in (None, graph_dir):
        async with BackupManager(manager.storage_path) as later:
            again = await later.register_graph("g", named).create_snapshot()
            assert "inputs/letter.txt" in {item.name for item in again.items}
    elsewhere = shutil.copytree(graph_dir, tmp_path / "elsewhere")
    async with BackupManager(manager.storage_path) as later:
        without = await later.register_graph("g", elsewhere).create_snapshot()
        assert "inputs/letter.txt" not in {item.name for item in without.items}
        assert [one.reason for one in without.skipped if one.name == "inputs"] == [
            "uploads: no input directory was named this time"
        ]


async def test_one_graph_is_of_one_kind(manager: BackupManager, graph_dir: Path, folder: Path) -> None:
    graph = manager.register_graph("g")
    first = await graph.create_snapshot(graph_dir)
    with pytest.raises(ConflictError, match="no files of LightRAG"):
        await graph.create_snapshot(folder)
    plain = manager.register_graph("plain")
    await plain.create_snapshot(folder)
    with pytest.raises(ConflictError, match="a plain directory"):
        await plain.create_snapshot(graph_dir)
    assert [one.backup_id for one in graph.list_snapshots()] == [first.backup_id]


@pytest.mark.parametrize("place", ["backups", "."])
async def test_a_storage_inside_the_graph_is_refused(graph_dir: Path, place: str) -> None:
    async with BackupManager(graph_dir / place) as manager:
        with pytest.raises(ConflictError, match="inside one another"):
            await manager.register_graph("g", graph_dir).create_snapshot()
        assert not (graph_dir / "graphs").exists() and not (graph_dir / "backups").exists()


async def test_the_graph_is_no_upload(manager: BackupManager, graph_dir: Path) -> None:
    for wrong in (graph_dir, graph_dir.parent):
        with pytest.raises(ConflictError, match="directory of the uploads"):
            await manager.register_graph(f"g{wrong.name}", graph_dir, input_dir=wrong).create_snapshot()


@pytest.mark.parametrize("url", ["s3://bucket/x", "file:///srv/backups", "https://host/x"])
def test_a_url_is_no_directory(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="URL"):
        BackupManager(url)
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", url)
    with pytest.raises(ConfigurationError, match="URL"):
        BackupManager()
    assert list(tmp_path.iterdir()) == []
