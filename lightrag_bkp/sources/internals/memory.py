"""What LightRAG holds in memory of a graph, and making it read the files that were put under it.

Key-value stores keep everything in one dictionary all workers share; it is filled anew. Vectors and graph are a copy
per worker, with a flag per worker that says "read your file at the next access", and buffers of what is not in the file
yet. All locks of the stores are held while the files are exchanged and the memory is switched: no call sees one without
the other, and no flush under way puts the old state over the new one.
"""

import importlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from ...threads import in_thread
from . import KV_STORES, REQUIRED_TO_RESTORE, exists, file_stores

_READERS = {
    "NanoVectorDBStorage": "_get_client",
    "FaissVectorDBStorage": "_get_index",
    "NetworkXStorage": "_get_graph",
}
"""What reads a store's file when its flag is up, by class."""

_BUFFERS = ("_pending_upserts", "_pending_deletes", "_unsaved_upserts", "_unsaved_deletes")
"""What is not in the file yet, and would be put into the new one."""
_DIRTY_MARKS = ("_client_dirty", "_index_dirty")
_REPLACED = ("_data", "_id_to_meta")
"""Other containers of a store; all are filled anew from the file."""


def lacking(rag: Any) -> dict[str, list[str]]:
    """What keeps from being alone with the files ("reserve") or from reading them ("reload") in this LightRAG: names
    that are missing, and containers of a store that are unknown here, for they may hold something of the old state.
    """
    present = file_stores(rag)
    found = {what: [name for name in names if not _has(rag, name, present)] for what, names in _required(rag).items()}
    found["reload"] += [
        f"unknown rag:{name}.{attribute}"
        for name, store in present.items()
        for attribute, value in vars(store).items()
        if attribute.startswith("_")
        and isinstance(value, dict | set | list | tuple)
        and attribute not in (*_BUFFERS, *_REPLACED)
    ]
    return found


def _required(rag: Any) -> dict[str, tuple[str, ...]]:
    readers = tuple(
        f"rag:{name}.{_READERS.get(type(store).__name__, 'reader')}"
        for name, store in file_stores(rag).items()
        if name not in KV_STORES
    )
    return REQUIRED_TO_RESTORE | {"reload": REQUIRED_TO_RESTORE["reload"] + readers}


def _has(rag: Any, name: str, present: Mapping[str, Any]) -> bool:
    """Whether a name is there, or belongs to a store that is not in files."""
    where, _, path = name.partition(":")
    store, dot, _ = path.partition(".")
    return (where == "rag" and bool(dot) and store not in present) or exists(rag, name)


async def read(rag: Any, path_of: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    """The contents key-value stores will have, by store. Nothing of LightRAG is changed.

    Args:
        path_of: where the file lies that LightRAG knows by this path; it may be missing.

    Raises:
        ValueError: a file is no JSON.
    """
    load = importlib.import_module("lightrag.utils").load_json
    stores = {name: store for name, store in file_stores(rag).items() if name in KV_STORES}
    return {name: await in_thread(load, path_of(store._file_name)) or {} for name, store in stores.items()}


@asynccontextmanager
async def locked(rag: Any) -> AsyncIterator[None]:
    """Holds the locks of all stores in files: none is read or written meanwhile, in any worker."""
    async with AsyncExitStack() as locks:
        for store in file_stores(rag).values():
            await locks.enter_async_context(store._storage_lock)
        yield


async def switch(rag: Any, contents: Mapping[str, dict[str, Any]]) -> None:
    """Puts `contents` into the key-value stores and tells every worker to read vectors and graph anew. The files are in
    place, and the caller holds the locks.
    """
    shared = importlib.import_module("lightrag.kg.shared_storage")
    for name, store in file_stores(rag).items():
        if name in contents:
            data = contents[name]
            if name.endswith("_cache") and hasattr(store, "_migrate_legacy_cache_structure"):
                data = await store._migrate_legacy_cache_structure(data)
            store._data.clear()
            store._data.update(data)
            await shared.clear_all_update_flags(store.namespace, workspace=store.workspace)
        else:
            _forget(store)
            await shared.set_all_update_flags(store.namespace, workspace=store.workspace)


def forget(rag: Any) -> None:
    """Empties what this process would put into the files of vectors and graph. The caller holds the locks, or another
    worker does for him.
    """
    for store in _private_stores(rag).values():
        _forget(store)


def distrust(rag: Any) -> None:
    """Makes vectors and graph be read from their files at the next access: what is in memory was read by the process
    this one was forked from, and may be older than the files.
    """
    for store in _private_stores(rag).values():
        flag: Any = getattr(store, "storage_updated", None)
        if hasattr(flag, "value"):
            flag.value = True


def _private_stores(rag: Any) -> dict[str, Any]:
    """The stores of which every process has a copy of its own."""
    return {name: store for name, store in file_stores(rag).items() if name not in KV_STORES}


def _forget(store: Any) -> None:
    for buffer in _BUFFERS:
        getattr(store, buffer, set()).clear()
    for mark in _DIRTY_MARKS:
        if hasattr(store, mark):
            setattr(store, mark, False)


async def touch(rag: Any) -> None:
    """Makes vectors and graph read their files now: a flush that finds the flag up would read instead of writing.

    Raises:
        Exception: whatever LightRAG says of a file it cannot read.
    """
    for store in _private_stores(rag).values():
        await getattr(store, _READERS[type(store).__name__])()
