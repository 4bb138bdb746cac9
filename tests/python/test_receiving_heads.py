"""What comes before a body, from somebody without a key: none of it is kept for long."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.program import Program
from support.receiving import Listening, receiving

from lightrag_bkp.receiving.heads import HEAD_BYTES
from lightrag_bkp.receiving.protocol import BASE_PATH

MIB = 1 << 20
PATH = f"{BASE_PATH}/capabilities".encode()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    with receiving(Program(tmp_path_factory.mktemp("there")), tls=False) as listening:
        yield listening


def resident_bytes(there: Listening) -> int:
    return int(Path(f"/proc/{there.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def answers(there: Listening, begin: bytes, more: bytes = b"", times: int = 0) -> bytes:
    """What is answered to these bytes, and then `more` as often as it is taken."""
    with socket.create_connection(("127.0.0.1", there.port), timeout=20) as connection:
        with suppress(OSError):
            connection.sendall(begin)
            for _ in range(times):
                connection.sendall(more)
            if times:
                connection.shutdown(socket.SHUT_WR)
        found = b""
        with suppress(OSError):
            while piece := connection.recv(65536):
                found += piece
        return found


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"a" * MIB),
        (b"GET / HTTP/1.1\r\nX-Long: ", b"a" * MIB),
        (b"GET / HTTP/1.1\r\n", b"X-Many: a\r\n" * 90_000),
        (b"PUT " + PATH + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: a\r\n" * 70_000),
        (b"PUT " + PATH + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ", b"a" * MIB),
        (b"PUT " + PATH + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * MIB),
        (b"", b"GET " + PATH + b" HTTP/1.1\r\n\r\n"),
        (b"", b"\r\n" * (MIB // 2)),
    ],
    ids=["line", "header", "headers", "trailers", "trailer", "extension", "requests", "nothing"],
)
def test_what_comes_without_end_is_not_kept(there: Listening, begin: bytes, more: bytes) -> None:
    before = resident_bytes(there)
    answers(there, begin, more * (MIB // len(more)), 64)
    assert resident_bytes(there) - before < 16 * MIB
    assert answers(there, b"GET " + PATH + b" HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 401")


def test_a_head_may_be_long_and_come_slowly(there: Listening) -> None:
    with socket.create_connection(("127.0.0.1", there.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"GET " + PATH + b" HTTP/1.1\r\nConnection: close\r\n")
        for _ in range(8):
            connection.sendall(b"X-Long: " + b"a" * (HEAD_BYTES // 10) + b"\r\n")
        connection.sendall(b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def test_a_message_of_unknown_length_ends_its_connection(there: Listening) -> None:
    chunked = b"PUT " + PATH + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert answers(there, chunked + b"GET " + PATH + b" HTTP/1.1\r\n\r\n").count(b"HTTP/1.1 ") == 1


def test_what_is_no_http_is_refused(there: Listening) -> None:
    assert answers(there, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_an_answer_is_one_packet(there: Listening) -> None:
    """Its head by itself would wake the sender for nothing."""
    segments_at = 152  # tcpi_data_segs_in, of linux/tcp.h
    with socket.create_connection(("127.0.0.1", there.port), timeout=20) as connection:
        for count in (1, 2):
            connection.sendall(b"GET " + PATH + b" HTTP/1.1\r\n\r\n")
            found = b""
            while not found.endswith(b"}"):
                found += connection.recv(65536)
            said = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            assert struct.unpack_from("I", said, segments_at) == (count,)
