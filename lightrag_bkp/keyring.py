"""The key of one storage path: asked for once, by passphrase or key file, and kept for all its graphs."""

import asyncio
import logging
import os
import threading
import weakref
from typing import Any

from . import _bridge, host_state, secret
from .beginnings import meant
from .errors import InvalidInputError, LockedError, NotFoundError
from .models import KeySlot, moment
from .threads import in_thread

logger = logging.getLogger("lightrag_bkp")

_KINDS = {1: "passphrase", 2: "key file"}
_SLOT = ".slot"
"""Which slot opened is remembered on this host: whoever puts others there then keeps it waiting for nothing."""


class Keyring:
    """What opens the repositories below a storage path. Safe for several threads, tasks and processes.

    A passphrase costs a tenth of a second and 32 MiB the first time. The key itself stays in the core.
    """

    def __init__(self, storage_path: str, named: secret.Secret | None) -> None:
        self.storage_path = storage_path
        self._secret = named
        self._key: _bridge.Key | None = None
        self._lock = threading.Lock()
        self._turns_lock = threading.Lock()  # of loops, which must not wait for what is unlocked in a thread
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()
        self.concern = None if named is None else named.concern()
        """A sentence about how the secret is kept, or None."""
        self.forgery: str | None = None
        """Once it was unlocked: a sentence that names a slot or removal somebody without the key put there, or None."""
        if self.concern is not None:
            logger.warning("event=secret_open concern=%r", self.concern)

    def __repr__(self) -> str:
        return f"Keyring({self.storage_path!r}, {self._secret!r})"

    async def key(self, graph_id: str | None = None, *, create: bool = False) -> _bridge.Key | None:
        """The key, or None where no passphrase or key file is named: nothing is sealed then.

        Args:
            graph_id: the graph it is for.
            create: whether that graph may be new. It then gets what opens the others, and the first one a new key.

        Raises:
            LockedError: the passphrase or key file is wrong, or what is there is not sealed. NotFoundError: nothing is
                there. ConfigurationError: the secret cannot be read.
        """
        if self._secret is None or (self._key is not None and not create):
            return self._key
        async with self._turn():
            if self._key is None or create:
                unlocked = await _bridge.run(await in_thread(self._unlock, graph_id, create))
                if self._key is None:  # the first one knows which slot it came from
                    self._key = await in_thread(self._kept, unlocked)
            return self._key

    def key_now(self, graph_id: str | None = None) -> _bridge.Key | None:
        """As `key`, on the calling thread."""
        with self._lock:
            if self._secret is not None and self._key is None:
                self._key = self._kept(_bridge.run_blocking(self._unlock(graph_id, False)))
            return self._key

    @property
    def unlocked(self) -> bool:
        """Whether the key is at hand."""
        return self._key is not None

    def seals_now(self) -> bool:
        """Whether what is stored is sealed, or will be, whatever is named here. On the calling thread."""
        return self._secret is not None or self.sealed_now()

    def sealed_now(self) -> bool:
        """Whether anything that is stored is sealed. On the calling thread."""
        try:
            sealed: bool = _bridge.run_blocking(_bridge.key_slots_job(self._path(), None))[1]
            return sealed
        except NotFoundError:
            return False

    async def slots(self) -> list[KeySlot]:
        """The ways to the key, oldest first; without a secret too."""
        rows: list[tuple[bytes, int, int]]
        try:
            key = await self.key()
        except NotFoundError:  # nothing was ever stored
            key = None
        rows, _ = await _bridge.run(_bridge.key_slots_job(await in_thread(self._path), key))
        used = None if key is None else key.slot
        return [KeySlot(slot.hex(), _KINDS[kind], moment(created), slot == used) for slot, kind, created in rows]

    async def add(self, passphrase: secret.Secret) -> str:
        """Adds a passphrase to every graph; returns its slot's id."""
        words, _ = await in_thread(passphrase.read)
        if words is None:
            raise InvalidInputError("a key file cannot be added: there is one master key, add a passphrase to it")
        key, place = await self._needed(), await in_thread(self._path)
        added: bytes = await _bridge.run(_bridge.add_passphrase_job(place, key, words))
        return added.hex()

    async def remove(self, beginning: str) -> str:
        """Removes the slot whose id begins so from every graph; returns its id.

        Raises:
            NotFoundError: there is none. InvalidInputError: there are several, it is the last one, or the key file's.
        """
        key = await self._needed()
        found = meant((slot.slot_id for slot in await self.slots()), beginning)
        if not found:
            raise NotFoundError(f"no key slot begins with {beginning!r}: see the list of slots", target=beginning)
        if len(found) > 1:
            raise InvalidInputError(
                f"{len(found)} key slots begin with {beginning!r}, {', '.join(found)}: write more of the id",
                target=beginning,
            )
        place = await in_thread(self._path)
        await _bridge.run(_bridge.remove_slot_job(place, key, bytes.fromhex(found[0])))
        return found[0]

    async def kit(self) -> str:
        """A recovery kit: the key itself as text."""
        return secret.kit((await self._needed()).reveal(), self.storage_path)

    def _kept(self, key: _bridge.Key) -> _bridge.Key:
        if key.forged is not None:
            self.forgery = (
                f"{os.path.join(self.storage_path, 'graphs', key.forged)!r} was not made with the key of this storage"
                " path and is passed over: somebody has written there; remove the file"
            )
            logger.warning("event=key_object_forged concern=%r", self.forgery)
        if key.slot_digest is not None:
            host_state.remember(self._path(), key.slot_digest.hex(), _SLOT)
        return key

    def _opened_before(self) -> bytes | None:
        try:
            digest = bytes.fromhex(host_state.recall(self._path(), _SLOT) or "")
        except ValueError:
            return None
        return digest if len(digest) == 32 else None

    async def _needed(self) -> _bridge.Key:
        key = await self.key()
        if key is None:
            raise LockedError(
                "no passphrase or key file is named, so that there is nothing to work with: name one",
                target=self.storage_path,
            )
        return key

    def _unlock(self, graph_id: str | None, create: bool) -> _bridge.Job:
        assert self._secret is not None
        known: Any = self._key
        words, key = (None, known) if known is not None else self._secret.read()
        first = None if words is None else self._opened_before()
        return _bridge.unlock_job(self._path(), graph_id, create, words, key, first)

    def _path(self) -> str:
        """Behind any symlinks of its owner; the core itself follows none."""
        return os.path.realpath(self.storage_path)

    def _turn(self) -> asyncio.Lock:
        """One at a time asks: the others then find the key."""
        with self._turns_lock:
            return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
