"""The prober from Python, beside real servers: TLS and whom it trusts, kept connections, loops, forks, and the end."""

import asyncio
import datetime
import ipaddress
import os
import ssl
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.authority import Authority
from support.receiver import CAPABILITIES, receiver

from lightrag_bkp import _bridge
from lightrag_bkp.errors import InvalidInputError, NotFoundError
from lightrag_bkp.probing import Prober, ProbeSettings, TargetStatus

PATIENT = ProbeSettings(period=3600, connect=20, total=20, slow=0)


@pytest.fixture
def prober() -> Prober:
    return Prober()


# ---- TLS ----


async def test_over_tls_only_who_is_trusted_gets_the_key(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    ours, others = Authority(tmp_path), Authority(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.issue("server"))
    async with receiver(context) as there:
        url = f"https://127.0.0.1:{there.port}"
        prober.set("known", url, "secret", replace(PATIENT, ca_file=ours.ca))
        prober.set("foreign", url, "secret", replace(PATIENT, ca_file=others.ca))
        prober.set("system", url, "secret", PATIENT)
        known, foreign, system = await asyncio.gather(*map(prober.check, ("known", "foreign", "system")))
        assert known.status is TargetStatus.HEALTHY and there.keys == ["secret"]
        for stranger in (foreign, system):
            assert stranger.status is TargetStatus.UNREACHABLE and "certificate" in stranger.reason
        prober.set("elsewhere", f"https://127.0.0.2:{there.port}", "secret", replace(PATIENT, ca_file=ours.ca))
        assert (await prober.check("elsewhere")).status is TargetStatus.UNREACHABLE
        monkeypatch.setenv("SSL_CERT_FILE", ours.ca)
        prober.set("environment", url, "secret", PATIENT)
        assert (await prober.check("environment")).status is TargetStatus.HEALTHY
    prober.stop()


async def test_a_key_that_is_said_back_is_not_shown(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "lrb_0123456789abcdef_" + "Ab9-_" * 8
    said = {"ready": False, "reason": f"your key is {key}", "instance_id": key, "version": key[:30]}
    for name, value in said.items():
        monkeypatch.setitem(CAPABILITIES, name, value)
    async with receiver() as there:
        prober.set("t", f"http://127.0.0.1:{there.port}", key, PATIENT)
        health = await prober.check("t")
    assert there.keys == [key] and "[key]" in health.reason
    assert key[:30] not in repr(health) and key[:30] not in repr(prober.look("t"))
    prober.stop()


async def test_a_client_certificate_is_shown_where_one_is_asked_for(prober: Prober, tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.issue("server"))
    context.load_verify_locations(ours.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    async with receiver(context) as there:
        certificate, key = ours.issue("client")
        url, trusting = f"https://127.0.0.1:{there.port}", replace(PATIENT, ca_file=ours.ca)
        prober.set("with", url, "secret", replace(trusting, certificate=certificate, certificate_key=key))
        prober.set("without", url, "secret", trusting)
        prober.set("wrong", url, "secret", replace(trusting, certificate=key, certificate_key=certificate))
        assert (await prober.check("with")).status is TargetStatus.HEALTHY
        assert (await prober.check("without")).status is TargetStatus.UNREACHABLE
        assert "client certificate" in (await prober.check("wrong")).reason
    prober.stop()


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("fd12::1", "private"),
        ("169.254.169.254", "never"),
        ("::ffff:169.254.169.254", "never"),
        ("fe80::1", "never"),
        ("1.1.1.1", "public"),
        ("2606:4700::1", "public"),
    ],
)
def test_python_judges_addresses_as_the_prober_does(address: str, reach: str) -> None:
    assert _bridge.address_reach(ipaddress.ip_address(address).packed) == reach
    with pytest.raises(InvalidInputError):
        _bridge.address_reach(b"127.0.0.1")


# ---- answers and connections ----


async def test_what_the_receiver_says_is_handed_on(prober: Prober) -> None:
    async with receiver() as there:
        prober.set("t", f"http://127.0.0.1:{there.port}", None, PATIENT)
        unknown = prober.look("t")
        assert unknown is not None and unknown.status is TargetStatus.UNKNOWN and unknown.checked_at is None
        health = await prober.check("t")
        assert (health.status, health.last, health.probes) == (TargetStatus.HEALTHY, TargetStatus.HEALTHY, 1)
        assert (health.instance_id, health.version, health.epoch, health.free_bytes) == ("here", "0.1.0", 3, 10**12)
        assert health.checked_at == health.since is not None and health.checked_at.tzinfo is datetime.UTC
        assert prober.look("t") == health and there.keys == [None]
    prober.stop()


async def test_connections_are_kept_and_now_and_then_made_anew(prober: Prober) -> None:
    async with receiver() as there:
        prober.set("t", f"http://127.0.0.1:{there.port}", "secret", PATIENT)
        for _ in range(20):
            assert (await prober.check("t")).status is TargetStatus.HEALTHY
        assert there.connections == 2  # the first and the eleventh probe's
    prober.stop()


async def test_proxies_of_the_environment_never_see_a_probe(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as there, receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        prober.set("t", f"http://127.0.0.1:{there.port}", "secret", PATIENT)
        assert (await prober.check("t")).status is TargetStatus.HEALTHY
        assert proxy.connections == 0
    prober.stop()


async def test_what_speaks_no_http_is_told_as_that(prober: Prober) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        prober.set("t", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "secret", PATIENT)
        found = await prober.check("t")
        assert (found.status, found.reason) == (TargetStatus.UNREACHABLE, "it answers what is no HTTP")
    prober.stop()


async def test_all_targets_are_checked_at_once(prober: Prober) -> None:
    async with receiver() as there:
        assert await prober.check_all() == {}
        for n in range(50):
            prober.set(f"t{n}", f"http://127.0.0.1:{there.port if n % 2 else 1}", "secret", PATIENT)
        both = await asyncio.gather(prober.check_all(), prober.check_all())
        for found in both:
            assert sorted(found) == sorted(f"t{n}" for n in range(50))
            assert all((found[f"t{n}"].status is TargetStatus.HEALTHY) == bool(n % 2) for n in range(50))
        assert prober._watchers == {} and prober._sweeps == []
    prober.stop()


# ---- targets ----


@pytest.mark.parametrize("url", ["", "host", "ftp://host", "http://user:pw@host", "https://host?x=1", "https://a b"])
def test_a_url_that_cannot_be_used_is_refused_and_nothing_is_kept(prober: Prober, url: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        prober.set("t", url, None, PATIENT)
    assert "URL" in str(refused.value) and "pw" not in str(refused.value)
    assert prober.look("t") is None and not prober.remove("t")
    prober.stop()


async def test_who_waits_for_a_target_that_goes_is_told(prober: Prober) -> None:
    async with receiver() as there:
        async with asyncio.timeout(20):
            for end in ("remove", "stop"):
                prober.set("t", f"http://127.0.0.1:{there.port}", None, PATIENT)
                waiting = asyncio.ensure_future(prober.check("t"))
                await asyncio.sleep(0)
                prober.remove("t") if end == "remove" else prober.stop()
                with pytest.raises((NotFoundError, InvalidInputError)):
                    await waiting
        with pytest.raises(NotFoundError):
            await prober.check("never")
    prober.stop()


async def test_a_stopped_prober_starts_again_with_its_targets(prober: Prober) -> None:
    async with receiver() as there:
        prober.set("t", f"http://127.0.0.1:{there.port}", None, PATIENT)
        assert (await prober.check("t")).probes == 1
        prober.stop()
        assert (await prober.check("t")).probes == 1
    prober.stop()


# ---- loops, processes, the end ----


async def test_any_number_of_loops_may_wait(prober: Prober) -> None:
    async with receiver() as there:
        found: list[TargetStatus] = []

        async def ask() -> None:
            health = await asyncio.gather(*(prober.check(f"t{n}") for n in range(10)))
            found.extend(one.status for one in health)

        for n in range(10):
            prober.set(f"t{n}", f"http://127.0.0.1:{there.port}", "secret", PATIENT)
        threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(4)]
        for thread in threads:
            thread.start()
        await ask()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert found == [TargetStatus.HEALTHY] * 50
    before = len(os.listdir("/proc/self/fd"))
    prober.stop()
    assert len(os.listdir("/proc/self/fd")) < before


async def test_a_cancelled_check_leaves_nothing_behind(prober: Prober) -> None:
    async with receiver() as there:
        prober.set("t", f"http://127.0.0.1:{there.port}", None, PATIENT)
        waiting = asyncio.ensure_future(prober.check("t"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await prober.check("t")).status is TargetStatus.HEALTHY
        assert prober._watchers == {} and prober._waiting == {}
    prober.stop()


PROGRAM = """
import asyncio, os, sys
from lightrag_bkp.probing import Prober, ProbeSettings
prober = Prober()
prober.set("t", "http://127.0.0.1:1", None, ProbeSettings())
async def ask(): return (await prober.check("t")).reason
assert "nothing listens" in asyncio.run(ask())
if child := os.fork():
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert "nothing listens" in asyncio.run(ask())
prober.set("hangs", "http://127.0.0.1:" + sys.argv[1], None, ProbeSettings())
prober._core.check("hangs")
"""


async def test_forks_begin_anew_and_an_interpreter_ends_with_probes_under_way() -> None:
    quiet = await asyncio.start_server(lambda reader, writer: asyncio.sleep(0), "127.0.0.1", 0)
    port = str(quiet.sockets[0].getsockname()[1])
    words = [sys.executable, "-X", "dev", "-c", PROGRAM, port]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    quiet.close()


def test_the_package_does_not_load_it() -> None:
    program = "import lightrag_bkp, lightrag_bkp.sync, sys; assert 'lightrag_bkp._probe' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
