"""What of packs, entries and key slots is clear also where they are sealed: docs/format.md.

A receiver has no key, so it judges frames; what is inside them is sealed, or is judged by the core when somebody
verifies or restores.
"""

import hashlib
import struct
from dataclasses import dataclass

from .protocol import ENTRY_BYTES, KEY_SLOT_BYTES, PACK_BYTES

SNAPSHOT, CHECKPOINT = 1, 10
_LAST_KIND = 10
_VERSION = 1

_ENTRY = struct.Struct("<8sHHB3s16sQQ16sq32s32sHHIII")
_PACK_HEADER = struct.Struct("<8sHB5s16s32s")
_PACK_FOOTER = struct.Struct("<IIQ32s8s8s")
_PACK_ROW_BYTES, _TAG_BYTES, _WRITTEN_PACK_BYTES, _DIGEST_BYTES = 56, 16, 40, 32


@dataclass(frozen=True, slots=True)
class EntryFrame:
    """The clear part of a log entry. `sha256` is of all its bytes, and what the next one names as `previous`."""

    kind: int
    sealed: bool
    repository_id: bytes
    number: int
    epoch: int
    time_ns: int
    previous: bytes
    graph_id: str
    sha256: bytes


def read_entry(stored: bytes) -> EntryFrame:
    """The frame of a whole entry.

    Raises:
        ValueError: it is none, in half a sentence.
    """
    if not _ENTRY.size + _DIGEST_BYTES <= len(stored) <= ENTRY_BYTES:
        raise ValueError("it has no entry's length")
    (magic, version, kind, seal, zeros, repository, number, epoch, _, time_ns, previous, salt, graph_bytes, more, packs,
     payload_bytes, last) = _ENTRY.unpack_from(stored)  # fmt: skip
    if magic != b"lrblog01":
        raise ValueError("it does not begin like one")
    if version != _VERSION or seal > 1:
        raise ValueError(f"it is of format version {version}, seal {seal}, which needs a newer version here")
    length = _ENTRY.size + graph_bytes + packs * _WRITTEN_PACK_BYTES + payload_bytes + _DIGEST_BYTES
    if any(zeros) or more or last or length != len(stored) or (any(salt) and not seal):
        raise ValueError("its lengths contradict each other")
    if not 1 <= kind <= _LAST_KIND:
        raise ValueError(f"its kind {kind} is none of a graph's log")
    if not seal and hashlib.sha256(memoryview(stored)[:-_DIGEST_BYTES]).digest() != stored[-_DIGEST_BYTES:]:
        raise ValueError("it does not match its own digest")
    graph = stored[_ENTRY.size : _ENTRY.size + graph_bytes].decode("ascii", "replace")
    return EntryFrame(
        kind, bool(seal), repository, number, epoch, time_ns, previous, graph, hashlib.sha256(stored).digest()
    )


def check_pack(begin: bytes, end: bytes, size_bytes: int, repository_id: bytes, sealed: bool) -> None:
    """Holds the first and last 64 bytes of a pack against what it is to be.

    Raises:
        ValueError: it is none of this repository's, in half a sentence.
    """
    if not 2 * _PACK_HEADER.size < size_bytes <= PACK_BYTES:
        raise ValueError("it has no pack's length")
    magic, version, seal, zeros, repository, _ = _PACK_HEADER.unpack(begin)
    trailer_bytes, rows, length, _, more, last = _PACK_FOOTER.unpack(end)
    if magic != b"lrbpack1" or last != b"lrbpend1" or any(zeros) or any(more):
        raise ValueError("it does not begin and end like one")
    if version != _VERSION or seal > 1:
        raise ValueError(f"it is of format version {version}, seal {seal}, which needs a newer version here")
    if repository != repository_id or bool(seal) != sealed:
        raise ValueError("it belongs to another repository")
    tag = _TAG_BYTES if sealed else 0
    if length != size_bytes or not rows or trailer_bytes != rows * _PACK_ROW_BYTES + tag or trailer_bytes > size_bytes:
        raise ValueError("its lengths contradict each other")


def is_key_slot(stored: bytes, slot_id: bytes) -> bool:
    """Whether these are the bytes of a slot (or of its removal) of this id."""
    whole = len(stored) == KEY_SLOT_BYTES and stored[:8] == b"lrbkey01" and stored[16:32] == slot_id
    return whole and hashlib.sha256(stored[:176]).digest() == stored[176:]
