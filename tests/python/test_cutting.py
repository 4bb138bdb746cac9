"""The rung `validated`: a graph another process works on, caught at a moment at which its files fit together."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import breaking, cutting
from support.beside import beside
from support.program import Program

from lightrag_bkp import BackupManager, Consistency, capture, validation
from lightrag_bkp.errors import Busy, SourceChangedError
from lightrag_bkp.sources import files, outside
from lightrag_bkp.verdicts import Validation

CHUNKS = "vdb_chunks.json"


@contextmanager
def at_work(directory: Path) -> Iterator[None]:
    """Somebody replaces one file ten times a second during the block, always with the same bytes."""
    contents = (directory / CHUNKS).read_bytes()

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.1):
            sibling = directory / f"{CHUNKS}.new"
            sibling.write_bytes(contents)
            sibling.replace(directory / CHUNKS)

    with beside(work):
        yield


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long files must have been at rest is the matter of test_outside; ten times a second is no rest for this."""
    monkeypatch.setattr(outside, "REST_S", 0.3)


async def test_cuts_from_another_process_during_ingestion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them are taken by `python -m support.cutting`."""
    monkeypatch.setattr(outside, "REST_S", 2.0)
    found, _ = await cutting.cut_while_ingesting(tmp_path, 3, 60)
    validated = [one for one in found if one.consistency == Consistency.VALIDATED]
    assert validated, "the cuts were meant to find somebody at work"
    for one in validated:
        assert one.judged.usable
        # A document in flight may lack vectors of its chunks, and indexes may run ahead of the graph by it.
        assert [said for said in one.wrong if "chunk vector" not in said and "tracking row" not in said] == []
        assert one.later == []
    assert any(one.judged.amounts["in_flight"] for one in validated), "the cuts were meant to hit documents in flight"


async def test_what_was_judged_is_what_is_stored(graph_dir: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        with at_work(graph_dir):
            taken = await graph.create_snapshot()
        assert (taken.consistency, taken.verdict) == (Consistency.VALIDATED, "usable")
        again = await graph.validate_snapshot(taken.backup_id)
        assert taken.validation is not None
        assert (taken.validation.findings, taken.validation.amounts) == (again.findings, again.amounts)
        await asyncio.sleep(0.5)  # at rest from here on
        unchanged = await graph.create_snapshot()
        assert (unchanged.consistency, unchanged.data_hash) == (Consistency.UNFENCED, taken.data_hash)
        assert unchanged.facts == taken.facts  # the verdict is taken over
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_graph_that_does_not_fit_together_stays_busy(graph_dir: Path, tmp_path: Path) -> None:
    with breaking.vector_file(graph_dir, "chunks") as file:
        del file.data[0]
        file.matrix = file.matrix[1:]
    said = r"fit.*together, the last being repairable, because of .*without .*vector.*: 1"
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        with at_work(graph_dir), pytest.raises(Busy, match=said):
            await graph.create_snapshot(deadline_s=1.5)
        assert graph.list_snapshots() == []
        assert not list((tmp_path / "storage").rglob("packs/*"))  # judged before anything is written


@pytest.mark.parametrize("options", [{"on_busy": "fail"}, {"validate": "off", "deadline_s": 1}])
async def test_it_is_not_tried_unasked(options: dict[str, Any], graph_dir: Path, tmp_path: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        with at_work(graph_dir), pytest.raises(Busy):
            await graph.create_snapshot(**options)


async def test_files_rewritten_after_they_were_judged_are_not_stored(
    graph_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As LightRAG before 1.5.0 writes them."""
    judge_pins = validation.judge_pins

    async def judge_and_lose(pins: files.Pins, **options: Any) -> tuple[Validation, dict[str, Any]]:
        judged = await judge_pins(pins, **options)
        with (graph_dir / "kv_store_text_chunks.json").open("r+b") as file:
            file.write(b" ")
        return judged

    monkeypatch.setattr(validation, "judge_pins", judge_and_lose)
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        with at_work(graph_dir), pytest.raises(Busy):
            await graph.create_snapshot(deadline_s=3)
        assert graph.list_snapshots() == []


async def test_files_rewritten_while_they_are_judged_are_tried_again(graph_dir: Path, tmp_path: Path) -> None:
    pinned = files.pin(files.detect(graph_dir))
    (graph_dir / "kv_store_text_chunks.json").write_text("{}")
    with pytest.raises(SourceChangedError, match="text_chunks"):
        await validation.judge_pins(pinned)
    async with BackupManager(tmp_path / "storage") as manager:
        with at_work(graph_dir), pytest.raises(Busy, match="together"):
            await manager.register_graph("g", graph_dir).create_snapshot(deadline_s=1.5)


async def test_a_report_that_is_too_long_leaves_its_verdict(
    graph_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "_REPORT_MAX_BYTES", 10)
    async with BackupManager(tmp_path / "storage") as manager:
        with at_work(graph_dir):
            taken = await manager.register_graph("g", graph_dir).create_snapshot()
        assert (taken.consistency, taken.verdict, taken.validation) == (Consistency.VALIDATED, "usable", None)


def test_the_program_says_it(graph_dir: Path, program: Program) -> None:
    with at_work(graph_dir):
        ran = program("snapshot", "g", graph_dir)
    assert ran.out.splitlines()[0].endswith("validated, usable")
    assert " validated " in program("list", "g").out
