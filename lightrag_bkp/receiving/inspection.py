"""Whether a replica is what its receipts say, without its key: the chain of its log, and every pack hashed again."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..errors import DamagedError
from ..sources.trees import sync_directory
from . import frames, shelf, trial
from .replica import Replica

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
            lies there. What its sender said last is written anew, from the log, where it cannot be read.
    """
    entries = replica.entry_numbers()
    findings = list(_chain(replica, entries))
    is_log_whole = not findings
    findings += _status(replica)
    packs = sorted(replica.packs().items())
    rotten = {name: wrong for name, _ in packs if (wrong := _pack(replica, name)) is not None}
    numbers = replica.receipt_numbers()
    for number in numbers:
        findings += _unless_let_go(replica, number, frozenset(rotten) if is_log_whole else None)
    findings += [(f"packs/{name}", wrong) for name, wrong in rotten.items()]
    findings += _keys(replica) if numbers else []
    if send_again:
        _put_aside(replica, rotten)
        if is_log_whole:
            _mend_status(replica)
    size = sum(size for _, size in packs)
    return Inspected(tuple(findings), len(entries), len(numbers), len(packs), size)


def _chain(replica: Replica, numbers: list[int]) -> Iterator[tuple[str, str]]:
    """What is wrong with the entries that are there, and with what is between them: a name may say any number."""
    previous: bytes | None = bytes(32)
    expected = 0
    for number in numbers:
        path = replica.entry_path(number)
        name = f"log/{os.path.basename(path)}"
        stored = shelf.read(path)
        if number != expected or stored is None:
            more = f", and all before {number}" if number > expected + 1 else ""
            yield f"log/{expected:020}", f"the log entry is missing{more}"
            previous = None
        expected = number + 1
        if stored is None:
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


def _status(replica: Replica) -> Iterator[tuple[str, str]]:
    try:
        replica.status()
    except DamagedError:
        said = "what its sender said last cannot be read, so that nothing more is taken:"
        yield "replica/status", f"{said} `replica verify --send-again` writes it anew"


def _keys(replica: Replica) -> Iterator[tuple[str, str]]:
    with suppress(DamagedError):  # the chain says that
        head, slots = replica.head(), replica.keys()
        if head is not None and head.sealed and all(name.endswith(".removed") for name in slots):
            said = "no key slot is here, without which nobody can open what is sealed:"
            yield "keys", f"{said} its sender brings them with its next request"


def _mend_status(replica: Replica) -> None:
    """Writes a status that cannot be read anew, without anything: that comes with the sender's next request."""
    with replica.writing():
        try:
            replica.status()
        except DamagedError:
            path = os.path.join(replica.directory, "replica", "status")
            shelf.replace(path, b"{}", replica.quarantine.directory)


def _unless_let_go(replica: Replica, number: int, rotten: frozenset[str] | None) -> list[tuple[str, str]]:
    """As `_receipt`; nothing of one that was let go meanwhile (`retention`), before what it named went."""
    path = replica.receipt_path(number)
    try:
        found = list(_receipt(replica, number, rotten))
    except FileNotFoundError:
        if os.path.exists(path):
            raise
        return []
    return found if os.path.exists(path) else []


def _receipt(replica: Replica, number: int, rotten: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """What is wrong with one. None of `rotten`: the log is damaged, so that the core is not asked."""
    name = f"replica/receipts/{number:020}"
    try:
        receipt = replica.receipt(number)
    except DamagedError:
        yield name, "the receipt cannot be read: a sender has it made out again"
        return
    stored = shelf.read(replica.entry_path(number)) or b""
    if hashlib.sha256(stored).hexdigest() != receipt.sha256:
        yield name, "the receipt is of another log entry than is here"
        return
    try:
        packs = replica.needs(receipt.needs)
    except (DamagedError, ValueError):
        packs = None
    if packs is None:
        yield f"replica/needs/{receipt.needs}", "the list of packs is missing or damaged"
        return
    absent = replica.absent(packs)
    for pack in absent:
        yield f"packs/{pack}", f"the pack is missing or cut, and the snapshot of entry {number} needs it"
    if absent or rotten is None or not rotten.isdisjoint(pack.hex() for pack, _ in packs):
        return
    if frames.read_entry(stored).sealed:
        return
    short = trial.shortcoming(replica, number, packs)
    if short is not None:
        yield name, f"the snapshot cannot be brought back: {short}"


def _pack(replica: Replica, name: str) -> str | None:
    """What is wrong with a pack; None also of one that was removed meanwhile: receipts tell whether it is missed."""
    digest = hashlib.sha256()
    try:
        with open(replica.pack_path(name), "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"the pack cannot be read: {error.strerror}"
    return None if digest.hexdigest() == name else "the pack is not what its name says: it is damaged"


def _is_what_its_name_says(stored: bytes | None, name: str) -> bool:
    return stored is not None and hashlib.sha256(stored).hexdigest() == name


def _put_aside(replica: Replica, rotten: Iterable[str]) -> None:
    """Rotten packs, and rotten lists of packs."""
    lists = map(replica.needs_path, replica.lists())
    paths = [path for path in lists if not _is_what_its_name_says(shelf.read(path), os.path.basename(path))]
    for path in [*map(replica.pack_path, rotten), *paths]:
        shelf.make_directories(replica.rotten_directory)
        with suppress(FileNotFoundError):  # it was removed meanwhile
            os.replace(path, os.path.join(replica.rotten_directory, os.path.basename(path)))
        sync_directory(os.path.dirname(path))
