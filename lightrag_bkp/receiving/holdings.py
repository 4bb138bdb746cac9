"""What is here of one replica, as docs/replication.md says where it lies. All of it may wait for a disk."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import DamagedError
from . import frames, records, shelf
from .protocol import KEY_SLOT_NAME, SHA256_HEX, decode_needs
from .quarantine import Quarantine
from .records import Receipt
from .refusal import Refusal
from .room import RECENT_S

_NUMBER = re.compile(r"[0-9]{20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Head:
    """The last log entry here."""

    number: int
    sha256: bytes
    epoch: int
    repository_id: bytes
    sealed: bool


class Holdings:
    """A replica as it is read. Safe under threads and processes.

    Args:
        directory: <receive storage>/<sender>/graphs/<graph_id>; made when something is to be kept there.
    """

    def __init__(self, directory: str, graph_id: str) -> None:
        self.directory = directory
        self.graph_id = graph_id
        self.quarantine = Quarantine(self._at("replica", "quarantine"))
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._sound_status: shelf.State | None = None
        self._sound_at = -RECENT_S

    @property
    def exists(self) -> bool:
        """Whether anything was ever kept."""
        return os.path.isdir(self._at("replica"))

    def head(self) -> Head | None:
        """The last entry; None when there is none. Entries that another process added are found."""
        with self._lock:
            head = self._head
            if head is not None and not os.path.exists(self.entry_path(head.number)):
                head = None  # somebody removed the replica
            number = self.last_number() if head is None else head.number
            while number is not None and os.path.exists(self.entry_path(number + 1)):
                number += 1
            if number is not None and (head is None or head.number != number):
                head = head_of(self._stored(number))
            self._head = head
            return head

    def require_head(self) -> Head:
        """As `head`.

        Raises:
            Refusal: there is none.
        """
        head = self.head()
        if head is None:
            raise Refusal(404, "NO_REPLICA", f"there is no replica of graph {self.graph_id!r} here: begin with entry 0")
        return head

    def status(self) -> dict[str, Any]:
        """What the sender said last: {head, behind_bytes, heard_us, even_us, held}.

        Raises:
            DamagedError: it cannot be read.
        """
        return records.read_status(self._at("replica", "status"))

    def check_status(self) -> None:
        """As `status`, which is read again once it was written again."""
        asked_at, found = time.monotonic(), shelf.state_of(self._at("replica", "status"))
        if found != self._sound_status:
            self.status()
            self._sound_status = found
        self._sound_at = asked_at

    def recent_head(self) -> Head | None:
        """The last entry of a replica that was asked for its head and status a moment ago; None: ask again. Waits for
        nothing.
        """
        return self._head if time.monotonic() - self._sound_at < RECENT_S else None

    def receipts(self) -> list[Receipt]:
        """All, in the log's order.

        Raises:
            DamagedError: one cannot be read.
        """
        return [self.receipt(number) for number in self.receipt_numbers()]

    def good_receipts(self) -> list[Receipt]:
        """Those that can be read: who asks for one of the others has it made out again."""
        found = []
        for number in self.receipt_numbers():
            with suppress(DamagedError):
                found.append(self.receipt(number))
        return found

    def receipt(self, number: int) -> Receipt:
        """The receipt of an entry.

        Raises:
            DamagedError: it cannot be read.
        """
        return records.read_receipt(number, self.receipt_path(number))

    def receipt_numbers(self) -> list[int]:
        """Of the entries that have a receipt and are here, in the log's order."""
        last = self.last_number()
        return [] if last is None else [one for one in self._numbers(self._at("replica", "receipts")) if one <= last]

    def last_number(self) -> int | None:
        """Of the last entry, whole or not; None: there is none."""
        return max(self.entry_numbers(), default=None)

    def entry_numbers(self) -> list[int]:
        """Of the entries here, whole or not, in the log's order."""
        return self._numbers(self._at("log"))

    def has_receipt(self, number: int) -> bool:
        """Whether the snapshot of this entry is complete here."""
        return self._is_here(number) and os.path.exists(self.receipt_path(number))

    def needs(self, sha256: str) -> list[tuple[bytes, int]] | None:
        """A list of packs; None when it is not here.

        Raises:
            DamagedError: it is not what its name says.
        """
        stored = shelf.read(self.needs_path(sha256))
        if stored is None:
            return None
        if hashlib.sha256(stored).hexdigest() != sha256:
            raise DamagedError("a list of packs is not what its name says", target=self.needs_path(sha256))
        return decode_needs(stored)

    def packs(self) -> dict[str, int]:
        """Names and sizes of the packs that are here."""
        return _files(self._at("packs"), SHA256_HEX)

    def lists(self) -> list[str]:
        """Names of the lists of packs that are here."""
        return sorted(_files(self._at("replica", "needs"), SHA256_HEX))

    def keys(self) -> list[str]:
        """Names of the key slots that are here."""
        return sorted(_files(self._at("keys"), KEY_SLOT_NAME))

    def missing(self, objects: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """Those that are not here as a whole, and how much of each is."""
        return [
            {"sha256": sha256, "offset": min(self.quarantine.held(sha256), size)}
            for sha256, size in objects
            if shelf.size_of(self.pack_path(sha256)) != size and shelf.size_of(self.needs_path(sha256)) != size
        ]

    def absent(self, packs: list[tuple[bytes, int]]) -> list[str]:
        """Those of these packs that are not here, or not as long."""
        return [name.hex() for name, size in packs if shelf.size_of(self.pack_path(name.hex())) != size]

    def entry_path(self, number: int) -> str:
        return self._at("log", f"{number:020}")

    def pack_path(self, sha256: str) -> str:
        return self._at("packs", sha256)

    def needs_path(self, sha256: str) -> str:
        return self._at("replica", "needs", sha256)

    @property
    def rotten_directory(self) -> str:
        """Where damaged objects lie so that they are asked for again."""
        return self._at("replica", "rotten")

    @property
    def let_go_directory(self) -> str:
        """Where receipts lie that were removed, until those who read have had their time."""
        return self._at("replica", "let_go")

    def receipt_path(self, number: int) -> str:
        return self._at("replica", "receipts", f"{number:020}")

    # ---- inside ----

    def _at(self, *names: str) -> str:
        return "/".join((self.directory, *names))

    def _stored(self, number: int) -> frames.EntryFrame:
        path = self.entry_path(number)
        try:
            return frames.read_entry(shelf.read(path) or b"")
        except ValueError as error:
            raise DamagedError(
                f"a log entry of the replica is damaged: {error}; restore it from a copy", target=path
            ) from None

    def _is_here(self, number: int) -> bool:
        head = self.head()
        return head is not None and number <= head.number

    def _numbers(self, directory: str) -> list[int]:
        return sorted(int(name) for name in _files(directory, _NUMBER))


def head_of(frame: frames.EntryFrame) -> Head:
    return Head(frame.number, frame.sha256, frame.epoch, frame.repository_id, frame.sealed)


def _files(directory: str, shape: "re.Pattern[str]") -> dict[str, int]:
    """Names and sizes; of what is removed meanwhile nothing, and of all else everything."""
    try:
        names = [name for name in os.listdir(directory) if shape.fullmatch(name)]
    except FileNotFoundError:
        return {}
    sizes = ((name, shelf.size_of(os.path.join(directory, name))) for name in names)
    return {name: size for name, size in sizes if size is not None}
