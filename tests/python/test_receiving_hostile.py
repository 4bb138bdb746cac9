"""A receiver and those who mean it no good, or lost their way: each is refused by name, and nothing of theirs stays.

Every test speaks to the real program over TLS, most through raw sockets; the replica afterwards is what it was before.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from support.folders import fingerprint
from support.program import Program
from support.receiving import Listening, Sender, new_key, opened, receiving

from lightrag_bkp.receiving import protocol
from lightrag_bkp.receiving.body import SILENT_S
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.receiving.keys import INSTANCE_FILE
from lightrag_bkp.receiving.protocol import BASE_PATH, BODY_BYTES
from lightrag_bkp.sync import BackupManager


@dataclass
class Host:
    """A receiving host, and what a sending one has."""

    program: Program
    there: Listening
    here: Path
    snapshot: str
    key: str

    def sender(self, **allowed: Any) -> Sender:
        """One with a replica of its own."""
        name = f"s{secrets.token_hex(4)}"
        sender = Sender(self.there, new_key(self.program, name, **allowed), "alpha", opened(self.here, "alpha"))
        self.replica = self.program.storage / "replicas" / name / "graphs" / "alpha"
        return sender


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "there").mkdir()
    (folder / "source").mkdir()
    (folder / "source" / "big").write_bytes(os.urandom(3_000_000))
    graph = BackupManager(folder / "here").register_graph("alpha", folder / "source")
    snapshot = graph.create_snapshot()
    program = Program(folder / "there")
    with receiving(program) as there:
        yield Host(program, there, folder / "here", snapshot.backup_id, new_key(program))


@pytest.fixture
def host(running: Host) -> Iterator[Host]:
    """The same receiver for all; it must still be well afterwards."""
    yield running
    assert status_of(raw(running.there, head_of("GET", "/capabilities", running.key, None))) == 200


@pytest.fixture
def sender(host: Host) -> Sender:
    """One whose replica has its log's first entry."""
    sender = host.sender()
    sender.append(range(1))
    return sender


def private_bytes(pid: int) -> int:
    """The memory of a process that is no file's."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])


def pack_of(host: Host, sender: Sender) -> tuple[str, bytes]:
    _, packs = sender.needed(host.snapshot)
    return packs[0][0].hex(), sender.pack(packs[0][0])


def raw(there: Listening, request: bytes, *, end: bool = False, timeout: float = 20) -> bytes:
    """What is answered to these bytes; `end` closes our side behind them."""
    with (
        socket.create_connection(("127.0.0.1", there.port), timeout=timeout) as plain,
        there.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(request)
        if end:
            connection.shutdown(socket.SHUT_RDWR)
            return b""
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass
        return answer


def head_of(method: str, path: str, key: str | None, length: int | None, **headers: object) -> bytes:
    lines = [f"{method} {BASE_PATH}{path} HTTP/1.1", "Host: there", "Connection: close"]
    lines += [] if key is None else [f"X-API-Key: {key}"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


# ---- who ----


@pytest.mark.parametrize("key", [None, "", "wrong", "lrb_0123456789abcdef_" + "A" * 43, "é" * 9], ids=repr)
@pytest.mark.parametrize("path", ["/capabilities", "/graphs/alpha", "/graphs/../x", "/anything"])
def test_without_a_good_key_nothing_is_told(host: Host, key: str | None, path: str) -> None:
    answer = raw(host.there, head_of("GET", path, key, None))
    assert status_of(answer) == 401 and error_of(answer) == "UNAUTHENTICATED"


def test_without_a_good_key_no_byte_of_a_body_is_waited_for(host: Host) -> None:
    """The body is announced and never sent: who waited for it would answer 408, much later."""
    answer = raw(host.there, head_of("PUT", f"/graphs/alpha/objects/{'a' * 64}", "wrong", 900_000), timeout=10)
    assert status_of(answer) == 401


@pytest.mark.parametrize("second", ["wrong", "", "lrb_0123456789abcdef_" + "A" * 43])
def test_of_two_keys_none_counts(host: Host, second: str) -> None:
    for first, other in ((host.key, second), (second, host.key)):
        answer = raw(host.there, head_of("GET", "/capabilities", first, None, x_api_key=other))
        assert status_of(answer) == 401 and b"2 API keys were sent" in answer, answer
    same = raw(host.there, head_of("GET", "/capabilities", host.key, None, x_api_key=host.key))
    assert status_of(same) == 200


def test_a_revoked_key_is_none(host: Host) -> None:
    sender = host.sender()
    open_keys(host.program.storage).revoke(sender.key.split("_")[1])
    status, said = sender.ask("GET", "/capabilities")
    assert (status, said["code"], said["retryable"]) == (401, "UNAUTHENTICATED", False)


@pytest.mark.parametrize("scope", ["read", "operate", "admin"])
def test_a_key_for_something_else_sends_nothing(host: Host, scope: str) -> None:
    sender = host.sender()
    sender.key = open_keys(host.program.storage).add("somebody", scope)[1]
    for method, path in (("GET", "/capabilities"), ("GET", "/graphs/alpha"), ("POST", "/graphs/alpha/log")):
        status, said = sender.ask(method, path, b"{}" if method == "POST" else None)
        assert (status, said["code"], said["retryable"]) == (403, "OTHER_SCOPE", False)


def test_a_key_for_one_graph_opens_no_other(host: Host) -> None:
    sender = host.sender(graph="beta")
    for method, path in (("GET", ""), ("POST", "/missing"), ("POST", "/log"), ("PUT", f"/objects/{'a' * 64}")):
        assert sender.ask(method, f"/graphs/alpha{path}", b"{}")[0] == 403
    assert sender.ask("GET", "/graphs/beta")[0] == 404


# ---- names ----


@pytest.mark.parametrize(
    "graph",
    [
        "..",
        "../up",
        "..%2fup",
        "%2e%2e%2fup",
        "%2fetc%2fpasswd",
        "a%00b",
        "a%0ab",
        ".hidden",
        "a" * 129,
        "a%5cb",
        "%c3%a9",
        "",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(host: Host, graph: str) -> None:
    sender = host.sender()
    before = fingerprint(host.program.storage / "replicas")
    request = head_of("POST", f"/graphs/{graph}/log", sender.key, 2, Lrb_Epoch=0, Lrb_Repository=sender.repository)
    assert status_of(raw(host.there, request + b"{}")) in (404, 422)
    assert fingerprint(host.program.storage / "replicas") == before


@pytest.mark.parametrize("name", ["..%2f..%2f..%2fx", "%00" * 64, "A" * 64, "a" * 63, "a" * 65, "%2fetc%2fpasswd"])
@pytest.mark.parametrize("place", ["objects", "keys"])
def test_an_object_of_another_name_is_refused(host: Host, sender: Sender, place: str, name: str) -> None:
    before = fingerprint(host.replica)
    told = {"Lrb_Epoch": 0, "Lrb_Repository": sender.repository, "Upload_Offset": 0, "Upload_Length": 1}
    told |= {"Lrb_Kind": "pack", "Content_Digest": protocol.content_digest(b"x")}
    answer = raw(host.there, head_of("PUT", f"/graphs/alpha/{place}/{name}", sender.key, 1, **told) + b"x")
    assert status_of(answer) in (404, 422)
    assert fingerprint(host.replica) == before


# ---- sizes ----


@pytest.mark.parametrize(
    ("length", "status"), [(BODY_BYTES + 1, 413), (1 << 62, 413), (None, 411)], ids=["one more", "bomb", "none"]
)
def test_a_body_that_is_too_long_or_of_no_length_is_refused_unread(
    host: Host, sender: Sender, length: int | None, status: int
) -> None:
    told = {"Lrb_Epoch": 0, "Lrb_Repository": sender.repository}
    request = head_of("POST", "/graphs/alpha/log", sender.key, length, **told)
    if length is None:
        request = request.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert status_of(raw(host.there, request, timeout=10)) == status


@pytest.mark.parametrize(
    ("offset", "size", "status"),
    [(0, (16 << 20) + 1, 413), (0, 1 << 62, 413), (0, 0, 413), (5, 5, 422), (1 << 62, 1 << 20, 422), (1000, 9000, 416)],
)
def test_an_object_of_impossible_sizes_is_refused(
    host: Host, sender: Sender, offset: int, size: int, status: int
) -> None:
    before = sorted(path.name for path in host.replica.rglob("*") if path.stat().st_size)
    assert sender.part("a" * 64, b"x", offset, size)[0] == status
    assert sorted(path.name for path in host.replica.rglob("*") if path.stat().st_size) == before


@pytest.mark.parametrize("where", ["line", "header"])
def test_what_comes_without_end_before_a_body_is_not_kept(host: Host, where: str) -> None:
    """No key is needed to send it, so that nothing but its length can end it."""
    begin = b"GET /" if where == "line" else b"GET / HTTP/1.1\r\nHost: there\r\nX-Long: "
    before = resident_bytes(host.there.pid)
    with (
        socket.create_connection(("127.0.0.1", host.there.port), timeout=20) as plain,
        host.there.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        suppress(OSError),
    ):
        connection.sendall(begin)
        for _ in range(64):
            connection.sendall(b"a" * (1 << 20))
        assert resident_bytes(host.there.pid) - before < 16 << 20
    assert resident_bytes(host.there.pid) - before < 16 << 20


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_nothing_stays_in_memory_of_connections_that_ended(host: Host, sender: Sender) -> None:
    def connect_and_send() -> None:
        sender.connection = None
        assert sender.part(secrets.token_hex(32), secrets.token_bytes(900_000), 0, 16_000_000)[0] == 200

    for _ in range(20):
        connect_and_send()
    before = private_bytes(host.there.pid)
    for _ in range(60):
        connect_and_send()
    assert private_bytes(host.there.pid) - before < 15 << 20, "of each, what had come lay there for good"


def test_what_was_refused_takes_nothing_of_a_quota(host: Host) -> None:
    sender = host.sender(quota_bytes=4_000_000)
    sender.append(range(1))
    name, pack = pack_of(host, sender)
    told = {"Upload_Offset": 0, "Upload_Length": len(pack), "Lrb_Kind": "pack"}
    for _ in range(8):
        wrong = protocol.content_digest(b"another")
        status, said = sender.write("PUT", f"/objects/{name}", pack[:BODY_BYTES], Content_Digest=wrong, **told)
        assert (status, said["code"]) == (400, "DAMAGED_PART")
    sender.ship(host.snapshot)


def test_a_replica_begins_with_the_repository_its_sender_says(host: Host) -> None:
    sender = host.sender()
    first = base64.b64encode(entry(sender, 0)).decode()
    body = json.dumps({"entries": [{"number": 0, "bytes": first}], "nonce": "0" * 32}).encode()
    status, answer = sender.write("POST", "/log", body, Lrb_Repository="11" * 16)
    assert (status, answer["code"]) == (409, "OTHER_REPOSITORY") and not host.replica.exists()


def test_what_goes_wrong_here_is_said_without_where(host: Host, sender: Sender) -> None:
    path = host.replica / "replica" / "status"
    path.chmod(0o600)
    path.write_text("no JSON")
    status, said = sender.append([])
    assert (status, said["code"]) == (503, "NOT_READY") and "replica verify" in said["detail"]
    assert str(host.program.storage) not in json.dumps(said)


def test_a_quota_is_kept(host: Host) -> None:
    sender = host.sender(quota_bytes=1_000_000)
    sender.append(range(1))
    name, pack = pack_of(host, sender)
    status, said = sender.upload(name, pack)
    assert (status, said["code"], said["retryable"]) == (507, "NO_ROOM", True)
    assert sum(path.stat().st_size for path in host.replica.rglob("*") if path.is_file()) < 1_000_000


def test_a_quota_counts_each_byte_of_an_object_once(host: Host) -> None:
    """A part is of the object that is announced with it, and what was refused is not there."""
    sender = host.sender(quota_bytes=1_000_000)
    sender.append(range(1))
    for size, status in ((950_000, 200), (600_000, 507), (600_000, 507), (40_000, 200)):
        part = bytes(min(size - 1, 600_000))
        told = {"Upload_Offset": 0, "Upload_Length": size, "Lrb_Kind": "pack"}
        answer = sender.write(
            "PUT", f"/objects/{size:064x}", part, Content_Digest=protocol.content_digest(part), **told
        )
        assert answer[0] == status, answer


def test_a_quota_counts_what_was_here_before_once(host: Host) -> None:
    """Of an object that begins a moment after another nobody asks a disk how much is here: that shows when it came."""
    sender = host.sender(quota_bytes=1_000_000)
    sender.append(range(1))
    (host.replica / "replica" / "quarantine" / f"{1:064x}").write_bytes(bytes(400_000))
    assert sender.part(f"{2:064x}", b"gap", 10, 20)[0] == 416  # all is counted anew
    assert sender.part(f"{2:064x}", bytes(20_000), 0, 30_000)[0] == 200
    assert sender.part(f"{1:064x}", bytes(300_000), 0, 450_000) == (200, {"offset": 400_000, "complete": False})
    assert sender.part(f"{3:064x}", bytes(400_000), 0, 500_000)[0] == 200
    assert sender.part(f"{4:064x}", bytes(90_000), 0, 200_000)[1]["code"] == "NO_ROOM"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"Lrb_Repository": "ab" * 16}, 409, "OTHER_REPOSITORY"),
        ({"Lrb_Kind": "nothing"}, 422, "BAD_NAME"),
        ({"Upload_Offset": 2000}, 416, "OFFSET"),
        ({"Upload_Length": 1500}, 422, "BAD_LENGTH"),
        ({"Upload_Length": 2_000_000}, 507, "NO_ROOM"),
        ({"Content_Digest": "another's"}, 400, "DAMAGED_PART"),
    ],
)
@pytest.mark.parametrize("algorithm", ["sha-256", "adler"])
def test_a_part_that_follows_at_once_is_judged_like_the_first(
    host: Host, algorithm: str, changed: dict[str, object], status: int, code: str
) -> None:
    """What was asked of the disk a moment ago is not asked again, and says no to nobody else."""
    sender = host.sender(quota_bytes=1_500_000)
    sender.algorithm = algorithm
    if "Content_Digest" in changed:
        changed = {"Content_Digest": protocol.content_digest(b"another", algorithm)}
    sender.append(range(1))
    name, pack = pack_of(host, sender)
    assert sender.part(name, pack[:1000], 0, 1_000_000)[0] == 200
    told: dict[str, object] = {"Upload_Offset": 1000, "Upload_Length": 1_000_000, "Lrb_Kind": "pack"}
    told |= {"Content_Digest": protocol.content_digest(pack[1000:2000], algorithm)}
    refused, said = sender.write("PUT", f"/objects/{name}", pack[1000:2000], **told | changed)
    assert (refused, said["code"]) == (status, code)
    assert sender.write("PUT", f"/objects/{name}", pack[1000:2000], **told) == (
        200,
        {"offset": 2000, "complete": False},
    )


@pytest.mark.parametrize("algorithm", ["sha-256", "adler"])
def test_a_part_that_follows_at_once_is_not_put_below_another_mount(
    host: Host, sender: Sender, algorithm: str, tmp_path: Path
) -> None:
    name, pack = pack_of(host, sender)
    sender.algorithm = algorithm
    assert sender.part(name, pack[:1000], 0, len(pack))[0] == 200
    replicas, away = host.program.storage / "replicas", tmp_path / "away"
    replicas.rename(away)
    shutil.copytree(away, replicas, ignore=lambda *_: [INSTANCE_FILE])
    assert sender.part(name, pack[1000:2000], 1000, len(pack))[0] == 503
    shutil.rmtree(replicas)
    away.rename(replicas)
    assert sender.part(name, pack[1000:2000], 1000, len(pack)) == (200, {"offset": 2000, "complete": False})


# ---- bodies ----


@pytest.mark.parametrize("sent", [0, 1, 70_000])
def test_a_body_that_ends_early_leaves_no_trace(host: Host, sender: Sender, sent: int) -> None:
    name, pack = pack_of(host, sender)
    part = pack[:100_000]
    told = {"Lrb_Epoch": 0, "Lrb_Repository": sender.repository, "Upload_Offset": 0, "Upload_Length": len(pack)}
    told |= {"Lrb_Kind": "pack", "Content_Digest": protocol.content_digest(part)}
    request = head_of("PUT", f"/graphs/alpha/objects/{name}", sender.key, len(part), **told)
    assert raw(host.there, request + part[:sent], end=True) == b""
    assert list((host.replica / "replica" / "quarantine").iterdir()) == []
    assert sender.upload(name, pack)[0] == 201


@pytest.mark.parametrize("at", [0, 50_000, 99_999])
def test_a_byte_that_flipped_on_its_way_is_named_and_sent_again(host: Host, sender: Sender, at: int) -> None:
    name, pack = pack_of(host, sender)
    part = pack[:100_000]
    flipped = part[:at] + bytes([part[at] ^ 4]) + part[at + 1 :]
    told = {"Upload_Offset": 0, "Upload_Length": len(pack), "Lrb_Kind": "pack"}
    digest = protocol.content_digest(part)
    status, said = sender.write("PUT", f"/objects/{name}", flipped, Content_Digest=digest, **told)
    assert (status, said["code"], said["retryable"], said["offset"]) == (400, "DAMAGED_PART", True, 0)
    assert name in said["detail"]
    assert sender.upload(name, pack)[0] == 201


def test_a_pack_that_is_not_what_its_name_says_is_thrown_away(host: Host, sender: Sender) -> None:
    name, pack = pack_of(host, sender)
    rotten = pack[:-100] + bytes([pack[-100] ^ 1]) + pack[-99:]
    status, said = sender.upload(name, rotten)
    assert (status, said["code"], said["retryable"]) == (422, "WRONG_HASH", False) and name in said["detail"]
    assert not list((host.replica / "replica" / "quarantine").iterdir()) and not list(
        (host.replica / "packs").iterdir()
    )
    assert sender.upload(name, pack)[0] == 201


def forged(pack: bytes, at: int, value: bytes) -> tuple[str, bytes]:
    changed = pack[:at] + value + pack[at + len(value) :]
    return hashlib.sha256(changed).hexdigest(), changed


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"lrbpack9"), (8, b"\2\0"), (10, b"\1"), (16, b"another one's id"), (-56, b"\xff" * 8), (-64, b"\xff" * 4)],
    ids=["magic", "version", "seal", "repository", "length", "trailer"],
)
def test_a_pack_of_another_frame_is_refused(host: Host, sender: Sender, at: int, value: bytes) -> None:
    _, pack = pack_of(host, sender)
    name, changed = forged(pack, at % len(pack), value)
    status, said = sender.upload(name, changed)
    assert (status, said["code"]) == (422, "BAD_PACK")
    assert not list((host.replica / "packs").iterdir())


def test_a_part_that_comes_twice_changes_nothing(host: Host, sender: Sender) -> None:
    name, pack = pack_of(host, sender)
    first = sender.part(name, pack[:1000], 0, len(pack))
    assert first == sender.part(name, pack[:1000], 0, len(pack)) == (200, {"offset": 1000, "complete": False})
    assert sender.part(name, pack[500:1500], 500, len(pack)) == (200, {"offset": 1000, "complete": False})
    assert sender.upload(name, pack, 1000)[0] == 201
    assert sender.part(name, pack[:1000], 0, len(pack)) == (200, {"offset": len(pack), "complete": True})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"[" * 100_000, b'{"nonce": 7}', b'{"nonce": "' + b"a" * 32 + b'", "entries": 7}']
)
def test_what_is_no_request_is_refused(host: Host, sender: Sender, body: bytes) -> None:
    status, said = sender.write("POST", "/log", body)
    assert (status, said["code"]) == (422, "BAD_REQUEST")


# ---- the log ----


def entry(sender: Sender, number: int) -> bytes:
    return bytes(sender.core.entry(number)[0])


def resealed(stored: bytes, at: int, value: bytes) -> bytes:
    """An entry with some bytes changed, and a digest that fits again."""
    changed = stored[:at] + value + stored[at + len(value) : -32]
    return changed + hashlib.sha256(changed).digest()


def post(sender: Sender, *entries: bytes) -> tuple[int, dict[str, object]]:
    said = {"entries": [{"number": 0, "bytes": base64.b64encode(one).decode()} for one in entries]}
    answer = sender.post_log(said)
    return answer if isinstance(answer, tuple) else (200, {})


@pytest.mark.parametrize(
    ("at", "value", "status", "error"),
    [
        (8, b"\2\0", 422, "BAD_ENTRY"),
        (10, struct.pack("<H", 11), 422, "BAD_ENTRY"),
        (16, b"another one's id", 422, "BAD_ENTRY"),
        (32, struct.pack("<Q", 2), 409, "GAP"),
        (32, struct.pack("<Q", 1 << 63), 409, "GAP"),
        (72, bytes(32), 409, "DIVERGED"),
        (140, struct.pack("<I", 1 << 31), 422, "BAD_ENTRY"),
        (144, struct.pack("<I", (1 << 32) - 1), 422, "BAD_ENTRY"),
        (152, b"gamma", 422, "BAD_ENTRY"),
    ],
    ids=["version", "kind", "repository", "gap", "far", "chain", "packs", "payload", "graph"],
)
def test_an_entry_that_cannot_follow_is_refused(
    host: Host, sender: Sender, at: int, value: bytes, status: int, error: str
) -> None:
    before = fingerprint(host.replica / "log")
    answered, said = post(sender, resealed(entry(sender, 1), at, value))
    assert (answered, said["code"]) == (status, error)
    assert fingerprint(host.replica / "log") == before


@pytest.mark.parametrize("at", [0, 40, 160, -1])
def test_an_entry_with_a_flipped_byte_is_refused(host: Host, sender: Sender, at: int) -> None:
    stored = bytearray(entry(sender, 1))
    stored[at] ^= 16
    assert post(sender, bytes(stored))[0] in (409, 422)
    assert len(list((host.replica / "log").iterdir())) == 1


def test_another_entry_at_a_number_that_is_taken_is_divergence(host: Host, sender: Sender) -> None:
    sender.ship(host.snapshot)
    before = fingerprint(host.replica / "log")
    other = resealed(entry(sender, 1), 48, b"another nonce...")
    status, said = post(sender, other)
    assert (status, said["code"], said["retryable"]) == (409, "DIVERGED", False)
    assert said["number"] == sender.core.head()[1] and said["sha256"] == sender.core.head()[2].hex()
    assert fingerprint(host.replica / "log") == before


def test_old_entries_that_come_again_change_nothing(host: Host, sender: Sender) -> None:
    sender.ship(host.snapshot)
    before = fingerprint(host.replica / "log")
    assert sender.append(range(sender.core.head()[1] + 1)).number == sender.core.head()[1]
    assert fingerprint(host.replica / "log") == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Lrb_Repository": "ab" * 16}, (409, "OTHER_REPOSITORY")),
        ({"Lrb_Kind": "nothing"}, (422, "BAD_NAME")),
        ({"Upload_Length": 1 << 40}, (413, "TOO_LONG")),
    ],
)
def test_what_heads_say_is_refused_before_a_body_comes(
    host: Host, sender: Sender, changed: dict[str, object], said: tuple[int, str]
) -> None:
    """And who sends it all the same, without a look at the answer, is not reset."""
    told: dict[str, object] = {"Lrb_Epoch": 0, "Lrb_Repository": sender.repository, "Upload_Offset": 0}
    told |= {"Upload_Length": 5000, "Lrb_Kind": "pack", "Content_Digest": protocol.content_digest(bytes(5000))}
    head = head_of("PUT", f"/graphs/alpha/objects/{'ab' * 32}", sender.key, 5000, **told | changed)
    with (
        socket.create_connection(("127.0.0.1", host.there.port), timeout=SILENT_S / 2) as plain,
        host.there.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(head)
        with HTTPResponse(connection) as answer:
            answer.begin()
            assert (answer.status, json.loads(answer.read())["code"]) == said
        connection.sendall(bytes(5000))
        assert connection.recv(1) == b""


def of_epoch(stored: bytes, epoch: int) -> bytes:
    """A log entry as it would be had it been written in another epoch."""
    entry = bytearray(stored[:-32])
    struct.pack_into("<Q", entry, 40, epoch)
    return bytes(entry) + hashlib.sha256(entry).digest()


def test_a_lower_epoch_is_refused_whatever_it_sends(host: Host, sender: Sender) -> None:
    raised = {"number": 1, "bytes": base64.b64encode(of_epoch(sender.core.entry(1)[0], 3)).decode()}
    sender.epoch = 3
    assert sender.post_log({"entries": [raised]}).epoch == 3
    assert sender.ask("GET", "/graphs/alpha")[1]["epoch"] == 3
    assert sender.ask("GET", "/capabilities")[1]["epoch"] == 3
    sender.epoch = 2
    name, pack = pack_of(host, sender)
    for status, said in (sender.append([]), sender.upload(name, pack), sender.write("POST", "/log", b"no JSON")):
        assert (status, said["code"], said["epoch"], said["retryable"]) == (409, "STALE_EPOCH", 3, False)
    sender.epoch = 3
    assert sender.append([]).epoch == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no JSON", 422),
        (b'{"nonce": 1}', 422),
        (b'{"nonce": "0123456789abcdef", "entries": [{"number": 1, "bytes": "bm8gZW50cnk="}]}', 422),
        (b'{"nonce": "0123456789abcdef", "head": {"number": 1, "behind_bytes": -1}}', 422),
        (b'{"nonce": "0123456789abcdef"}', 200),
    ],
)
def test_an_epoch_that_no_entry_has_locks_nobody_out(host: Host, sender: Sender, body: bytes, status: int) -> None:
    sender.epoch = 9 * 10**18
    assert sender.write("POST", "/log", body)[0] == status
    sender.upload(*pack_of(host, sender))
    sender.epoch = 0
    assert sender.ask("GET", "/graphs/alpha")[1]["epoch"] == 0
    assert sender.ship(host.snapshot).epoch == 0


def test_nothing_is_receipted_that_is_not_here(host: Host, sender: Sender) -> None:
    number, packs = sender.needed(host.snapshot)
    needs = protocol.encode_needs(packs)
    name = hashlib.sha256(needs).hexdigest()
    status, said = sender.append(range(1, number + 1), [(number, name)])
    assert (status, said["code"], said["missing"]) == (424, "INCOMPLETE", [name])
    assert sender.upload(name, needs, kind="needs")[0] == 201
    status, said = sender.append(range(1, number + 1), [(number, name)])
    assert (status, said["missing"]) == (424, [packs[0][0].hex()])
    assert sender.ask("GET", "/graphs/alpha")[1]["receipts"] == []
    assert sender.ship(host.snapshot).receipts == [number]


def test_a_key_slot_is_one_and_never_replaced(host: Host, sender: Sender) -> None:
    slot_id = secrets.token_bytes(16)

    def slot(salt: bytes) -> bytes:
        begin = (b"lrbkey01" + bytes(8) + slot_id + bytes(32) + salt).ljust(176, b"\0")
        return begin + hashlib.sha256(begin).digest()

    path = f"/keys/{slot_id.hex()}"
    assert sender.write("PUT", path, b"x" * 208)[1]["code"] == "BAD_KEY_SLOT"
    assert sender.write("PUT", path, slot(b"one"))[0] == 201
    assert sender.write("PUT", path, slot(b"one"))[0] == 200
    assert sender.write("PUT", path, slot(b"two"))[0] == 409
    assert (host.replica / "keys" / slot_id.hex()).read_bytes() == slot(b"one")
