"""A receiver that is killed, refused by its disk or out of room in the midst of a shipment: what was acknowledged is
there, the sender goes on where it was, and what is restored in the end is what was sent."""

import errno
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.folders import fingerprint
from support.program import Program
from support.receiving import Listening, Sender, new_key, opened, receiving
from support.trouble import mounting

from lightrag_bkp.receiving import protocol
from lightrag_bkp.receiving.inspection import inspect
from lightrag_bkp.receiving.protocol import BASE_PATH
from lightrag_bkp.receiving.replica import Replica
from lightrag_bkp.sync import BackupManager, GraphBackup

CUT_OFF = (AssertionError, OSError, http.client.HTTPException)
"""What the tests' sender says when the receiver is gone, or answers with an error."""


@pytest.fixture
def graph(tmp_path: Path, source: Path) -> GraphBackup:
    graph = BackupManager(tmp_path / "here").register_graph("alpha", source)
    graph.create_snapshot()
    return graph


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "there" / "storage" / "replicas").mkdir(parents=True)
    return Program(tmp_path / "there")


@pytest.fixture
def replica(program: Program) -> Replica:
    return Replica(str(program.storage / "replicas" / "tokyo" / "graphs" / "alpha"), "alpha")


def sender_to(there: Listening, key: str, tmp_path: Path) -> Sender:
    return Sender(there, key, "alpha", opened(tmp_path / "here", "alpha"))


def newest(graph: GraphBackup) -> str:
    return graph.list_snapshots()[-1].backup_id


def must_be_whole(replica: Replica, program: Program, source: Path, target: Path) -> None:
    assert inspect(Replica(replica.directory, "alpha")).ok
    program("replica", "restore", "tokyo", "alpha", "latest", target)
    assert fingerprint(target) == fingerprint(source)


@contextmanager
def planned(program: Program, library: Path, at: str, do: str) -> Iterator[Program]:
    """The receiver with the seam between it and the kernel."""
    plan = {"LRB_SEAM_ROOT": str(program.storage / "replicas"), "LRB_SEAM_AT": at, "LRB_SEAM_DO": do}
    plan["LRB_SEAM_PLAIN"] = "1"
    yield Program(program.directory, {**program.environ, "LD_PRELOAD": str(library), **plan})


def test_killed_at_any_step_it_goes_on_from_there(
    tmp_path: Path, source: Path, graph: GraphBackup, program: Program, replica: Replica, seam_library: Path
) -> None:
    """Every fifth change it makes on disk is once the one before which it is killed; meanwhile the replica grows."""
    key, acknowledged, killed = new_key(program), -1, 0
    with receiving(program):  # makes its directory and its id
        pass
    for number in range(0, 10_000, 5):
        with planned(program, seam_library, f"change:tokyo:{number}", "kill") as doomed, receiving(doomed) as there:
            sender = sender_to(there, key, tmp_path)
            sender.part_bytes = 60_000
            with suppress(*CUT_OFF):
                acknowledged = max(acknowledged, sender.ship(newest(graph)).number)
                break
        killed += 1
        head = Replica(replica.directory, "alpha").head()
        assert (-1 if head is None else head.number) >= acknowledged
    assert killed >= 5 and acknowledged == sender.core.head()[1]
    must_be_whole(replica, program, source, tmp_path / "target")


def test_killed_in_mid_part_it_lacks_no_more_than_that_part(
    tmp_path: Path, graph: GraphBackup, source: Path, program: Program, replica: Replica
) -> None:
    key, part_bytes = new_key(program), 50_000
    with receiving(program) as there:
        sender = sender_to(there, key, tmp_path)
        sender.append(range(1))
        _, packs = sender.needed(newest(graph))
    name, size = max(((pack_id.hex(), size) for pack_id, size in packs), key=lambda one: one[1])
    pack = sender.pack(bytes.fromhex(name))
    sent = 0
    for step in range(3):
        with receiving(program) as there:
            sender = sender_to(there, key, tmp_path)
            asked = json.dumps({"objects": [{"sha256": name, "size": size}]}).encode()
            (missing,) = sender.ask("POST", "/graphs/alpha/missing", asked)[1]["missing"]
            assert missing == {"sha256": name, "offset": 2 * step * part_bytes}
            for offset in range(missing["offset"], missing["offset"] + 2 * part_bytes, part_bytes):
                sender.part(name, pack[offset : offset + part_bytes], offset, size)
            sent += sender.sent_bytes
            half_a_part(there, sender, name, pack, offset + part_bytes, part_bytes)
            os.kill(there.pid, signal.SIGKILL)
    with receiving(program) as there:
        sender = sender_to(there, key, tmp_path)
        sender.ship(newest(graph))
        total = sum(size for _, size in packs) + protocol.NEEDS_ROW_BYTES * len(packs)
        assert sent + sender.sent_bytes == total
    must_be_whole(replica, program, source, tmp_path / "target")


def half_a_part(there: Listening, sender: Sender, name: str, pack: bytes, offset: int, part_bytes: int) -> None:
    """A part of which only a half comes, on a connection that stays open."""
    part = pack[offset : offset + part_bytes]
    lines = {
        "Host": "there",
        protocol.KEY_HEADER: sender.key,
        protocol.EPOCH_HEADER: 0,
        protocol.REPOSITORY_HEADER: sender.repository,
        protocol.KIND_HEADER: "pack",
        protocol.OFFSET_HEADER: offset,
        protocol.LENGTH_HEADER: len(pack),
        protocol.DIGEST_HEADER: protocol.content_digest(part),
        "Content-Length": len(part),
    }
    head = f"PUT {BASE_PATH}/graphs/alpha/objects/{name} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with (
        socket.create_connection(("127.0.0.1", there.port)) as plain,
        there.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(f"{head}\r\n".encode() + part[: len(part) // 2])
        connection.settimeout(0.2)
        with suppress(TimeoutError, ssl.SSLError):
            assert connection.recv(1) == b"", "it answered half a part"


@pytest.mark.parametrize(("refused", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503)])
@pytest.mark.parametrize(
    "at", ["write:quarantine:2", "sync:packs:1", "rename:packs:0", "link:log:1", "rename:receipts:0", "rename:status:1"]
)
def test_what_the_disk_refuses_is_told_and_tried_again(
    tmp_path: Path, source: Path, graph: GraphBackup, program: Program, replica: Replica, seam_library: Path,
    at: str, refused: int, status: int,
) -> None:  # fmt: skip
    answers: list[tuple[int, dict[str, Any]]] = []

    class Noting(Sender):
        def ask(self, *words: Any, **headers: object) -> tuple[int, dict[str, Any]]:
            answers.append(super().ask(*words, **headers))
            return answers[-1]

    key = new_key(program)
    with planned(program, seam_library, at, f"refuse={refused}") as ill, receiving(ill) as there:
        sender = Noting(there, key, "alpha", opened(tmp_path / "here", "alpha"), part_bytes=60_000)
        with pytest.raises(AssertionError):
            sender.ship(newest(graph))
        assert answers[-1][0] == status and answers[-1][1]["retryable"] is True, answers[-1]
        sender.ship(newest(graph))
    must_be_whole(replica, program, source, tmp_path / "target")


def test_a_full_disk_keeps_what_is_there_and_takes_the_rest_later(
    tmp_path: Path, source: Path, graph: GraphBackup, program: Program
) -> None:
    (source / "big").write_bytes(os.urandom(3_000_000))
    snapshot = graph.create_snapshot().backup_id
    replicas = program.storage / "replicas"
    full = [*mounting(), "sh", "-c", f'mount -t tmpfs -o size=6m none {replicas} && exec "$@"', "sh"]
    key = new_key(program)
    with receiving(Program(program.directory, before=full), "--min-free", "0") as there:
        inside = Path(f"/proc/{there.pid}/root", *replicas.parts[1:])
        (inside / "filler").write_bytes(b"x" * 4_500_000)
        sender = sender_to(there, key, tmp_path)
        with pytest.raises(AssertionError, match="NO_ROOM"):
            sender.ship(snapshot)
        held = Replica(str(inside / "tokyo" / "graphs" / "alpha"), "alpha")
        assert held.receipts() == [] and held.head() is not None
        assert sender.ask("GET", "/capabilities")[1]["low_space"] is True
        (inside / "filler").unlink()
        sender.ship(snapshot)
        assert len(held.receipts()) == 1
        (tmp_path / "copy").mkdir()
        copy = Program(tmp_path / "copy")
        shutil.copytree(inside / "tokyo", copy.storage / "replicas" / "tokyo")
    must_be_whole(
        Replica(str(copy.storage / "replicas" / "tokyo" / "graphs" / "alpha"), "alpha"),
        copy,
        source,
        tmp_path / "target",
    )


def test_after_a_restart_of_the_machine_nothing_half_done_is_trusted(
    tmp_path: Path, source: Path, graph: GraphBackup, program: Program, replica: Replica
) -> None:
    """A power cut may leave a file of the right length whose blocks were never written."""
    key = new_key(program)
    with receiving(program) as there:
        sender = sender_to(there, key, tmp_path)
        sender.append(range(1))
        _, packs = sender.needed(newest(graph))
        pack = sender.pack(packs[0][0])
        assert sender.part(packs[0][0].hex(), pack[:50_000], 0, len(pack))[0] == 200
    (held,) = Path(replica.quarantine.directory).iterdir()
    held.write_bytes(bytes(50_000))
    (program.storage / "replicas" / "boot_id").chmod(0o600)
    (program.storage / "replicas" / "boot_id").write_text("another boot")
    with receiving(program) as there:
        assert list(Path(replica.quarantine.directory).iterdir()) == []
        sender_to(there, key, tmp_path).ship(newest(graph))
    must_be_whole(replica, program, source, tmp_path / "target")
