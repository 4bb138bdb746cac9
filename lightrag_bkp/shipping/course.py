"""How far a graph has come on its way: object by object to one target, and to all its targets for who watches."""

import time
from dataclasses import replace

from ..models import ProgressCallback
from ..models.progress import Progress

_TOLD_EVERY_S = 0.1


class Watch:
    """Adds up what all targets lacked and took, and tells it; of one event loop."""

    def __init__(self, tell: ProgressCallback, targets: int) -> None:
        self._tell = tell
        self._now = Progress("send", 0, targets, 0, 0, 0)
        self._told_at = 0.0

    def moved(self, *, lacking: int = 0, taken: int = 0, arrived: int = 0) -> None:
        """So many bytes more, and targets that are done."""
        was, at = self._now, time.monotonic()
        done = was.bytes_in + taken
        self._now = replace(was, items_done=was.items_done + arrived, bytes_in=done,
                            bytes_total=was.bytes_total + lacking, bytes_stored=done)  # fmt: skip
        if arrived or at - self._told_at >= _TOLD_EVERY_S:
            self._told_at = at
            self._tell(self._now)


class Course:
    """How far one target took each object, over all tries: only what goes beyond is progress."""

    def __init__(self, watch: Watch | None = None) -> None:
        self._watch = watch
        self._reached: dict[str, int] = {}
        self._begun: dict[str, int] = {}

    def lacks(self, name: str, size: int, offset: int) -> None:
        """The target has the object's bytes below `offset`."""
        if self._watch is not None and name not in self._begun:
            self._begun[name] = offset
            self._watch.moved(lacking=size - offset)

    def took(self, name: str, upto: int) -> bool:
        """Whether this is further than ever before. A target that asks for the same again and again gets no further."""
        before = self._reached.get(name, 0)
        if upto <= before:
            return False
        self._reached[name] = upto
        if self._watch is not None and name in self._begun:
            self._watch.moved(taken=max(upto - max(before, self._begun[name]), 0))
        return True

    def arrived(self) -> None:
        """The target has everything."""
        if self._watch is not None:
            self._watch.moved(arrived=1)
