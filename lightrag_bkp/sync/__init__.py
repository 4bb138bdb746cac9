"""The same as `lightrag_bkp.backup`, `lightrag_bkp.recovery` and `lightrag_bkp.replication` without `await`, for
scripts and notebooks.

Every call runs its coroutine on an event loop of its own in a thread of its own, so it also works where a loop is
running already. An interrupt (Ctrl-C) cancels the work, waits until nothing is half-done, and goes on.

A running LightRAG (`rag=`) belongs to its own event loop. Calling from inside that loop would wait for itself: there,
use `lightrag_bkp.BackupManager` and `await`.
"""

import importlib

from .backup import BackupManager as BackupManager
from .backup import GraphBackup as GraphBackup
from .running import run as run

_HOMES = {
    "DisasterRecoveryManager": "recovery",
    "HealthValidator": "recovery",
    "GraphReplicator": "replication",
    "ReplicationManager": "replication",
    "diagnose": "doctor",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)  # only for who asks
