"""Receiving as it is run: a graph is snapshotted here, sent over TLS, and restored there with its sender gone."""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.folders import fingerprint
from support.graphs import build_custom_graph
from support.program import Program
from support.receiving import Listening, Sender, new_key, opened, receiving

import lightrag_bkp
from lightrag_bkp.errors import DamagedError
from lightrag_bkp.probing import Prober, ProbeSettings, TargetStatus
from lightrag_bkp.receiving import protocol
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.receiving.inspection import inspect
from lightrag_bkp.receiving.replica import Replica
from lightrag_bkp.receiving.retention import Rules, thin
from lightrag_bkp.sync import BackupManager, GraphBackup


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The receiving host."""
    (tmp_path / "there").mkdir()
    return Program(tmp_path / "there")


@pytest.fixture
def there(program: Program) -> Iterator[Listening]:
    with receiving(program) as listening:
        yield listening


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "notes").write_text("first")
    (directory / "big").write_bytes(os.urandom(3_000_000))
    return directory


@pytest.fixture
def graph(tmp_path: Path, source: Path) -> GraphBackup:
    """A graph with a snapshot, on the sending host."""
    graph = BackupManager(tmp_path / "here").register_graph("alpha", source)
    graph.create_snapshot()
    return graph


@pytest.fixture
def sender(graph: GraphBackup, program: Program, there: Listening, tmp_path: Path) -> Sender:
    return Sender(there, new_key(program), "alpha", opened(tmp_path / "here", "alpha"))


@pytest.fixture
def replica(program: Program) -> Replica:
    return Replica(str(program.storage / "replicas" / "tokyo" / "graphs" / "alpha"), "alpha")


def change(source: Path, graph: GraphBackup, count: int = 3_000_000) -> str:
    """Another snapshot, of other content."""
    (source / "big").write_bytes(os.urandom(count))
    return graph.create_snapshot().backup_id


def test_a_snapshot_that_was_sent_is_restored_there_with_its_sender_gone(
    sender: Sender, graph: GraphBackup, source: Path, program: Program, tmp_path: Path
) -> None:
    done = sender.ship(graph.list_snapshots()[-1].backup_id)
    assert done.receipts == [done.number] and done.entries == done.number + 1
    shutil.rmtree(tmp_path / "here")
    plain = ("--storage", program.storage / "replicas" / "tokyo")
    assert len(program.bare(*plain, "--json", "list", "alpha").document["snapshots"]) == 1
    program.bare(*plain, "verify", "alpha")
    for words in ((*plain, "restore"), ("--storage", program.storage, "replica", "restore", "tokyo")):
        target = tmp_path / f"target-{len(words)}"
        program.bare(*words, "alpha", "latest", target)
        assert fingerprint(target) == fingerprint(source)


def test_what_its_sender_deleted_is_still_restored(
    sender: Sender, graph: GraphBackup, source: Path, program: Program, tmp_path: Path
) -> None:
    """A primary that was taken over drops everything it can, sweeps it, and ships all that."""
    first = graph.list_snapshots()[-1].backup_id
    sender.ship(first)
    before = fingerprint(source)
    second = change(source, graph)
    sender.ship(second)
    graph.delete_snapshot(first)
    graph.prune(wait_s=0)
    third = change(source, graph)
    graph.delete_snapshot(second)
    graph.prune(wait_s=0)
    assert [one.backup_id for one in graph.list_snapshots()] == [third]
    sender.ship(third)
    listed = program.bare("--storage", program.storage / "replicas" / "tokyo", "--json", "list", "alpha").document
    assert {one["backup_id"] for one in listed["snapshots"]} == {first, second, third}
    program("replica", "restore", "tokyo", "alpha", first, tmp_path / "target")
    assert fingerprint(tmp_path / "target") == before
    program.bare("--storage", program.storage / "replicas" / "tokyo", "verify", "alpha")
    program("replica", "verify", "tokyo")


def test_only_what_is_lacking_is_sent(sender: Sender, graph: GraphBackup, source: Path) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    assert sender.sent_bytes > 3_000_000
    (source / "notes").write_text("second")
    before = sender.sent_bytes
    sender.ship(graph.create_snapshot().backup_id)
    assert sender.sent_bytes - before < 20_000


@pytest.mark.parametrize("command", ["snapshot", "delete", "hold", "prune"])
def test_nobody_else_writes_to_a_replica(
    sender: Sender, graph: GraphBackup, source: Path, program: Program, replica: Replica, command: str
) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    before = fingerprint(Path(replica.directory, "log"))
    more = {"snapshot": ("alpha", source), "prune": ("alpha",)}
    words = more.get(command, ("alpha", "latest"))
    ran = program.bare("--storage", program.storage / "replicas" / "tokyo", command, *words, code=2)
    assert "this is a replica" in ran.err
    assert fingerprint(Path(replica.directory, "log")) == before


def test_a_restore_over_a_graph_is_refused_since_nothing_of_it_could_be_kept(
    sender: Sender, graph: GraphBackup, program: Program, tmp_path: Path
) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "precious").write_text("work")
    said = program.sentence("replica", "restore", "tokyo", "alpha", "latest", tmp_path / "target", "--yes", code=2)
    assert "this is a replica" in said and "another directory" in said
    assert (tmp_path / "target" / "precious").read_text() == "work" and len(os.listdir(tmp_path / "target")) == 1


def test_a_sealed_replica_is_held_checked_and_thinned_without_its_passphrase(
    source: Path, program: Program, there: Listening, replica: Replica, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("correct horse")
    (tmp_path / "secret").chmod(0o600)
    manager = BackupManager(tmp_path / "here", passphrase_file=tmp_path / "secret")
    graph = manager.register_graph("alpha", source)
    first = change(source, graph, 20_000_000)  # several packs: what both snapshots share keeps the one it lies in
    key = lightrag_bkp.BackupManager(tmp_path / "here", passphrase_file=tmp_path / "secret").keyring.key_now("alpha")
    sender = Sender(there, new_key(program), "alpha", opened(tmp_path / "here", "alpha", key))
    numbers = [sender.ship(first).number, sender.ship(change(source, graph)).number]
    shutil.rmtree(tmp_path / "here")
    assert inspect(replica).ok
    far = datetime.now(UTC) + timedelta(days=400)
    gone = thin(replica, Rules(30, 1), now=far, spared_s=0, wait_s=0)
    assert gone.dropped == (numbers[0],) and gone.kept == (numbers[1],) and gone.freed_bytes > 8_000_000
    assert inspect(replica).ok
    listed = program.json("replica", "list")["replicas"][0]
    assert listed["sealed"] and listed["snapshots"] == 1
    assert "name its passphrase" in program.sentence(
        "replica", "restore", "tokyo", "alpha", "latest", tmp_path / "target", code=1
    )
    words = ("replica", "restore", "tokyo", "alpha", "latest", tmp_path / "target")
    program("--passphrase-file", tmp_path / "secret", *words)
    assert fingerprint(tmp_path / "target") == fingerprint(source)


async def test_a_lightrag_directory_comes_back_from_a_replica_byte_for_byte(
    program: Program, there: Listening, tmp_path: Path
) -> None:
    rag = tmp_path / "rag_storage"
    await build_custom_graph(rag, 200, 100, 20)
    graph = BackupManager(tmp_path / "here").register_graph("alpha", rag)
    snapshot = graph.create_snapshot()
    Sender(there, new_key(program), "alpha", opened(tmp_path / "here", "alpha")).ship(snapshot.backup_id)
    shutil.rmtree(tmp_path / "here")
    program("replica", "restore", "tokyo", "alpha", "latest", tmp_path / "target")
    assert fingerprint(tmp_path / "target") == fingerprint(rag)
    program("validate", tmp_path / "target")


# ---- what it keeps ----


def test_held_new_and_newest_snapshots_stay(sender: Sender, graph: GraphBackup, source: Path, replica: Replica) -> None:
    numbers = [sender.ship(graph.list_snapshots()[-1].backup_id).number]
    numbers += [sender.ship(change(source, graph)).number for _ in range(3)]
    sender.append([], held=numbers[:1])
    assert thin(replica, Rules(1, 1), spared_s=0).dropped == ()
    later = datetime.now(UTC) + timedelta(days=2)
    assert thin(replica, Rules(0, 1), now=later, spared_s=0).dropped == ()
    judged = thin(replica, Rules(1, 1), now=later, dry_run=True, spared_s=0)
    assert judged.dropped == tuple(numbers[1:3]) and judged.kept == (numbers[0], numbers[3])
    assert len(replica.receipts()) == 4
    assert thin(replica, Rules(1, 1), now=later, spared_s=0) == judged
    assert [one.number for one in replica.receipts()] == [numbers[0], numbers[3]] and inspect(replica).ok


def test_a_restore_under_way_keeps_its_packs_for_an_hour(
    sender: Sender, graph: GraphBackup, source: Path, program: Program, replica: Replica, tmp_path: Path
) -> None:
    wanted = change(source, graph, 20_000_000)  # several packs: what both snapshots share keeps the one it lies in
    first = sender.ship(wanted).number
    before = replica.packs()
    sender.ship(change(source, graph))
    later = datetime.now(UTC) + timedelta(days=2)
    gone = thin(replica, Rules(1, 1), now=later, spared_s=0)
    assert gone.dropped == (first,) and gone.packs == 0 and gone.waiting_bytes > 8_000_000
    assert before.keys() <= replica.packs().keys() and not replica.has_receipt(first)
    assert replica.absent(sender.needed(wanted)[1]) == []
    assert thin(replica, Rules(1, 1), now=later, spared_s=0).freed_bytes == 0, "its hour has just begun"
    ended = thin(replica, Rules(1, 1), now=later, spared_s=0, wait_s=0)
    assert ended.dropped == () and ended.freed_bytes == gone.waiting_bytes and ended.waiting_bytes == 0
    assert inspect(replica).ok and os.listdir(replica.let_go_directory) == []
    program("replica", "restore", "tokyo", "alpha", "latest", tmp_path / "target")
    assert fingerprint(tmp_path / "target") == fingerprint(source)


def test_a_damaged_replica_is_not_pruned_and_the_others_are(
    sender: Sender, graph: GraphBackup, source: Path, program: Program, replica: Replica
) -> None:
    snapshots = [graph.list_snapshots()[-1].backup_id, change(source, graph)]
    other = Sender(sender.there, new_key(program, "zurich"), "alpha", sender.core)
    for snapshot in snapshots:
        sender.ship(snapshot)
        other.ship(snapshot)
    path = Path(replica.directory, "replica", "status")
    path.chmod(0o600)
    path.write_text("no JSON")
    ran = program("replica", "prune", "--keep-days", "0", "--now", code=1)
    assert "tokyo/alpha: " in ran.err and "zurich alpha: 0 snapshots dropped, 2 kept" in ran.out
    document = program.json("replica", "prune", "--dry-run", code=1)
    assert [one["graph_id"] for one in document["errors"]] == ["tokyo/alpha"]
    assert [one["sender"] for one in document["replicas"]] == ["zurich"]


def test_packs_on_their_way_are_spared(sender: Sender, graph: GraphBackup, replica: Replica) -> None:
    sender.append(range(1))
    _, packs = sender.needed(graph.list_snapshots()[-1].backup_id)
    sender.ship_packs(packs)
    assert thin(replica, Rules(1, 1)).packs == 0 and len(replica.packs()) == len(packs)
    assert thin(replica, Rules(1, 1), spared_s=0).packs == len(packs)
    sender.ship(graph.list_snapshots()[-1].backup_id)
    assert inspect(replica).ok


def test_what_never_became_whole_and_what_was_rotten_goes_after_a_day(
    sender: Sender, graph: GraphBackup, program: Program, replica: Replica
) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    sender.part("ab" * 32, b"x" * 1000, 0, 5000)
    name = max(replica.packs())
    path = Path(replica.pack_path(name))
    path.chmod(0o600)
    path.write_bytes(b"rot" + path.read_bytes()[3:])
    program("replica", "verify", "--send-again", code=3)
    part, rotten = Path(replica.quarantine.path("ab" * 32)), Path(replica.rotten_directory, name)
    assert thin(replica, Rules()).freed_bytes == 0 and part.exists() and rotten.exists()
    assert thin(replica, Rules(), spared_s=0).freed_bytes == 1000 and not part.exists()
    assert rotten.exists()  # all there is of it, until it came again
    sender.ship(graph.list_snapshots()[-1].backup_id)
    length = rotten.stat().st_size
    assert thin(replica, Rules(), dry_run=True, spared_s=0).freed_bytes == length and rotten.exists()
    assert thin(replica, Rules(), spared_s=0).freed_bytes == length and not rotten.exists()
    assert inspect(replica).ok


def test_a_damaged_list_of_packs_lets_nothing_go(
    sender: Sender, graph: GraphBackup, source: Path, replica: Replica
) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    sender.ship(change(source, graph))
    path = Path(replica.needs_path(replica.receipts()[-1].needs))
    stored = bytearray(path.read_bytes())
    stored[3] ^= 1
    path.chmod(0o600)
    path.write_bytes(stored)
    before = replica.packs()
    with pytest.raises(DamagedError, match="list of packs"):
        thin(replica, Rules(1, 1), now=datetime.now(UTC) + timedelta(days=9), spared_s=0)
    assert replica.packs() == before and len(replica.receipts()) == 2


def test_a_rotten_pack_is_found_and_sent_again(
    sender: Sender, graph: GraphBackup, source: Path, program: Program, replica: Replica
) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    name = max(replica.packs())
    path = Path(replica.pack_path(name))
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    found = program.json("replica", "verify", "tokyo", "alpha", code=3)["replicas"][0]
    assert [one["object"] for one in found["findings"]] == [f"packs/{name}"] and not found["ok"]
    assert path.exists()
    program("replica", "verify", "--send-again", code=3)
    assert not path.exists() and not inspect(replica).ok
    (source / "notes").write_text("second")
    sender.ship(graph.create_snapshot().backup_id)
    assert inspect(replica).ok


@pytest.mark.parametrize("how", ["put aside", "lost", "cut", "list rotten"])
def test_a_receipt_that_no_longer_holds_is_not_acknowledged_and_the_hole_is_filled(
    sender: Sender, graph: GraphBackup, program: Program, replica: Replica, how: str
) -> None:
    snapshot = graph.list_snapshots()[-1].backup_id
    sender.ship(snapshot)
    before = replica.receipts()[0]
    name = before.needs if how == "list rotten" else max(replica.packs())
    path = Path(replica.needs_path(name) if how == "list rotten" else replica.pack_path(name))
    path.chmod(0o600)
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(b"rot" + path.read_bytes()[3 : 2000 if how == "cut" else None])
    if how in ("put aside", "list rotten"):
        program("replica", "verify", "--send-again", code=3)
    status, said = sender.append([], [(before.number, before.needs)])
    assert (status, said["code"], said["missing"]) == (424, "INCOMPLETE", [name])
    assert sender.ship(snapshot).receipts == [before.number]
    assert inspect(replica).ok and replica.receipts() == [before]


def test_a_list_that_is_not_enough_for_its_snapshot_gets_no_receipt(
    sender: Sender, graph: GraphBackup, replica: Replica, program: Program
) -> None:
    """Each pack it names is here and whole. One receipt that is there all the same, verify names."""
    snapshot = graph.list_snapshots()[-1].backup_id
    number, packs = sender.needed(snapshot)
    sender.append(range(1))
    sender.ship_packs(packs)
    needs = protocol.encode_needs(packs[1:])
    name = hashlib.sha256(needs).hexdigest()
    Path(replica.needs_path(name)).write_bytes(needs)
    status, said = sender.append(range(1, number + 1), [(number, name)])
    assert (status, said["code"]) == (424, "INCOMPLETE") and "not enough" in said["detail"]
    assert replica.receipts() == [] and replica.last_number() == number
    assert sender.ship(snapshot).receipts == [number] and inspect(replica).ok
    path = Path(replica.receipt_path(number))
    forged = json.loads(path.read_bytes()) | {"needs": name}
    path.chmod(0o600)
    path.write_text(json.dumps(forged))
    found = program.json("replica", "verify", code=3)["replicas"][0]["findings"]
    assert [one["object"] for one in found] == [f"replica/receipts/{number:020}"]
    assert "not enough" in found[0]["message"]
    assert not list(Path(replica.directory, "replica").glob("trial.*"))


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("receipt", b"{}"),
        ("receipt", b"no JSON"),
        ("receipt", b'{"sha256": 1, "needs": [], "received_us": "x", "time_us": null}'),
        ("entry", None),
        ("status", b'{"head": "x"}'),
        ("status", b'{"held": true}'),
        ("status", b"\xff"),
    ],
)
def test_damage_in_one_replica_is_named_and_the_others_are_looked_at(
    sender: Sender, graph: GraphBackup, program: Program, replica: Replica, what: str, content: bytes | None
) -> None:
    snapshot = graph.list_snapshots()[-1].backup_id
    sender.ship(snapshot)
    Sender(sender.there, new_key(program, "zurich"), "alpha", sender.core).ship(snapshot)
    last = replica.receipt_numbers()[-1]
    path = {
        "receipt": Path(replica.receipt_path(last)),
        "entry": Path(replica.entry_path(last)),
        "status": Path(replica.directory, "replica", "status"),
    }[what]
    path.chmod(0o600)
    stored = bytearray(path.read_bytes())
    stored[-40] ^= 1
    path.write_bytes(stored if content is None else content)
    hurt, whole = program.json("replica", "verify", code=3)["replicas"]
    assert str(path.relative_to(replica.directory)) in [one["object"] for one in hurt["findings"]]
    assert whole["sender"] == "zurich" and whole["ok"]
    assert [one["sender"] for one in program.json("replica", "list")["replicas"]] == ["tokyo", "zurich"]
    assert "zurich" in program("replica", "list").out
    if what == "status":
        assert sender.append([])[0] == 503 and sender.ask("GET", "/capabilities")[0] == 200
        program("replica", "verify", "--send-again", code=3)
        assert sender.ship(snapshot).receipts == [last] and inspect(replica).ok
    if what == "receipt":  # as soon as its sender is heard it is made out again
        assert sender.ship(snapshot).receipts == [last] and inspect(replica).ok


# ---- how far it is behind ----


def test_a_replica_says_how_far_it_is_behind(
    sender: Sender, graph: GraphBackup, source: Path, program: Program
) -> None:
    sender.ship(graph.list_snapshots()[-1].backup_id)
    lag = sender.ask("GET", "/graphs/alpha")[1]["lag"]
    assert (lag["entries"], lag["bytes"], lag["seconds"], lag["known"]) == (0, 0, 0.0, True)
    number = sender.core.head()[1]
    sender.append([], head={"number": number + 3, "behind_bytes": 77})
    lag = sender.ask("GET", "/graphs/alpha")[1]["lag"]
    assert (lag["entries"], lag["bytes"], lag["known"]) == (3, 77, True) and lag["seconds"] >= 0
    assert program.json("replica", "list")["replicas"][0]["lag"]["entries"] == 3
    heard = lag["heard_us"]
    sender.append([], head={"number": number})
    lag = sender.ask("GET", "/graphs/alpha")[1]["lag"]
    assert (lag["entries"], lag["seconds"]) == (0, 0.0) and lag["heard_us"] > heard
    assert "even" in program("replica", "list").out


async def test_the_prober_finds_it_healthy_and_says_so_of_a_wrong_key(program: Program, there: Listening) -> None:
    prober = Prober()
    settings = ProbeSettings(period=3600, connect=20, total=20, slow=0, ca_file=there.authority.ca)
    prober.set("right", there.url, new_key(program), settings)
    prober.set("wrong", there.url, "another", settings)
    prober.set("reader", there.url, open_keys(program.storage).add("reader", "read")[1], settings)
    right, wrong, reader = [await prober.check(one) for one in ("right", "wrong", "reader")]
    prober.stop()
    assert right.status is TargetStatus.HEALTHY, right.reason
    assert right.instance_id == (program.storage / "replicas" / "instance_id").read_text()
    assert wrong.status is TargetStatus.DEGRADED and "refuses the API key" in wrong.reason
    assert reader.status is TargetStatus.DEGRADED and reader.reason.startswith("this key may not replicate (HTTP 403)")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_at_once_and_quietly(program: Program, there: Listening, number: signal.Signals) -> None:
    there.process.send_signal(number)
    out, err = there.process.communicate(timeout=20)
    assert there.process.returncode == -number and (out, err) == ("", "")
