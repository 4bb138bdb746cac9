"""One replica: what a sender sends of one graph is taken, if it fits what is here. All of it may wait for a disk."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import locking
from ..errors import DamagedError
from ..sources.trees import sync_directory
from . import frames, shelf, trial
from .holdings import Head, Holdings, head_of
from .keys import now_us
from .protocol import PAGE, decode_needs
from .quarantine import Part
from .records import Receipt
from .refusal import Refusal

_DIRECTORIES = ("packs", "tmp", "keys", "replica", "replica/quarantine", "replica/needs", "replica/receipts")
"""Behind log/, as a repository is made."""


class Replica(Holdings):
    """What is here, and what more is taken. Methods that write take turns."""

    def begin(self, stored: bytes, repository_id: str) -> None:
        """Makes the directories of a replica that is to begin with this entry.

        Raises:
            Refusal: no replica begins so, or it is of another repository than its sender said.
        """
        frame = _frame(stored)
        self._check_follows(frame, None)
        if frame.repository_id.hex() != repository_id:
            said = (
                f"entry 0 is of repository {frame.repository_id.hex()}, and {repository_id} was said: nothing was kept"
            )
            raise Refusal(409, "OTHER_REPOSITORY", said, repository_id=frame.repository_id.hex())
        shelf.make_directories(self._at("log"))
        for name in _DIRECTORIES:
            shelf.make_directory(self._at(name))
        for above in (self.directory, self._at("replica")):
            sync_directory(above)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One at a time appends, or removes."""
        with locking.alone(self._at("replica", "lock")):
            yield

    def note(self, **changed: Any) -> dict[str, Any]:
        """Changes members of the status, durably. Only while `writing`."""
        status = self.status() | changed
        shelf.replace(self._at("replica", "status"), json.dumps(status).encode(), self.quarantine.directory)
        return status

    def take_part(self, kind: str, part: Part, content: bytes | memoryview) -> tuple[int, bool, bool]:
        """Keeps a part of a pack, or of what is too long for one request.

        Returns how much of the object is here, whether that is all, and whether this part made it so.

        Raises:
            As `Quarantine.take`. Refusal: the whole is not what it is to be.
        """
        place = {"pack": self.pack_path, "needs": self.needs_path}.get(kind)
        home = "" if place is None else place(part.sha256)
        held, fd, was_here = self.quarantine.take(part, content, home)
        if fd is None:
            return held, was_here, False
        try:
            with locking.released(fd):
                self._judge(kind, fd, part)
                if home:
                    self.quarantine.release(fd, part.sha256, home)
        finally:
            os.close(fd)
        return held, True, True

    def take_key(self, name: str, content: bytes) -> bool:
        """Keeps a key slot. False: it was here.

        Raises:
            Refusal: it is none, or another one of this name is here.
        """
        if not frames.is_key_slot(content, bytes.fromhex(name[:32])):
            raise Refusal(422, "BAD_KEY_SLOT", f"key slot {name} is none: its length, id or digest is wrong")
        path = self._at("keys", name)
        if shelf.create(path, content, self.quarantine.directory):
            os.chmod(path, 0o600)
            sync_directory(os.path.dirname(path))
            return True
        if shelf.read(path) != content:
            raise Refusal(409, "DIVERGED", f"another key slot {name} is here; nothing is overwritten")
        return False

    def settle(self) -> None:
        """Makes the names of all objects that came durable: before any entry or receipt that relies on them."""
        for names in (("packs",), ("replica", "needs"), ("keys",)):
            sync_directory(self._at(*names))

    def append(self, stored: bytes, needs: Mapping[int, str]) -> None:
        """Takes a log entry: behind the last one, or one that is here. Only while `writing`.

        Args:
            needs: lists of packs by the numbers of the snapshots that are to have a receipt afterwards (`grant`).

        Raises:
            Refusal: it is none of this graph's, does not follow, or another one is at its number; or what its receipt
                would say is not so.
        """
        frame = _frame(stored)
        head = self.head()
        if head is not None and frame.number <= head.number:
            self._compare(frame, head)
            return
        self._check_follows(frame, head)
        if frame.number in needs:
            self._listed(frame, needs[frame.number])
        shelf.create(self.entry_path(frame.number), stored, self.quarantine.directory)
        sync_directory(self._at("log"))  # before the next one is made: no power cut may keep that alone
        with self._lock:
            self._head = head_of(frame)

    def grant(self, number: int, needs: str) -> None:
        """Sees that the receipt of an entry that is here holds, or makes it out. Only while `writing`.

        One that was made out long ago is looked at again: packs that were lost or put aside since are asked for. The
        sender may have moved what they held to others, so a new list takes the place of one that no longer holds.

        Raises:
            Refusal: something it needs is not here.
        """
        if not self._is_here(number):
            raise Refusal(422, "BAD_RECEIPT", f"entry {number} is not here: send it first")
        frame = self._stored(number)
        receipt = self._made_out(frame)
        if receipt is not None and self._holds(receipt):
            return
        packs = self._listed(frame, needs)
        short = None if frame.sealed else trial.shortcoming(self, number, packs)
        if short is not None:
            said = f"the snapshot of entry {number} gets no receipt: {short}; list what it needs, and send that"
            raise Refusal(424, "INCOMPLETE", said, missing=[])
        self._make_out(frame, needs)

    # ---- inside ----

    def _made_out(self, frame: frames.EntryFrame) -> Receipt | None:
        """The receipt of this very entry; None when there is none, or it cannot be read."""
        try:
            receipt = self.receipt(frame.number)
        except DamagedError:
            return None
        return receipt if receipt.sha256 == frame.sha256.hex() else None

    def _holds(self, receipt: Receipt) -> bool:
        try:
            packs = self.needs(receipt.needs)
        except DamagedError:
            return False
        return packs is not None and not self.absent(packs)

    def _listed(self, frame: frames.EntryFrame, needs: str) -> list[tuple[bytes, int]]:
        """The packs of a list that is to be a snapshot's; all of them are here."""
        if frame.kind != frames.SNAPSHOT:
            raise Refusal(422, "BAD_RECEIPT", f"entry {frame.number} is no snapshot")
        packs = self.needs(needs)
        if packs is None:
            raise Refusal(424, "INCOMPLETE", f"the list of packs {needs} is not here: send it", missing=[needs])
        absent = self.absent(packs)
        if absent:
            said = f"{len(absent)} packs of the snapshot of entry {frame.number} are not here: send them first"
            raise Refusal(424, "INCOMPLETE", said, missing=absent[:PAGE])
        return packs

    def _make_out(self, frame: frames.EntryFrame, needs: str) -> None:
        before = self._made_out(frame)
        receipt = {
            "sha256": frame.sha256.hex(),
            "needs": needs,
            "received_us": now_us() if before is None else before.received_us,
            "time_us": frame.time_ns // 1000,
        }
        # One that is there no longer holds, or is of an entry that was not taken in the end.
        shelf.replace(self.receipt_path(frame.number), json.dumps(receipt).encode(), self.quarantine.directory)

    def _judge(self, kind: str, fd: int, part: Part) -> None:
        try:
            if kind == "pack":
                head = self.require_head()
                begin, end = os.pread(fd, 64, 0), os.pread(fd, 64, max(part.size - 64, 0))
                frames.check_pack(begin, end, part.size, head.repository_id, head.sealed)
            elif kind == "needs":
                decode_needs(os.pread(fd, part.size, 0))
        except ValueError as error:
            self.quarantine.discard(part.sha256)
            raise Refusal(422, f"BAD_{kind.upper()}", f"object {part.sha256} cannot be taken: {error}") from None

    def _compare(self, frame: frames.EntryFrame, head: Head) -> None:
        if self._stored(frame.number).sha256 != frame.sha256:
            raise _diverged(f"another entry {frame.number} is here", head)

    def _check_follows(self, frame: frames.EntryFrame, head: Head | None) -> None:
        wrong = None
        if frame.graph_id != self.graph_id:
            wrong = f"it is of graph {frame.graph_id!r}"
        elif head is None:
            if frame.number or frame.kind != frames.CHECKPOINT or any(frame.previous):
                raise Refusal(409, "GAP", "there is no entry here: begin with entry 0", number=-1)
        elif frame.repository_id != head.repository_id or frame.sealed != head.sealed:
            wrong = "it is of another repository"
        elif frame.number > head.number + 1:
            said = f"entry {frame.number} does not follow {head.number}, which is the last one here"
            raise Refusal(409, "GAP", said, number=head.number)
        elif frame.previous != head.sha256:
            raise _diverged(f"entry {frame.number} follows another entry {head.number} than is here", head)
        elif frame.epoch < head.epoch:
            wrong = f"it goes back from epoch {head.epoch} to {frame.epoch}"
        if wrong:
            raise Refusal(422, "BAD_ENTRY", f"log entry {frame.number} cannot be taken: {wrong}")


def _frame(stored: bytes) -> frames.EntryFrame:
    try:
        return frames.read_entry(stored)
    except ValueError as error:
        raise Refusal(422, "BAD_ENTRY", f"a log entry cannot be taken: {error}") from None


def _diverged(said: str, head: Head) -> Refusal:
    detail = f"{said}: sender and receiver have gone different ways, and nothing is overwritten"
    return Refusal(409, "DIVERGED", detail, number=head.number, sha256=head.sha256.hex())
