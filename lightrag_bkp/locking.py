"""Locks on files, by which threads and processes keep out of one another's way.

They end with the block, or with the process. A child that was forked meanwhile has the descriptor, too: by closing
alone the lock would stay with it, and it must end none by itself.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress


@contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """Waits, on the calling thread, for the lock on a file, which is made.

    Raises:
        OSError: it cannot be made, or the file system has no locks.
    """
    with opened(path) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with released(fd):
            yield


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """A descriptor of a file to lock, which is made."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def tried(fd: int) -> Iterator[bool]:
    """Whether nobody else has the lock. Where the file system has none, nobody is kept out, as where they lie: whoever
    uses such a place is warned (`place`).
    """
    release: AbstractContextManager[None] = nullcontext()
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        is_free = not isinstance(error, BlockingIOError)
    else:
        is_free, release = True, released(fd)
    with release:
        yield is_free


@contextmanager
def released(fd: int) -> Iterator[None]:
    """Ends whatever lock this process took with a descriptor."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == process:
            with suppress(OSError):  # where there are no locks, there is none to end
                fcntl.flock(fd, fcntl.LOCK_UN)
