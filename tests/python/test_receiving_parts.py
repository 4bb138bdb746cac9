"""Pieces of the receiver by themselves: frames of bytes from strangers, and the application below another server's."""

import hashlib
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from support.receiving import opened

from lightrag_bkp.receiving import frames
from lightrag_bkp.receiving.app import ReceiveApplication
from lightrag_bkp.receiving.here import open_receiver
from lightrag_bkp.receiving.inspection import inspect
from lightrag_bkp.receiving.protocol import BASE_PATH
from lightrag_bkp.receiving.replica import Replica
from lightrag_bkp.receiving.room import Room
from lightrag_bkp.receiving.serve import is_loopback, listening_on, parse_listen
from lightrag_bkp.sync import BackupManager


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A snapshot's, as the core wrote it."""
    folder = tmp_path_factory.mktemp("frames")
    (folder / "source").mkdir()
    (folder / "source" / "notes").write_text("first")
    BackupManager(folder / "here").register_graph("alpha", folder / "source").create_snapshot()
    return bytes(opened(folder / "here", "alpha").entry(1)[0])


def test_a_frame_says_what_the_core_wrote(entry: bytes) -> None:
    frame = frames.read_entry(entry)
    assert (frame.kind, frame.sealed, frame.number, frame.epoch, frame.graph_id) == (1, False, 1, 0, "alpha")
    assert frame.sha256 == hashlib.sha256(entry).digest()


@given(data=st.data())
def test_of_any_bytes_a_frame_is_read_or_half_a_sentence_said(entry: bytes, data: st.DataObject) -> None:
    changed = bytearray(entry[: data.draw(st.integers(0, len(entry)))] + data.draw(st.binary(max_size=300)))
    for _ in range(data.draw(st.integers(0, 4)) if changed else 0):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert frames.read_entry(bytes(changed)).sha256 == hashlib.sha256(changed).digest()
    except ValueError as error:
        assert str(error).startswith(("it ", "its "))


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=64, max_size=64), st.integers(0, 1 << 40), st.booleans())
def test_no_bytes_by_chance_are_a_pack(begin: bytes, end: bytes, size: int, sealed: bool) -> None:
    with pytest.raises(ValueError, match="it"):
        frames.check_pack(begin, end, size, bytes(16), sealed)


@given(st.binary(max_size=300))
def test_no_bytes_by_chance_are_a_key_slot(stored: bytes) -> None:
    assert not frames.is_key_slot(stored, bytes(16))


def test_room_that_is_remembered_grows_less_and_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(str(tmp_path), 0)
    assert not room.has("tokyo", 1, 1, None), "nobody has asked the disk"
    monkeypatch.setattr(room, "free_bytes", lambda: 1000)
    room.ask("tokyo", 1000, 400, None)
    assert [room.has("tokyo", announced, 100, None) for announced in (601, 600, 501, 500)] == [False, True, False, True]
    room.ask("tokyo", 1, 1, 50)
    assert [room.has("tokyo", announced, 30, 50) for announced in (50, 49, 30, 19)] == [False, True, False, True]
    monkeypatch.setattr("lightrag_bkp.receiving.room.RECENT_S", 0.0)
    assert not room.has("tokyo", 1, 1, None)


@pytest.mark.parametrize("prefix", ["", "/below"])
async def test_it_works_mounted_in_another_server(tmp_path: Path, prefix: str) -> None:
    receiver = open_receiver(tmp_path / "storage")
    made, key = receiver.keys.add("tokyo")
    application = ReceiveApplication(receiver)
    inner = Starlette(routes=[Mount(BASE_PATH, app=application)])
    outer = Starlette(routes=[Mount(prefix, app=inner)]) if prefix else inner
    transport = httpx.ASGITransport(app=outer)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://there{prefix}{BASE_PATH}") as client:
        assert (await client.get("/capabilities")).status_code == 401
        answer = await client.get("/capabilities", headers={"X-API-Key": key})
        assert answer.status_code == 200 and answer.json()["instance_id"] == receiver.instance_id
        assert (await client.get("/graphs/alpha", headers={"X-API-Key": key})).json()["code"] == "NO_REPLICA"
        assert (await client.delete("/graphs/alpha", headers={"X-API-Key": key})).status_code == 405
    application.close()
    assert made.name == "tokyo" and open_receiver(tmp_path / "storage").instance_id == receiver.instance_id


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:9631", "127.0.0.1", 9631, True),
        (":9631", "0.0.0.0", 9631, False),
        ("[::1]:1", "::1", 1, True),
        ("[::]:0", "::", 0, False),
        ("localhost:80", "localhost", 80, True),
        ("backup.example:443", "backup.example", 443, False),
    ],
)
def test_where_to_listen(text: str, host: str, port: int, loopback: bool) -> None:
    assert parse_listen(text) == (host, port)
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_its_beginning_to_be_acknowledged(host: str) -> None:
    with listening_on(host, 0) as listening, socket.create_connection(listening.getsockname()[:2]):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


COME_AND_GO = """
import hashlib, os
packs = {hashlib.sha256(b"%d" % i).hexdigest(): b"%d" % i for i in range(64)}
while True:
    for name, content in packs.items():
        with open("new", "wb") as file:
            file.write(content)
        os.replace("new", os.path.join("packs", name))
    for name in packs:
        os.unlink(os.path.join("packs", name))
"""


def test_a_replica_is_inspected_beside_a_clean_up(tmp_path: Path) -> None:
    """What is removed meanwhile hides nothing else, so that no pack is left out, and is no finding either."""
    kept = {hashlib.sha256(b"kept %d" % i).hexdigest(): b"kept %d" % i for i in range(64)}
    (tmp_path / "packs").mkdir()
    for name, content in kept.items():
        (tmp_path / "packs" / name).write_bytes(content)
    replica = Replica(str(tmp_path), "alpha")
    with subprocess.Popen([sys.executable, "-c", COME_AND_GO], cwd=tmp_path) as busy:
        try:
            while len(replica.packs()) == len(kept):
                assert busy.poll() is None
            for _ in range(100):
                found = inspect(replica)
                assert found.packs >= len(kept) and found.ok, found
        finally:
            busy.kill()


@pytest.mark.parametrize(("number", "said"), [(1, ""), (10**20 - 1, f", and all before {10**20 - 1}")])
def test_an_entry_of_any_number_is_inspected(tmp_path: Path, number: int, said: str) -> None:
    """A name says any number: what is there is read, and not all that could be."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / f"{number:020}").write_bytes(b"no entry")
    missing, damaged = inspect(Replica(str(tmp_path), "alpha")).findings
    assert missing == (f"log/{0:020}", f"the log entry is missing{said}")
    assert damaged[0] == f"log/{number:020}" and "damaged" in damaged[1]
