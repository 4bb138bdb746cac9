"""Sending each snapshot by itself, where that is configured: in the background, and by the command."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.program import Program
from support.receiving import Listening, new_key, receiving

from lightrag_bkp import BackupManager
from lightrag_bkp.probing import ProbeSettings
from lightrag_bkp.replication import GraphReplicator, ReplicationManager, ReplicationStatus, ReplicationTarget


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[Program, Listening]]:
    (tmp_path / "there").mkdir()
    program = Program(tmp_path / "there")
    with receiving(program) as listening:
        yield program, listening


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackupManager]:
    """As configured to send each snapshot, on a host with one graph."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes").write_text("first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTRAG_BACKUP_STORAGE_PATH", "here")
    monkeypatch.setenv("LIGHTRAG_BACKUP_GRAPHS", "alpha=source")
    monkeypatch.setenv("LIGHTRAG_REPLICATION_AFTER_SNAPSHOT", "true")
    with BackupManager() as manager:
        yield manager


def replicator_to(there: tuple[Program, Listening], *more: ReplicationTarget) -> GraphReplicator:
    program, listening = there
    connection = ProbeSettings(ca_file=listening.authority.ca)
    replicator = ReplicationManager().get_graph_replicator("alpha")
    for target in (ReplicationTarget("there", listening.url, new_key(program), connection=connection), *more):
        replicator.add_target(target)
    return replicator


async def even(replicator: GraphReplicator, target: str = "there") -> None:
    """Waits until a target has everything."""
    async with asyncio.timeout(60):
        while True:
            rows = {one["name"]: one for one in replicator.get_replication_status()["targets"]}
            if rows[target]["lag"] is not None and rows[target]["lag"]["entries"] == 0:
                return
            await asyncio.sleep(0.05)


async def test_each_snapshot_goes_by_itself_and_a_dead_target_holds_up_nothing(
    there: tuple[Program, Listening], manager: BackupManager, tmp_path: Path
) -> None:
    graph = manager.require_graph("alpha")
    dead = ReplicationTarget("dead", "https://127.0.0.1:1", "lrb_0123456789abcdef_" + "A" * 43)
    replicator = replicator_to(there, dead)
    for text in ("one", "two", "three"):
        (tmp_path / "source" / "notes").write_text(text)
        begun = time.monotonic()
        await graph.create_snapshot()
        assert time.monotonic() - begun < 3
        await even(replicator)
    (waiting,) = replicator.logs(dead.target_id)
    assert waiting.status in (ReplicationStatus.PENDING, ReplicationStatus.RUNNING)
    manager.close()
    (ended,) = replicator.logs(dead.target_id)
    assert ended.status is ReplicationStatus.FAILED and ended.error_message == "it was interrupted"
    program, _ = there
    back = tmp_path / "back"
    await asyncio.to_thread(
        program.bare, "--storage", program.storage / "replicas" / "tokyo", "restore", "alpha", "latest", back
    )
    assert fingerprint(back) == fingerprint(tmp_path / "source")


async def test_many_snapshots_become_few_shipments(
    there: tuple[Program, Listening], manager: BackupManager, tmp_path: Path
) -> None:
    """What comes while something is under way goes with the next turn, the newest state alone."""
    graph = manager.require_graph("alpha")
    replicator = replicator_to(there)
    for number in range(12):
        (tmp_path / "source" / "notes").write_text(str(number))
        await graph.create_snapshot()
    await even(replicator)
    assert len(graph.list_snapshots()) == 12 and 1 <= len(replicator.logs()) < 12
    assert {log.status.value for log in replicator.logs()} <= {"COMPLETED", "PENDING", "RUNNING"}
    with BackupManager(tmp_path / "here") as named:  # the configuration's graphs are unknown to it, and its way is not
        await named.register_graph("alpha", tmp_path / "source").create_snapshot()
        await even(replicator)


async def test_a_target_that_refused_rests_until_somebody_replicates(
    there: tuple[Program, Listening], manager: BackupManager
) -> None:
    graph = manager.require_graph("alpha")
    listening = there[1]
    wrong = ReplicationTarget(
        "wrong",
        listening.url,
        "lrb_0123456789abcdef_" + "A" * 43,
        connection=ProbeSettings(ca_file=listening.authority.ca),
    )
    replicator = replicator_to(there, wrong)
    await graph.create_snapshot()
    async with asyncio.timeout(60):
        while True:
            if any(log.status is ReplicationStatus.REFUSED for log in replicator.logs(wrong.target_id)):
                break
            await asyncio.sleep(0.05)
    await graph.create_snapshot()
    await even(replicator)
    assert len(replicator.logs(wrong.target_id)) == 1
    (refusal,) = (one["refusal"] for one in replicator.get_replication_status()["targets"] if one["name"] == "wrong")
    assert "401" in refusal


def test_the_command_sends_what_it_took_and_only_warns_when_it_cannot(
    there: tuple[Program, Listening], manager: BackupManager, tmp_path: Path
) -> None:
    here = Program(tmp_path, {"LIGHTRAG_BACKUP_GRAPHS": "alpha=source"})
    here.environ["LIGHTRAG_REPLICATION_AFTER_SNAPSHOT"] = "true"
    here.environ["LIGHTRAG_BACKUP_STORAGE_PATH"] = "here"
    program, listening = there
    (tmp_path / "receiver.key").write_text(new_key(program))
    newest = here.bare("snapshot", "alpha", "--json").document["snapshot"]["backup_id"]
    words = ("--api-key-file", "receiver.key", "--ca-file", listening.authority.ca)
    here.bare("target", "add", "there", listening.url, *words)
    assert "name a target with --to" in here.bare("replicate", "alpha", code=2).err
    sent = here.bare("replicate", "alpha", "--to", "there", "--json").document["replications"]
    told = [(one["name"], one["snapshot_id"], one["status"], one["is_there"]) for one in sent]
    assert told == [("there", newest, "COMPLETED", True)]
    assert "copied to there" in here.bare("snapshot", "alpha").out
    first = here.bare("snapshot", "alpha", "--json").document["snapshot"]["backup_id"]
    here.environ["LIGHTRAG_REPLICATION_AFTER_SNAPSHOT"] = "false"
    (tmp_path / "source" / "notes").write_text("second")
    here.bare("snapshot", "alpha")
    (older,) = here.bare("--json", "replicate", "alpha", "--snapshot", first[:-1]).document["replications"]
    assert (older["snapshot_id"], older["status"]) == (first, "COMPLETED")
    assert "has no snapshot '1999'" in here.bare("replicate", "alpha", "--snapshot", "1999", code=1).err
    page = here.bare("status").out
    assert re.search(r"^alpha +there +1 entry, \d+", page, re.M), f"a copy of an older one is not even: {page}"
    lag = program.json("replica", "list")["replicas"][0]["lag"]
    assert lag["entries"] == 0 and lag["bytes"] > 0
    here.bare("replicate", "alpha")
    assert re.search(r"^alpha +there +even +20", here.bare("status").out, re.M)
    assert program.json("replica", "list")["replicas"][0]["lag"]["bytes"] == 0
    with ReplicationManager(storage_path=tmp_path / "here") as known:
        known.update_target(older["target_id"], api_key="another-than-was-made-there")
    here.environ["LIGHTRAG_REPLICATION_AFTER_SNAPSHOT"] = "true"
    (tmp_path / "source" / "notes").write_text("third")
    lacking = here.bare("snapshot", "alpha").err
    assert "target there lacks this snapshot: " in lacking and "answers 401: the API key is not valid here" in lacking
    here.bare("target", "add", "dead", "https://127.0.0.1:1", "--api-key-file", "receiver.key")
    failed = here.bare("replicate", "alpha", "--to", "dead", "--patience", "0", code=1)
    assert "FAILED" in failed.out and "cannot be reached" in failed.out


@pytest.mark.parametrize("moment_s", [0, 0.05, 0.3])
def test_a_process_that_ends_waits_for_no_copy_and_says_nothing(
    manager: BackupManager, tmp_path: Path, moment_s: float
) -> None:
    dead = ReplicationTarget("dead", "https://127.0.0.1:1", "lrb_0123456789abcdef_" + "A" * 43)
    ReplicationManager().get_graph_replicator("alpha").add_target(dead)
    program = (
        "import asyncio, lightrag_bkp\n"
        "async def main():\n"
        "    await lightrag_bkp.BackupManager().require_graph('alpha').create_snapshot()\n"
        f"    await asyncio.sleep({moment_s})\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
