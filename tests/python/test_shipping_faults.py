"""Sending over lines that are cut, reset, slow or flip bits, and to receivers that refuse: nothing wrong arrives, and
what arrived is not sent again.
"""

import asyncio
import hashlib
import logging
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from support.authority import Authority
from support.flipping import flipping
from support.folders import fingerprint
from support.program import Program
from support.receiving import new_key, receiving
from support.shipping import MIB, OVERHEAD, PART, Site, complete, new_graph, new_site, sent_to, try_once, until
from support.toxiproxy import Link, Toxiproxy

from lightrag_bkp import BackupManager
from lightrag_bkp.probing import ProbeSettings
from lightrag_bkp.replication import ReplicationManager, ReplicationStatus, ReplicationTarget

# ---- spoilt lines ----


async def test_a_line_cut_at_every_tenth_of_a_pack_loses_no_more_than_a_part(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    size = 7 * MIB  # in one pack
    for tenth in range(1, 10):
        name = f"cut{tenth}"
        graph = await new_graph(backups, tmp_path / name, name, size)
        replicator = sent_to(replication, name, site.target(name))
        site.link.spoil("bandwidth", rate=20_000)  # in KB/s
        sending, due = asyncio.ensure_future(try_once(replicator)), size * tenth // 10 - PART
        await until(lambda name=name, due=due: site.held_bytes(name) >= due)  # type: ignore[misc]
        site.link.cut()
        failed = await sending
        site.link.heal()
        site.link.cut(down=False)
        assert failed.status is ReplicationStatus.FAILED and "cannot be reached" in str(failed.error_message)
        held = site.held_bytes(name)
        assert due <= held < size
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


async def test_of_two_senders_of_one_graph_one_waits_and_nothing_goes_twice(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    graph = await new_graph(backups, tmp_path / "source", size=6 * MIB)
    target = site.target()
    first = sent_to(replication, "alpha", target)
    second = ReplicationManager(storage_path=tmp_path / "here").get_graph_replicator("alpha")
    site.link.spoil("bandwidth", rate=3000)  # KB/s
    going = asyncio.ensure_future(first.replicate())
    await until(lambda: site.held_bytes("alpha") > 0)
    at_once = await try_once(second)
    assert at_once.status is ReplicationStatus.FAILED and at_once.bytes == 0
    assert f"graph 'alpha' is being sent to there by process {os.getpid()} of " in str(at_once.error_message)
    done = [*await asyncio.gather(second.replicate(), going)]
    assert [logs[0].status.value for logs in done] == ["COMPLETED"] * 2, done
    assert sum(logs[0].bytes for logs in done) < graph.stats()["stored_bytes"] + 2 * OVERHEAD, done
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


async def test_a_certificate_nobody_vouches_for_ends_it_at_once_and_the_next_snapshot_tries_again(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    target = replace(site.target(), connection=ProbeSettings(ca_file=Authority(tmp_path, "other").ca))
    replicator = sent_to(replication, "alpha", target)
    begun = time.monotonic()
    (log,) = await replicator.replicate(patience_s=600)
    assert time.monotonic() - begun < 30
    assert log.status is ReplicationStatus.FAILED and "cannot be trusted" in str(log.error_message)
    assert site.held_bytes("alpha") == 0
    assert replicator.get_replication_status()["targets"][0]["refusal"] is None, "a certificate is mended there"


async def test_a_receiver_that_answers_drop_by_drop_holds_nobody_longer_than_patience(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", site.target())
    site.link.spoil("slicer", average_size=1, size_variation=0, delay=300_000)  # microseconds
    begun = time.monotonic()
    (log,) = await replicator.replicate(patience_s=3)
    assert log.status is ReplicationStatus.FAILED and "nothing moved for 3 s" in str(log.error_message)
    assert time.monotonic() - begun < 15


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


async def test_a_target_that_has_another_repository_has_nothing_of_this_one(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    replicator = sent_to(replication, "alpha", site.target())
    await complete(replicator)
    backups.close()
    replication.close()
    shutil.rmtree(tmp_path / "here" / "graphs")
    await new_graph(backups, tmp_path / "source")
    (row,) = replicator.get_replication_status()["targets"]
    assert row["acknowledged"] is row["confirmed_at"] is None
    assert row["lag"]["entries"] > 0 and not row["lag"]["known"], row


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
