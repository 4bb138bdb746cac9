"""Real receivers over TLS, each behind a line of Toxiproxy's, and what is sent to them."""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.probing import ProbeSettings
from lightrag_bkp.replication import (
    GraphReplicator,
    ReplicationLog,
    ReplicationManager,
    ReplicationStatus,
    ReplicationTarget,
)

from .program import Program
from .receiving import Listening, new_key, receiving
from .toxiproxy import Link, Toxiproxy

MIB = 1 << 20
PART = 960 << 10
OVERHEAD = 64 << 10
"""Of questions, the list of packs and the log; what is counted are megabytes of packs."""


@dataclass
class Site:
    """A receiving host, the line to it, and the key for it."""

    program: Program
    listening: Listening
    link: Link
    key: str

    def target(self, name: str = "there", *, key: str | None = None, **settings: object) -> ReplicationTarget:
        connection = ProbeSettings(ca_file=self.listening.authority.ca, **settings)  # type: ignore[arg-type]
        return ReplicationTarget(name, f"https://127.0.0.1:{self.link.port}", key or self.key, connection=connection)

    @property
    def replicas(self) -> Path:
        return self.program.storage / "replicas" / "tokyo"

    def held_bytes(self, graph: str) -> int:
        """What it has of packs, whole or begun."""
        place = self.replicas / "graphs" / graph
        files = [*place.glob("packs/*"), *place.glob("replica/quarantine/*")]
        return sum(one.stat().st_size for one in files)

    async def brought_back(self, graph: str, snapshot: str = "latest") -> Path:
        """The directory a snapshot was restored to, there."""
        target = self.program.directory / f"back-{graph}-{snapshot}"
        words = ("--storage", self.replicas, "restore", graph, snapshot, target)
        await asyncio.to_thread(self.program.bare, *words)
        return target


def new_site(stack: ExitStack, proxy: Toxiproxy, directory: Path) -> Site:
    directory.mkdir()
    program = Program(directory)
    listening = stack.enter_context(receiving(program))
    return Site(program, listening, proxy.link(listening.port), new_key(program))


async def new_graph(backups: BackupManager, directory: Path, name: str = "alpha", size: int = 3 * MIB) -> GraphBackup:
    """A graph with a snapshot of something that does not compress."""
    directory.mkdir(exist_ok=True)
    (directory / "notes").write_text(name)
    (directory / "big").write_bytes(os.urandom(size))
    graph = backups.register_graph(name, directory)
    await graph.create_snapshot()
    return graph


def sent_to(replication: ReplicationManager, graph: str, *targets: ReplicationTarget) -> GraphReplicator:
    replicator = replication.get_graph_replicator(graph)
    for target in targets:
        replicator.add_target(target)
    return replicator


async def try_once(replicator: GraphReplicator) -> ReplicationLog:
    (log,) = await replicator.replicate(patience_s=0)
    return log


async def until(is_met: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if is_met():
                return
            await asyncio.sleep(0.02)


async def complete(replicator: GraphReplicator) -> ReplicationLog:
    log = await try_once(replicator)
    assert log.status is ReplicationStatus.COMPLETED, log
    return log
