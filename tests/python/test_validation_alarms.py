"""What must not alarm: everything LightRAG itself writes, in whatever way it came there, has no error."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import breaking, check, graphs

from lightrag_bkp.validation import Severity, Validation, Verdict, validate_directory


def warned(found: Validation) -> set[str]:
    """Names of warnings; and there is no error."""
    assert [one for one in found.findings if one.severity is Severity.ERROR] == []
    return {one.check for one in found.findings if one.severity is Severity.WARNING}


async def test_a_custom_graph_with_placeholders(tmp_path: Path) -> None:
    kg = graphs.custom_graph(30, 60, 8)
    kg["relationships"].append(dict(kg["relationships"][0], src_id="E1", tgt_id="Nowhere described"))
    async with graphs.opened(tmp_path) as rag:
        await rag.ainsert_custom_kg(kg)
    found = await validate_directory(tmp_path)
    assert warned(found) == {"placeholder"}
    assert found.verdict is Verdict.USABLE
    (placeholder,) = (one for one in found.findings if one.check == "placeholder")
    assert placeholder.ids == ("Nowhere described",)


async def _later_documents(rag: Any, directory: Path) -> None:
    await graphs.insert_documents(rag, 10, 3)


async def _deletions(rag: Any, directory: Path) -> None:
    for document in sorted(check.documents_by_status(directory)["processed"])[:2]:
        assert (await rag.adelete_by_doc_id(document)).status == "success"


async def _merges(rag: Any, directory: Path) -> None:
    await rag.aedit_entity("E0", {"entity_name": "Renamed"}, allow_rename=True)
    await rag.amerge_entities(["E1", "E2"], "Merged")
    await rag.amerge_entities(["E3", "E4"], "E3")
    await rag.adelete_by_entity("E5")
    await _deletions(rag, directory)


@pytest.mark.parametrize("owned", [False, True], ids=["of-nobody", "of-a-document"])
@pytest.mark.parametrize("then", [None, _later_documents, _deletions, _merges])
async def test_a_custom_graph_over_one_that_is_there(owned: bool, then: Any, graph_dir: Path) -> None:
    """It replaces what the graph says of an object, and writes no tracking: what LightRAG makes so is no error."""
    document = min(check.documents_by_status(graph_dir)["processed"])
    async with graphs.opened(graph_dir) as rag:
        await rag.ainsert_custom_kg(graphs.custom_graph(6, 8, 3), full_doc_id=document if owned else None)
        if then:
            await then(rag, graph_dir)
    found = await validate_directory(graph_dir)
    custom = {"tracking_custom", "tracking_absent", "tracking_differs", "unanchored"}
    assert warned(found) <= custom | ({"tracking_orphan", "source_gone"} if then is _merges else set())
    assert then or "tracking_custom" in warned(found)
    assert found.verdict is Verdict.USABLE


async def test_a_deletion_that_did_not_end(graph_dir: Path, tmp_path: Path) -> None:
    """What a crash leaves behind at each step that LightRAG notes."""
    stages: list[Path] = []
    async with graphs.opened(graph_dir) as rag:
        note = rag._write_kg_purge_phase

        async def noted(*arguments: Any, **options: Any) -> None:
            await note(*arguments, **options)
            stages.append(Path(shutil.copytree(graph_dir, tmp_path / f"stage-{len(stages)}")))

        rag._write_kg_purge_phase = noted
        document = min(check.documents_by_status(graph_dir)["processed"])
        assert (await rag.adelete_by_doc_id(document)).status == "success"
    assert len(stages) == 4
    for stage in stages:
        found = await validate_directory(stage)
        assert warned(found) == set()
        assert "deletion_begun" in {one.check for one in found.findings}
        assert found.verdict is Verdict.USABLE
    assert (await validate_directory(graph_dir)).findings == ()


async def test_custom_chunks_of_releases_before_1_5(graph_dir: Path) -> None:
    """They wrote a text and its chunks, and neither a status nor anchors."""
    text, document = "Old E1 works with old E2.", "doc-" + breaking.digest("Old E1 works with old E2.")
    chunk = {"content": text, "full_doc_id": document, "tokens": 7, "chunk_order_index": 0, "file_path": ""}
    with breaking.rows(graph_dir, "full_docs") as texts:
        texts[document] = {"content": text, "file_path": ""}
    with breaking.rows(graph_dir, "text_chunks") as chunks:
        chunks["chunk-" + breaking.digest(text)] = chunk
    with breaking.vector_file(graph_dir, "chunks") as file:
        file.data.append(
            file.data[0] | {"__id__": "chunk-" + breaking.digest(text), "content": text, "full_doc_id": document}
        )
        file.matrix = np.vstack([file.matrix, file.matrix[:1]])
    found = await validate_directory(graph_dir)
    assert warned(found) == set()
    assert found.verdict is Verdict.USABLE


async def test_edits_over_the_api(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        names = sorted(await rag.get_graph_labels())
        one, other, third, fourth, *_ = names
        await rag.acreate_entity("Made by hand", {"description": "a thing", "entity_type": "thing"})
        await rag.acreate_entity("With a source", {"description": "a thing", "source_id": "my own notes"})
        await rag.acreate_relation("Made by hand", one, {"description": "d", "keywords": "k", "weight": 0.5})
        await rag.aedit_entity(other, {"description": "described anew"})
        await rag.aedit_entity(third, {"entity_name": "Renamed"}, allow_rename=True)
        edges = await rag.chunk_entity_relation_graph.get_node_edges(one)
        await rag.aedit_relation(*edges[0], {"description": "another description"})
        await rag.amerge_entities([fourth, "With a source"], "Merged")
    found = await validate_directory(graph_dir)
    assert warned(found) <= {"source_foreign", "tracking_absent", "unanchored", "tracking_differs"}
    assert found.verdict is Verdict.USABLE


async def test_deletions(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        names = sorted(await rag.get_graph_labels())
        await rag.adelete_by_entity(names[0])
        edge = min(await rag.chunk_entity_relation_graph.get_all_edges(), key=lambda e: (e["source"], e["target"]))
        await rag.adelete_by_relation(edge["source"], edge["target"])
        document = min(check.documents_by_status(graph_dir)["processed"])
        await rag.adelete_by_doc_id(document)
    found = await validate_directory(graph_dir)
    assert warned(found) <= {"tracking_orphan"}  # LightRAG's own, of what was deleted by hand before
    assert found.amounts["documents"] == 5


async def test_a_document_deleted_after_its_entities_were_renamed(graph_dir: Path) -> None:
    """LightRAG deletes by the anchors, which a rename leaves as they were."""
    async with graphs.opened(graph_dir) as rag:
        for name in sorted(await rag.get_graph_labels()):
            await rag.aedit_entity(name, {"entity_name": f"{name} renamed"}, allow_rename=True)
        await rag.adelete_by_doc_id(min(check.documents_by_status(graph_dir)["processed"]))
    found = await validate_directory(graph_dir)
    assert "source_gone" in warned(found) and found.verdict is Verdict.USABLE


async def test_documents_deleted_after_their_entities_were_merged(tmp_path: Path) -> None:
    """Of some objects LightRAG takes the deleted chunks out of the tracking, and not out of the graph."""
    async with graphs.opened(tmp_path) as rag:
        await graphs.insert_documents(rag, 0, 6, entities=8)
        await rag.adelete_by_entity("E1")
        await rag.amerge_entities(["E3", "E4"], "E3")
        await graphs.insert_documents(rag, 20, 4, entities=8)
        for document in sorted(check.documents_by_status(tmp_path)["processed"])[:5]:
            await rag.adelete_by_doc_id(document)
    found = await validate_directory(tmp_path)
    assert "source_gone" in warned(found) and found.verdict is Verdict.USABLE


async def test_custom_chunks(graph_dir: Path) -> None:
    async with graphs.opened(graph_dir) as rag:
        texts = ["E1 works with E2.", "E3 works with E4."]
        await rag.ainsert_custom_chunks(" ".join(texts), texts)
    found = await validate_directory(graph_dir)
    assert warned(found) == set()
    assert found.amounts["documents"] == 7


async def test_lists_of_sources_that_were_cut(tmp_path: Path) -> None:
    """The graph names fewer sources than there are, and says so."""
    async with graphs.opened(tmp_path, max_source_ids_per_entity=2, max_source_ids_per_relation=2) as rag:
        await graphs.insert_documents(rag, 0, 12, entities=6)
    tracked = json.loads((tmp_path / breaking.store("entity_chunks")).read_text())
    assert max(row["count"] for row in tracked.values()) > 2
    found = await validate_directory(tmp_path)
    assert warned(found) == set()


@pytest.mark.parametrize("release", ["1.4.16", "1.5.3", "1.5.7"])
async def test_directories_of_other_releases(release: str) -> None:
    found = await validate_directory(Path(__file__).parent.parent / "compat/directories" / release)
    assert (found.verdict, found.findings) == (Verdict.USABLE, ())


async def test_a_graph_that_is_empty(tmp_path: Path) -> None:
    async with graphs.opened(tmp_path) as rag:
        await rag._insert_done()
    found = await validate_directory(tmp_path)
    assert (found.verdict, found.findings) == (Verdict.USABLE, ())


async def test_documents_in_flight(tmp_path: Path) -> None:
    async with graphs.opened(tmp_path) as rag:
        await graphs.insert_documents(rag, 0, 2)
        await rag.apipeline_enqueue_documents(["E1 works with E2."], file_paths=["waiting.txt"])
    found = await validate_directory(tmp_path)
    assert warned(found) == set()
    assert found.verdict is Verdict.USABLE_WITH_REPROCESSING
    assert found.amounts["in_flight"] == 1


async def test_only_a_document_that_waits(tmp_path: Path) -> None:
    """Before the first document is processed there are two files."""
    async with graphs.opened(tmp_path) as rag:
        await rag.apipeline_enqueue_documents(["E1 works with E2."], file_paths=["waiting.txt"])
    for path in tmp_path.iterdir():
        if path.name not in (breaking.store("doc_status"), breaking.store("full_docs")):
            path.unlink()
    found = await validate_directory(tmp_path)
    assert warned(found) == set()
    assert found.verdict is Verdict.USABLE_WITH_REPROCESSING


async def test_a_document_that_failed_and_one_given_twice(tmp_path: Path) -> None:
    async def broken(prompt: str, **options: Any) -> str:
        raise RuntimeError("the model is away")

    async with graphs.opened(tmp_path) as rag:
        await graphs.insert_documents(rag, 0, 2)
        await rag.ainsert([graphs.document(0)], file_paths=["report-0.txt"])
    async with graphs.opened(tmp_path, llm_model_func=broken) as rag:
        await rag.ainsert(["E8 works with E9."], file_paths=["fails.txt"])
    found = await validate_directory(tmp_path)
    assert warned(found) == set()
    assert found.verdict is Verdict.USABLE
    assert found.amounts["failed"] >= 1
    (failed,) = (one for one in found.findings if one.check == "document_failed")
    assert failed.remedy == "POST /documents/reprocess_failed"


async def test_names_and_texts_of_any_language(tmp_path: Path) -> None:
    kg = graphs.custom_graph(4, 4, 2)
    names = ["华为", 'Quote "and" \\backslash\\', "O'Neil & Söhne <AG>", "😀 multi\u2028line"]
    for entity, name in zip(kg["entities"], names, strict=True):
        entity |= {"entity_name": name, "description": f"{name} — описание\n第二行"}
    kg["relationships"] = [dict(kg["relationships"][0], src_id=names[0], tgt_id=name) for name in names[1:]]
    async with graphs.opened(tmp_path) as rag:
        await rag.ainsert_custom_kg(kg)
    found = await validate_directory(tmp_path)
    assert warned(found) == set()
    assert found.amounts["edges"] == 3


@pytest.mark.parametrize("how", [{"indent": 7}, {"separators": (",", ":")}, {"ensure_ascii": False, "indent": "\t"}])
async def test_any_layout_of_json(graph_dir: Path, how: dict[str, Any]) -> None:
    breaking.reformat(graph_dir, breaking.reversed_keys, **how)
    for path in graph_dir.glob("vdb_*.json"):  # base64 with every slash escaped, as JSON allows
        path.write_text(path.read_text().replace("/", "\\/"))
    found = await validate_directory(graph_dir)
    assert (found.verdict, found.findings) == (Verdict.USABLE, ())


async def test_a_named_workspace_and_what_lies_beside(graph_dir: Path, tmp_path: Path) -> None:
    inner = tmp_path / "all"
    shutil.copytree(graph_dir, inner / "one")
    shutil.copytree(graph_dir, inner, dirs_exist_ok=True)
    breaking.truncate(inner / "one", breaking.vectors("chunks"))
    assert (await validate_directory(inner)).verdict is Verdict.USABLE
    assert (await validate_directory(inner, "one")).verdict is Verdict.REPAIRABLE


async def test_texts_without_a_character(graph_dir: Path) -> None:
    """LightRAG takes them, and writes them as they are."""
    kg = graphs.custom_graph(2, 1, 1)
    kg["chunks"].append(dict(kg["chunks"][0], content="", source_id="of nothing"))
    async with graphs.opened(graph_dir) as rag:
        await rag.ainsert("", file_paths=["nothing.txt"])
        await rag.ainsert_custom_chunks("", ["Of a text nobody gave: E1 works with E2."], doc_id="doc-of-chunks")
        await rag.ainsert_custom_kg(kg)
    texts = json.loads((graph_dir / breaking.store("full_docs")).read_text())
    chunks = json.loads((graph_dir / breaking.store("text_chunks")).read_text())
    assert texts["doc-of-chunks"]["content"] == ""
    assert any(row["content"] == "" for row in chunks.values())
    warned(await validate_directory(graph_dir))


async def test_faiss_metadata_of_other_rows(tmp_path: Path) -> None:
    """LightRAG takes the rows its index has, and takes them by their number."""
    async with graphs.opened(tmp_path, vector_storage="FaissVectorDBStorage") as rag:
        await graphs.insert_documents(rag, 0, 2)
    meta = tmp_path / "faiss_index_entities.index.meta.json"
    rows = json.loads(meta.read_text())
    last = len(rows) - 1

    async def judged(pairs: list[tuple[str, Any]]) -> tuple[set[str], tuple[str, ...]]:
        meta.write_text("{" + ", ".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in pairs) + "}")
        errors = (await validate_directory(tmp_path)).errors
        return {one.check for one in errors}, errors[0].ids if errors else ()

    wanted = ({"faiss_torn"}, (f"{meta.name}: its rows are not 0 to {last}, as those of the index",))
    assert await judged([(str(int(key) + 7), row) for key, row in rows.items()]) == wanted
    assert await judged([("0" if key == "1" else key, row) for key, row in rows.items()]) == wanted
    assert await judged([(str(last + 1) if key == "0" else key, row) for key, row in rows.items()]) == wanted
    assert await judged([("-1" if key == "0" else key, row) for key, row in rows.items()]) == wanted
    assert await judged(list(reversed(rows.items()))) == (set(), ())
    async with graphs.opened(tmp_path, vector_storage="FaissVectorDBStorage") as rag:
        assert len(rag.entities_vdb.client_storage["data"]) == len(rows)


async def test_faiss(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    async with graphs.opened(tmp_path, vector_storage="FaissVectorDBStorage") as rag:
        await graphs.insert_documents(rag, 0, 3)
    found = await validate_directory(tmp_path)
    assert warned(found) == set()
    assert found.amounts["entity_vectors"] == found.amounts["nodes"] > 0
    assert found.amounts["embedding_dim"] == 64
    index = tmp_path / "faiss_index_entities.index"
    meta = tmp_path / "faiss_index_entities.index.meta.json"
    older = json.loads(meta.read_text())
    older.popitem()
    meta.write_text(json.dumps(older))
    torn = await validate_directory(tmp_path)
    assert {one.check for one in torn.errors} == {"faiss_torn", "node_no_vector"}
    breaking.truncate(tmp_path, index.name)
    assert "faiss_broken" in {one.check for one in (await validate_directory(tmp_path)).errors}
