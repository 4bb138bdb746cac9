"""Two workers of one LightRAG, forked from a process that made it, as `lightrag-gunicorn` does: `python -m
support.workers DIR` lets one restore what both have in memory, and prints what each of them had at each point.
"""

import asyncio
import json
import multiprocessing
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lightrag.kg import shared_storage

from lightrag_bkp import BackupManager

from . import graphs

_context = multiprocessing.get_context("fork")


class Worker:
    """One worker; each method is done in it."""

    def __init__(self, rag: Any, storage: Path) -> None:
        self._talk, there = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(rag, storage, there))
        self.process.start()

    def ask(self, *words: Any) -> Any:
        """Has it do something; returns what that answers."""
        self._talk.send(words)
        if not self._talk.poll(30):
            raise TimeoutError(words)
        return self._talk.recv()


def _serve(rag: Any, storage: Path, talk: Connection) -> None:
    asyncio.run(_work(rag, BackupManager(storage), talk))


async def _work(rag: Any, manager: BackupManager, talk: Connection) -> None:
    await rag.initialize_storages()
    graph = manager.register_graph("g", rag=rag)
    while True:
        match await asyncio.to_thread(talk.recv):
            case "insert", first, count:
                await graphs.insert_documents(rag, first, count)
                talk.send(None)
            case "snapshot", *_:
                talk.send((await graph.create_snapshot()).backup_id)
            case "restore", backup_id:
                talk.send((await graph.restore(backup_id, rag.working_dir)).reloaded)
            case "counts", *_:
                talk.send(await _counts(rag))
            case _:
                return


async def _counts(rag: Any) -> list[int]:
    known = await rag.chunk_entity_relation_graph._get_graph()
    vectors = [await store._get_client() for store in (rag.entities_vdb, rag.relationships_vdb, rag.chunks_vdb)]
    return [len(known), known.size(), *map(len, vectors), len(rag.doc_status._data), len(rag.text_chunks._data)]


def main(directory: Path) -> None:
    """Runs the whole play."""
    shared_storage.initialize_share_data(2)
    rag = graphs.make_rag(directory / "rag_storage")
    one, two = Worker(rag, directory / "storage"), Worker(rag, directory / "storage")
    one.ask("insert", 0, 2)
    backup_id = one.ask("snapshot")
    seen = {"first": one.ask("counts"), "second at first": two.ask("counts")}
    one.ask("insert", 100, 2)
    seen["second at more"] = two.ask("counts")
    assert one.ask("restore", backup_id)
    seen |= {"first restored": one.ask("counts"), "second restored": two.ask("counts")}
    two.ask("insert", 200, 1)
    seen |= {"first at last": one.ask("counts"), "second at last": two.ask("counts")}
    for worker in (one, two):
        worker._talk.send(("end",))
        worker.process.join(30)
    shared_storage.finalize_share_data()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
