"""Who sends a graph to a target right now, so that no two processes of one storage path send the same bytes.

It saves bytes, and nothing rests on it: a receiver takes every request twice without harm. The claim is a lock on a
file with its owner's name in it, and ends with the process, whatever ends that.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .. import presence, processes

_PLACE = os.path.join("state", "sending")
_NAME_BYTES = 1024


@contextmanager
def claimed(storage_path: str, graph_id: str, target_id: str) -> Iterator[str | None]:
    """Claims it until the block ends. Yields who has it instead; None: nobody, or nothing can be written or locked
    there.
    """
    try:
        fd = _opened(storage_path, graph_id, target_id)
    except OSError:
        yield None
        return
    is_ours = _locked(fd)
    try:
        yield None if is_ours else _owner(fd)
    finally:
        if is_ours:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor, too
        os.close(fd)


def _opened(storage_path: str, graph_id: str, target_id: str) -> int:
    presence.require(storage_path)
    directory = os.path.join(os.path.realpath(storage_path), _PLACE)
    os.makedirs(directory, mode=0o750, exist_ok=True)
    name = hashlib.sha256(f"{graph_id}/{target_id}".encode()).hexdigest()[:32]
    return os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _locked(fd: int) -> bool:
    """Also where the file system has no locks: nobody would ever be seen to let go there."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    with suppress(OSError):  # a full disk takes no name, and has a lock all the same
        os.ftruncate(fd, os.pwrite(fd, processes.name().encode(), 0))
    return True


def _owner(fd: int) -> str | None:
    """Of a lock that is taken. Where that process is gone, a child it forked still has the descriptor: nobody sends."""
    name = os.pread(fd, _NAME_BYTES, 0).decode(errors="replace")
    if processes.is_gone(name):
        return None
    place, _, process = name.partition(" ")
    return f"process {process.partition(' ')[0]} of {place.partition('/')[0]}"
