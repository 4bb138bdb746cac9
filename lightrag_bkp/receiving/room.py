"""Whether there is room for what a sender announces: free space of the host, and the quota of its key."""

import os
import threading
import time

from . import trial
from .refusal import no_room

RECENT_S = 1.0
"""So long what a disk said is believed while the parts of an object follow each other."""
_STALE_S = 30.0


class Room:
    """Counts what senders have stored now and then, and adds what they announce in between. Safe under threads.

    Args:
        root: the receive storage. min_free_bytes: what is left alone for others on this file system.
    """

    def __init__(self, root: str, min_free_bytes: int) -> None:
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, int]] = {}
        self._free = (-RECENT_S, 0)
        """When the file system was asked, and what it said, less what was taken since."""

    def free_bytes(self) -> int:
        """What senders may still fill."""
        found = os.statvfs(self._root)
        return max(found.f_bavail * found.f_frsize - self._min_free_bytes, 0)

    def ask(self, sender: str, announced: int, taken: int, quota_bytes: int | None) -> None:
        """Sees that `announced` more bytes of a sender have room, and counts those `taken` now.

        Raises:
            Refusal: they have not.
        """
        asked_at, free = time.monotonic(), self.free_bytes()
        if announced > free:
            raise no_room(f"{announced} bytes are announced, and {free} are free at the receiver")
        with self._lock:
            self._free = asked_at, free - taken
            if quota_bytes is None:
                return
            used = self._count(sender)
            if used + announced > quota_bytes:
                raise no_room(
                    f"{announced} bytes are announced, and {max(quota_bytes - used, 0)} are left of the quota"
                )
            self._used[sender] = (self._used[sender][0], used + taken)

    def has(self, sender: str, announced: int, taken: int, quota_bytes: int | None) -> bool:
        """`ask`, where memory is enough to say yes. False: ask that; nothing was counted. Waits for nothing."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            now, (asked_at, free) = time.monotonic(), self._free
            counted_at, used = self._used.get(sender, (-_STALE_S, 0))
            if now - asked_at >= RECENT_S or announced > free:
                return False
            if quota_bytes is not None:
                if now - counted_at >= _STALE_S or used + announced > quota_bytes:
                    return False
                self._used[sender] = counted_at, used + taken
            self._free = asked_at, free - taken
            return True
        finally:
            self._lock.release()

    def forget(self, sender: str) -> None:
        """Has what a sender has stored counted again at its next question: something that was taken did not stay."""
        with self._lock:
            self._used.pop(sender, None)

    def _count(self, sender: str) -> int:
        counted_at, used = self._used.get(sender, (0.0, 0))
        now = time.monotonic()
        if not counted_at or now - counted_at > _STALE_S:
            counted_at, used = now, _bytes_below(os.path.join(self._root, sender))
            self._used[sender] = (counted_at, used)
        return used


def _bytes_below(directory: str) -> int:
    total = 0
    for path, directories, names in os.walk(directory):
        directories[:] = [one for one in directories if not one.startswith(trial.PREFIX)]  # links
        for name in names:
            try:
                total += os.stat(os.path.join(path, name), follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # taken out of the quarantine meanwhile
    return total
