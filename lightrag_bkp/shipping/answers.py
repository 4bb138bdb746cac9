"""What a target answers, read in one place: nothing of an answer is used before its shape was looked at here.

Whoever answers may be anybody. Documents are those of docs/replication.md; what has another shape raises ValueError.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..receiving import protocol
from ..receiving.protocol import KEY_SLOT_NAME, SHA256_HEX, Acknowledgement

_COUNT_LIMIT = 1 << 63
_REPOSITORY_ID_BYTES = 16
_COUNTS = ("epoch", "number", "entries", "packs", "bytes", "time_us")


@dataclass(frozen=True, slots=True)
class Replica:
    """What a target says of its copy, signed by nobody: it may save work, and prove nothing.

    Attributes:
        number, sha256: of its last log entry. receipts: numbers of the snapshots it says are complete.
        keys: names of its key slots.
    """

    repository_id: str
    number: int
    sha256: str
    receipts: frozenset[int]
    keys: frozenset[str]


def replica(document: Mapping[str, Any]) -> Replica:
    """Of `GET /graphs/{graph}`."""
    receipts = [_count(_object(one, "receipts"), "number") for one in _list(document, "receipts")]
    keys = _list(document, "keys")
    if not all(isinstance(name, str) and KEY_SLOT_NAME.fullmatch(name) for name in keys):
        raise ValueError("`keys` are no names of key slots")
    return Replica(
        _repository_id(document), _count(document, "number"), _sha256(document, "sha256"),
        frozenset(receipts), frozenset(keys),
    )  # fmt: skip


def missing(document: Mapping[str, Any]) -> dict[str, int]:
    """Of `POST …/missing`: how much is there of each object that is not complete."""
    rows = [_object(one, "missing") for one in _list(document, "missing")]
    return {_sha256(row, "sha256"): _count(row, "offset") for row in rows}


def progress(document: Mapping[str, Any]) -> tuple[int, bool]:
    """Of `PUT …/objects/…`: where to continue, and whether nothing is left."""
    is_complete = document.get("complete")
    if not isinstance(is_complete, bool):
        raise ValueError("`complete` is neither true nor false")
    return _count(document, "offset"), is_complete


def lost(document: Mapping[str, Any]) -> frozenset[str]:
    """Of 424 `INCOMPLETE`: what a receipt needs and is not there."""
    return frozenset(_sha256({"missing": name}, "missing") for name in _list(document, "missing"))


def acknowledgement(document: Mapping[str, Any], api_key: str, nonce: str) -> Acknowledgement | None:
    """Of `POST …/log`; None when it was not made with this key for the request of this nonce."""
    said = protocol.checked(document, api_key, nonce)
    if said is None:
        return None
    for name in _COUNTS:
        _count(document, name)
    _repository_id(document)
    _sha256(document, "sha256")
    for one in _list(document, "receipts"):
        _count({"receipts": one}, "receipts")
    return said


def _count(row: Mapping[str, Any], name: str) -> int:
    found = row.get(name)
    if type(found) is not int or not 0 <= found < _COUNT_LIMIT:
        raise ValueError(f"`{name}` is no count")
    return found


def _sha256(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    if not isinstance(found, str) or not SHA256_HEX.fullmatch(found):
        raise ValueError(f"`{name}` is no SHA-256")
    return found


def _repository_id(row: Mapping[str, Any]) -> str:
    found = row.get("repository_id")
    try:
        is_one = isinstance(found, str) and len(bytes.fromhex(found)) == _REPOSITORY_ID_BYTES
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("`repository_id` is none")
    return str(found)


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    found = row.get(name)
    if not isinstance(found, list):
        raise ValueError(f"`{name}` is no list")
    return found


def _object(found: object, name: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"`{name}` are no objects")
    return found
