"""Two workers of one LightRAG, forked from a process that made it, as `lightrag-gunicorn` does: `python -m
support.workers DIR PLAY` has them do something together, and prints what came of it as one JSON document.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lightrag.kg import shared_storage

from lightrag_bkp import BackupManager
from lightrag_bkp.errors import Busy
from lightrag_bkp.restoring.aftermath import finisher
from lightrag_bkp.sources import mending, workers
from lightrag_bkp.sources.internals import memory
from lightrag_bkp.sources.names import STAGING_PREFIX

from . import check, dying, graphs

_context = multiprocessing.get_context("fork")
_DELAY_S = 0.05
UNWRITTEN = {"chunk-other": {"content": "E3 unwritten", "full_doc_id": "doc", "chunk_order_index": 0, "file_path": "f"}}


def played(directory: Path, play: str) -> dict[str, Any]:
    """What came of a play, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "support.workers", str(directory), play]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout.splitlines()[-1]))


class Worker:
    """One worker; each method is done in it. `guarded` ones know of each other and read anew what they inherited."""

    def __init__(self, rag: Any, storage: Path, *, guarded: bool = True) -> None:
        self._talk, there = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(rag, storage, guarded, there))
        self.process.start()
        self.ask("wait")

    def ask(self, *words: Any) -> Any:
        """Has it do something; returns what that answers."""
        self._talk.send(words)
        if not self._talk.poll(30):
            raise TimeoutError(words)
        return self._talk.recv()

    def die_restoring(self, backup_id: str, step: str) -> None:
        """Has it restore, and be killed behind a step of that."""
        self._talk.send(("die_restoring", backup_id, step))
        self.process.join(30)
        assert self.process.exitcode == -signal.SIGKILL, self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        self._talk.send(("end",))
        self.process.join(30)


def _serve(rag: Any, storage: Path, guarded: bool, talk: Connection) -> None:
    asyncio.run(_work(rag, storage, guarded, talk))


async def _work(rag: Any, storage: Path, guarded: bool, talk: Connection) -> None:
    await rag.initialize_storages()
    async with _serving(rag, guarded):
        desk = _Desk(rag, storage)
        while True:
            words = await asyncio.to_thread(talk.recv)
            if words[0] == "end":
                return
            talk.send(await getattr(desk, words[0])(*words[1:]))


@contextlib.asynccontextmanager
async def _serving(rag: Any, guarded: bool) -> AsyncIterator[None]:
    if not guarded:
        yield
        return
    async with workers.joined(rag):
        yield


class _Desk:
    """What a worker can do."""

    def __init__(self, rag: Any, storage: Path) -> None:
        self._rag = rag
        self._graph = BackupManager(storage).register_graph("g", rag=rag)
        self._insertion: asyncio.Task[None] | None = None
        self._holding: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Answers once it is up."""

    async def insert(self, first: int, count: int) -> None:
        await graphs.insert_documents(self._rag, first, count)

    async def begin(self, first: int, count: int) -> None:
        """As insert, but goes on meanwhile."""
        self._insertion = asyncio.create_task(graphs.insert_documents(self._rag, first, count))
        await asyncio.sleep(0)

    async def is_inserting(self) -> bool:
        return self._insertion is not None and not self._insertion.done()

    async def finish(self) -> None:
        assert self._insertion is not None
        await self._insertion

    async def is_busy(self) -> bool:
        status = await shared_storage.get_namespace_data("pipeline_status", workspace=self._rag.workspace)
        return bool(status["busy"])

    async def snapshot(self) -> list[Any]:
        taken = await self._graph.create_snapshot()
        return [taken.backup_id, taken.consistency, taken.held_ms]

    async def restore(self, backup_id: str) -> bool:
        return (await self._graph.restore(backup_id, self._rag.working_dir)).reloaded

    async def die_restoring(self, backup_id: str, step: str) -> None:
        if step == IN_A_LOCK:
            memory.switch = _die_in_a_lock
        else:
            dying.die_after(step)
        await self.restore(backup_id)

    async def cannot_mend(self) -> None:
        """Has no LightRAG that can be told to read its files."""
        mending.lacking = lambda _: ["what it takes"]

    async def why_barred(self) -> str | None:
        """Why nobody writes here, once whoever died is looked after; None when they do."""
        async with workers.others_held(self._rag, 30):
            pass
        try:
            await self._rag.acreate_entity("Nobody", {"description": "d", "entity_type": "t"})
        except Busy as error:
            assert str(error) == workers.barred(self._rag)
            return str(error)
        return None

    async def wait_until_mended(self) -> None:
        """By those who are there already."""
        while (await self.status())["operation_record"] is not None:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.01)

    async def left(self) -> list[str]:
        """What restores left beside the files."""
        return [name for name in os.listdir(self._rag.working_dir) if name.startswith(STAGING_PREFIX)]

    async def findings(self) -> list[str]:
        return [str(finding) for finding in check.findings(Path(self._rag.working_dir))]

    async def status(self) -> dict[str, Any]:
        found = await shared_storage.get_namespace_data("pipeline_status", workspace=self._rag.workspace)
        flags = ("busy", "destructive_busy", "busy_owner", "operation_record", "recovery_required")
        return {name: found.get(name) for name in flags}

    async def leave_unwritten(self) -> None:
        """Has vectors in memory that cannot be written."""
        store = self._rag.chunks_vdb

        async def refuse(*_: Any) -> None:
            raise OSError("no room")

        type(store)._save_to_disk_locked, save = refuse, type(store)._save_to_disk_locked
        await store.upsert({key: dict(row) for key, row in UNWRITTEN.items()})
        with contextlib.suppress(OSError):
            await store.index_done_callback()
        assert store._unsaved_upserts
        type(store)._save_to_disk_locked = save

    async def hold(self) -> None:
        """Holds the others until it is killed."""
        held = asyncio.Event()

        async def hold() -> None:
            async with workers.others_held(self._rag, 10, intake=True):
                held.set()
                await asyncio.Event().wait()

        self._holding = asyncio.create_task(hold())
        await held.wait()

    async def leads(self) -> bool:
        return workers.leads(self._rag)

    async def counts(self) -> list[int]:
        rag = self._rag
        known = await rag.chunk_entity_relation_graph._get_graph()
        vectors = [await store._get_client() for store in (rag.entities_vdb, rag.relationships_vdb, rag.chunks_vdb)]
        return [len(known), known.size(), *map(len, vectors), len(rag.doc_status._data), len(rag.text_chunks._data)]


IN_A_LOCK = "switching"


async def _die_in_a_lock(*_: Any) -> None:
    """The one that all workers need for whatever they look up."""
    async with shared_storage.get_internal_lock():
        os.kill(os.getpid(), signal.SIGKILL)


# ---- the plays: a worker of each kind, and what they did ----

Make = Callable[..., Worker]


def restored(make: Make) -> dict[str, Any]:
    """One restores what both have in memory; what each of them has at each point."""
    one, two = make(), make()
    one.ask("insert", 0, 2)
    backup_id, *_ = one.ask("snapshot")
    seen = {"first": one.ask("counts"), "second at first": two.ask("counts")}
    one.ask("insert", 100, 2)
    seen["second at more"] = two.ask("counts")
    two.ask("leave_unwritten")
    assert one.ask("restore", backup_id)
    seen |= {"first restored": one.ask("counts"), "second restored": two.ask("counts")}
    third = make()
    seen["third restored"] = third.ask("counts")
    two.ask("insert", 200, 1)
    seen |= {
        "first at last": one.ask("counts"),
        "second at last": two.ask("counts"),
        "third at last": third.ask("counts"),
    }
    return seen


def cut(make: Make) -> dict[str, Any]:
    """One cuts what the other one ingests, and then what nobody does."""
    one, two = make(), make()
    two.ask("insert", 0, 1)
    two.ask("begin", 1, 24)
    while not one.ask("is_busy"):
        time.sleep(0.01)
    cuts = []
    while two.ask("is_inserting"):
        cuts.append(one.ask("snapshot"))
    two.ask("finish")
    return {"cuts": cuts, "idle": one.ask("snapshot"), "counts": [one.ask("counts"), two.ask("counts")]}


def killed_cutter(make: Make) -> dict[str, Any]:
    """One dies while it holds the other, which then goes on; and a third one can begin."""
    one, two = make(), make()
    one.ask("hold")
    two.ask("begin", 0, 1)
    time.sleep(0.5)
    waited = two.ask("is_inserting") and not two.ask("is_busy")
    one.kill()
    two.ask("finish")
    return {"waited": waited, "third": make().ask("counts"), "second": two.ask("counts")}


def killed_restorers(make: Make) -> dict[str, Any]:
    """At each step of a restore its worker dies, and another one takes in a document, also one that begins later; last
    all die at once.
    """
    one, two = make(), make()
    one.ask("insert", 0, 1)
    backup_id, *_ = one.ask("snapshot")
    restored = one.ask("counts")
    seen: dict[str, Any] = {}
    for number, step in enumerate((*dying.STEPS, IN_A_LOCK, "nobody left")):
        one.ask("insert", 100 + 10 * number, 1)
        states = {str(one.ask("counts")): "old", str(restored): "new"}
        victim = make()
        if step == "nobody left":
            one.kill()
            two.kill()
            victim.die_restoring(backup_id, "published")
            one = two = make()
        else:
            victim.die_restoring(backup_id, step)
            one.ask("wait_until_mended")
        three = make()
        after = [states.get(str(worker.ask("counts")), "a mix") for worker in (one, two, three)]
        seen[step] = {"after": after, "status": one.ask("status"), "left": one.ask("left")}
        three.ask("insert", 101 + 10 * number, 1)
        later = [worker.ask("counts") for worker in (one, two, three)]
        seen[step] |= {"agree": later[0] == later[1] == later[2], "findings": one.ask("findings")}
        three.end()
    return seen


def unmendable(make: Make) -> dict[str, Any]:
    """A worker dies between the files and memory, and the other one cannot read what is there."""
    one, two = make(), make()
    one.ask("insert", 0, 1)
    backup_id, *_ = one.ask("snapshot")
    one.ask("cannot_mend")
    two.die_restoring(backup_id, "reserved")
    return {"why": one.ask("why_barred"), "status": one.ask("status")}


def respawned(make: Make) -> dict[str, Any]:
    """One of two idle workers dies, and its successor takes in one more document."""
    one, two = make(), make()
    one.ask("insert", 0, 3)
    two.kill()
    before = one.ask("counts")
    make().ask("insert", 100, 1)
    return {"before": before, "after": one.ask("counts")}


def respawned_without_guard(make: Make) -> dict[str, Any]:
    """The same with nothing of ours."""
    return respawned(lambda: make(guarded=False))


def led(make: Make) -> dict[str, Any]:
    """Who leads: one of two, and when that one dies the other."""
    one, two = make(), make()
    first = [one.ask("leads"), two.ask("leads"), one.ask("leads")]
    one.kill()
    return {"first": first, "second": two.ask("leads")}


PLAYS = {
    play.__name__: play
    for play in (
        restored,
        cut,
        killed_cutter,
        killed_restorers,
        unmendable,
        respawned,
        respawned_without_guard,
        led,
    )
}


def main(directory: Path, play: str) -> None:
    """Runs a play."""
    shared_storage.initialize_share_data(2)
    rag = graphs.make_rag(directory / "rag_storage", delay_s=_DELAY_S)
    workers.prepare(rag, finisher(str(directory / "rag_storage"), "", None))
    made: list[Worker] = []

    def make(**options: Any) -> Worker:
        made.append(Worker(rag, directory / "storage", **options))
        return made[-1]

    seen = PLAYS[play](make)
    for worker in made:
        if worker.process.is_alive():
            worker.end()
    shared_storage.finalize_share_data()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
