"""Requests to a target under odd circumstances: whom the key is shown to, what is followed, how long is waited."""

import asyncio
import contextlib
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.authority import Authority

from lightrag_bkp.errors import ConfigurationError
from lightrag_bkp.probing import Prober, ProbeSettings, TargetStatus
from lightrag_bkp.shipping import peer as peers
from lightrag_bkp.shipping.lag import UNKNOWN_AFTER_S, lag
from lightrag_bkp.shipping.peer import Address, Answer, Peer, Refusal, Setback, Untrusted
from lightrag_bkp.state import StoredReplica

KEY = "a-key-nobody-may-read"
Serve = Callable[[bytes], bytes | None]
"""What is answered to the head of a request; None: nothing, for ever."""


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """(port, heads of the requests that came)."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                answer = serve(head)
                if answer is None:
                    await reader.read()
                    break
                writer.write(answer)
                if b"Connection: close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(talk, "0.0.0.0", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


def answer(status: str, body: bytes = b"{}", *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def ask(url: str, **settings: object) -> Answer:
    async with Peer(Address(url, KEY, ProbeSettings(**settings))) as peer:  # type: ignore[arg-type]
        return await peer.ask("GET", "/somewhere")


async def test_the_key_goes_in_a_header_to_the_path_below_the_base() -> None:
    async with serving(lambda head: answer("200 OK", b'{"a": 1}')) as (port, heads):
        assert await ask(f"http://127.0.0.1:{port}/below/") == Answer(200, {"a": 1})
    assert heads[0].startswith(b"GET /below/somewhere HTTP/1.1\r\n") and f"X-API-Key: {KEY}".encode() in heads[0]
    assert KEY not in repr(Address("https://host", KEY, ProbeSettings()))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://192.0.2.1", "where no target can be"),
        ("http://169.254.169.254", "where no target can be"),
        ("https://10.1.2.3", "private address"),
        ("http://1.1.1.1", "unencrypted"),
        ("http://[::ffff:10.0.0.1]", "private address"),
    ],
)
async def test_where_nobody_may_be_connected_to_nothing_is_sent(url: str, said: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Refusal, match=said) as refused:
        await ask(url)
    assert time.monotonic() - begun < 5 and KEY not in str(refused.value)


async def test_nothing_is_followed_and_no_proxy_of_the_environment_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(lambda head: answer("200 OK")) as (other, seen):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{other}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{other}")
        elsewhere = f"Location: http://127.0.0.1:{other}/".encode()
        async with serving(lambda head: answer("307 Temporary Redirect", b"", elsewhere)) as (port, _):
            with pytest.raises(Refusal, match="nothing is followed"):
                await ask(f"http://127.0.0.1:{port}")
    assert seen == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Refusal) for status in (401, 403, 404, 405, 409, 413, 422, 501)),
        *((status, Setback) for status in (400, 408, 416, 424, 429, 500, 502, 503, 504, 507, 520)),
    ],
)
async def test_what_trying_again_may_change_and_what_not(status: int, kind: type[Exception]) -> None:
    body = b'{"code": "WORD", "detail": "it is\\nso"}'
    async with serving(lambda head: answer(f"{status} Word", body, b"Retry-After: 7")) as (port, _):
        with pytest.raises(kind, match=f"answers {status}: it is so") as caught:
            await ask(f"http://127.0.0.1:{port}")
    found = caught.value
    assert isinstance(found, Refusal | Setback) and found.document["code"] == "WORD"
    assert not isinstance(found, Setback) or found.retry_after_s == 7


LONG = b'{"a": "' + b"x" * (2 << 20) + b'"}'


@pytest.mark.parametrize(
    ("body", "headers", "flaw"),
    [
        (b"", [], "its answer is empty"),
        (b"[1]", [], "its answer is JSON, and no object"),
        (b"no json", [], "its answer is no JSON"),
        (b"[" * 100_000, [], "its answer is no JSON"),
        (LONG, [], "its answer is longer than 1048576 bytes"),
        (gzip.compress(LONG), [b"Content-Encoding: gzip"], "its answer is longer than 1048576 bytes"),
    ],
)
async def test_an_answer_that_is_none_is_an_empty_one_and_says_why(
    body: bytes, headers: list[bytes], flaw: str
) -> None:
    async with serving(lambda head: answer("200 OK", body, *headers)) as (port, _):
        found = await ask(f"http://127.0.0.1:{port}")
    assert (found, found.flaw) == (Answer(200, {}), flaw)


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 "])
async def test_a_line_without_end_is_too_long_an_answer_and_no_shortage_here(begin: bytes) -> None:
    async with serving(lambda head: begin + b"x" * 300_000) as (port, _):
        with contextlib.suppress(Setback):
            assert "is longer than" in (await ask(f"http://127.0.0.1:{port}")).flaw
        prober = Prober()
        prober.set("endless", f"http://127.0.0.1:{port}", KEY, ProbeSettings())
        found = await prober.check("endless")
        prober.stop()
    assert found.status is TargetStatus.DEGRADED and "is longer than" in found.reason


async def test_an_answer_that_ends_early_is_a_setback() -> None:
    short = answer("200 OK", b'{"a": 1}', b"Connection: close")[:-1]
    async with serving(lambda head: short) as (port, _):
        with pytest.raises(Setback, match="cannot be reached"):
            await ask(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: much\r\n\r\n", "answers what is no HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "answers what is no HTTP"),
        (answer("200 OK", b"no gzip", b"Content-Encoding: gzip"), "cannot be decoded"),
    ],
)
async def test_what_is_no_http_is_told_in_one_sentence(sent: bytes, said: str) -> None:
    async with serving(lambda head: sent) as (port, _):
        with pytest.raises(Setback, match=said) as caught:
            await ask(f"http://127.0.0.1:{port}")
    assert str(caught.value).isprintable() and "message:" not in str(caught.value), caught.value


async def test_where_nothing_listens_is_told_in_the_systems_words() -> None:
    with pytest.raises(Setback) as caught:
        await ask("http://127.0.0.1:1")
    assert str(caught.value) == "http://127.0.0.1:1 cannot be reached: Connection refused"


async def test_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "STALL_S", 0.3)
    async with serving(lambda head: None) as (port, _):
        with pytest.raises(Setback, match="nothing moved"):
            await ask(f"http://127.0.0.1:{port}")


async def test_over_tls_only_who_is_trusted_gets_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    ours, others = Authority(tmp_path), Authority(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.issue("server"))
    async with serving(lambda head: answer("200 OK"), context) as (port, heads):
        url = f"https://127.0.0.1:{port}"
        assert (await ask(url, ca_file=ours.ca)).status == 200
        for authority in (others.ca, None):
            with pytest.raises(Untrusted, match=r"cannot be trusted: .*name the certificate to trust .--ca-file"):
                await ask(url, ca_file=authority)
        monkeypatch.setenv("SSL_CERT_FILE", ours.ca)
        assert (await ask(url)).status == 200
        none = str(tmp_path / "none")
        with pytest.raises(ConfigurationError, match=f"^{url}: the certificates to trust, '{none}', cannot be used"):
            await ask(url, ca_file=none)
    assert len(heads) == 2


@pytest.mark.parametrize(
    ("host", "days", "said"),
    [
        ("127.0.0.1", -1, "certificate has expired"),
        ("127.0.0.2", 1, "SSL: no alternative certificate subject name matches target host name '127.0.0.2'"),
    ],
)
async def test_a_certificate_that_is_not_good_is_told_in_one_sentence(
    host: str, days: int, said: str, tmp_path: Path
) -> None:
    ours, context = Authority(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.issue("server", days))
    async with serving(lambda head: answer("200 OK"), context) as (port, heads):
        with pytest.raises(Untrusted) as caught:
            await ask(f"https://{host}:{port}", ca_file=ours.ca)
    assert str(caught.value).rstrip(".") == f"https://{host}:{port} cannot be trusted: {said}" and not heads


async def test_a_port_that_speaks_no_tls_may_be_better_later() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        with pytest.raises(Setback, match=r"cannot be (talked to|reached)"):
            await ask(_address(server).base_url.replace("http", "https"))


async def test_patience_bounds_all_requests_to_who_answers_drop_by_drop() -> None:
    """And what moves, or is done here, makes it begin anew."""
    dropping = [2]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                for byte in answer("200 OK", b"{}" + b" " * dropping[0]):
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, Peer(_address(server), patience_s=1) as peer:
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5:
            await peer.ask("GET", "/somewhere")
            peer.moved()
        with pytest.raises(Setback, match="does not answer: nothing moved for 1 s"):
            while True:
                await peer.ask("POST", "/somewhere", document={"each": "time"})
        dropping[0] = 1000
        with pytest.raises(Setback, match="nothing moved"):
            await peer.ask("GET", "/somewhere")
    assert 2.5 <= time.monotonic() - begun < 20


def _address(server: asyncio.Server) -> Address:
    return Address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", KEY, ProbeSettings())


async def test_a_target_that_fell_silent_becomes_unknown_and_its_lag_grows(repo: object) -> None:
    """`repo`: a log of one entry, which the target has."""
    now = time.time()
    heard = StoredReplica("g", "t", 0, int((now - 10) * 1e6))
    assert lag(repo, heard, now) == {"entries": 0, "bytes": 0, "seconds": 0.0, "known": True}  # type: ignore[arg-type]
    later = [lag(repo, heard, now + UNKNOWN_AFTER_S + more) for more in (0, 100)]  # type: ignore[arg-type]
    assert [one["known"] for one in later] == [False, False]
    assert later[1]["seconds"] - later[0]["seconds"] == pytest.approx(100)
    never = lag(repo, None, now)  # type: ignore[arg-type]
    other = replace(heard, acknowledgement='{"repository_id": "00"}')
    assert lag(repo, other, now) == never, "what it has of another repository is nothing of this one"  # type: ignore[arg-type]
    assert never["entries"] == 1 and not never["known"] and never["seconds"] >= 0
