"""Who sends a graph to a target right now, so that no two processes of one storage path send the same bytes.

It saves bytes, and nothing rests on it: a receiver takes every request twice without harm. The claim is a lock on a
file with its owner's name in it, and ends with the process, whatever ends that.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from .. import locking, presence, processes

_PLACE = os.path.join("state", "sending")
_NAME_BYTES = 1024


@contextmanager
def claimed(storage_path: str, graph_id: str, target_id: str) -> Iterator[str | None]:
    """Claims it until the block ends. Yields who has it instead; None: nobody, or nothing can be written or locked
    there.
    """
    with ExitStack() as held:
        other = None
        with suppress(OSError):
            fd = held.enter_context(locking.opened(_file(storage_path, graph_id, target_id)))
            if held.enter_context(locking.tried(fd)):
                _sign(fd)
            else:
                other = _owner(fd)
        yield other


def _file(storage_path: str, graph_id: str, target_id: str) -> str:
    presence.require(storage_path)
    directory = os.path.join(os.path.realpath(storage_path), _PLACE)
    os.makedirs(directory, mode=0o750, exist_ok=True)
    return os.path.join(directory, hashlib.sha256(f"{graph_id}/{target_id}".encode()).hexdigest()[:32])


def _sign(fd: int) -> None:
    with suppress(OSError):  # a full disk takes no name, and has a lock all the same
        os.ftruncate(fd, os.pwrite(fd, processes.name().encode(), 0))


def _owner(fd: int) -> str | None:
    """Of a lock that is taken. Where that process is gone, a child it forked still has the descriptor: nobody sends."""
    name = os.pread(fd, _NAME_BYTES, 0).decode(errors="replace")
    if processes.is_gone(name):
        return None
    place, _, process = name.partition(" ")
    if not process:
        return "another process"  # that has not said its name yet, or had no room to
    return f"process {process.partition(' ')[0]} of {place.partition('/')[0]}"
