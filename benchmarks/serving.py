"""The HTTP API under load: clients that read while the same process takes a snapshot, and how long its loop stands.

The server is uvicorn with the routes, as any application has them, in a process of its own, on asyncio's loop. Every
callback of that is timed, less the time in which the kernel had no processor for its thread: how long one thing blocked
it. A task beside it notes by how much the loop is late, which is as long as all that is ready takes together: with
clients that ask again at once, a queue. `python -m benchmarks.serving NAME ARGUMENT...` prints the figures of one
function as JSON.
"""

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from .data import ROOT
from .inside import Figures

_KEY = "bench"
_GRAPH, _NOTES = "bench", "notes"
_TICK_S = 0.001
_CALM_S = 2.0
_POLL_S = 0.05
_SNAPSHOTS = 20
_PREFIX = "/api/v1/backup-replication"
_READS = (
    "/backup/graphs",
    "/backup/stats",
    f"/backup/graphs/{_NOTES}/snapshots?page_size=50",
    f"/backup/graphs/{_NOTES}/snapshots?page=2&page_size=10",
    f"/backup/graphs/{_NOTES}/snapshots/latest",
    "/operations",
)


# ---- the server ----


class Watch:
    """On the thread it is made on: the longest callback, and by how much the loop was late at most, in seconds."""

    def __init__(self) -> None:
        self.blocked_s = self.late_s = 0.0
        waits = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        me, run = threading.get_ident(), asyncio.Handle._run

        def waited_s() -> float:
            return int(os.pread(waits, 100, 0).split()[1]) / 1e9

        def timed(handle: asyncio.Handle) -> None:
            if threading.get_ident() != me:
                run(handle)
                return
            begun_s, before_s = time.perf_counter(), waited_s()
            run(handle)
            self.blocked_s = max(self.blocked_s, time.perf_counter() - begun_s - (waited_s() - before_s))

        asyncio.Handle._run = timed  # type: ignore[method-assign]

    async def look(self) -> None:
        """Is late whenever the loop is; a thousand times a second."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.late_s = max(self.late_s, loop.time() - due)

    def told(self) -> dict[str, float]:
        """The figures, in milliseconds; from here on they begin anew."""
        said = {"blocked_ms": self.blocked_s * 1e3, "late_ms": self.late_s * 1e3}
        self.blocked_s = self.late_s = 0.0
        return said


def serve(storage: str, source: str) -> None:
    """Serves until it is told to end; prints its port first. `GET /lag` says how its loop did."""
    import uvicorn
    from fastapi import FastAPI

    from lightrag_bkp import BackupManager
    from lightrag_bkp.api import create_backup_routes
    from lightrag_bkp.recovery import DisasterRecoveryManager
    from lightrag_bkp.replication import ReplicationManager

    watch = Watch()

    @contextlib.asynccontextmanager
    async def watched(app: Any) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch.look())
        yield
        watching.cancel()

    manager = BackupManager(storage)
    manager.register_graph(_GRAPH, source)
    replication = ReplicationManager(storage_path=storage)
    recovery = DisasterRecoveryManager(manager, replication)
    app = FastAPI(lifespan=watched)
    app.include_router(create_backup_routes(manager, replication, recovery, api_key=_KEY))

    @app.get("/lag")
    async def lag() -> dict[str, float]:
        return watch.told()

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_level="error", access_log=False, loop="asyncio")
        uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _served(storage: str, source: str) -> Iterator[str]:
    words = [sys.executable, "-m", "benchmarks.serving", "serve", storage, source]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


# ---- the clients ----


def load(storage: str, source: str, clients: str) -> Figures:
    """So many clients that read all the time: alone for a while, and during a snapshot of the whole source."""
    _history(storage, Path(source).with_name("notes"))
    with _served(storage, source) as url:
        return asyncio.run(_load(url, int(clients)))


def _history(storage: str, place: Path) -> None:
    """Some snapshots of a note, to be listed."""
    from lightrag_bkp.sync import BackupManager

    place.mkdir()
    with BackupManager(storage) as manager:
        graph = manager.register_graph(_NOTES, place)
        for number in range(_SNAPSHOTS):
            (place / "note").write_text(str(number))
            graph.create_snapshot()


async def _load(url: str, clients: int) -> Figures:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, headers={"X-API-Key": _KEY}) as session:

        async def ask(method: str, path: str, **more: Any) -> Any:
            async with session.request(method, path, **more) as answer:
                document = await answer.json()
                assert answer.status in (200, 202), (path, answer.status, document)
                return document

        async def read(until: asyncio.Event, took_s: list[float], at: int) -> None:
            while not until.is_set():
                begun = time.perf_counter()
                await ask("GET", _PREFIX + _READS[at % len(_READS)])
                took_s.append(time.perf_counter() - begun)
                at += 1

        async def during(work: Any) -> Figures:
            """How reads go while `work` is done, and how late the server's loop is."""
            until, took_s = asyncio.Event(), list[float]()
            reading = [asyncio.create_task(read(until, took_s, number)) for number in range(clients)]
            await ask("GET", "/lag")
            begun = time.perf_counter()
            await work
            seconds = time.perf_counter() - begun
            late = await ask("GET", "/lag")
            until.set()
            await asyncio.gather(*reading)
            return _figures(seconds, took_s) | late

        async def snapshot() -> None:
            body = {"on_busy": "crash"}  # nobody is at work on the source
            made = await ask("POST", f"{_PREFIX}/backup/graphs/{_GRAPH}/snapshots", json=body)
            while made["state"] in ("pending", "running"):
                await asyncio.sleep(_POLL_S)
                made = await ask("GET", f"{_PREFIX}/operations/{made['operation_id']}")
            assert made["state"] == "succeeded", made

        await asyncio.gather(*(ask("GET", _PREFIX + path) for path in _READS))  # what is loaded when it is first used
        calm = await during(asyncio.sleep(_CALM_S))
        busy = await during(snapshot())
    return {
        f"{state}_{name}": value for state, found in (("calm", calm), ("busy", busy)) for name, value in found.items()
    }


def _figures(seconds: float, took_s: list[float]) -> Figures:
    return {
        "seconds": seconds,
        "per_s": len(took_s) / seconds,
        "median_ms": statistics.median(took_s) * 1e3,
        "p99_ms": sorted(took_s)[len(took_s) * 99 // 100] * 1e3,
    }


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name == "serve":
        serve(*arguments)
    else:
        print(json.dumps({"load": load}[name](*arguments)))
