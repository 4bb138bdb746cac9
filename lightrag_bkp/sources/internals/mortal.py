"""LightRAG's two locks of all workers, made to end with whoever holds them.

They lie in a manager's process, which does not notice that a holder died: killed within one of them, which takes a
moment at each first use of a store and at each change of its flags, a worker stops all others for good. The locks of
single stores and of the pipeline know their holder, and LightRAG takes them from a dead one itself.
"""

import fcntl
import importlib
import os
from multiprocessing.managers import BaseProxy
from typing import Any

from ..siblings import opened_anew

_LOCKS = ("_internal_lock", "_data_init_lock")


def outlive_holders() -> None:
    """Replaces the locks. Does nothing in a process that did not start the manager itself: its siblings have the old
    ones already.
    """
    shared = importlib.import_module("lightrag.kg.shared_storage")
    manager = getattr(getattr(shared, "_manager", None), "_process", None)
    if getattr(manager, "_parent_pid", None) != os.getpid():
        return
    for name in _LOCKS:
        if isinstance(getattr(shared, name, None), BaseProxy):
            setattr(shared, name, _Lock(name))


class _Lock:
    """As the manager's locks are used, one holder at a time among all processes forked from this one. The kernel takes
    it from a process that ends.
    """

    def __init__(self, name: str) -> None:
        self._memory = os.memfd_create(f"lightrag-bkp{name}", os.MFD_CLOEXEC)
        self._held: int | None = None

    def acquire(self) -> bool:
        """Waits in the calling thread. Each call has a descriptor of its own, so that threads exclude each other."""
        descriptor = opened_anew(self._memory)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        self._held = descriptor
        return True

    def release(self) -> None:
        descriptor: Any = self._held
        self._held = None
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
