"""What is measured within a Python process, each in a fresh one.

`python -m benchmarks.inside NAME ARGUMENT...` prints the figures of one function as JSON; `ask` starts that process.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from lightrag_bkp import BackupManager, _bridge

from .data import ROOT

Figures = dict[str, float]

_GRAPH = "bench"
_BLOCK = 64 * 1024
_MANY = 256 << 20


def ask(
    name: str, *arguments: object, module: str = "benchmarks.inside", environment: Mapping[str, str] | None = None
) -> Figures:
    """The figures of one of the functions below (or of another such module), from a fresh process.

    Args:
        environment: its variables beside those of this process.
    """
    words = [sys.executable, "-m", module, name, *map(str, arguments)]
    variables = {**os.environ, **(environment or {})}
    said = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=variables).stdout
    figures: Figures = json.loads(said)
    return figures


def unchanged(storage: str, source: str, runs: str) -> Figures:
    """Snapshots of a source that was backed up before, with the manager open."""

    async def measure() -> list[float]:
        async with BackupManager(storage) as manager:
            graph = manager.register_graph(_GRAPH, source)
            await graph.create_snapshot()
            return [await _seconds(graph.create_snapshot) for _ in range(int(runs))]

    return {"seconds": statistics.median(asyncio.run(measure()))}


def once(storage: str, source: str) -> Figures:
    """One more snapshot of a graph that was backed up before, with the manager open."""

    async def measure() -> float:
        async with BackupManager(storage) as manager:
            return await _seconds(manager.register_graph(_GRAPH, source).create_snapshot)

    return {"seconds": asyncio.run(measure())}


def growth(storage: str, source: str) -> Figures:
    """How much the process grows at most in its first backup."""

    async def measure() -> float:
        async with BackupManager(storage) as manager:
            graph = manager.register_graph(_GRAPH, source)
            before_mb = resident_mb("VmRSS")
            await graph.create_snapshot()
            return resident_mb("VmHWM") - before_mb

    return {"mb": asyncio.run(measure())}


def history(storage: str, source: str, count: str) -> Figures:
    """Fills a repository with `count` snapshots of a small directory."""

    async def fill() -> None:
        async with BackupManager(storage) as manager:
            graph = manager.register_graph(_GRAPH, source)
            for _ in range(int(count)):
                await graph.create_snapshot()

    started = time.perf_counter()
    asyncio.run(fill())
    return {"seconds": time.perf_counter() - started}


def listing(storage: str) -> Figures:
    """The first listing of a process, with opening the repository."""
    started = time.perf_counter()
    with BackupManager(storage) as manager:
        graph = manager.get_graph(_GRAPH)
        found = graph.list_snapshots() if graph else []
        return {"seconds": time.perf_counter() - started, "snapshots": len(found)}


def retention(count: str) -> Figures:
    """One scan over `count` snapshots, one every hour, with all rules at work."""
    number = int(count)
    hour_ns = 3600 * 10**9
    now_ns = time.time_ns()
    created = array("q", (now_ns - (number - n) * hour_ns for n in range(number)))
    days, flags = array("I", [30] * number), bytes(number)

    def scan() -> bytes:
        return _bridge.retention_scan(
            created, days, flags, now_ns,
            keep_last=10, keep_hourly=48, keep_daily=14, keep_weekly=8, keep_monthly=24, keep_yearly=9, minimum=1,
        )  # fmt: skip

    return {"seconds": _median(scan, 5)}


def floors(sample: str, directory: str) -> Figures:
    """What one core and the disk of this machine do, in 10^6 bytes a second, and how small zstd makes the sample.

    Args:
        sample: the file to compress, in blocks as large as this program's chunks; its first 64 MiB.
        directory: where to write.
    """
    data = os.urandom(_MANY)
    copy = ctypes.create_string_buffer(_MANY)
    memcpy_s = _median(lambda: ctypes.memmove(copy, data, _MANY), 5)
    sha256_s = _median(lambda: hashlib.sha256(data).digest(), 3)
    write_s = _median(lambda: _write(Path(directory, "floor"), data), 3)
    mb = _MANY / 1e6
    figures = {"memcpy": mb / memcpy_s, "sha256": mb / sha256_s, "write_fsync": mb / write_s}
    return {**figures, **_zstd(Path(sample))}


def _zstd(sample: Path) -> Figures:
    import zstandard

    with open(sample, "rb") as file:
        blocks = list(iter(lambda: file.read(_BLOCK), b""))[: (64 << 20) // _BLOCK]
    mb = sum(map(len, blocks)) / 1e6
    packer, unpacker = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
    packed = [packer.compress(block) for block in blocks]
    pack_s = _median(lambda: [packer.compress(block) for block in blocks], 3)
    unpack_s = _median(lambda: [unpacker.decompress(block) for block in packed], 3)
    return {"zstd_1": mb / pack_s, "unzstd": mb / unpack_s, "zstd_ratio": sum(map(len, packed)) / 1e6 / mb}


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
        path.unlink()


def _median(work: Callable[[], object], runs: int) -> float:
    def once() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return statistics.median(once() for _ in range(runs))


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def resident_mb(field: str) -> float:
    """A figure of this process's memory: "VmRSS" now, "VmHWM" at most so far."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6


_NAMES: dict[str, Callable[..., Figures]] = {
    f.__name__: f for f in (unchanged, once, growth, history, listing, retention, floors)
}

if __name__ == "__main__":
    print(json.dumps(_NAMES[sys.argv[1]](*sys.argv[2:])))
