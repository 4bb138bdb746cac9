"""Bodies on their way to a disk: memory that begins at a page, and writing from it past the page cache.

What is received nobody reads soon. Through the page cache it costs a copy, and pages that others on this host then lack
(csrc/base/fs_direct.h); memory nobody used yet costs as much again, so that of one body is the next one's.
"""

import errno
import fcntl
import mmap
import os
import threading

from .protocol import BODY_BYTES, PARALLEL

_BLOCK = 4096
"""What goes past the page cache begins and ends at a multiple of it, in the file and in memory."""
_NO_WAY_PAST = (errno.EINVAL, errno.EOPNOTSUPP)


class Buffers:
    """Memory for bodies, each as long as one may be. Safe under threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """One that is nobody else's. What is in it is anything."""
        with self._lock:
            return self._free.pop() if self._free else memoryview(mmap.mmap(-1, BODY_BYTES))

    def give_back(self, buffer: memoryview) -> None:
        """Once nobody reads or writes it any more; one that never comes back is freed with its last reader."""
        with self._lock:
            if len(self._free) < PARALLEL:
                self._free.append(buffer)


def write(fd: int, content: bytes | memoryview, offset: int) -> None:
    """Writes all of it, as much as goes past the page cache, and the rest through it."""
    view = memoryview(content)
    past = len(view) // _BLOCK * _BLOCK if offset % _BLOCK == 0 else 0
    if past:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if _set_direct(fd, flags):
            try:
                done = _write_blocks(fd, view[:past], offset)
            finally:
                fcntl.fcntl(fd, fcntl.F_SETFL, flags)
            view, offset = view[done:], offset + done
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _write_blocks(fd: int, view: memoryview, offset: int) -> int:
    """Until it is done, or refused: a refusal of the way is none of the write, nor is a write that ended in a block."""
    done = 0
    while done < len(view) and done % _BLOCK == 0:
        try:
            done += os.pwrite(fd, view[done:], offset + done)
        except OSError as error:
            if error.errno in _NO_WAY_PAST:
                break
            raise
    return done


def _set_direct(fd: int, flags: int) -> bool:
    """Whether it could be had."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno in _NO_WAY_PAST:
            return False
        raise
    return True
