"""The verdict every snapshot stores: made when it is taken, taken over when nothing changed, never in the way."""

import re
from pathlib import Path

import pytest
from support import breaking, graphs
from support.program import Program

from lightrag_bkp import BackupManager
from lightrag_bkp.errors import InvalidInputError
from lightrag_bkp.verdicts import Verdict


async def test_every_snapshot_stores_its_verdict(graph_dir: Path, tmp_path: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        whole = await graph.create_snapshot(on_busy="crash")
        with breaking.vector_file(graph_dir, "entities") as file:
            file.matrix[0, :] = 0
            del file.data[1], file.raw["data"]
            file.matrix = file.matrix[1:]
        broken = await graph.create_snapshot(on_busy="crash")
        assert (whole.verdict, broken.verdict) == ("usable", "repairable")
        assert whole.validation is not None and whole.validation.findings == ()
        assert broken.validation is not None
        assert "node_no_vector" in {one.check for one in broken.validation.errors}
        listed = graph.list_snapshots()
        assert [one.verdict for one in listed] == ["usable", "repairable"]
        assert (await graph.validate_snapshot(broken.backup_id)).findings == broken.validation.findings
        assert (await graph.validate_snapshot("latest")).verdict is Verdict.REPAIRABLE


async def test_an_unchanged_graph_takes_its_verdict_over(graph_dir: Path, tmp_path: Path) -> None:
    with breaking.rows(graph_dir, "llm_response_cache") as answers:
        answers.popitem()
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        first = await graph.create_snapshot(on_busy="crash")
        for path in graph_dir.iterdir():  # other files with the same bytes: read, and judged no more
            path.write_bytes(path.read_bytes())
        again = await graph.create_snapshot(on_busy="crash")
        assert first.validation is not None and first.validation.findings
        assert (again.data_hash, again.verdict) == (first.data_hash, first.verdict)
        assert again.facts == first.facts


@pytest.mark.parametrize("broken", ["entities", "chunks"])
async def test_what_changed_is_judged_anew(broken: str, graph_dir: Path, tmp_path: Path) -> None:
    """Files that are the same are trusted with their numbers, not with what they say of others."""
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        assert (await graph.create_snapshot(on_busy="crash")).verdict == "usable"
        with breaking.vector_file(graph_dir, broken) as file:
            file.matrix[0] *= 2
        torn = await graph.create_snapshot(on_busy="crash")
        assert torn.validation is not None
        assert [one.check for one in torn.validation.errors] == ["row_norm"]
        with breaking.rows(graph_dir, "llm_response_cache") as answers:
            answers["more"] = {}
        still = await graph.create_snapshot(on_busy="crash")  # the vector file did not change, and is still wrong
        assert still.validation is not None
        assert [one.check for one in still.validation.errors] == ["row_norm"]
        with breaking.graph(graph_dir) as g:
            g.remove_node(breaking.any_node(g))
        other = await graph.create_snapshot(on_busy="crash")
        assert other.validation is not None
        assert {"row_norm", "node_gone", "edge_gone"} == {one.check for one in other.validation.errors}


async def test_validation_can_be_off_and_that_is_shown(graph_dir: Path, tmp_path: Path, program: Program) -> None:
    async with BackupManager(program.storage) as manager:
        graph = manager.register_graph("g", graph_dir)
        taken = await graph.create_snapshot(on_busy="crash", validate="off")
        assert (taken.verdict, taken.validation) == (None, None)
        assert "validation" not in taken.facts
        with pytest.raises(InvalidInputError, match="validate 'maybe' is unknown"):
            await graph.create_snapshot(validate="maybe")
        judged = await graph.create_snapshot(on_busy="crash")  # nothing changed, and it was never judged
        assert judged.verdict == "usable"
        assert (await graph.validate_snapshot(taken.backup_id)).verdict is Verdict.USABLE
    heads, off, on = program("list", "g").out.splitlines()
    assert "VERDICT" in heads
    assert re.search(r"crash +- ", off)
    assert re.search(r"crash +usable ", on)
    assert re.search(r"^verdict +not validated$", program("show", "g", taken.backup_id).out, re.M)


def test_the_program_says_the_verdict(graph_dir: Path, program: Program) -> None:
    breaking.truncate(graph_dir, breaking.store("text_chunks"))
    ran = program("snapshot", "g", graph_dir, "--on-busy", "crash")
    assert ran.out.splitlines()[0].endswith("crash, unusable")
    assert "the graph is unusable: see lightrag-bkp show g " in ran.out
    page = program("show", "g", "latest").out
    assert "error (invariant 1): files that LightRAG cannot read: 1" in page
    document = program.json("show", "g", "latest")["snapshot"]
    assert document["verdict"] == "unusable"
    assert document["facts"]["validation"]["findings"][0]["check"] == "file_broken"
    off = program.json("snapshot", "g", graph_dir, "--on-busy", "crash", "--validate", "off")
    assert off["snapshot"]["verdict"] is None


async def test_a_plain_directory_has_none(folder: Path, tmp_path: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("plain", folder)
        taken = await graph.create_snapshot()
        assert (taken.verdict, taken.validation) == (None, None)
        with pytest.raises(InvalidInputError, match="plain directory"):
            await graph.validate_snapshot("latest")


async def test_documents_in_flight_are_usable_with_reprocessing(tmp_path: Path) -> None:
    async with BackupManager(tmp_path / "storage") as manager, graphs.opened(tmp_path / "rag") as rag:
        graph = manager.register_graph("g", rag=rag)
        await graphs.insert_documents(rag, 0, 2)
        await rag.apipeline_enqueue_documents(["E1 works with E2."], file_paths=["waiting.txt"])
        taken = await graph.create_snapshot()
        assert taken.verdict == Verdict.USABLE_WITH_REPROCESSING


async def test_a_partial_graph_lacks_nothing(graph_dir: Path, tmp_path: Path) -> None:
    for path in graph_dir.glob("vdb_*.json"):
        path.unlink()
    async with BackupManager(tmp_path / "storage") as manager:
        graph = manager.register_graph("g", graph_dir)
        taken = await graph.create_snapshot(on_busy="crash", partial=True)
        assert taken.verdict == "usable"
        assert (await graph.validate_snapshot("latest")).verdict is Verdict.USABLE
