"""Memory for bodies on their way to a disk: it begins at a page, so that it can be written past the page cache
(csrc/base/fs_direct.h), and that of one body is the next one's, for memory nobody used yet is dear.
"""

import mmap
import threading

from .protocol import BODY_BYTES, PARALLEL


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
