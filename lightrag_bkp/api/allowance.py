"""How often something may be done: so many times at once, and then once in so many seconds, for each name."""

import math
import time
from collections import OrderedDict

_MOST_NAMES = 4096


class Allowance:
    """For one event loop. Of more names than `most_names` those are forgotten that did nothing for the longest time.

    Args:
        at_once: how often it may be done in a row. every_s: how long until it may be done once more.
    """

    def __init__(self, at_once: int, every_s: float, most_names: int = _MOST_NAMES) -> None:
        self._every_s = every_s
        self._credit_s = (at_once - 1) * every_s
        self._most = most_names
        self._paid_until: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, name: str) -> int:
        """In how many whole seconds this name may; 0: now."""
        ahead = self._paid_until.get(name, 0.0) - time.monotonic() - self._credit_s
        return max(math.ceil(ahead), 0)

    def spend(self, name: str) -> None:
        """This name did it."""
        now = time.monotonic()
        self._paid_until[name] = max(self._paid_until.get(name, now), now) + self._every_s
        self._paid_until.move_to_end(name)
        if len(self._paid_until) > self._most:
            self._paid_until.popitem(last=False)
