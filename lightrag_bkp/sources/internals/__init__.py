"""LightRAG's private names: what is known of its insides, in one place.

`live` decides when to cut and when to restore; here is what it must know for that. Two tables list what must exist:
`REQUIRED` for which rung of a cut, `REQUIRED_TO_RESTORE` for restoring under a running LightRAG. What is missing lowers
the rung; the version is never asked for. `reservation` takes LightRAG's pipeline, `memory` makes it read its files
anew.
"""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..gate import Gate

LLM_CACHE_STORE = "llm_response_cache"
KV_STORES = (
    "full_docs",
    "text_chunks",
    "full_entities",
    "full_relations",
    "entity_chunks",
    "relation_chunks",
    LLM_CACHE_STORE,
    "doc_status",
)
VECTOR_STORES = ("entities_vdb", "relationships_vdb", "chunks_vdb")
GRAPH_STORE = "chunk_entity_relation_graph"
_STORES = (*KV_STORES, *VECTOR_STORES, GRAPH_STORE)

_FILE_CLASSES = frozenset(
    {"JsonKVStorage", "JsonDocStatusStorage", "NanoVectorDBStorage", "FaissVectorDBStorage", "NetworkXStorage"}
)

WRITTEN_ALONE = frozenset({LLM_CACHE_STORE, "doc_status", "full_docs", "full_entities", "full_relations"})
"""Stores LightRAG itself flushes without the others. The rest changes together with the graph, which has no mark for
unsaved changes of its own."""

_UNSAVED_MARKS = ("_client_dirty", "_index_dirty", "_pending_upserts", "_pending_deletes")
"""Attributes of vector stores that are true or not empty while memory is ahead of the file."""

_MERGES = ("_merge_nodes_then_upsert", "_merge_edges_then_upsert")
_EDITS = (
    "acreate_entity",
    "aedit_entity",
    "amerge_entities",
    "adelete_by_entity",
    "acreate_relation",
    "aedit_relation",
    "adelete_by_relation",
    "adelete_by_doc_id",
    "ainsert_custom_kg",
    "ainsert_custom_chunks",
    "_purge_stale_extraction_if_resuming",
)
_CHUNK_STORES = ("text_chunks", "chunks_vdb")
_CHUNK_WRITES = ("upsert", "delete")

REQUIRED: dict[str, tuple[str, ...]] = {
    "settled": ("lightrag.kg.shared_storage:get_namespace_data", "lightrag.kg.shared_storage:get_namespace_lock"),
    "quiesced": ("lightrag.file_atomic:atomic_write",),
    "gated": (
        *(f"lightrag.operate:{name}" for name in _MERGES),
        *(f"rag:{name}" for name in ("_insert_done", *_EDITS)),
        *(f"rag:{store}.{name}" for store in _CHUNK_STORES for name in _CHUNK_WRITES),
    ),
}
"""What a rung needs beyond the rungs before it: "module:attribute", or "rag:attribute" for the LightRAG object."""

REQUIRED_TO_RESTORE: dict[str, tuple[str, ...]] = {
    "reserve": (*REQUIRED["settled"], "rag:apipeline_enqueue_documents", "rag:apipeline_process_enqueue_documents"),
    "reload": (
        *(f"lightrag.kg.shared_storage:{name}" for name in ("set_all_update_flags", "clear_all_update_flags")),
        "lightrag.utils:load_json",
        *(f"rag:{store}.{name}" for store in _STORES for name in ("_storage_lock", "namespace", "workspace")),
        *(f"rag:{store}.{name}" for store in KV_STORES for name in ("_data", "_file_name")),
        *(f"rag:{store}.storage_updated.value" for store in (*VECTOR_STORES, GRAPH_STORE)),
    ),
}
"""What restoring under a running LightRAG needs: `reserve` to be alone with its files, `reload` to make it read them.
How each class of store is made to read is in `memory`."""

_GATE_ATTRIBUTE = "_lightrag_bkp_gate"
"""Where the gate of a LightRAG hangs: on its graph storage, which every merge is handed. It lives as long as that."""

_INTAKE_ATTRIBUTE = "_lightrag_bkp_intake"
"""Where the gate for new documents hangs, beside it."""

_SHARED_MARK = "_lightrag_bkp_shared"


def missing(rag: Any) -> dict[str, list[str]]:
    """For each rung of `REQUIRED` the names this LightRAG does not have."""
    return {rung: [name for name in names if not exists(rag, name)] for rung, names in REQUIRED.items()}


def storage_classes(rag: Any) -> dict[str, str]:
    """The class name of every store of `rag`, by attribute ("full_docs" -> "JsonKVStorage")."""
    return {name: type(store).__name__ for name in _STORES if (store := getattr(rag, name, None)) is not None}


def foreign_stores(rag: Any) -> list[str]:
    """The stores whose data are not in files of the working directory, each as "attribute: ClassName"."""
    return [f"{name}: {kind}" for name, kind in storage_classes(rag).items() if kind not in _FILE_CLASSES]


def lightrag_facts(rag: Any) -> dict[str, Any]:
    """What a snapshot records about the LightRAG it was taken of; JSON-ready, read from memory."""
    package = importlib.import_module("lightrag")
    embedding = getattr(rag, "embedding_func", None)
    facts = {
        "lightrag_version": getattr(package, "__version__", None),
        "lightrag_api_version": getattr(package, "__api_version__", None),
        "workspace": getattr(rag, "workspace", ""),
        "storage_classes": storage_classes(rag),
        "embedding_dim": getattr(embedding, "embedding_dim", None),
        "embedding_model": getattr(embedding, "model_name", None),
    }
    return {name: value for name, value in facts.items() if value is not None}


def storages_state(rag: Any) -> str:
    """What LightRAG says of its storages."""
    return str(getattr(getattr(rag, "_storages_status", None), "name", "INITIALIZED"))


def is_open(rag: Any) -> bool:
    """Whether a LightRAG works on its files: from the initialisation of its storages until they are finalised."""
    return storages_state(rag) == "INITIALIZED"


def file_stores(rag: Any) -> dict[str, Any]:
    """The stores whose data are in files of the working directory, by attribute."""
    return {name: getattr(rag, name) for name, kind in storage_classes(rag).items() if kind in _FILE_CLASSES}


def unsaved_stores(rag: Any) -> set[str]:
    """The file-backed stores whose memory is ahead of their file."""
    return {name for name, store in file_stores(rag).items() if _is_unsaved(store, name in KV_STORES)}


def _is_unsaved(store: Any, key_value: bool) -> bool:
    # On key-value stores the flag means "not yet on disk"; elsewhere "a peer committed", which is no concern here.
    flagged = key_value and getattr(getattr(store, "storage_updated", None), "value", False)
    return bool(flagged) or any(getattr(store, mark, None) for mark in _UNSAVED_MARKS)


async def pipeline_status(rag: Any) -> dict[str, Any]:
    """A copy of the pipeline's state; empty when no pipeline was ever set up.

    Where LightRAG has one worker, nothing else of the loop runs between the copy and the return.
    """
    shared_storage = importlib.import_module("lightrag.kg.shared_storage")
    try:
        status = await shared_storage.get_namespace_data("pipeline_status", workspace=rag.workspace)
    except Exception as error:
        if type(error).__name__ == "PipelineNotInitializedError":
            return {}
        raise
    return dict(status.copy())


def pipeline_lock(rag: Any) -> Any:
    """The lock of the pipeline's state, an async context manager."""
    shared_storage = importlib.import_module("lightrag.kg.shared_storage")
    return shared_storage.get_namespace_lock("pipeline_status", workspace=rag.workspace)


def has_other_workers() -> bool:
    """Whether LightRAG shares its state with other processes."""
    return bool(getattr(importlib.import_module("lightrag.kg.shared_storage"), "_is_multiprocess", False))


def runs_here(status: Mapping[str, Any]) -> bool:
    """Whether the pipeline, whose state this is, runs in this process."""
    if not status.get("busy"):
        return False
    return pipeline_pid(status) == os.getpid() if "busy_owner" in status else not has_other_workers()


def pipeline_pid(status: Mapping[str, Any]) -> int | None:
    """The process that has taken the pipeline; None when none has, or LightRAG does not say."""
    return (status.get("busy_owner") or {}).get("pid")


def install_gate(rag: Any) -> Gate:
    """Makes the merges, chunk writes and direct edits of `rag` share a gate; once per object.

    Needs everything `REQUIRED` lists. It may come at any time: calls under way are counted as shared.
    """
    graph_store = rag.chunk_entity_relation_graph
    installed: Gate | None = getattr(graph_store, _GATE_ATTRIBUTE, None)
    if installed is not None:
        return installed
    gate = Gate()
    operate = importlib.import_module("lightrag.operate")
    methods = [(rag, name) for name in _EDITS]
    methods += [(getattr(rag, store), name) for store in _CHUNK_STORES for name in _CHUNK_WRITES]
    everything = [*methods, *((operate, name) for name in _MERGES)]
    codes = [inspect.unwrap(getattr(owner, name)).__code__ for owner, name in everything]
    for name in _MERGES:
        _share_merge(getattr(operate, name))
    for owner, name in methods:
        setattr(owner, name, gate.share(getattr(owner, name)))
    setattr(graph_store, _GATE_ATTRIBUTE, gate)
    gate.count_running(codes)
    return gate


def install_intake(rag: Any) -> Gate:
    """Makes the enqueueing of documents share a gate of its own; once per object. A document that arrives while it is
    closed waits, where LightRAG would refuse it.
    """
    graph_store = rag.chunk_entity_relation_graph
    installed: Gate | None = getattr(graph_store, _INTAKE_ATTRIBUTE, None)
    if installed is not None:
        return installed
    gate = Gate()
    enqueue = rag.apipeline_enqueue_documents
    rag.apipeline_enqueue_documents = gate.share(enqueue)
    setattr(graph_store, _INTAKE_ATTRIBUTE, gate)
    gate.count_running([inspect.unwrap(enqueue).__code__])
    return gate


def gates_installed(rag: Any) -> list[Gate]:
    """The gates of `rag` that were installed so far."""
    graph_store = getattr(rag, GRAPH_STORE, None)
    found = [getattr(graph_store, name, None) for name in (_GATE_ATTRIBUTE, _INTAKE_ATTRIBUTE)]
    return [gate for gate in found if isinstance(gate, Gate)]


def _share_merge(merge: Callable[..., Any]) -> None:
    """Replaces a merge function, wherever it is known by name, by one that goes through the gate of its graph.

    The function is one for all LightRAG objects of the process; which gate it is follows from the graph it is handed.
    """
    if hasattr(merge, _SHARED_MARK):
        return

    @functools.wraps(merge)
    async def shared(*args: Any, **kwargs: Any) -> Any:
        for argument in (*args, *kwargs.values()):
            gate = getattr(argument, _GATE_ATTRIBUTE, None)
            if isinstance(gate, Gate):
                return await gate.run(merge, *args, **kwargs)
        return await merge(*args, **kwargs)

    setattr(shared, _SHARED_MARK, True)
    for module in [module for path, module in sys.modules.items() if path.partition(".")[0] == "lightrag"]:
        if module.__dict__.get(merge.__name__) is merge:
            setattr(module, merge.__name__, shared)


def exists(rag: Any, name: str) -> bool:
    """Whether this LightRAG has a name of the tables."""
    where, _, path = name.partition(":")
    try:
        found = rag if where == "rag" else importlib.import_module(where)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError):
        return False
    return True
