"""A receiver as it is run, over TLS on loopback, and a small sender that does what docs/replication.md says."""

import base64
import hashlib
import http.client
import json
import os
import secrets
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightrag_bkp import _bridge
from lightrag_bkp.receiving import protocol
from lightrag_bkp.receiving.here import open_keys
from lightrag_bkp.receiving.protocol import BASE_PATH, Acknowledgement

from .authority import Authority
from .program import Program


@dataclass
class Listening:
    """A receiver's process, and how to reach it."""

    port: int
    authority: Authority
    process: "subprocess.Popen[str]"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.ca)


@contextmanager
def receiving(program: Program, *words: object, tls: bool = True) -> Iterator[Listening]:
    """`lightrag-bkp receive` on `program.storage`, until the block ends."""
    authority = Authority(program.directory, f"ca-{secrets.token_hex(4)}")
    certificate, key = authority.issue(f"server-{secrets.token_hex(4)}")
    secured = ("--tls-cert", certificate, "--tls-key", key) if tls else ()
    more = ("--listen", "127.0.0.1:0", *secured, *words)
    with program.started("--storage", program.storage, "receive", *more) as process:
        assert process.stdout is not None and process.stderr is not None
        said = process.stdout.readline()
        assert said, process.stderr.read()
        yield Listening(int(said.rpartition(":")[2]), authority, process)


def new_key(program: Program, name: str = "tokyo", graph: str | None = None, quota_bytes: int | None = None) -> str:
    """A key for the receiver of `program`."""
    return open_keys(program.storage).add(name, graph_id=graph, quota_bytes=quota_bytes)[1]


def must_be_a_problem(status: int, headers: Mapping[str, str], document: dict[str, Any], path: str) -> None:
    """Whatever is refused is said in one shape."""
    assert headers["content-type"] == "application/problem+json"
    said = (document["status"], document["instance"], document["retryable"])
    assert said == (status, path, status in protocol.RETRYABLE), document
    assert document["type"] == f"urn:lightrag-bkp:problem:receive:{document['code'].lower().replace('_', '-')}"
    assert document["title"] and isinstance(document["detail"], str)


@dataclass
class Sender:
    """What sends one graph's repository. One connection; opened anew when the other end closed it."""

    there: Listening
    key: str
    graph: str
    core: Any = None  # of _bridge.Repository
    epoch: int = 0
    part_bytes: int = protocol.BODY_BYTES
    sent_bytes: int = 0
    algorithm: str = "sha-256"
    connection: http.client.HTTPSConnection | None = field(default=None, repr=False)

    @property
    def repository(self) -> str:
        return str(self.core.head()[0].hex())

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: object) -> tuple[int, dict[str, Any]]:
        """One request; header names have `_` for `-`."""
        said = {protocol.KEY_HEADER: self.key} | {name.replace("_", "-"): str(value) for name, value in headers.items()}
        for last in (False, True):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection(
                    "127.0.0.1", self.there.port, timeout=30, context=self.there.context()
                )
            try:
                self.connection.request(method, BASE_PATH + path, body, said)
                answer = self.connection.getresponse()
                document = json.loads(answer.read() or b"{}")
                if answer.status >= 400:
                    must_be_a_problem(answer.status, answer.headers, document, BASE_PATH + path)
                return answer.status, document
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection = None
                if last:
                    raise
        raise AssertionError

    def write(self, method: str, path: str, body: bytes, **headers: object) -> tuple[int, dict[str, Any]]:
        """A request that writes to this graph's replica."""
        named: dict[str, object] = {"Lrb_Epoch": self.epoch, "Lrb_Repository": self.repository}
        return self.ask(method, f"/graphs/{self.graph}{path}", body, **named | headers)

    def part(self, name: str, content: bytes, offset: int, size: int, kind: str = "pack") -> tuple[int, dict[str, Any]]:
        """One part of an object."""
        told = {"Upload_Offset": offset, "Upload_Length": size, "Lrb_Kind": kind}
        self.sent_bytes += len(content)
        digest = protocol.content_digest(content, self.algorithm)
        return self.write("PUT", f"/objects/{name}", content, Content_Digest=digest, **told)

    def upload(self, name: str, content: bytes, offset: int = 0, kind: str = "pack") -> tuple[int, dict[str, Any]]:
        """All parts of an object from an offset on."""
        while True:
            piece = content[offset : offset + self.part_bytes]
            status, said = self.part(name, piece, offset, len(content), kind)
            if status >= 300 or said["complete"]:
                return status, said
            offset = said["offset"]

    def append(self, numbers: "range | list[int]", receipts: "list[tuple[int, str]] | None" = None, **more: Any) -> Any:
        """Entries as they are in the own log, and receipts."""
        entries = [
            {"number": number, "bytes": base64.b64encode(self.core.entry(number)[0]).decode()} for number in numbers
        ]
        return self.post_log({"entries": entries, "receipts": _receipts(receipts), **more})

    def post_log(self, said: dict[str, Any]) -> Any:
        """A log request; an acknowledgement that was not signed for it fails."""
        nonce = secrets.token_hex(16)
        status, answer = self.write("POST", "/log", json.dumps(said | {"nonce": nonce}).encode())
        if status != 200:
            return status, answer
        acknowledged = protocol.checked(answer, self.key, nonce)
        assert acknowledged is not None, answer
        return acknowledged

    def needed(self, snapshot_id: str) -> tuple[int, list[tuple[bytes, int]]]:
        """The number of a snapshot's entry, and its packs."""
        number, packs = _bridge.run_blocking(_bridge.needs_job(self.core, snapshot_id))
        return number, packs

    def pack(self, pack_id: bytes) -> bytes:
        """A pack's bytes."""
        with open(self.core.open_pack(pack_id), "rb") as file:
            return file.read()

    def ship(self, snapshot_id: str) -> Acknowledgement:
        """Everything a receiver lacks of a snapshot."""
        self.core.refresh()
        status, state = self.ask("GET", f"/graphs/{self.graph}")
        behind = 0 if status == 404 else state["number"] + 1
        if status == 404:
            self.append(range(1))
            behind = 1
        for slot in sorted(Path(self.core.path, "keys").glob("*")):
            assert self.write("PUT", f"/keys/{slot.name}", slot.read_bytes())[0] in (200, 201)
        number, packs = self.needed(snapshot_id)
        self.ship_packs(packs)
        needs = protocol.encode_needs(packs)
        name = hashlib.sha256(needs).hexdigest()
        assert self.upload(name, needs, kind="needs")[1]["complete"]
        last = self.core.head()[1]
        done = self.append(range(behind, last + 1), [(number, name)], head={"number": last})
        assert isinstance(done, Acknowledgement), done
        return done

    def ship_packs(self, packs: list[tuple[bytes, int]]) -> None:
        """Those of these packs that the receiver lacks, from where it has them."""
        asked = {"objects": [{"sha256": pack_id.hex(), "size": size} for pack_id, size in packs]}
        status, said = self.ask("POST", f"/graphs/{self.graph}/missing", json.dumps(asked).encode())
        assert status == 200, said
        for one in said["missing"]:
            status, done = self.upload(one["sha256"], self.pack(bytes.fromhex(one["sha256"])), one["offset"])
            assert status in (200, 201), done


def _receipts(receipts: "list[tuple[int, str]] | None") -> list[dict[str, object]]:
    return [{"number": number, "needs": needs} for number, needs in receipts or []]


def opened(storage: "str | os.PathLike[str]", graph: str, key: Any = None) -> Any:
    """A repository of the core."""
    return _bridge.run_blocking(_bridge.open_job(str(storage), graph, False, key))
