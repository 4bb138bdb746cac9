"""What sender and receiver agree on: paths, limits, headers, error codes, and the acknowledgement.

The protocol itself is written down in docs/replication.md. No I/O here.
"""

import base64
import binascii
import hashlib
import hmac
import itertools
import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .. import _bridge

PROTOCOL = 1
API_PATH = "/api/v1/backup-replication"
BASE_PATH = f"{API_PATH}/receive"

BODY_BYTES = 960 << 10
"""Of one request's body: below the 1 MiB that LightRAG's server allows."""
PAGE = 4096
"""Objects in one question for what is missing."""
PARALLEL = 8
"""Requests under way for one key."""
PACK_BYTES = 16 << 20
ENTRY_BYTES = 256 << 20
NEEDS_ROW_BYTES = 40
NEEDS_BYTES = NEEDS_ROW_BYTES << 20
"""A list of a million packs."""
KEY_SLOT_BYTES = 208

KEY_HEADER = "X-API-Key"
EPOCH_HEADER = "Lrb-Epoch"
REPOSITORY_HEADER = "Lrb-Repository"
KIND_HEADER = "Lrb-Kind"
OFFSET_HEADER = "Upload-Offset"
LENGTH_HEADER = "Upload-Length"
DIGEST_HEADER = "Content-Digest"

OBJECT_CEILINGS: Mapping[str, int] = {"pack": PACK_BYTES, "needs": NEEDS_BYTES, "entry": ENTRY_BYTES}
"""What may be sent in parts, and how long it may be."""

RETRYABLE = frozenset({400, 408, 416, 424, 425, 429, 500, 502, 503, 504, 507})
"""Statuses after which the same request may succeed; all other errors are permanent."""

SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
KEY_SLOT_NAME = re.compile(r"[0-9a-f]{32}(\.removed)?", re.ASCII)

_PACK_ROW = struct.Struct("<32sQ")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a receiver has, all of it hashed there and durable.

    Attributes:
        number, sha256: of the last log entry there. entries: in its log. packs, bytes: stored there.
        receipts: numbers of the snapshots' entries of this request that are complete there.
        time_us: of the receiver's clock, microseconds since 1970. nonce: the request's, hex.
    """

    graph: str
    repository_id: str
    epoch: int
    number: int
    sha256: str
    entries: int
    packs: int
    bytes: int
    receipts: list[int]
    time_us: int
    nonce: str
    protocol: int = PROTOCOL

    def signed(self, api_key: str) -> dict[str, Any]:
        """The document a receiver sends."""
        document = asdict(self)
        return document | {"mac": _mac(document, api_key)}


def checked(document: Mapping[str, Any], api_key: str, nonce: str) -> Acknowledgement | None:
    """The acknowledgement in a document; None when it was not made with this key for the request of this nonce."""
    said = {name: value for name, value in document.items() if name != "mac"}
    mac = document.get("mac")
    try:
        due = _mac(said, api_key)
    except (ValueError, RecursionError):  # halves of surrogates, say: whoever has the key signs none
        return None
    if not isinstance(mac, str) or not mac.isascii() or not hmac.compare_digest(mac, due):
        return None
    if said.get("nonce") != nonce or said.get("protocol") != PROTOCOL:
        return None
    try:
        return Acknowledgement(**{name: said[name] for name in Acknowledgement.__dataclass_fields__})
    except (KeyError, TypeError):
        return None


def _mac(said: Mapping[str, Any], api_key: str) -> str:
    key = hmac.digest(api_key.encode(), b"lightrag-bkp acknowledgement 1", "sha256")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.digest(key, text.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Digest:
    """Of a part, as Content-Digest has it."""

    algorithm: str
    value: bytes

    def is_of(self, part: "bytes | memoryview") -> bool:
        """Whether the part is as it was when its sender made this."""
        return _DIGESTS[self.algorithm][1](part) == self.value

    @property
    def adler(self) -> int | None:
        """The number, of a digest that is one."""
        return int.from_bytes(self.value, "big") if self.algorithm == "adler" else None


_DIGESTS: Mapping[str, tuple[int, Callable[[bytes | memoryview], bytes]]] = {
    "sha-256": (32, lambda part: hashlib.sha256(part).digest()),
    "adler": (4, lambda part: _bridge.adler32(part).to_bytes(4, "big")),
}
"""By names of RFC 9530's registry, the strongest first: how long each is, and how it is made. A part's digest tells
early and where bytes flipped; that nothing wrong is taken follows from the SHA-256 of the whole.
"""


def content_digest(part: "bytes | memoryview", algorithm: str = "sha-256") -> str:
    """The value of Content-Digest for a part."""
    return f"{algorithm}=:{base64.b64encode(_DIGESTS[algorithm][1](part)).decode()}:"


def digest_of(header: str) -> Digest | None:
    """The strongest digest known here in a Content-Digest; None when there is none."""
    members = (member.strip().partition("=") for member in header.split(","))
    said = {name.lower(): value for name, _, value in members}
    for algorithm, (length, _) in _DIGESTS.items():
        value = said.get(algorithm, "")
        if len(value) >= 2 and value[0] == value[-1] == ":":
            try:
                found = base64.b64decode(value[1:-1], validate=True)
            except (binascii.Error, ValueError):
                return None
            return Digest(algorithm, found) if len(found) == length else None
    return None


def encode_needs(packs: Iterable[tuple[bytes, int]]) -> bytes:
    """The list of packs a snapshot needs, as it is sent: (id of 32 bytes, size) each, in any order, none twice."""
    return b"".join(_PACK_ROW.pack(pack_id, size) for pack_id, size in sorted(packs))


def decode_needs(stored: bytes) -> list[tuple[bytes, int]]:
    """The packs of a list, ascending.

    Raises:
        ValueError: it is no such list.
    """
    if len(stored) % NEEDS_ROW_BYTES:
        raise ValueError("a list of packs has rows of 40 bytes")
    packs: list[tuple[bytes, int]] = list(_PACK_ROW.iter_unpack(stored))
    if any(not 0 < size <= PACK_BYTES for _, size in packs):
        raise ValueError("a list of packs names one of an impossible size")
    if any(one[0] >= other[0] for one, other in itertools.pairwise(packs)):
        raise ValueError("a list of packs is not in ascending order")
    return packs
