"""The table of LightRAG's file names."""

import pytest

from lightrag_bkp.sources import names

WHOLE = (
    "kv_store_full_docs.json",
    "kv_store_text_chunks.json",
    "kv_store_full_entities.json",
    "kv_store_full_relations.json",
    "kv_store_entity_chunks.json",
    "kv_store_relation_chunks.json",
    "kv_store_llm_response_cache.json",
    "kv_store_doc_status.json",
    "vdb_entities.json",
    "vdb_relationships.json",
    "vdb_chunks.json",
    "graph_chunk_entity_relation.graphml",
)


@pytest.mark.parametrize("name", [*WHOLE, "faiss_index_chunks.index", "faiss_index_chunks.index.meta.json"])
def test_stores_are_items(name: str) -> None:
    assert names.is_item(name)


@pytest.mark.parametrize(
    "name",
    [
        "kv_store_full_docs.json.tmp.12.34.56",
        "vdb_entities.json.bak",
        "vdb_entities.json\n",
        "xvdb_entities.json",
        "vdb_.json/..",
        "lightrag.log",
        "notes.json",
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert not names.is_item(name)


def without(*gone: str) -> set[str]:
    return set(WHOLE) - set(gone)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (set(WHOLE), []),
        (without("kv_store_llm_response_cache.json", "kv_store_full_entities.json"), []),
        (without("vdb_entities.json"), ["vdb_entities.json"]),
        (without("graph_chunk_entity_relation.graphml"), ["graph_chunk_entity_relation.graphml"]),
        (without("kv_store_doc_status.json"), ["kv_store_doc_status.json"]),
        (without("kv_store_doc_status.json", "kv_store_full_docs.json"), []),
        (
            without("vdb_chunks.json") | {"faiss_index_chunks.index"},
            ["faiss_index_chunks.index.meta.json"],
        ),
        (without("vdb_chunks.json") | {"faiss_index_chunks.index", "faiss_index_chunks.index.meta.json"}, []),
    ],
)
def test_missing_names_what_a_whole_graph_needs(present: set[str], expected: list[str]) -> None:
    assert names.missing(present) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kv_store_full_docs.json.tmp.12.34.56", "half-written"),
        ("faiss_index_chunks.index.meta.json.tmp", "half-written"),
        ("scan_spool", "spool"),
        ("lightrag.log.1", "log"),
        (".lightrag_storage.lock", "lock"),
        (".lrb_restore", "staging"),
    ],
)
def test_what_is_never_an_item_says_why(name: str, reason: str) -> None:
    assert reason in (names.why_never(name) or "")


def test_an_unknown_name_has_no_reason_of_its_own() -> None:
    assert names.why_never("notes.txt") is None
