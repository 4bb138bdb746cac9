"""Several workers of one LightRAG, forked as Gunicorn forks them: cuts and restores by any of them, and what one that
is forked later begins with.
"""

import asyncio
import json
import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from support import check
from support.workers import played

from lightrag_bkp.sources.siblings import Line, Siblings
from lightrag_bkp.sync import BackupManager


def documents(directory: Path) -> set[str]:
    rows = json.loads((directory / "kv_store_doc_status.json").read_text("utf-8"))
    return {row["status"] for row in rows.values()}


def test_all_workers_serve_what_one_of_them_restored(tmp_path: Path) -> None:
    """Also one that was forked afterwards, and one that had something unwritten of the old state."""
    seen = played(tmp_path, "restored")
    assert seen["first"] == seen["second at first"]
    assert seen["second at more"] != seen["first"], "the second worker had the old state in memory"
    assert seen["third restored"] == seen["second restored"] == seen["first restored"] == seen["first"]
    assert seen["first at last"] == seen["second at last"] == seen["third at last"]
    directory = tmp_path / "rag_storage"
    assert "chunk-other" not in (directory / "vdb_chunks.json").read_text()
    assert documents(directory) == {"processed"}
    assert seen["first at last"][5] == 3
    assert check.findings(directory) == []


def test_a_worker_cuts_what_another_one_ingests(tmp_path: Path) -> None:
    seen = played(tmp_path, "cut")
    assert {consistency for _, consistency, _ in seen["cuts"][:-1]} == {"gated"}, "the last one may find it at rest"
    assert seen["idle"][1] == "quiesced"
    graph = BackupManager(tmp_path / "storage").register_graph("g")
    for number, (backup_id, *_) in enumerate([*seen["cuts"], seen["idle"]]):
        graph.unpack(backup_id, tmp_path / f"cut-{number}")
        assert check.findings(tmp_path / f"cut-{number}") == []
    assert len(seen["cuts"]) > 2
    assert seen["counts"][0] == seen["counts"][1]
    assert check.findings(tmp_path / "rag_storage") == []
    assert documents(tmp_path / "rag_storage") == {"processed"}


def test_a_worker_that_is_killed_lets_the_others_go(tmp_path: Path) -> None:
    seen = played(tmp_path, "killed_cutter")
    assert seen["waited"]
    assert seen["third"] == seen["second"]
    assert documents(tmp_path / "rag_storage") == {"processed"}


def test_whoever_lives_on_mends_what_a_killed_restore_left(tmp_path: Path) -> None:
    """At each step: every worker has the old state or the new one, the one the files have, and goes on with it."""
    seen = played(tmp_path, "killed_restorers")
    states = dict.fromkeys(("staged", "reserved", "written", "kept"), "old")
    states |= dict.fromkeys(("published", "switched", "read", "switching", "nobody left"), "new")
    assert {step: set(found["after"]) for step, found in seen.items()} == {
        step: {state} for step, state in states.items()
    }
    free = {"busy": False, "destructive_busy": False, "busy_owner": None, "operation_record": None}
    for step, found in seen.items():
        assert found["status"] == free | {"recovery_required": None}, step
        assert (found["left"], found["agree"], found["findings"]) == ([], True, []), step
    assert documents(tmp_path / "rag_storage") == {"processed"}


def test_nobody_writes_to_what_cannot_be_mended(tmp_path: Path) -> None:
    seen = played(tmp_path, "unmendable")
    assert "restart the server" in seen["why"]
    assert seen["status"]["operation_record"]["scope"] == "restore", "documents stay away as well"


def test_a_worker_that_is_forked_later_loses_nothing(tmp_path: Path) -> None:
    seen = played(tmp_path, "respawned")
    assert all(after >= before for before, after in zip(seen["before"], seen["after"], strict=True))
    assert seen["after"][5] == 4
    assert check.findings(tmp_path / "rag_storage") == []


def test_without_the_guard_it_does(tmp_path: Path) -> None:
    """What LightRAG itself does, so that nobody takes the guard for superfluous."""
    played(tmp_path, "respawned_without_guard")
    assert check.findings(tmp_path / "rag_storage") != []


def test_one_worker_leads_and_when_it_dies_another_one(tmp_path: Path) -> None:
    assert played(tmp_path, "led") == {"first": [True, False, True], "second": True}


# ---- siblings ----


async def test_siblings_talk_to_nobody_elses_process() -> None:
    """Whoever the socket belongs to, and whoever calls it."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    siblings = Siblings()
    asked: list[Line] = []

    async def answer(line: Line) -> None:
        asked.append(line)

    async with siblings.listening(answer):
        assert await asyncio.to_thread(_as_nobody, siblings._address(os.getpid())) == b""
    assert asked == []


def _as_nobody(address: str) -> bytes:
    """What another user is told at an address, asked in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as caller, suppress(ConnectionError):
                caller.connect(address)
                caller.sendall(b'{"intake": true, "timeout_s": 1}\n')  # who is hung up on before hears of it here
                os.write(writer, caller.recv(100))
        finally:
            os._exit(0)  # whatever was raised: nothing of the test's process goes on here
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


async def test_one_at_a_time_is_alone() -> None:
    siblings = Siblings()
    inside: list[int] = []
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        async with siblings.alone():
            inside.append(number)
            most = max(most, len(inside))
            await asyncio.sleep(0.02)
            inside.remove(number)

    await asyncio.gather(*map(work, range(5)))
    assert most == 1


async def test_a_line_that_ends_or_says_nonsense_is_over() -> None:
    for said in (b"", b"no json\n", b"[1]\n", b"x" * (1 << 17)):
        here, there = socket.socketpair()
        here.setblocking(False)
        line = Line(here)
        sending = asyncio.create_task(asyncio.to_thread(_say, there, said))
        assert await line.receive() is None
        line.close()
        await sending


def _say(there: socket.socket, said: bytes) -> None:
    with there, suppress(ConnectionError):
        there.sendall(said)


async def test_a_line_is_open_until_the_other_side_hangs_up() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    line = Line(here)
    assert line.is_open
    there.close()
    assert not line.is_open
    line.close()
