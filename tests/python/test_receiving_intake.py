"""How bodies get from a connection to a disk: straight into memory, past the page cache, hashed as they are written."""

import asyncio
import hashlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from lightrag_bkp._bridge import Pool
from lightrag_bkp.receiving import body as bodies
from lightrag_bkp.receiving.blocks import Buffers
from lightrag_bkp.receiving.body import BODY, Body, Gone
from lightrag_bkp.receiving.intake import Intake
from lightrag_bkp.receiving.protocol import BODY_BYTES, content_digest, digest_of
from lightrag_bkp.receiving.quarantine import Part, Quarantine
from lightrag_bkp.receiving.refusal import Refusal

BUFFERS = Buffers()
GONE = threading.Event()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the SHA-256 of a body it has put into a buffer."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    await asyncio.sleep(0)
    try:
        found = await Body(headers, receive, scope["extensions"][BODY]).read_into(BUFFERS.take())
        status, said = 200, hashlib.sha256(found).hexdigest().encode()
    except Refusal as refusal:
        status, said = refusal.status, b"-" * 64
    except Gone:
        GONE.set()
        return
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"64")]})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        more: dict[str, Any] = {"http": Intake, "loop": request.param, "lifespan": "off", "log_config": None}
        server = uvicorn.Server(uvicorn.Config(echo, **more))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def put(body: bytes, *more: str) -> bytes:
    lines = ["PUT / HTTP/1.1", "Host: there", f"Content-Length: {len(body)}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answers(port: int, pieces: list[bytes], count: int) -> list[bytes]:
    """The last 64 bytes of each answer to what was sent in these pieces."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sending = threading.Thread(target=lambda: deque(map(connection.sendall, pieces)))
        sending.start()
        found = b""
        while found.count(b"HTTP/1.1 200") < count or len(found.rpartition(b"\r\n\r\n")[2]) < 64:
            piece = connection.recv(65536)
            assert piece, found
            found += piece
        sending.join()
    return [one.partition(b"\r\n\r\n")[2] for one in found.split(b"HTTP/1.1 200")[1:]]


@pytest.mark.parametrize("step", [7_001, 70_000, 1 << 30], ids=["small", "large", "all"])
def test_bodies_are_put_where_they_are_wanted_however_they_come(port: int, step: int) -> None:
    """Also several requests in one piece, whose bodies end and begin anywhere in it."""
    sent = [os.urandom(size) for size in (BODY_BYTES, 0, 1, 40_000, 100_000, BODY_BYTES, 5)]
    stream = b"".join(map(put, sent))
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert answers(port, pieces, len(sent)) == [hashlib.sha256(body).hexdigest().encode() for body in sent]


def test_who_waits_to_be_told_to_go_on_is_told(port: int) -> None:
    request = put(b"hello", "Expect: 100-continue", "Connection: close")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request[:-5])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(request[-5:])
        with connection.makefile("rb") as answer:
            assert answer.read().endswith(hashlib.sha256(b"hello").hexdigest().encode())


@pytest.mark.parametrize("came", [0, 1, 50_000])
def test_a_sender_that_goes_in_the_middle_is_noticed(port: int, came: int) -> None:
    GONE.clear()
    request = put(bytes(100_000))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request[: len(request) - 100_000 + came])
    assert GONE.wait(20)


def test_a_sender_that_falls_silent_is_told_and_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is counted from what came last: who is slow and goes on is waited for."""
    monkeypatch.setattr(bodies, "SILENT_S", 0.5)
    request = put(bytes(100_000))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, connection.makefile("rb") as answer:
        for piece in (request[:40_000], request[40_000:60_000], request[60_000:80_000]):
            connection.sendall(piece)
            time.sleep(0.3)
        begun = time.monotonic()
        assert answer.readline().startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begun < 5 and answer.read().endswith(b"-" * 64)


CONTENT = os.urandom(3 * BODY_BYTES + 1234)
NAME = hashlib.sha256(CONTENT).hexdigest()


def part_of(content: bytes, begin: int, end: int, algorithm: str) -> tuple[Part, memoryview]:
    buffer = Buffers().take()[: end - begin]
    buffer[:] = content[begin:end]
    digest = digest_of(content_digest(buffer, algorithm))
    assert digest is not None
    return Part(NAME, len(content), begin, digest), buffer


def take(quarantine: Quarantine, begin: int, end: int, content: bytes = CONTENT, algorithm: str = "sha-256") -> None:
    held, fd, was_here = quarantine.take(*part_of(content, begin, end, algorithm))
    assert (held, fd is not None, was_here) == (end, end == len(content), False)
    if fd is not None:
        os.close(fd)


@pytest.mark.parametrize("first", [BODY_BYTES, 4096, 1000, 1])
@pytest.mark.parametrize("hands", [1, 2], ids=["alone", "in turn with another process"])
def test_parts_of_any_length_make_the_whole(tmp_path: Path, first: int, hands: int) -> None:
    both = [Quarantine(str(tmp_path)) for _ in range(hands)]
    ends = [*range(first, len(CONTENT), BODY_BYTES), len(CONTENT)]
    for turn, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        take(both[turn % hands], begin, end)
    assert (tmp_path / NAME).read_bytes() == CONTENT


async def test_parts_that_follow_are_put_down_without_the_interpreter(tmp_path: Path) -> None:
    quarantine, pool, ends = Quarantine(str(tmp_path)), Pool(2, 2), [*range(BODY_BYTES, len(CONTENT), BODY_BYTES)]
    take(quarantine, 0, BODY_BYTES, algorithm="adler")
    parts = [part_of(CONTENT, begin, end, "adler") for begin, end in pairwise([*ends, len(CONTENT)])]
    for part, content in parts[:-1]:
        assert await quarantine.follow(part, content, pool)
        assert quarantine.known(NAME) == part.offset + len(content)
        assert not await quarantine.follow(part, content, pool), "it is there already"
    assert not await quarantine.follow(*parts[-1], pool), "the whole is judged, not only its last part"
    take(quarantine, ends[-1], len(CONTENT), algorithm="adler")
    assert (tmp_path / NAME).read_bytes() == CONTENT
    pool.stop()


@pytest.mark.parametrize("by", ["its sender", "somebody here"])
def test_a_whole_with_a_wrong_byte_is_thrown_away(tmp_path: Path, by: str) -> None:
    quarantine, wrong = Quarantine(str(tmp_path)), bytes([CONTENT[9] ^ 1])
    take(quarantine, 0, BODY_BYTES, CONTENT[:9] + wrong + CONTENT[10:] if by == "its sender" else CONTENT)
    if by == "somebody here":
        with open(tmp_path / NAME, "r+b") as file:
            os.pwrite(file.fileno(), wrong, 9)
    take(quarantine, BODY_BYTES, 2 * BODY_BYTES)
    take(quarantine, 2 * BODY_BYTES, 3 * BODY_BYTES)
    with pytest.raises(Refusal, match="not what its name says"):
        take(quarantine, 3 * BODY_BYTES, len(CONTENT))
    assert not list(tmp_path.iterdir())
