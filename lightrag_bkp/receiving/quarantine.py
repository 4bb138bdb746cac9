"""What is being received: parts are put down here one behind the other until the whole is what its name says.

A part is written only once it has come as a whole, so the length of a file says how much of the object is there, also
after the receiver was killed. After a restart of the machine it need not be so: then the quarantine is emptied.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from . import shelf
from .protocol import Digest
from .refusal import Refusal

_PIECE = 256 << 10
"""So much stays in the cache of one core between reading and hashing."""


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

    def path(self, sha256: str) -> str:
        """Where an object is until it is taken out."""
        return os.path.join(self.directory, sha256)

    def held(self, sha256: str) -> int:
        """How many bytes of an object are here."""
        return shelf.size_of(self.path(sha256)) or 0

    @contextmanager
    def locked(self, sha256: str) -> Iterator[int]:
        """A descriptor of the object's file, which is made; one thread of one process has it at a time."""
        while True:
            fd = os.open(self.path(sha256), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if self._is_still(fd, sha256):
                    yield fd
                    return
            finally:
                os.close(fd)

    def take(self, fd: int, part: Part, content: bytes) -> int:
        """Puts a part behind what is there, unless it is there already. Returns how many bytes are there then.

        Raises:
            Refusal: it begins behind them. OSError: nothing of it was kept.
        """
        held = os.fstat(fd).st_size
        if held > part.size:  # of another length than was said before: the name cannot be right for both
            os.ftruncate(fd, 0)
            held = 0
        if part.offset > held:
            raise Refusal(416, "OFFSET", f"the part begins at {part.offset}, and {held} bytes are here", offset=held)
        if part.offset < held:
            return held
        try:
            _write(fd, content, held)
        except OSError:
            os.ftruncate(fd, held)
            raise
        return held + len(content)

    def check(self, fd: int, sha256: str) -> None:
        """Hashes the whole object as it lies on disk; what is not what its name says is thrown away.

        Raises:
            Refusal: it is not.
        """
        digest, buffer, at = hashlib.sha256(), memoryview(bytearray(_PIECE)), 0
        while count := os.preadv(fd, [buffer], at):
            digest.update(buffer[:count])
            at += count
        if digest.hexdigest() != sha256:
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

    def _is_still(self, fd: int, sha256: str) -> bool:
        try:
            named = os.stat(self.path(sha256), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))


def _write(fd: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
