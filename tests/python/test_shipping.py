"""Sending to real receivers over TLS: what arrives is whole, and what was there already is not sent again."""

import asyncio
import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.receiving import new_key
from support.shipping import MIB, Site, complete, new_graph, new_site, sent_to
from support.toxiproxy import Toxiproxy

from lightrag_bkp import BackupManager
from lightrag_bkp.errors import NotFoundError, RefusedError
from lightrag_bkp.limits import RecoverySettings
from lightrag_bkp.models.progress import Progress
from lightrag_bkp.recovering.health import HealthValidator
from lightrag_bkp.replication import ReplicationManager, ReplicationStatus, ReplicationTarget

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


async def test_who_watches_sees_how_far_it_is(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    """Of all targets together, also where one of them had a part of it, and another one the rest."""
    graph = await new_graph(backups, tmp_path / "source", size=4 * MIB)
    there, away = site.target(), ReplicationTarget("away", "https://127.0.0.1:1", site.key)
    replicator = sent_to(replication, "alpha", there, away)
    site.link.spoil("limit_data", bytes=3 * MIB)
    await replicator.replicate(target_id=there.target_id, patience_s=0)
    site.link.heal()
    held, seen = site.held_bytes("alpha"), list[Progress]()
    assert held > 0
    await replicator.replicate(patience_s=0, progress=seen.append)
    last = seen[-1]
    assert (last.phase, last.items_done, last.items_total) == ("send", 1, 2)
    assert last.bytes_in == last.bytes_stored == last.bytes_total == graph.stats()["stored_bytes"] - held
    assert all(one.bytes_in <= one.bytes_total for one in seen)
    assert [one.bytes_in for one in seen] == sorted(one.bytes_in for one in seen)


async def test_a_sealed_graph_goes_with_its_key_slots(site: Site, tmp_path: Path) -> None:
    sealed = BackupManager(tmp_path / "here", passphrase="correct horse")
    await new_graph(sealed, tmp_path / "source")
    replication = ReplicationManager(storage_path=tmp_path / "here", keyring=sealed.keyring)
    await complete(sent_to(replication, "alpha", site.target()))
    site.program.environ["LIGHTRAG_BACKUP_PASSPHRASE"] = "correct horse"
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


async def test_key_slots_that_are_gone_are_told_and_come_again(site: Site, tmp_path: Path) -> None:
    sealed = BackupManager(tmp_path / "here", passphrase="correct horse")
    graph = await new_graph(sealed, tmp_path / "source")
    replication = ReplicationManager(storage_path=tmp_path / "here", keyring=sealed.keyring)
    replicator = sent_to(replication, "alpha", site.target())
    await complete(replicator)
    for slot in (site.replicas / "graphs" / "alpha" / "keys").iterdir():
        slot.unlink()
    found = await asyncio.to_thread(site.program.json, "replica", "verify", "tokyo", "alpha", code=3)
    assert [one["object"] for one in found["replicas"][0]["findings"]] == ["keys"], found
    await graph.create_snapshot()
    await complete(replicator)
    await asyncio.to_thread(site.program, "replica", "verify", "tokyo", "alpha")


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


# ---- how fast ----


async def test_a_limit_is_kept(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source", size=3 * MIB)
    replicator = sent_to(replication, "alpha", site.target(bytes_per_second=float(MIB)))
    log = await complete(replicator)
    assert log.seconds >= log.bytes / MIB - 1.05, "one second's worth may go at once"


# ---- long logs, and logs that were pruned ----


async def test_entries_longer_than_a_request_go_as_objects(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    """A checkpoint holds what a listing shows of every snapshot."""
    graph = await new_graph(backups, tmp_path / "source", size=1000)
    for number in range(260):
        await graph.create_snapshot(metadata={"note": f"{number:05}" * 2000})
    log = tmp_path / "here" / "graphs" / "alpha" / "log"
    assert max(one.stat().st_size for one in log.iterdir()) > MIB
    replicator = sent_to(replication, "alpha", site.target())
    await complete(replicator)
    there = site.replicas / "graphs" / "alpha" / "log"
    assert {one.name: one.read_bytes() for one in there.iterdir()} == {
        one.name: one.read_bytes() for one in log.iterdir()
    }
    assert fingerprint(await site.brought_back("alpha")) == fingerprint(tmp_path / "source")


async def test_what_was_pruned_here_is_not_missed_and_stays_there(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    graph = await new_graph(backups, tmp_path / "source")
    gone = graph.list_snapshots()[0]
    sent = fingerprint(tmp_path / "source")
    early, late = site.target("early"), site.target("late", key=new_key(site.program, "osaka"))
    await complete(sent_to(replication, "alpha", early))
    for size in (MIB, 2 * MIB):
        (tmp_path / "source" / "big").write_bytes(os.urandom(size))
        await graph.create_snapshot()
    await graph.delete_snapshot(gone.backup_id)
    pruned = await graph.prune(wait_s=0)
    assert pruned.bytes_freed or (await graph.prune(wait_s=0)).bytes_freed
    logs = await sent_to(replication, "alpha", late).replicate()
    assert [log.status.value for log in logs] == ["COMPLETED"] * 2
    latest = await site.brought_back("alpha")
    assert fingerprint(latest) == fingerprint(tmp_path / "source")
    words = ("replica", "restore", "tokyo", "alpha", gone.backup_id, tmp_path / "gone")
    await asyncio.to_thread(site.program, *words)
    assert fingerprint(tmp_path / "gone") == sent, "the copy obeys no drop"
    osaka = site.program.storage / "replicas" / "osaka"
    back = tmp_path / "osaka"
    await asyncio.to_thread(site.program.bare, "--storage", osaka, "restore", "alpha", "latest", back)
    assert fingerprint(back) == fingerprint(tmp_path / "source")


async def test_health_tells_of_copies_that_are_missing_refused_or_too_old(
    site: Site, backups: BackupManager, replication: ReplicationManager, tmp_path: Path
) -> None:
    await new_graph(backups, tmp_path / "source")
    looked = HealthValidator(backups, replication)

    async def said() -> tuple[str, str]:
        found = await looked.validate_replication("alpha")
        return found["status"], found["message"]

    assert await said() == ("healthy", "none configured")
    replicator = sent_to(replication, "alpha", site.target())
    assert await said() == ("degraded", "target there has no copy yet")
    await complete(replicator)
    assert await said() == ("healthy", "1 have a copy")
    strict = HealthValidator(backups, replication, settings=RecoverySettings(max_backup_age_hours=1e-9))
    await backups.require_graph("alpha").create_snapshot()
    assert "behind, or silent" in (await strict.validate_replication("alpha"))["message"]
    wrong = site.target("wrong", key="lrb_0123456789abcdef_" + "A" * 43)
    replicator.add_target(wrong)
    await replicator.replicate(target_id=wrong.target_id)
    assert (await said())[1].startswith("target wrong takes nothing: ")
