"""Sending to real receivers over TLS, with a proxy between that spoils the line: what arrives is whole, and what was
there already is not sent again.
"""

import asyncio
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.flipping import flipping
from support.folders import fingerprint
from support.program import Program
from support.receiving import Listening, new_key, receiving
from support.toxiproxy import Link, Toxiproxy, toxiproxy

from lightrag_bkp import BackupManager, GraphBackup
from lightrag_bkp.errors import NotFoundError, RefusedError
from lightrag_bkp.probing import ProbeSettings
from lightrag_bkp.replication import (
    GraphReplicator,
    ReplicationLog,
    ReplicationManager,
    ReplicationStatus,
    ReplicationTarget,
)

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


@pytest.fixture(scope="module")
def proxy() -> Iterator[Toxiproxy]:
    with toxiproxy() as running:
        yield running


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def new_site(stack: ExitStack, proxy: Toxiproxy, directory: Path) -> Site:
    directory.mkdir()
    program = Program(directory)
    listening = stack.enter_context(receiving(program))
    return Site(program, listening, proxy.link(listening.port), new_key(program))


@pytest.fixture
def site(stack: ExitStack, proxy: Toxiproxy, tmp_path: Path) -> Site:
    return new_site(stack, proxy, tmp_path / "there")


@pytest.fixture
def backups(tmp_path: Path) -> BackupManager:
    return BackupManager(tmp_path / "here")


@pytest.fixture
def replication(tmp_path: Path) -> Iterator[ReplicationManager]:
    with ReplicationManager(storage_path=tmp_path / "here") as manager:
        yield manager


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


# ---- the whole way ----


async def test_backup_replication_workflow(
    stack: ExitStack,
    proxy: Toxiproxy,
    backups: BackupManager,
    replication: ReplicationManager,
    graph_dir: Path,
    tmp_path: Path,
) -> None:
    """A LightRAG graph goes to two receivers, changes, goes there again, and when the sender is no more it is brought
    back from both, byte for byte and usable."""
    sites = [new_site(stack, proxy, tmp_path / name) for name in ("one", "two")]
    graph = backups.register_graph("support", graph_dir)
    first = await graph.create_snapshot()
    replicator = sent_to(replication, "support", *(site.target(f"t{n}") for n, site in enumerate(sites)))
    before = replicator.get_replication_status()["targets"]
    assert [(one["acknowledged"], one["lag"]["known"]) for one in before] == [(None, False)] * 2
    assert [log.status.value for log in await replicator.replicate()] == ["COMPLETED"] * 2
    await graph.hold(first.backup_id)
    (graph_dir / "kv_store_doc_status.json").touch()
    second = await graph.create_snapshot()
    behind = replicator.get_replication_status()["targets"]
    assert all(one["lag"]["entries"] == 2 and one["lag"]["known"] for one in behind)
    logs = await replicator.replicate(second.backup_id)
    assert [log.status.value for log in logs] == ["COMPLETED"] * 2
    after = replicator.get_replication_status()["targets"]
    assert all(one["lag"] == {"entries": 0, "bytes": 0, "seconds": 0.0, "known": True} for one in after)
    assert all(one["acknowledged"] == 3 and one["refusal"] is None for one in after)
    assert [log.status.value for log in replicator.logs()] == ["COMPLETED"] * 4
    assert sites[0].key not in json.dumps(after) + repr(replicator.logs())

    live = fingerprint(graph_dir)
    shutil.rmtree(tmp_path / "here")
    for site in sites:
        for snapshot in (first, second):
            back = await site.brought_back("support", snapshot.backup_id)
            assert {name: seen[3] for name, seen in fingerprint(back).items()} == {
                name: seen[3] for name, seen in live.items()
            }
        judged = await asyncio.to_thread(site.program.bare, "--json", "validate", back)
        assert judged.document["verdict"] in ("usable", "usable_with_reprocessing")


async def test_nothing_new_costs_little_and_refreshes_what_is_known(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", site.target())
    first = await complete(replicator)
    confirmed = replicator.get_replication_status()["targets"][0]["confirmed_at"]
    again = await complete(replicator)
    assert first.bytes > 3 * MIB and again.bytes < 4096
    assert replicator.get_replication_status()["targets"][0]["confirmed_at"] > confirmed


async def test_a_sealed_graph_goes_with_its_key_slots(site: Site, tmp_path: Path) -> None:
    sealed = BackupManager(tmp_path / "here", passphrase="correct horse")
    await new_graph(sealed, tmp_path / "source")
    replication = ReplicationManager(storage_path=tmp_path / "here", keyring=sealed.keyring)
    await complete(sent_to(replication, "alpha", site.target()))
    site.program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "correct horse"
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


async def test_what_is_asked_for_must_be_there(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    replicator = sent_to(replication, "alpha", site.target())
    with pytest.raises(NotFoundError, match="no snapshot below"):
        await replicator.replicate()
    await new_graph(backups, tmp_path / "source")
    with pytest.raises(NotFoundError, match="no snapshot 'unknown'"):
        await replicator.replicate("unknown")
    with pytest.raises(NotFoundError, match="no replication target"):
        await replicator.replicate(target_id="unknown")
    off = ReplicationTarget("off", "https://127.0.0.1:1", site.key, enabled=False)
    replicator.add_target(off)
    with pytest.raises(RefusedError, match="disabled"):
        await replicator.replicate(target_id=off.target_id)
    assert len(await replicator.replicate()) == 1
    keyless = ReplicationTarget("keyless", f"https://127.0.0.1:{site.link.port}")
    replicator.add_target(keyless)
    (log,) = await replicator.replicate(target_id=keyless.target_id)
    assert log.status is ReplicationStatus.REFUSED and "no API key" in str(log.error_message)


# ---- spoilt lines ----


async def test_a_line_cut_at_every_tenth_of_a_pack_loses_no_more_than_a_part(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    size = 7 * MIB  # in one pack
    for tenth in range(1, 10):
        name = f"cut{tenth}"
        graph = await new_graph(backups, tmp_path / name, name, size)
        replicator = sent_to(replication, name, site.target(name))
        site.link.spoil("limit_data", bytes=size * tenth // 10 + OVERHEAD)
        failed = await try_once(replicator)
        site.link.heal()
        assert failed.status is ReplicationStatus.FAILED and "cannot be reached" in str(failed.error_message)
        held = site.held_bytes(name)
        assert size * tenth // 10 - PART - OVERHEAD <= held < size
        resumed = await complete(replicator)
        assert 0 <= resumed.bytes - (graph.stats()["stored_bytes"] - held) < OVERHEAD, (tenth, held, resumed)
        assert fingerprint(await site.brought_back(name)) == fingerprint(tmp_path / name)


async def test_a_line_that_resets_and_a_receiver_that_is_down_are_tried_again(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", site.target())
    site.link.spoil("reset_peer", timeout=20)
    assert (await try_once(replicator)).status is ReplicationStatus.FAILED
    site.link.heal()
    site.link.cut()
    assert "cannot be reached" in str((await try_once(replicator)).error_message)
    going = asyncio.ensure_future(replicator.replicate(patience_s=60))
    await until(lambda: any(log.status.value == "PENDING" and log.error_message for log in replicator.logs()))
    site.link.cut(down=False)
    (log,) = await going
    assert log.status is ReplicationStatus.COMPLETED
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


async def test_a_slow_line_delays_nobody_else(
    stack: ExitStack, proxy: Toxiproxy, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    slow, quick = (new_site(stack, proxy, tmp_path / name) for name in ("slow", "quick"))
    graph = await new_graph(backups, tmp_path / "source", size=4 * MIB)
    slow.link.spoil("bandwidth", rate=1500)  # KB/s
    dead = ReplicationTarget("dead", "https://127.0.0.1:1", slow.key)
    replicator = sent_to(replication, "alpha", slow.target("slow"), quick.target("quick"), dead)
    going = asyncio.ensure_future(replicator.replicate(patience_s=5))
    await until(lambda: any(log.status is ReplicationStatus.COMPLETED for log in replicator.logs()))
    begun = time.monotonic()
    await graph.create_snapshot()
    assert time.monotonic() - begun < 2, "a backup is not delayed either"
    assert not going.done()
    logs = {log.target_id: log for log in await going}
    by_name = {one.name: logs[one.target_id] for one in replicator.list_targets()}
    assert by_name["quick"].status is by_name["slow"].status is ReplicationStatus.COMPLETED
    assert by_name["dead"].status is ReplicationStatus.FAILED
    assert by_name["quick"].seconds < by_name["slow"].seconds and by_name["slow"].seconds > 2


async def test_two_senders_of_one_graph_do_no_harm(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    """Every request may come twice."""
    await new_graph(backups, tmp_path / "source", size=6 * MIB)
    target = site.target()
    first = sent_to(replication, "alpha", target)
    second = ReplicationManager(storage_path=tmp_path / "here").get_graph_replicator("alpha")
    done = await asyncio.gather(first.replicate(), second.replicate())
    assert [logs[0].status.value for logs in done] == ["COMPLETED"] * 2, done
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_byte_flipped_on_the_way_is_rejected_and_named(
    scheme: str,
    stack: ExitStack,
    backups: BackupManager,
    replication: ReplicationManager,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "there").mkdir()
    program = Program(tmp_path / "there")
    graph = await new_graph(backups, tmp_path / "source")
    listening = stack.enter_context(receiving(program, tls=scheme == "https"))
    async with flipping(listening.port, at=2 * MIB) as port:
        connection = ProbeSettings(ca_file=listening.authority.ca)
        target = ReplicationTarget("there", f"{scheme}://127.0.0.1:{port}", new_key(program), connection=connection)
        replicator = sent_to(replication, "alpha", target)
        with caplog.at_level(logging.WARNING, "lightrag_bkp"):
            (log,) = await replicator.replicate()
    assert log.status is ReplicationStatus.COMPLETED
    assert log.bytes <= graph.stats()["stored_bytes"] + PART + OVERHEAD, "only the part that was hit goes twice"
    if scheme == "http":  # TLS itself notices, and ends the connection
        (pack,) = (tmp_path / "here" / "graphs" / "alpha" / "packs").iterdir()
        assert f"event=part_damaged_on_the_way graph=alpha target=there kind=pack name={pack.name}" in caplog.text
    site = Site(program, listening, Link(Toxiproxy(0), "", port), "")
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


# ---- what trying again does not change ----


async def test_a_wrong_key_ends_it_at_once_and_is_shown(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    wrong = site.target(key="lrb_0123456789abcdef_" + "A" * 43)
    replicator = sent_to(replication, "alpha", wrong)
    begun = time.monotonic()
    (log,) = await replicator.replicate(patience_s=600)
    assert time.monotonic() - begun < 30
    assert log.status is ReplicationStatus.REFUSED and "401" in str(log.error_message)
    assert replicator.get_replication_status()["targets"][0]["refusal"] == log.error_message
    assert str(wrong.api_key) not in str(log) and site.held_bytes("alpha") == 0


async def test_a_log_that_was_rolled_back_overwrites_nothing(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    graph = await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", site.target())
    shutil.copytree(tmp_path / "here" / "graphs", tmp_path / "older")
    await graph.create_snapshot()
    await complete(replicator)
    backups.close()
    replication.close()
    shutil.rmtree(tmp_path / "here" / "graphs")
    shutil.copytree(tmp_path / "older", tmp_path / "here" / "graphs")
    log = await try_once(replicator)
    assert log.status is ReplicationStatus.REFUSED and "rolled back or replaced" in str(log.error_message)
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


async def test_a_pack_that_is_rotten_here_is_not_taken_there_and_named(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", site.target())
    (pack,) = (tmp_path / "here" / "graphs" / "alpha" / "packs").iterdir()
    pack.chmod(0o640)
    with pack.open("r+b") as file:
        file.seek(1_000_000)
        (byte,) = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    log = await try_once(replicator)
    assert log.status is ReplicationStatus.FAILED and pack.name in str(log.error_message)
    assert "is damaged here" in str(log.error_message)
    assert not any(
        hashlib.sha256(one.read_bytes()).hexdigest() != one.name
        for one in (site.replicas / "graphs" / "alpha" / "packs").iterdir()
    )


# ---- how fast ----


async def test_a_limit_is_kept(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source", size=3 * MIB)
    replicator = sent_to(replication, "alpha", site.target(bytes_per_second=float(MIB)))
    log = await complete(replicator)
    assert log.seconds >= log.bytes / MIB - 1.05, "one second's worth may go at once"
