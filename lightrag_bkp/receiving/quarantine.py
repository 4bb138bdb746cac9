"""What is being received: parts are put down here one behind the other until the whole is what its name says.

A part is written only once it has come as a whole, so the length of a file says how much of the object is there, also
after the receiver was killed. After a restart of the machine it need not be so: then the quarantine is emptied.
"""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass

from .. import _bridge
from .._bridge import Arrival, Pool
from . import shelf
from .protocol import Digest
from .refusal import Refusal

_ARRIVALS = 64
"""Objects under way whose hashes are kept; the whole of others is hashed from their files."""
_GOES_ON, _REFUSED = ("more", "gap", "flipped"), ("gap", "flipped", "wrong")
"""Of what the core says became of a part: after which the object's next is waited for, and which the sender is told."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an object.

    Attributes:
        sha256: the object's name, 64 hex digits. size: the whole object's. offset: where the part begins.
        digest: of the part, as its sender made it.
    """

    sha256: str
    size: int
    offset: int
    digest: Digest


class Quarantine:
    """One replica's. Safe under threads and processes.

    Args:
        directory: must be there, on the file system of what comes out of it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._arrivals: dict[str, tuple[int, Arrival]] = {}

    def path(self, sha256: str) -> str:
        """Where an object is until it is taken out."""
        return os.path.join(self.directory, sha256)

    def held(self, sha256: str) -> int:
        """How many bytes of an object are here."""
        return shelf.size_of(self.path(sha256)) or 0

    def known(self, sha256: str) -> int | None:
        """The same of an object under way here, as it was when its last part was put down; waits for nothing."""
        with self._lock:
            found = self._arrivals.get(sha256)
        return None if found is None else found[0]

    def take(self, part: Part, content: bytes | memoryview, home: str = "") -> tuple[int, int | None, bool]:
        """Puts a part behind what is there, unless it is there already: all of it in one call of the core.

        Args:
            home: where the object goes in the end; "": it stays.

        Returns how many bytes are here then; of an object that this made complete, and that is what its name says, a
        locked descriptor, which the caller closes once it is released, or discarded; whether it was at home before.

        Raises:
            Refusal: it is not as it was sent, begins behind what is there, or the whole is not what its name says.
            StorageError: nothing of it was kept.
        """
        with self._lock:
            _, arrival = self._arrivals.pop(part.sha256, (0, None))
        arrival = arrival or Arrival()
        name, path = bytes.fromhex(part.sha256), self.path(part.sha256)
        outcome, held, fd = arrival.take(path, home, name, part.size, part.offset, content, part.digest.adler)
        if outcome == "flipped":
            held = self.held(part.sha256)
        if outcome in _GOES_ON:
            self._keep(part.sha256, held, arrival)
        if outcome in _REFUSED:
            raise _refused(outcome, part, held)
        return held, fd if outcome == "whole" else None, outcome == "home"

    async def follow(self, part: Part, content: memoryview, pool: Pool) -> bool:
        """`take` of a part that goes on where the last one stopped and is not the object's last, in the file as it was
        left then: by a thread of the core's, which waits for no other.

        False: it is not so, or something is wrong with the part. Nothing was done, and `take` is to be asked.
        """
        adler, end = part.digest.adler, part.offset + len(content)
        if adler is None or end == part.size:
            return False
        with self._lock:
            held, arrival = self._arrivals.pop(part.sha256, (0, None))
        if arrival is None:
            return False
        job = arrival.follow_job(self.path(part.sha256), part.size, part.offset, content, adler)
        followed: bool = await _bridge.run(job, pool=pool)
        self._keep(part.sha256, end if followed else held, arrival)
        return followed

    def _keep(self, sha256: str, held: int, arrival: Arrival) -> None:
        with self._lock:
            self._arrivals[sha256] = held, arrival
            while len(self._arrivals) > _ARRIVALS:
                del self._arrivals[next(iter(self._arrivals))]

    def discard(self, sha256: str) -> None:
        """Forgets an object."""
        with suppress(FileNotFoundError):
            os.unlink(self.path(sha256))

    def release(self, fd: int, sha256: str, path: str) -> None:
        """Makes an object durable and gives it its place; the name is durable once its directory is synced."""
        os.fchmod(fd, shelf.OBJECT_MODE)
        os.fdatasync(fd)
        os.replace(self.path(sha256), path)

    def empty(self) -> None:
        """Forgets everything."""
        with os.scandir(self.directory) as entries:
            for entry in entries:
                os.unlink(entry.path)


def damaged(part: Part, held: int) -> Refusal:
    """A part is not what its digest says."""
    said = f"the part at {part.offset} of {part.sha256} was damaged on its way: send it again"
    return Refusal(400, "DAMAGED_PART", said, offset=held)


def _refused(outcome: str, part: Part, held: int) -> Refusal:
    if outcome == "flipped":
        return damaged(part, held)
    if outcome == "gap":
        said = f"the part begins at {part.offset}, and {held} bytes are here"
        return Refusal(416, "OFFSET", said, offset=held)
    return Refusal(
        422,
        "WRONG_HASH",
        f"object {part.sha256} is not what its name says, though every part came as it was sent: the sender's copy"
        " is damaged; verify it there",
    )
