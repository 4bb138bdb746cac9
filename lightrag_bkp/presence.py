"""Whether what lies below a storage path is there, or a disk that is not mounted: that leaves an empty directory, or
none, which looks like a storage path nobody has used yet.

To begin anew there would fill the disk below the mount point, and what is mounted later would hide it. So whoever sees
a storage path with something in it remembers, outside of it and for this user of this host, which device that was on.
Without anything in it, and on another device, it is not there. One that was emptied or removed stays on its device, and
is a new one; so is one of which nothing is remembered.
"""

import os

from .errors import StorageError
from .host_state import file_of, recall, remember

GRAPHS, REPLICAS = "graphs", "replicas"
_KEPT = {GRAPHS: "snapshots", REPLICAS: "replicas"}
_seen: set[str] = set()
"""What this process saw, so that it is written down once."""
_unwritten: dict[str, str] = {}
"""What no file could be made for: it is known to this process alone."""


def require(storage_path: str, part: str = GRAPHS) -> None:
    """Nothing is made, or said to be missing, where this raises.

    Args:
        part: of the storage path, GRAPHS or REPLICAS: what lies in it is looked for.

    Raises:
        StorageError: something was there, and its device is not.
    """
    place = os.path.realpath(os.path.join(storage_path, part))
    try:
        device = _device_of_something(place)
    except OSError:
        return  # whoever opens it says why; nothing is learnt of where it lies
    if device is not None:
        _remember(place, device)
        return
    known = _remembered(place)
    if known is None or known == _device(place):
        return
    file = file_of(place)
    anew = "start again" if place in _unwritten else f"remove {file!r}"
    raise StorageError(
        f"{_KEPT[part]} were kept in the storage path {storage_path!r}, on another device, and it"
        f" {'has none now' if os.path.isdir(storage_path) else 'is gone'}: is its disk not mounted? Mount it; or, to"
        f" begin anew there, {anew}",
        op="open",
        target=storage_path,
    )


def _device_of_something(place: str) -> str | None:
    """The device of a directory that has something in it; None: nothing is there.

    Raises:
        OSError: that cannot be told.
    """
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        with os.scandir(fd) as entries:
            return None if next(entries, None) is None else str(os.fstat(fd).st_dev)
    finally:
        os.close(fd)


def _device(place: str) -> str:
    """Of a place without anything in it, or of where it would be made."""
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return str(os.stat(place).st_dev)


def _remember(place: str, device: str) -> None:
    """Also when the device has another number than before: after a restart of the machine it may."""
    if place in _seen:
        return
    _seen.add(place)
    if not remember(place, device):
        _unwritten[place] = device


def _remembered(place: str) -> str | None:
    known = recall(place) or _unwritten.get(place)
    if known is None:
        _seen.discard(place)  # once there is something again, it is remembered anew
    return known
