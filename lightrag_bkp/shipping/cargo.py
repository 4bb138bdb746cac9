"""What one repository has to send: entries of its log, packs, key slots, as they lie there."""

import hashlib
import os
from dataclasses import dataclass
from functools import partial

from .. import _bridge
from ..errors import StorageError
from ..receiving import protocol
from ..threads import in_thread, obtained


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log ends."""

    repository_id: bytes
    number: int
    sha256: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry as it is on disk; the time is the one it claims."""

    number: int
    stored: bytes
    sha256: bytes
    time_ns: int


class Cargo:
    """Reads from an open repository, which the caller keeps."""

    def __init__(self, core: _bridge.Repository) -> None:
        self._core = core

    def head(self) -> Head:
        """As the log was when the repository was last refreshed."""
        repository_id, number, sha256, epoch = self._core.head()
        return Head(repository_id, number, sha256, epoch)

    def held(self) -> list[int]:
        """Numbers of the entries of all snapshots that somebody holds."""
        return [row[1] for row in self._core.snapshots() if row[12]]

    async def entry(self, number: int) -> Entry:
        """Raises DamagedError when it is not what it must be."""
        stored, sha256, time_ns = await in_thread(self._core.entry, number)
        return Entry(number, stored, sha256, time_ns)

    async def needs(self, snapshot_id: str) -> tuple[int, list[tuple[bytes, int]]]:
        """(number of a snapshot's entry, id and size of the packs it needs).

        Raises:
            NotFoundError: it is unknown. DamagedError: something it needs is lost here.
        """
        number, packs = await _bridge.run(_bridge.needs_job(self._core, snapshot_id))
        return number, packs

    def bytes_since(self, number: int) -> int:
        """Sizes of the packs that became known by entries from this number on."""
        return sum(size for _, size in self._core.known_packs(number))

    async def pack(self, pack_id: bytes, size: int) -> "Readable":
        """An open pack of that size.

        Raises:
            NotFoundError: it was pruned meanwhile.
        """
        fd: int = await obtained(partial(self._core.open_pack, pack_id), os.close)
        return Readable(fd, size)

    async def is_sound(self, pack_id: bytes) -> bool:
        """Whether a pack here is what its name says."""

        def digest() -> bool:
            with open(self._core.open_pack(pack_id), "rb") as file:
                return hashlib.file_digest(file, "sha256").digest() == pack_id

        return await in_thread(digest)

    async def key_slots(self) -> dict[str, bytes]:
        """The files that wrap the key of a sealed repository, by name; none of one that is not sealed."""
        return await in_thread(_key_slots, os.path.join(self._core.path, "keys"))


class Readable:
    """Bytes to send: of an open file, or what is in memory already."""

    def __init__(self, content: int | bytes, size: int) -> None:
        self.memory = content if isinstance(content, bytes) else None
        self.fd = content if isinstance(content, int) else -1
        self.size = size

    def close(self) -> None:
        """Whoever sends it has a descriptor of its own."""
        if self.fd >= 0:
            os.close(self.fd)


def _key_slots(directory: str) -> dict[str, bytes]:
    try:
        names = sorted(filter(protocol.KEY_SLOT_NAME.fullmatch, os.listdir(directory)))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StorageError(f"{directory!r}: {error.strerror}", errno=error.errno or 0, op="list") from error
    slots = {}
    for name in names:
        with open(os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            slots[name] = file.read(protocol.KEY_SLOT_BYTES + 1)
    return slots
