"""One sweep over many replication targets: our prober, and the same requests by aiohttp, each in a fresh process.

Half of the targets accept a connection and never answer, a tenth answers after a second, the others at once. All are
one server on loopback, in a process of its own. `python -m benchmarks.probes NAME ARGUMENT...` prints the figures of
one function as JSON.
"""

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from .data import ROOT
from .inside import Figures, resident_mb

_PATH = "/api/v1/backup-replication/receive/capabilities"
TOTAL_S = 4.0
_SLOW_S = 1.0
_SAID = {"product": "lightrag-bkp", "protocol": 1, "version": "0.1.0", "instance_id": "x", "authenticated": True}
_BODY = json.dumps(_SAID | {"ready": True}).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%b" % (len(_BODY), _BODY)


def url(port: int | str, number: int) -> str:
    """The base URL of the target of that number: an address of its own, and what it does."""
    kind = "dead" if number % 2 else "slow" if number % 10 == 0 else "good"
    return f"http://127.0.{number // 250}.{number % 250 + 1}:{port}/{kind}"


# ---- the server ----


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET /dead/"):
                await reader.read()
                break
            if head.startswith(b"GET /slow/"):
                await asyncio.sleep(_SLOW_S)
            writer.write(_ANSWER)
    writer.close()


async def _listen() -> None:
    server = await asyncio.start_server(_serve, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """The port of the targets."""
    words = [sys.executable, "-m", "benchmarks.probes", "serve"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


# ---- the sweeps ----


def _figures(begun: tuple[float, float], before_mb: float, answered: int) -> Figures:
    return {
        "seconds": time.monotonic() - begun[0],
        "cpu_s": time.process_time() - begun[1],
        "grown_mb": resident_mb("VmRSS") - before_mb,
        "answered": answered,
    }


def ours(port: str, count: str) -> Figures:
    """Our prober: a first sweep, and a second one with kept connections, which is what is measured."""
    from lightrag_bkp.probing import Prober, ProbeSettings, TargetStatus

    async def sweep() -> Figures:
        before_mb, prober = resident_mb("VmRSS"), Prober()
        settings = ProbeSettings(period=3600, connect=TOTAL_S, total=TOTAL_S, slow=0)
        for number in range(int(count)):
            prober.set(f"t{number}", url(port, number), "secret", settings)
        for _ in range(2):
            begun = time.monotonic(), time.process_time()
            found = await prober.check_all()
        healthy = sum(one.last is TargetStatus.HEALTHY for one in found.values())
        return _figures(begun, before_mb, healthy)

    return asyncio.run(sweep())


def peer(port: str, count: str) -> Figures:
    """aiohttp: one session, as many connections as targets, the same deadline, the answer parsed."""
    import aiohttp

    async def probe(session: aiohttp.ClientSession, number: int) -> bool:
        try:
            async with session.get(url(port, number) + _PATH, headers={"X-API-Key": "secret"}) as answer:
                said = await answer.json()
                return bool(answer.status == 200 and said["ready"])
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def sweep() -> Figures:
        before_mb = resident_mb("VmRSS")
        timeout = aiohttp.ClientTimeout(total=TOTAL_S)
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            for _ in range(2):
                begun = time.monotonic(), time.process_time()
                found = await asyncio.gather(*(probe(session, number) for number in range(int(count))))
            return _figures(begun, before_mb, sum(found))

    return asyncio.run(sweep())


def main() -> int:
    name, *arguments = sys.argv[1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else soft, hard))
    if name == "serve":
        asyncio.run(_listen())
    else:
        print(json.dumps({"ours": ours, "peer": peer}[name](*arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
