"""The one table of LightRAG's file names: which are items of a graph, which never, and which a whole graph needs."""

import re
from collections.abc import Collection

DOC_STATUS = "kv_store_doc_status.json"
FULL_DOCS = "kv_store_full_docs.json"
TEXT_CHUNKS = "kv_store_text_chunks.json"
LLM_CACHE = "kv_store_llm_response_cache.json"
GRAPH = "graph_chunk_entity_relation.graphml"
FAISS_META = ".meta.json"
"""What the name of a Faiss index has behind it to name the other half of the pair."""
VECTOR_NAMESPACES = ("entities", "relationships", "chunks")

INPUTS = "inputs"
"""Item names of uploads begin with this directory."""
STAGING_PREFIX = ".lrb_restore"
"""What a restore makes beside or inside its target begins with this (engine/target.h)."""
OWN_DIR = ".lightrag_bkp"
"""What a server of ours keeps in its working directory (serving.py); no part of any graph, and never moved."""
CONFIG_DIR = "_lightrag_config"
CONFIG_NAMES = ("kv_server_config.json", "storage_anchor.json")

# LightRAG derives every name from a namespace, so a namespace of a later version is taken as well.
_ITEM = re.compile(
    r"kv_store_\w+\.json|vdb_\w+\.json|graph_\w+\.graphml|faiss_index_\w+\.index(\.meta\.json)?", re.ASCII
)

_HALF_WRITTEN = re.compile(r".*\.tmp(\.\d+\.\d+\.\d+)?")
_NEVER = (
    (_HALF_WRITTEN, "half-written file of LightRAG"),
    (re.compile(r"scan_spool"), "disposable spool of LightRAG's directory scan"),
    (re.compile(r"lightrag\.log.*"), "log"),
    (re.compile(r".*\.lock"), "lock file"),
    (re.compile(r"\.lrb_restore.*"), "staging of a restore"),
)


def is_item(name: str) -> bool:
    """Whether a file of this name in a workspace's directory is one of LightRAG's stores."""
    return _ITEM.fullmatch(name) is not None


def is_half_written(name: str) -> bool:
    """Whether LightRAG writes a file of this name, to give it a store's name when it is whole."""
    return _HALF_WRITTEN.fullmatch(name) is not None


def why_never(name: str) -> str | None:
    """Why a file of this name is never an item, or None when it is simply unknown."""
    return next((reason for pattern, reason in _NEVER if pattern.fullmatch(name)), None)


def missing(names: Collection[str]) -> list[str]:
    """Which files of a whole graph are not among `names`.

    A graph made by `ainsert_custom_kg` has no documents; one that has any has both `full_docs` and `doc_status`.
    Vectors are in NanoVectorDB's files or in pairs of Faiss files.
    """
    wanted = [GRAPH, TEXT_CHUNKS]
    if DOC_STATUS in names or FULL_DOCS in names:
        wanted += [DOC_STATUS, FULL_DOCS]
    for namespace in VECTOR_NAMESPACES:
        index = f"faiss_index_{namespace}.index"
        pair = [index, index + FAISS_META]
        wanted += pair if any(half in names for half in pair) else [f"vdb_{namespace}.json"]
    return [name for name in wanted if name not in names]
