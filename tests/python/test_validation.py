"""The validator on real LightRAG directories: each invariant broken by itself, and found by its name."""

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import breaking, check, graphs
from support.breaking import (
    GRAPH,
    SEPARATOR,
    any_edge,
    any_node,
    digest,
    edge_key,
    graph,
    half,
    rows,
    store,
    vector_file,
    vectors,
)

from lightrag_bkp.errors import InvalidInputError
from lightrag_bkp.validation import Severity, Validation, Verdict, validate_directory

ROOT = Path(__file__).resolve().parent.parent.parent

Break = Callable[[Path], object]
Case = tuple[str, int, Verdict, Break]
"""(name of the check, its invariant, the verdict, what breaks it)."""


@pytest.fixture(scope="module")
def dense_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete directory in which entities and relations come from several documents; look, do not touch."""
    directory = tmp_path_factory.mktemp("dense") / "rag_storage"
    asyncio.run(graphs.build_pipeline_graph(directory, documents=8, entities=6))
    return directory


@pytest.fixture
def dense_dir(dense_graph: Path, tmp_path: Path) -> Path:
    """A copy of `dense_graph` of one's own."""
    return Path(shutil.copytree(dense_graph, tmp_path / "rag_storage"))


def seen(found: Validation) -> dict[str, list[str]]:
    """Errors and warnings by name, with their ids."""
    return {one.check: list(one.ids) for one in found.findings if one.severity is not Severity.INFO}


# ---- 1 to 5: files, matrices and records ----


def _matrix_is_short(directory: Path) -> None:
    with vector_file(directory, "entities") as file:
        file.matrix = file.matrix[:-1]


def _other_dimension(directory: Path) -> None:
    with vector_file(directory, "chunks") as file:
        wide = np.ones((len(file.data), 96), "<f4") / np.sqrt(96)
        file.matrix = wide
        file.raw["embedding_dim"] = 96
        for row in file.data:
            row["vector"] = half(wide[0])


def _matrix_is_no_base64(directory: Path) -> None:
    breaking.replace_bytes(directory, vectors("relationships"), b'"matrix": "', b'"matrix": "!!!!')
    truncated = (directory / vectors("relationships")).read_bytes()
    at = truncated.index(b'"matrix": "!!!!') + len(b'"matrix": "!!!!')
    (directory / vectors("relationships")).write_bytes(truncated[:at] + truncated[at + 4 :])


def _row(name: str, value: float) -> Break:
    def change(directory: Path) -> None:
        with vector_file(directory, name) as file:
            file.matrix[3, :] = value

    return change


def _long_row(directory: Path) -> None:
    with vector_file(directory, "entities") as file:
        file.matrix[3] *= 1.01


def _rows_exchanged(directory: Path) -> None:
    with vector_file(directory, "entities") as file:
        file.matrix[[0, 1]] = file.matrix[[1, 0]]


def _other_vector(directory: Path) -> None:
    with vector_file(directory, "chunks") as file:
        file.data[2]["vector"] = half(np.arange(64) - 31.5)


def _garbled_vector(directory: Path) -> None:
    with vector_file(directory, "relationships") as file:
        file.data[1]["vector"] = file.data[1]["vector"][:-8]


def _record_twice(directory: Path) -> None:
    with vector_file(directory, "chunks") as file:
        file.data.append(file.data[0])
        file.matrix = np.vstack([file.matrix, file.matrix[:1]])


def _record_lacks(field: str) -> Break:
    def change(directory: Path) -> None:
        with vector_file(directory, "chunks") as file:
            del file.data[0][field]

    return change


def _empty(name: str) -> Break:
    return lambda directory: (directory / name).write_bytes(b"")


def _gone(name: str) -> Break:
    return lambda directory: (directory / name).unlink()


def _directory(name: str) -> Break:
    def change(directory: Path) -> None:
        (directory / name).unlink()
        (directory / name).mkdir()

    return change


def _link(name: str) -> Break:
    """A symbolic link to the file itself, which LightRAG follows and no snapshot does."""

    def change(directory: Path) -> None:
        elsewhere = (directory / name).rename(directory.parent / name)
        (directory / name).symlink_to(elsewhere)

    return change


def _fifo(name: str) -> Break:
    """Nobody writes to it: who opens it as a file waits for ever."""

    def change(directory: Path) -> None:
        (directory / name).unlink()
        os.mkfifo(directory / name)

    return change


def _key_twice(name: str, key: bytes) -> Break:
    return lambda directory: breaking.replace_bytes(directory, name, key + b":", key + b": 7, " + key + b":")


def _cut(name: str) -> Break:
    return lambda directory: breaking.truncate(directory, name)


FILES: list[Case] = [
    ("file_broken", 1, Verdict.UNUSABLE, _cut(store("text_chunks"))),
    ("file_broken", 1, Verdict.UNUSABLE, _empty(GRAPH)),
    ("file_broken", 1, Verdict.UNUSABLE, _cut(GRAPH)),
    ("file_broken", 1, Verdict.UNUSABLE, _empty(store("doc_status"))),
    ("file_broken", 1, Verdict.UNUSABLE, lambda d: (d / store("full_docs")).write_text("[]")),
    ("file_missing", 1, Verdict.UNUSABLE, _gone(store("text_chunks"))),
    ("file_missing", 1, Verdict.UNUSABLE, _gone(store("full_docs"))),
    ("file_missing", 1, Verdict.UNUSABLE, _gone(store("doc_status"))),
    ("file_missing", 1, Verdict.UNUSABLE, _gone(GRAPH)),
    ("vectors_broken", 1, Verdict.REPAIRABLE, _cut(vectors("relationships"))),
    ("file_missing", 1, Verdict.UNUSABLE, _link(GRAPH)),
    ("vectors_missing", 1, Verdict.REPAIRABLE, _gone(vectors("entities"))),
    ("vectors_linked", 1, Verdict.REPAIRABLE, _link(vectors("chunks"))),
    ("index_broken", 1, Verdict.REPAIRABLE, _cut(store("entity_chunks"))),
    ("index_broken", 1, Verdict.REPAIRABLE, _empty(store("full_relations"))),
    ("cache_broken", 1, Verdict.REPAIRABLE, _cut(store("llm_response_cache"))),
    ("cache_broken", 1, Verdict.REPAIRABLE, _directory(store("llm_response_cache"))),
    ("cache_broken", 1, Verdict.REPAIRABLE, _fifo(store("llm_response_cache"))),
    ("index_broken", 1, Verdict.REPAIRABLE, _directory(store("full_entities"))),
    ("vectors_broken", 1, Verdict.REPAIRABLE, _fifo(vectors("chunks"))),
    ("vectors_broken", 1, Verdict.REPAIRABLE, _directory(vectors("entities"))),
    ("file_broken", 1, Verdict.UNUSABLE, _fifo(GRAPH)),
    ("other_broken", 1, Verdict.USABLE, lambda d: (d / store("of_tomorrow")).write_text("{")),
    ("other_broken", 1, Verdict.USABLE, lambda d: (d / store("of_tomorrow")).mkdir()),
    ("key_twice", 1, Verdict.USABLE, _key_twice(store("doc_status"), b'"status"')),
    ("key_twice", 1, Verdict.USABLE, _key_twice(store("text_chunks"), b'"content"')),
    ("key_twice", 1, Verdict.USABLE, _key_twice(store("entity_chunks"), b'"count"')),
    ("key_twice", 1, Verdict.USABLE, _key_twice(vectors("chunks"), b'"full_doc_id"')),
    ("matrix_length", 2, Verdict.REPAIRABLE, _matrix_is_short),
    ("dim_differs", 2, Verdict.REPAIRABLE, _other_dimension),
    ("matrix_text", 2, Verdict.REPAIRABLE, _matrix_is_no_base64),
    ("row_not_finite", 3, Verdict.REPAIRABLE, _row("chunks", np.nan)),
    ("row_not_finite", 3, Verdict.REPAIRABLE, _row("relationships", np.inf)),
    ("row_norm", 3, Verdict.REPAIRABLE, _row("entities", 0.0)),
    ("row_norm", 3, Verdict.REPAIRABLE, _long_row),
    ("row_cosine", 4, Verdict.REPAIRABLE, _rows_exchanged),
    ("row_cosine", 4, Verdict.REPAIRABLE, _other_vector),
    ("row_vector", 4, Verdict.REPAIRABLE, _garbled_vector),
    ("row_vector", 4, Verdict.REPAIRABLE, _record_lacks("vector")),
    ("record_twice", 5, Verdict.REPAIRABLE, _record_twice),
    ("record_fields", 5, Verdict.REPAIRABLE, _record_lacks("content")),
    *[
        ("record_origin", 5, Verdict.USABLE, _record_lacks(field))
        for field in ("__created_at__", "file_path", "full_doc_id")
    ],
]


# ---- 6 to 14: ids, the graph, its vectors and its tracking ----


def _entity(change: Callable[[dict[str, str]], None]) -> Break:
    def apply(directory: Path) -> None:
        with vector_file(directory, "entities") as file:
            change(file.data[2])

    return apply


def _relation_id(directory: Path) -> None:
    with vector_file(directory, "relationships") as file:
        file.data[0]["__id__"] = "rel-" + digest("something else")


def _in_graph(change: Callable[[object, str, tuple[str, str]], None]) -> Break:
    def apply(directory: Path) -> None:
        with graph(directory) as g:
            change(g, any_node(g), any_edge(g))

    return apply


def _element(text: str, kind: str) -> str:
    return text[text.index(f"<{kind} ") : text.index(f"</{kind}>") + len(f"</{kind}>")]


def _second_edge(directory: Path) -> None:
    text = (directory / GRAPH).read_text()
    edge = _element(text, "edge")
    source, target = edge.split('"')[1], edge.split('"')[3]
    turned = edge.replace(f'source="{source}" target="{target}"', f'source="{target}" target="{source}"')
    (directory / GRAPH).write_text(text.replace("</graph>", turned + "</graph>"))


def _directed_edge(directory: Path) -> None:
    breaking.replace_bytes(directory, GRAPH, b"<edge ", b'<edge directed="true" ')


def _second_node(directory: Path) -> None:
    text = (directory / GRAPH).read_text()
    node = _element(text, "node")
    (directory / GRAPH).write_text(text.replace(node, node + node, 1))


def _stray_edge(directory: Path) -> None:
    """An edge to a node that is nowhere; all else has it."""
    with graph(directory) as g:
        name = any_node(g)
    text = (directory / GRAPH).read_text()
    at = text.index(f'<node id="{name}">')
    end = text.index("</node>", at) + len("</node>")
    (directory / GRAPH).write_text(text[:at] + text[end:])
    with vector_file(directory, "entities") as file:
        place = next(i for i, row in enumerate(file.data) if row["entity_name"] == name)
        del file.data[place]
        file.matrix = np.delete(file.matrix, place, axis=0)
    with rows(directory, "entity_chunks") as tracked:
        del tracked[name]


def _without_vector(name: str, key: Callable[[dict[str, str]], bool] | None = None) -> Break:
    def apply(directory: Path) -> None:
        with vector_file(directory, name) as file:
            del file.data[1]
            file.matrix = np.delete(file.matrix, 1, axis=0)

    return apply


def _other_sources(name: str) -> Break:
    def apply(directory: Path) -> None:
        with vector_file(directory, name) as file:
            row = next(row for row in file.data if SEPARATOR in row["source_id"])
            row["source_id"] = row["source_id"].split(SEPARATOR)[0]

    return apply


def _source(word: str) -> Break:
    """A node and all that follows it name another source."""

    def apply(directory: Path) -> None:
        with graph(directory) as g:
            name = any_node(g)
            g.nodes[name]["source_id"] += SEPARATOR + word
            sources = g.nodes[name]["source_id"]
        with vector_file(directory, "entities") as file:
            next(row for row in file.data if row["entity_name"] == name)["source_id"] = sources
        with rows(directory, "entity_chunks") as tracked:
            tracked[name] |= {"chunk_ids": sources.split(SEPARATOR), "count": sources.count(SEPARATOR) + 1}

    return apply


def _tracked(change: Callable[[dict[str, dict[str, object]], str], None], kind: str = "entity") -> Break:
    def apply(directory: Path) -> None:
        with graph(directory) as g:
            objects = g.nodes if kind == "entity" else {edge_key(edge): g.edges[edge] for edge in g.edges}
            # Of the least sources: what has the most may have been cut at LightRAG's cap.
            counts = {n: objects[n]["source_id"].count(SEPARATOR) for n in objects}
            name = min((n for n in counts if counts[n]), key=lambda n: (counts[n], n))
            assert counts[name] < max(counts.values())
        with rows(directory, f"{kind}_chunks") as tracked:
            change(tracked, name)

    return apply


def _fewer(tracked: dict[str, dict[str, object]], name: str) -> None:
    ids = tracked[name]["chunk_ids"]
    assert isinstance(ids, list)
    tracked[name] |= {"chunk_ids": ids[:-1], "count": len(ids) - 1}


def _more(tracked: dict[str, dict[str, object]], name: str) -> None:
    ids = tracked[name]["chunk_ids"]
    assert isinstance(ids, list)
    tracked[name] |= {"chunk_ids": [*ids, "chunk-" + digest("more")], "count": len(ids) + 1}


def _vector_orphan(directory: Path) -> None:
    with vector_file(directory, "entities") as file:
        row = dict(file.data[0], entity_name="Nobody", content="Nobody\nis here", __id__="ent-" + digest("Nobody"))
        file.data.append(row)
        file.matrix = np.vstack([file.matrix, file.matrix[:1]])


GRAPHS: list[Case] = [
    ("entity_id", 6, Verdict.REPAIRABLE, _entity(lambda row: row.update(__id__="ent-" + "0" * 32))),
    ("entity_content", 6, Verdict.REPAIRABLE, _entity(lambda row: row.update(content="of something else"))),
    ("relation_id", 7, Verdict.REPAIRABLE, _relation_id),
    ("graph_directed", 8, Verdict.UNUSABLE, lambda d: breaking.replace_bytes(d, GRAPH, b'"undirected"', b'"directed"')),
    ("graph_directed", 8, Verdict.UNUSABLE, _directed_edge),
    ("edge_endpoint", 8, Verdict.UNUSABLE, _stray_edge),
    ("edge_twice", 8, Verdict.UNUSABLE, _second_edge),
    ("node_twice", 8, Verdict.UNUSABLE, _second_node),
    ("node_id", 8, Verdict.UNUSABLE, _in_graph(lambda g, node, _: g.nodes[node].update(entity_id="Somebody"))),
    ("node_attributes", 9, Verdict.USABLE, _in_graph(lambda g, node, _: g.nodes[node].pop("description"))),
    ("edge_attributes", 9, Verdict.USABLE, _in_graph(lambda g, _, edge: g.edges[edge].update(weight="heavy"))),
    *[
        ("edge_attributes", 9, Verdict.USABLE, _in_graph(lambda g, _, edge, w=weight: g.edges[edge].update(weight=w)))  # type: ignore[misc]
        for weight in (float("nan"), float("inf"), -float("inf"))
    ],
    ("node_no_vector", 10, Verdict.REPAIRABLE, _without_vector("entities")),
    ("edge_no_vector", 10, Verdict.REPAIRABLE, _without_vector("relationships")),
    ("node_sources", 11, Verdict.REPAIRABLE, _other_sources("entities")),
    ("edge_sources", 11, Verdict.REPAIRABLE, _other_sources("relationships")),
    ("source_gone", 12, Verdict.USABLE, _source("chunk-" + digest("gone"))),
    ("source_foreign", 12, Verdict.USABLE, _source("my own notes")),
    ("tracking_lacks", 13, Verdict.REPAIRABLE, _tracked(_fewer)),
    ("tracking_lacks", 13, Verdict.REPAIRABLE, _tracked(_fewer, "relation")),
    ("tracking_absent", 13, Verdict.USABLE, _tracked(lambda tracked, name: tracked.pop(name))),
    ("tracking_differs", 13, Verdict.USABLE, _tracked(_more)),
    ("tracking_differs", 13, Verdict.USABLE, _tracked(_more, "relation")),
    ("tracking_count", 13, Verdict.USABLE, _tracked(lambda tracked, name: tracked[name].update(count=99))),
    ("edge_gone", 14, Verdict.UNUSABLE, _in_graph(lambda g, _, edge: g.remove_edge(*edge))),
    ("tracking_orphan", 14, Verdict.USABLE, _tracked(lambda tracked, name: tracked.update(Nobody=tracked[name]))),
    ("vector_orphan", 14, Verdict.USABLE, _vector_orphan),
]


# ---- 15 to 24: chunks and documents ----


def _in_rows(name: str, change: Callable[[dict[str, dict[str, object]], str], object]) -> Break:
    def apply(directory: Path) -> None:
        with rows(directory, name) as found:
            change(found, min(found))

    return apply


def _vector_of_no_chunk(directory: Path) -> None:
    with vector_file(directory, "chunks") as file:
        file.data.append(dict(file.data[0], __id__="chunk-" + digest("nothing")))
        file.matrix = np.vstack([file.matrix, file.matrix[:1]])


def _chunk_of_another(directory: Path) -> None:
    """A chunk says it is of another document than its id does; that document lists it."""
    with rows(directory, "text_chunks") as chunks:
        first, second = sorted(chunks)[:2]
        chunks[first]["full_doc_id"] = other = chunks[second]["full_doc_id"]
    with rows(directory, "doc_status") as status:
        status[other]["chunks_list"].append(first)
        status[other]["chunks_count"] += 1
    for name in ("full_entities", "full_relations"):
        with rows(directory, name) as anchors:
            field = "entity_names" if name == "full_entities" else "relation_pairs"
            anchors[other][field] += anchors[first.split("-chunk-")[0]][field]


def _unlisted(status: dict[str, dict[str, object]], name: str) -> None:
    status[name] |= {"chunks_list": [], "chunks_count": 0}


def _count(number: bytes) -> Break:
    """The number of a document's chunks, which is 1, written like this."""
    return lambda directory: breaking.replace_bytes(
        directory, store("doc_status"), b'"chunks_count": 1,', b'"chunks_count": ' + number + b","
    )


def _chunk_gone(directory: Path) -> None:
    """A processed document lists a chunk that nothing else knows."""
    with rows(directory, "doc_status") as status:
        name = min(status)
        status[name]["chunks_list"].append(name + "-chunk-777")
        status[name]["chunks_count"] += 1


def _unanchored(name: str, field: str) -> Break:
    return _in_rows(name, lambda found, doc: found[doc].update({field: found[doc][field][1:]}))  # type: ignore[index]


def _half_gone(*names: str) -> Break:
    """Every other document is missing from these stores, and no other."""

    def apply(directory: Path) -> None:
        for name in names:
            with rows(directory, name) as found:
                for document in sorted(found)[::2]:
                    del found[document]

    return apply


DOCUMENTS: list[Case] = [
    ("chunk_no_vector", 15, Verdict.REPAIRABLE, _without_vector("chunks")),
    ("vector_no_chunk", 15, Verdict.REPAIRABLE, _vector_of_no_chunk),
    ("chunk_other_doc", 16, Verdict.UNUSABLE, _chunk_of_another),
    ("chunk_unlisted", 16, Verdict.UNUSABLE, _in_rows("doc_status", _unlisted)),
    ("chunk_text", 16, Verdict.UNUSABLE, _in_rows("text_chunks", lambda chunks, name: chunks[name].pop("content"))),
    ("chunk_text", 16, Verdict.UNUSABLE, _in_rows("text_chunks", lambda chunks, name: chunks[name].update(content=""))),
    ("chunk_origin", 16, Verdict.USABLE, _in_rows("text_chunks", lambda chunks, name: chunks[name].pop("full_doc_id"))),
    ("status_gone", 17, Verdict.UNUSABLE, _half_gone("doc_status")),
    ("status_gone", 17, Verdict.UNUSABLE, _half_gone("doc_status", "full_docs")),
    ("status_gone", 17, Verdict.UNUSABLE, _half_gone("doc_status", "full_docs", "full_entities", "full_relations")),
    *[
        ("status_fields", 17, Verdict.UNUSABLE, _in_rows("doc_status", lambda s, doc, f=field: s[doc].pop(f)))  # type: ignore[misc]
        for field in ("content_summary", "content_length", "created_at", "updated_at")
    ],
    ("status_fields", 17, Verdict.UNUSABLE, _in_rows("doc_status", lambda s, doc: s[doc].update(updated_at=None))),
    ("status_no_list", 17, Verdict.USABLE, _in_rows("doc_status", lambda s, doc: s[doc].pop("chunks_list"))),
    ("status_unknown", 17, Verdict.UNUSABLE, _in_rows("doc_status", lambda s, doc: s[doc].update(status="done"))),
    ("chunks_count", 17, Verdict.UNUSABLE, _in_rows("doc_status", lambda s, doc: s[doc].update(chunks_count=7))),
    *[
        ("chunks_count", 17, Verdict.UNUSABLE, _count(number))
        for number in (b"1.0", b"1e3", b"1e999999999", b'"1"', b"true", b"9" * 40)
    ],
    ("chunk_gone", 17, Verdict.UNUSABLE, _chunk_gone),
    ("status_emptied", 17, Verdict.UNUSABLE, _in_rows("doc_status", lambda s, doc: s.clear())),
    (
        "duplicate_mark",
        17,
        Verdict.USABLE,
        _in_rows(
            "doc_status",
            lambda s, doc: s.update({"dup-1": {**s[doc], "status": "failed", "chunks_list": [], "chunks_count": 0}}),
        ),
    ),
    ("document_gone", 19, Verdict.UNUSABLE, _in_rows("full_docs", lambda texts, doc: texts.pop(doc))),
    *[
        ("document_gone", 19, Verdict.UNUSABLE, _in_rows("full_docs", lambda texts, doc, r=row: texts.update({doc: r})))  # type: ignore[misc]
        for row in ({}, {"file_path": "r"}, {"content": 7}, {"content": None}, {"content": ""})
    ],
    ("no_anchors", 19, Verdict.USABLE, _in_rows("full_entities", lambda found, doc: found.pop(doc))),
    ("unanchored", 20, Verdict.USABLE, _unanchored("full_entities", "entity_names")),
    ("unanchored", 20, Verdict.USABLE, _unanchored("full_relations", "relation_pairs")),
    ("answer_gone", 21, Verdict.USABLE, _in_rows("llm_response_cache", lambda found, key: found.pop(key))),
    (
        "sidecar_gone",
        23,
        Verdict.USABLE,
        _in_rows("full_docs", lambda texts, doc: texts[doc].update(sidecar_location="file:///no/such%20place/x.jsonl")),
    ),
    (
        "sidecar_path",
        23,
        Verdict.USABLE,
        _in_rows("full_docs", lambda texts, doc: texts[doc].update(sidecar_location="/data/report.parsed")),
    ),
    ("status_extra", 24, Verdict.USABLE, _in_rows("doc_status", lambda s, doc: s[doc].update(scheme_name="rag"))),
]


CASES = [*FILES, *GRAPHS, *DOCUMENTS]


@pytest.mark.parametrize(
    ("name", "invariant", "verdict", "breaks"), CASES, ids=[f"{number}-{name}" for name, number, *_ in CASES]
)
async def test_each_invariant_is_found_when_it_alone_is_broken(
    name: str, invariant: int, verdict: Verdict, breaks: Break, dense_dir: Path
) -> None:
    breaks(dense_dir)
    found = await validate_directory(dense_dir)
    assert set(seen(found)) == {name}
    assert found.verdict is verdict
    (finding,) = (one for one in found.findings if one.check == name)
    assert finding.invariant == invariant
    assert finding.count >= len(finding.ids) >= 1


@pytest.mark.parametrize(
    ("name", "remedy"),
    [(GRAPH, ""), (store("text_chunks"), ""), (vectors("entities"), "replace the link by the file itself")],
)
async def test_a_link_is_said_to_be_one_and_does_no_harm_beside(name: str, remedy: str, dense_dir: Path) -> None:
    _link(name)(dense_dir)
    errors = (await validate_directory(dense_dir)).errors
    (said,) = (one for one in errors if one.check in ("file_missing", "vectors_linked"))
    assert said.remedy == remedy
    assert said.ids == (f"{name}: it is a symbolic link, which is not followed; put the file itself there",)
    assert (await validate_directory(dense_dir, partial=True)).verdict is Verdict.USABLE


async def test_what_is_none_of_lightrags_names_is_not_judged(dense_dir: Path) -> None:
    for name in (b"kv_store_\xff.json", b"kv_store_a b.json", b"kv_store_.json"):
        Path(os.fsdecode(os.fsencode(dense_dir) + b"/" + name)).write_text("{")
    assert (await validate_directory(dense_dir)).findings == ()


async def test_a_graph_without_its_nodes_is_lost(dense_dir: Path) -> None:
    """Its vectors must not be rebuilt from it: they are the last trace of what it held."""
    with breaking.graph(dense_dir) as found:
        found.clear()
    said = await validate_directory(dense_dir)
    assert set(seen(said)) == {"graph_emptied", "tracking_orphan", "vector_orphan"}
    assert said.verdict is Verdict.UNUSABLE


async def test_nodes_that_are_gone_are_lost(dense_dir: Path) -> None:
    """Their vectors, their tracking rows and the anchors of their documents have them."""
    with graph(dense_dir) as found:
        gone = sorted(found.nodes)[:2]
        edges = sorted(edge_key(edge) for edge in found.edges(gone))
        found.remove_nodes_from(gone)
    said = await validate_directory(dense_dir)
    assert seen(said) == {"node_gone": gone, "edge_gone": edges}
    assert said.verdict is Verdict.UNUSABLE


def _checks() -> dict[str, tuple[int, str]]:
    """Invariant and severity of every check there is."""
    table = (ROOT / "csrc/lightrag/check.def").read_text()
    rows = re.findall(r"^LRB_CHECK\((\w+), +(\d+), (\w+),", table, re.M)
    return {name.lower(): (int(number), severity) for name, number, severity in rows}


def test_every_check_that_can_alarm_is_broken_by_a_test() -> None:
    elsewhere = {
        "placeholder",  # tests/python/test_validation_alarms.py
        "tracking_custom",
        "node_gone",  # test_nodes_that_are_gone_are_lost
        "graph_emptied",  # test_a_graph_without_its_nodes_is_lost
        "faiss_torn",
        "faiss_times",
        "faiss_broken",
        "self_loop",  # test_what_networkx_would_not_write
        "dim_unwanted",  # test_the_configured_dimension
        "config_broken",  # tests/c/test_validation.c
        "config_dim",
        "anchor_differs",
    }
    known = _checks()
    assert {name: number for name, number, *_ in CASES} | dict.fromkeys(elsewhere, 0) == {
        name: 0 if name in elsewhere else number for name, (number, severity) in known.items() if severity != "INFO"
    }


def test_the_page_lists_every_check() -> None:
    page = (ROOT / "docs/validation.md").read_text()
    listed = re.findall(r"^\| (\d*) *\|.*?\| `(\w+)` \| (\w+) \|", page, re.M)
    number, found = 0, {}
    for written, name, severity in listed:
        number = int(written) if written else number
        found[name] = (number, severity)
    words = {"ERROR": "error", "WARN": "warning", "INFO": "info"}
    assert found == {name: (number, words[severity]) for name, (number, severity) in _checks().items()}


def test_the_page_names_the_test_of_every_invariant() -> None:
    rows = re.findall(r"^\| (\d[^|`]*)[^|]*\| (`tests/.*) \|$", (ROOT / "docs/validation.md").read_text(), re.M)
    assert set().union(*(_numbers(first) for first, _ in rows)) == set(range(1, 26))
    (by_case,) = (first for first, tests in rows if "it_alone_is_broken" in tests)
    assert _numbers(by_case) == {number for _, number, *_ in CASES}


def _numbers(spans: str) -> set[int]:
    """The numbers of "1 to 3, 7"."""
    found = re.findall(r"(\d+)(?: to (\d+))?", spans)
    return {number for first, last in found for number in range(int(first), int(last or first) + 1)}


async def test_what_networkx_would_not_write(dense_dir: Path) -> None:
    text = (dense_dir / GRAPH).read_text()
    edge = _element(text, "edge")
    source, target = edge.split('"')[1], edge.split('"')[3]
    loop = edge.replace(f'target="{target}"', f'target="{source}"')
    (dense_dir / GRAPH).write_text(text.replace("</graph>", loop + "</graph>"))
    found = await validate_directory(dense_dir)
    assert set(seen(found)) == {"self_loop", "edge_no_vector", "tracking_absent", "unanchored"}


async def test_the_configured_dimension(dense_graph: Path) -> None:
    assert (await validate_directory(dense_graph, embedding_dim=64)).findings == ()
    assert set(seen(await validate_directory(dense_graph, embedding_dim=96))) == {"dim_unwanted"}
    with pytest.raises(InvalidInputError):
        await validate_directory(dense_graph, embedding_dim=0)


async def test_a_whole_graph_has_no_finding(built_graph: Path) -> None:
    assert check.findings(built_graph) == []
    found = await validate_directory(built_graph)
    assert (found.verdict, found.findings) == (Verdict.USABLE, ())
    assert found.amounts["processed"] == found.amounts["documents"] == 6
    assert found.amounts["embedding_dim"] == 64
