"""What `scale` measures within a Python process.

`python -m benchmarks.scale_inside NAME ARGUMENT...` prints the figures of one function as JSON.
"""

import asyncio
import json
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from lightrag_bkp import BackupManager, RetentionPolicy, _bridge
from lightrag_bkp.graph import GraphBackup
from lightrag_bkp.recovery import DisasterRecoveryManager

from .data import ROOT
from .inside import Figures, resident_mb
from .measure import apparent_bytes

T = TypeVar("T")

_GRAPH = "bench"
_CHUNKS_PER_PACK = 125
_CHUNK_BYTES = 64 << 10
_FILES = 1000
_CHANGED_FILES = 10
_FILE_BYTES = 16_000
_KEEP = 10
_PRUNE_EVERY = 100
_LOOK_S = 0.005
_PHASES = ("validate", "restore", "verify")
_DIM = 1024
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835


def forge(storage: str, source: str, chunks: str) -> Figures:
    """A snapshot of a note, and beside it an entry that makes packs of so many chunks known."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.forge import REPACK, Forge

    snapshot(storage, source)
    forged = Forge(Path(storage, "graphs", _GRAPH))
    packs = []
    for _ in range(int(chunks) // _CHUNKS_PER_PACK):
        ids = os.urandom(32 * _CHUNKS_PER_PACK)
        packs.append(forged.hollow_pack((ids[n : n + 32] for n in range(0, len(ids), 32)), _CHUNK_BYTES))
    forged.entry(REPACK, packs=packs)
    return {"packs": len(packs)}


def snapshot(storage: str, source: str) -> Figures:
    """A snapshot of one small file that is never the same."""
    Path(source).mkdir(parents=True, exist_ok=True)
    Path(source, "note").write_bytes(os.urandom(1000))
    started = time.perf_counter()
    asyncio.run(_with_graph(storage, source, lambda graph: graph.create_snapshot()))
    return {"seconds": time.perf_counter() - started}


def look_up(storage: str) -> Figures:
    """Opening the repository and finding one chunk, which takes the whole index."""
    before_mb = resident_mb("VmRSS")
    started = time.perf_counter()
    core = _bridge.run_blocking(_bridge.open_job(storage, _GRAPH, False))
    core.facts(core.snapshots()[-1][0])
    return {"seconds": time.perf_counter() - started, "grown_mb": resident_mb("VmHWM") - before_mb}


def history(storage: str, source: str, count: str) -> Figures:
    """So many snapshots of twenty small files, one of which changes each time."""
    Path(source).mkdir(parents=True)

    def write(number: int) -> None:
        Path(source, f"file{number % 20}").write_bytes(os.urandom(3000))

    async def fill(graph: GraphBackup) -> None:
        for number in range(20):
            write(number)
        for number in range(int(count)):
            write(number)
            await graph.create_snapshot()

    started = time.perf_counter()
    asyncio.run(_with_graph(storage, source, fill))
    return {"seconds": time.perf_counter() - started}


def listing(storage: str) -> Figures:
    """The first listing of a process, and then a prune that only plans."""

    async def look() -> Figures:
        started = time.perf_counter()
        async with BackupManager(storage) as manager:
            graph = manager.get_graph(_GRAPH)
            assert graph is not None
            found = graph.list_snapshots()
            listed = time.perf_counter()
            await graph.prune(dry_run=True)
            planned = time.perf_counter()
        return {"list_s": listed - started, "plan_s": planned - listed, "snapshots": len(found)}

    return asyncio.run(look())


def churn(storage: str, source: str, count: str) -> Figures:
    """So many snapshots of files of which one in a hundred is rewritten before each; the last ten are kept."""
    noise = random.Random(1)
    paths = [Path(source, f"file{number}") for number in range(_FILES)]
    Path(source).mkdir(parents=True)

    def change(changed: list[Path]) -> None:
        for path in changed:
            path.write_bytes(noise.randbytes(_FILE_BYTES))

    async def fill(graph: GraphBackup) -> Figures:
        change(paths)
        graph.retention = RetentionPolicy(days=False, keep_last=_KEEP)
        first = await graph.create_snapshot()
        rewritten = 0
        for number in range(1, int(count)):
            change(noise.sample(paths, _CHANGED_FILES))
            await graph.create_snapshot()
            if not number % _PRUNE_EVERY:
                rewritten += (await graph.prune(wait_s=0)).bytes_rewritten
        rewritten += (await graph.prune(wait_s=0)).bytes_rewritten
        size = apparent_bytes(Path(storage, "graphs"), without="cache")
        return {"ratio": size / first.stored_bytes, "rewritten_ratio": rewritten / first.stored_bytes}

    return asyncio.run(_with_graph(storage, source, fill))


def graphs(storage: str, source: str, count: str, size_mb: str) -> Figures:
    """So many graphs told at the same moment to take a snapshot; twice, the second time with a change in each.

    `displaced` is how far from its place in the line a graph ended, on average: a stalled disk holds up one, and an
    unfair line all of them.
    """
    noise = random.Random(2)
    places = [Path(source, f"graph{number}") for number in range(int(count))]
    for place in places:
        place.mkdir(parents=True)
        (place / "big").write_bytes(noise.randbytes(int(size_mb) * 990_000))
        for number in range(20):
            (place / f"small{number}").write_bytes(noise.randbytes(500))
    return asyncio.run(_take_all(storage, places))


async def _take_all(storage: str, places: list[Path]) -> Figures:
    seconds, ended, peaks = [], list[int](), {"threads": 0, "descriptors": 0}
    displaced = 0.0
    async with BackupManager(storage) as manager:
        series = [manager.register_graph(place.name, place) for place in places]

        async def take(number: int) -> None:
            await series[number].create_snapshot()
            ended.append(number)

        async def watch() -> None:
            while True:
                peaks["threads"] = max(peaks["threads"], _core_threads())
                peaks["descriptors"] = max(peaks["descriptors"], len(os.listdir("/proc/self/fd")))
                await asyncio.sleep(_LOOK_S)

        watching = asyncio.create_task(watch())
        before_mb = resident_mb("VmRSS")
        for _ in range(2):
            ended.clear()
            started = time.perf_counter()
            await asyncio.gather(*map(take, range(len(places))))
            seconds.append(time.perf_counter() - started)
            displaced = max(displaced, statistics.mean(abs(place - number) for place, number in enumerate(ended)))
            for place in places:
                (place / "small0").write_bytes(os.urandom(10_000))
        watching.cancel()
        grown_mb = resident_mb("VmHWM") - before_mb
    return {**peaks, "grown_mb": grown_mb, "displaced": displaced, "first_s": seconds[0], "again_s": seconds[1]}


def vector_file(directory: str, rows: str) -> Figures:
    """Writes `vectors.json` as LightRAG would, with so many random rows of 1024 components, in little memory."""
    from .large_graph import write_vectors

    def fields(number: int) -> str:
        name = number * _SPREAD % 2**128
        return f'"__id__": "ent-{name:032x}", "content": "Entity {number} is one of many."'

    Path(directory).mkdir()
    write_vectors(Path(directory, "vectors.json"), _DIM, int(rows), fields)
    return {"rows": int(rows)}


def large_graph(directory: str, entities: str, ties: str, chunks: str, dim: str) -> Figures:
    """Writes a complete graph (large_graph.py)."""
    from .large_graph import LargeGraph

    graph = LargeGraph(int(entities), int(ties), int(chunks), int(dim))
    graph.write(Path(directory))
    return {"ids": graph.ids, "relations": graph.relations}


def failover(storage: str, *places: str) -> Figures:
    """A recovery point over the graphs at `places`, a drill of it; then all of them are lost, and brought back."""

    async def lose_and_recover() -> Figures:
        async with BackupManager(storage) as manager:
            for place in places:
                manager.register_graph(Path(place).name, place)
            recovery = DisasterRecoveryManager(manager)
            point = await recovery.create_recovery_point([Path(place).name for place in places])
            drilled = await recovery.run_drill(point.checkpoint_id)
            for place in places:
                shutil.rmtree(place)
            outcome = await recovery.failover(point.checkpoint_id)
            assert drilled.ok and outcome.ok
            phases = {f"{name}_s": sum(one.seconds for one in outcome.phases if one.name == name) for name in _PHASES}
            return {"rto_s": outcome.rto_s, "rpo_s": outcome.rpo_s, "drill_s": drilled.rto_s, **phases}

    return asyncio.run(lose_and_recover())


def _core_threads() -> int:
    found = 0
    for task in os.listdir("/proc/self/task"):
        try:
            found += Path("/proc/self/task", task, "comm").read_text() == "lrb-worker\n"
        except OSError:  # it ended meanwhile
            continue
    return found


async def _with_graph(storage: str, source: str, work: Callable[[GraphBackup], Awaitable[T]]) -> T:
    async with BackupManager(storage) as manager:
        return await work(manager.register_graph(_GRAPH, source))


_NAMES: dict[str, Callable[..., Figures]] = {
    f.__name__: f
    for f in (forge, snapshot, look_up, history, listing, churn, graphs, vector_file, large_graph, failover)
}

if __name__ == "__main__":
    print(json.dumps(_NAMES[sys.argv[1]](*sys.argv[2:])))
