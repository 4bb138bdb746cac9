"""What is to be said about the place where snapshots are kept, before anybody relies on it."""

import os
from dataclasses import dataclass

from . import _bridge


@dataclass(frozen=True)
class Concern:
    """Something about a storage path that is allowed and may be a bad idea.

    Attributes:
        event: a word for logs. sentence: what is the matter, and what to do.
    """

    event: str
    sentence: str


def try_writing(directory: str) -> None:
    """Writes a byte to the device, in a file without a name there.

    Raises:
        OSError: that cannot be done.
    """
    import tempfile  # only where it is asked: it costs start-up time

    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"\0")
        file.flush()
        os.fsync(file.fileno())


def concerns(storage_path: str, source: str | None) -> list[Concern]:
    """What speaks against keeping snapshots of `source`, or of whatever it may be, below `storage_path`; what cannot be
    looked at says nothing.
    """
    place = storage_path if os.path.exists(storage_path) else os.path.dirname(storage_path) or os.curdir
    found = []
    try:
        if source is not None and os.stat(place).st_dev == os.stat(source).st_dev:
            found.append(Concern("shared_device", "source and storage are on one device; keep a copy on another"))
        remote, locks = _bridge.file_system(os.path.realpath(place))
    except OSError:
        return found
    if remote:
        found.append(
            Concern(
                "remote_storage",
                f"the storage is on {remote}, where caches, locks and syncs are as good as somebody else makes them;"
                " let one host write to it, and verify regularly",
            )
        )
    if not locks:
        found.append(
            Concern("no_locks", "locks do not hold where the storage is; let one process at a time prune or restore")
        )
    return found
