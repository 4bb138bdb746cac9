"""How fast bytes may go out: token buckets, one for each target and one for all.

A bucket fills at its rate and holds what comes in within BURST_S at most, so a link that was idle is not flooded
afterwards. Whoever takes bytes is told how long to wait before sending them; takers queue by taking, since the level
may go below zero. What is taken at once should therefore be little: `piece` says how much.
"""

import threading
import time
from collections.abc import Callable

BURST_S = 1.0
_PIECES_PER_BURST = 4


class TokenBucket:
    """Bytes at a rate. Safe under threads.

    Args:
        bytes_per_s: the rate; None: as fast as it goes.
        clock: seconds that only grow.
    """

    def __init__(self, bytes_per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes_per_s = bytes_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._level = (bytes_per_s or 0) * BURST_S
        self._at = clock()

    def take(self, count: int) -> float:
        """Takes `count` bytes; how many seconds to wait before they may be sent."""
        if self.bytes_per_s is None:
            return 0.0
        with self._lock:
            now = self._clock()
            filled = self._level + (now - self._at) * self.bytes_per_s
            self._level, self._at = min(filled, self.bytes_per_s * BURST_S) - count, now
            return max(0.0, -self._level / self.bytes_per_s)


def piece(buckets: tuple[TokenBucket, ...], most: int) -> int:
    """How many bytes to take at once: of a slow link so few that the pause between two of them is short."""
    rates = [bucket.bytes_per_s for bucket in buckets if bucket.bytes_per_s is not None]
    return max(1, min([most, *(int(rate * BURST_S) // _PIECES_PER_BURST for rate in rates)]))


def delay(buckets: tuple[TokenBucket, ...], count: int) -> float:
    """Takes `count` bytes from all; seconds until every one of them lets those go."""
    return max((bucket.take(count) for bucket in buckets), default=0.0)
