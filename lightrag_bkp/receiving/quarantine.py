"""What is being received: parts are put down here one behind the other until the whole is what its name says.

A part is written only once it has come as a whole, so the length of a file says how much of the object is there, also
after the receiver was killed. After a restart of the machine it need not be so: then the quarantine is emptied.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .. import locking
from .._bridge import Sha256
from . import blocks, shelf
from .protocol import Digest
from .refusal import Refusal

_PIECE = 256 << 10
"""So much stays in the cache of one core between reading and hashing."""
_RUNNING = 64
"""Objects under way whose hashes are kept; the whole of others is hashed from their files."""


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
        self._running: dict[str, tuple[shelf.State, Sha256]] = {}

    def path(self, sha256: str) -> str:
        """Where an object is until it is taken out."""
        return os.path.join(self.directory, sha256)

    def held(self, sha256: str) -> int:
        """How many bytes of an object are here."""
        return shelf.size_of(self.path(sha256)) or 0

    def known(self, sha256: str) -> int | None:
        """The same of an object under way here, as it was when its last part was put down; waits for nothing."""
        with self._lock:
            found = self._running.get(sha256)
        return None if found is None else found[0][2]

    @contextmanager
    def locked(self, sha256: str) -> Iterator[int]:
        """A descriptor of the object's file, which is made; one thread of one process has it at a time."""
        while True:
            with locking.opened(self.path(sha256)) as fd, locking.awaited(fd):
                if self._is_still(fd, sha256):
                    yield fd
                    return

    def take(self, fd: int, part: Part, content: bytes | memoryview) -> int:
        """Puts a part behind what is there, unless it is there already. Returns how many bytes are there then.

        Raises:
            Refusal: it begins behind them. OSError: nothing of it was kept.
        """
        found = os.fstat(fd)
        if found.st_size > part.size:  # of another length than was said before: the name cannot be right for both
            os.ftruncate(fd, 0)
            found = os.fstat(fd)
        held = found.st_size
        if part.offset > held:
            raise Refusal(416, "OFFSET", f"the part begins at {part.offset}, and {held} bytes are here", offset=held)
        if part.offset < held:
            return held
        digest = self._hash_so_far(found, part.sha256)
        try:
            blocks.write(fd, content, held)
        except OSError:
            os.ftruncate(fd, held)
            raise
        if digest is not None:
            digest.update(content)
            self._keep_running(fd, part.sha256, digest)
        return held + len(content)

    def check(self, fd: int, sha256: str) -> None:
        """Holds the SHA-256 of the whole object against its name; what is something else is thrown away. It is that of
        the bytes as they were written here, one part behind the other; of a file that anybody else wrote to, or was
        begun before the receiver was, that of what lies on disk.

        Raises:
            Refusal: it is not.
        """
        digest = self._hash_so_far(os.fstat(fd), sha256) or _hash(fd)
        if digest.finish().hex() != sha256:
            self.discard(sha256)
            raise Refusal(
                422,
                "WRONG_HASH",
                f"object {sha256} is not what its name says, though every part came as it was sent: the sender's copy"
                " is damaged; verify it there",
            )

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

    def _hash_so_far(self, found: os.stat_result, sha256: str) -> Sha256 | None:
        """The running hash of what a file like this holds, which is whoever asks' own from here on; None when that is
        not known, for another process wrote to it, or this one was not there when it was begun."""
        state = shelf.state(found)
        with self._lock:
            before, digest = self._running.pop(sha256, (None, None))
        if before == state:
            return digest
        return None if found.st_size else Sha256()

    def _keep_running(self, fd: int, sha256: str, digest: Sha256) -> None:
        with self._lock:
            self._running[sha256] = (shelf.state(os.fstat(fd)), digest)
            while len(self._running) > _RUNNING:
                del self._running[next(iter(self._running))]

    def _is_still(self, fd: int, sha256: str) -> bool:
        try:
            named = os.stat(self.path(sha256), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))


def _hash(fd: int) -> Sha256:
    digest, buffer, at = Sha256(), memoryview(bytearray(_PIECE)), 0
    while count := os.preadv(fd, [buffer], at):
        digest.update(buffer[:count])
        at += count
    return digest
