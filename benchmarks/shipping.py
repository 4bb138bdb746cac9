"""Copies sent to receivers on loopback, each a process of its own; beside rsync where that is installed.

`python -m benchmarks.shipping NAME ARGUMENT...` prints the figures of one function as JSON.
"""

import asyncio
import contextlib
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .data import ROOT
from .inside import Figures, resident_mb

_LOOK_S = 0.01
_CHANGED = 100
"""One part in so many changes."""


@dataclass(frozen=True)
class Receiving:
    """A receiver that runs: its URL, whom to trust ("" where it speaks plain HTTP), its process, and its program."""

    url: str
    authority: str
    pid: int
    program: tuple[str, ...]

    @property
    def storage(self) -> Path:
        """Its storage path."""
        return Path(self.program[-1])

    def words(self, sender: str = "bench") -> tuple[str, str, str]:
        """What a sender of this name is told, who has sent nothing yet."""
        added = subprocess.run(
            [*self.program, "--json", "key", "add", sender], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        return self.url, json.loads(added.stdout)["key"], self.authority

    def cpu_s(self) -> float:
        """Processor seconds it has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def receiving(directory: Path, *, tls: bool) -> Iterator[Receiving]:
    """A receiver until the block ends."""
    directory.mkdir(parents=True)
    program = (sys.executable, "-m", "lightrag_bkp.cli", "--storage", str(directory / "storage"))
    certificate = _certificate(directory) if tls else ""
    secured = ["--tls-cert", certificate] if tls else []
    words = [*program, "receive", "--listen", "127.0.0.1:0", *secured]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().rpartition(":")[2].strip()
            url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
            yield Receiving(url, certificate, process.pid, program)
        finally:
            process.terminate()


def _certificate(directory: Path) -> str:
    """A PEM file with a key and a certificate for loopback that it signed itself."""
    path = str(directory / "receiver.pem")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"]
    subprocess.run([*words.split(), *more], check=True, stderr=subprocess.DEVNULL)
    with open(path, "a") as file:
        file.write(Path(f"{path}.crt").read_text())
    return path


def make(storage: str, source: str, count: str, size_mb: str) -> Figures:
    """Graphs of that size, of bytes that do not compress, each with a snapshot."""
    from lightrag_bkp.sync import BackupManager

    noise = random.Random(3)
    with BackupManager(storage) as manager:
        for number in range(int(count)):
            place = Path(source, f"graph{number}")
            place.mkdir(parents=True, exist_ok=True)
            with open(place / "big", "wb") as file:
                for _ in range(int(size_mb)):
                    file.write(noise.randbytes(10**6))
            manager.register_graph(place.name, place).create_snapshot()
    return {"seconds": 0}


def change(storage: str, source: str) -> Figures:
    """A hundredth of the first graph is written anew, in ten places, and kept: how many bytes that adds."""
    from lightrag_bkp.sync import BackupManager

    place = Path(source, "graph0")
    size = (place / "big").stat().st_size
    with open(place / "big", "r+b") as file:
        for part in range(10):
            file.seek(size // 10 * part)
            file.write(os.urandom(size // _CHANGED // 10))
    with BackupManager(storage) as manager:
        taken = manager.register_graph("graph0", place).create_snapshot()
        return {"added": taken.stored_bytes}


def send(storage: str, count: str, *told: str) -> Figures:
    """All graphs to all receivers at once: seconds, bytes, and what it costs this process."""
    return asyncio.run(_send(storage, int(count), [told[at : at + 3] for at in range(0, len(told), 3)]))


async def _send(storage: str, count: int, receivers: list[tuple[str, ...]]) -> Figures:
    from lightrag_bkp.probing import ProbeSettings
    from lightrag_bkp.replication import ReplicationManager, ReplicationTarget

    manager = ReplicationManager(storage_path=storage)
    known = {one.name: one for one in manager.list_targets()}
    targets = [
        known.get(key_id := key[:20])
        or ReplicationTarget(key_id, url, key, connection=ProbeSettings(ca_file=authority or None))
        for url, key, authority in receivers
    ]
    replicators = [manager.get_graph_replicator(f"graph{number}") for number in range(count)]
    for replicator in replicators:
        for target in targets:
            replicator.add_target(target)
    threads = 0

    async def watch() -> None:
        nonlocal threads
        while True:
            threads = max(threads, os.stat("/proc/self/task").st_nlink - 2)  # listing them takes ten times as long
            await asyncio.sleep(_LOOK_S)

    watching = asyncio.create_task(watch())
    before_mb, begun, cpu = resident_mb("VmRSS"), time.perf_counter(), time.process_time()
    found = await asyncio.gather(
        *(one.replicate(target_id=target.target_id) for one in replicators for target in targets)
    )
    seconds = time.perf_counter() - begun
    watching.cancel()
    logs = [log for some in found for log in some]
    assert len(logs) == count * len(receivers) and all(log.status.value == "COMPLETED" for log in logs), logs
    return {
        "seconds": seconds,
        "cpu_s": time.process_time() - cpu,
        "bytes": sum(log.bytes for log in logs),
        "threads": threads,
        "grown_mb": resident_mb("VmHWM") - before_mb,
    }


def rsync(source: str, target: str, *more: str) -> Figures:
    """rsync's daemon on loopback takes a directory, whole. With `--fsync` that is synced, too, which is the half of an
    acknowledgement's promise that it can give.
    """
    Path(target).mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    settings = Path(f"{target}.conf")
    settings.write_text(f"use chroot = false\n[there]\npath = {target}\nread only = false\nuid = {os.getuid()}\n")
    daemon = ["rsync", "--daemon", "--no-detach", f"--config={settings}", f"--port={port}", "--address=127.0.0.1"]
    with subprocess.Popen(daemon) as process:
        try:
            _wait_for(port)
            begun = time.perf_counter()
            words = [
                "rsync",
                "--recursive",
                "--whole-file",
                *more,
                f"{source}/",
                f"rsync://127.0.0.1:{port}/there/",
            ]
            subprocess.run(words, check=True)
            seconds = time.perf_counter() - begun
        finally:
            process.terminate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "cpu_s": used.ru_utime + used.ru_stime}


def has_rsync() -> bool:
    """Whether rsync is installed."""
    return shutil.which("rsync") is not None


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise TimeoutError("rsync's daemon does not listen")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print(json.dumps({f.__name__: f for f in (make, change, send, rsync)}[name](*arguments)))
