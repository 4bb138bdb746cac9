"""Whether a replica is what its receipts say, without its key: the chain of its log, and every pack hashed again."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from . import frames, shelf
from .replica import Receipt, Replica

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found: (object, what is wrong with it) each, and how much was looked at."""

    findings: tuple[tuple[str, str], ...]
    entries: int
    snapshots: int
    packs: int
    bytes_read: int

    @property
    def ok(self) -> bool:
        return not self.findings


def inspect(replica: Replica, *, send_again: bool = False) -> Inspected:
    """Reads all of a replica.

    Args:
        send_again: put rotten packs and lists aside (`replica/rotten/`), so that the sender is asked for them. Only
            while there is a sender: what is left of a rotten pack can still be read by a restore, and is not while it
            lies there.
    """
    receipts = replica.receipts()
    head = replica.head()
    findings = [*_chain(replica, -1 if head is None else head.number), *_receipts(replica, receipts)]
    if send_again:
        for name in replica.lists():
            if not _is_what_its_name_says(shelf.read(replica.needs_path(name)), name):
                _put_aside(replica, replica.needs_path(name))
    packs = sorted(replica.packs().items())
    for name, _ in packs:
        wrong = _pack(replica, name)
        if wrong is None:
            continue
        findings.append((f"packs/{name}", wrong))
        if send_again:
            _put_aside(replica, replica.pack_path(name))
    entries = 0 if head is None else head.number + 1
    return Inspected(tuple(findings), entries, len(receipts), len(packs), sum(size for _, size in packs))


def _chain(replica: Replica, last: int) -> Iterator[tuple[str, str]]:
    previous: bytes | None = bytes(32)
    for number in range(last + 1):
        path = replica.entry_path(number)
        name = f"log/{os.path.basename(path)}"
        stored = shelf.read(path)
        if stored is None:
            yield name, "the log entry is missing"
            previous = None
            continue
        try:
            frame = frames.read_entry(stored)
        except ValueError as error:
            yield name, f"the log entry is damaged: {error}"
            previous = None
            continue
        if frame.number != number or (previous is not None and frame.previous != previous):
            yield name, "the log entry does not follow the one before it: one of the two was replaced"
        previous = frame.sha256


def _receipts(replica: Replica, receipts: list[Receipt]) -> Iterator[tuple[str, str]]:
    have = replica.packs()
    for one in receipts:
        name = f"replica/receipts/{one.number:020}"
        stored = shelf.read(replica.entry_path(one.number)) or b""
        if hashlib.sha256(stored).hexdigest() != one.sha256:
            yield name, "the receipt is of another log entry than is here"
        if not _is_what_its_name_says(shelf.read(replica.needs_path(one.needs)), one.needs):
            yield f"replica/needs/{one.needs}", "the list of packs is missing or damaged"
            continue
        absent = [pack.hex() for pack, size in replica.needs(one.needs) or [] if have.get(pack.hex()) != size]
        for pack in absent:
            yield f"packs/{pack}", f"the pack is missing or cut, and the snapshot of entry {one.number} needs it"


def _pack(replica: Replica, name: str) -> str | None:
    digest = hashlib.sha256()
    try:
        with open(replica.pack_path(name), "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        return f"the pack cannot be read: {error.strerror}"
    return None if digest.hexdigest() == name else "the pack is not what its name says: it is damaged"


def _is_what_its_name_says(stored: bytes | None, name: str) -> bool:
    return stored is not None and hashlib.sha256(stored).hexdigest() == name


def _put_aside(replica: Replica, path: str) -> None:
    shelf.make_directories(replica.rotten_directory)
    os.replace(path, os.path.join(replica.rotten_directory, os.path.basename(path)))
    shelf.sync(os.path.dirname(path))
