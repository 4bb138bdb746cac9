"""All replicas of a host: where each is, and how far it is behind what its sender said last."""

import os
import threading
from typing import Any

from .keys import now_us
from .replica import Replica

DEFAULT_SILENT_S = 3600.0
"""After so long without a word nobody knows how far behind a replica is."""


class Replicas:
    """Those below one directory, which need not be there. Safe under threads and processes."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Replica] = {}

    def one(self, sender: str, graph_id: str) -> Replica:
        """One replica, whether or not it exists. Both names must have been checked."""
        with self._lock:
            kept = self._kept.get((sender, graph_id))
            if kept is None:
                kept = Replica(os.path.join(self.root, sender, "graphs", graph_id), graph_id)
                if kept.exists:
                    self._kept[sender, graph_id] = kept
            return kept

    def all(self) -> list[tuple[str, Replica]]:
        """(sender, replica) of all there are, sorted."""
        found = []
        for sender in _directories(self.root):
            for graph_id in _directories(os.path.join(self.root, sender, "graphs")):
                replica = self.one(sender, graph_id)
                if replica.exists:
                    found.append((sender, replica))
        return found


def lag(replica: Replica, silent_s: float = DEFAULT_SILENT_S) -> dict[str, Any]:
    """{entries, bytes, seconds, known, heard_us}: how far a replica is behind what its sender said last, and for how
    long; `known` is False, and `seconds` grows, when that is too long ago."""
    head, status, now = replica.head(), replica.status(), now_us()
    heard_us = status.get("heard_us", 0)
    entries = max(status.get("head", 0) - (head.number if head else 0), 0)
    behind_bytes = status.get("behind_bytes", 0)
    known = now - heard_us <= silent_s * 1e6
    even = known and not entries and not behind_bytes
    return {
        "entries": entries,
        "bytes": behind_bytes,
        "seconds": 0.0 if even else round(max(now - status.get("even_us", now), 0) / 1e6, 3),
        "known": known,
        "heard_us": heard_us,
    }


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
