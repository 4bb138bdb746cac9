"""A receiver without its network: what each request of docs/replication.md does. All of it may wait for a disk."""

import base64
import binascii
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import __version__, processes
from ..errors import DamagedError, LightragBkpError, StorageError
from . import shelf
from .holdings import Head
from .keys import BOOT_FILE, INSTANCE_FILE, KeyRing, ReceiveKey, now_us
from .protocol import (
    BODY_BYTES,
    ENTRY_BYTES,
    PACK_BYTES,
    PAGE,
    PARALLEL,
    PROTOCOL,
    SHA256_HEX,
    Acknowledgement,
)
from .quarantine import Part, damaged
from .refusal import Refusal
from .replica import Replica
from .replicas import DEFAULT_SILENT_S, Replicas, lag
from .retention import Rules, thin
from .room import Room

DEFAULT_MIN_FREE_BYTES = 256 << 20
THINNED_S = 3600.0
_MOST_RECEIPTS = 1024
"""In an answer."""
logger = logging.getLogger("lightrag_bkp")
_MOST_NUMBER = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Settings:
    """How a receiver behaves.

    Attributes:
        min_free_bytes: of the file system, never filled. silent_s: so long after a sender was heard its lag is known.
        rules: what replicas let go; looked at when a snapshot has come, at most once an hour for each.
    """

    min_free_bytes: int = DEFAULT_MIN_FREE_BYTES
    silent_s: float = DEFAULT_SILENT_S
    rules: Rules = field(default_factory=Rules)


class Receiver:
    """Takes what senders send. Safe under threads and processes.

    Args:
        root: the receive storage; made when it is missing.
    """

    def __init__(self, root: str, keys: KeyRing, settings: Settings | None = None) -> None:
        self.replicas = Replicas(root)
        self.root = self.replicas.root
        self.keys = keys
        self.settings = settings or Settings()
        shelf.make_directories(self.root)
        self.instance_id = _instance_id(self.root)
        self.room = Room(self.root, self.settings.min_free_bytes)
        self._thinned: dict[str, float] = {}
        self._place: shelf.State | None = None
        """State of the file that tells whose directory this is, when it was read last."""
        _forget_what_a_restart_may_have_torn(self)

    def check_place(self) -> None:
        """What a disk that went away leaves in its place is no receiver: what it would lack, senders would send anew.

        Raises:
            StorageError: its directory is not the one that was opened.
        """
        path = os.path.join(self.root, INSTANCE_FILE)
        found = shelf.state_of(path)
        if found is not None and found == self._place:
            return
        if shelf.read(path) != self.instance_id.encode():
            said = f"the replicas in {self.root!r} are not the ones that were opened there: is their disk not mounted?"
            raise StorageError(said + " Mount it; to begin anew there, start again", op="open", target=self.root)
        self._place = found

    # ---- questions ----

    def capabilities(self, key: ReceiveKey, busy: bool) -> dict[str, Any]:
        """Who this is, and whether it can receive."""
        free = self.room.free_bytes()
        heads = [_readable_head(replica) for sender, replica in self.replicas.all() if sender == key.name]
        return {
            "product": "lightrag-bkp",
            "protocol": PROTOCOL,
            "version": __version__,
            "instance_id": self.instance_id,
            "authenticated": True,
            "ready": True,
            "busy": busy,
            "low_space": free < PACK_BYTES,
            "epoch": max((head.epoch for head in heads if head is not None), default=0),
            "free_bytes": free,
            "reason": "",
            "limits": {
                "body_bytes": BODY_BYTES,
                "parallel": PARALLEL,
                "page": PAGE,
                "pack_bytes": PACK_BYTES,
                "entry_bytes": ENTRY_BYTES,
            },
        }

    def state(self, replica: Replica) -> dict[str, Any]:
        """What a sender compares its own log with."""
        head = replica.require_head()
        packs, receipts = replica.packs(), replica.good_receipts()
        return {
            "repository_id": head.repository_id.hex(),
            "sealed": head.sealed,
            "epoch": head.epoch,
            "number": head.number,
            "sha256": head.sha256.hex(),
            "receipts": [
                {"number": one.number, "needs": one.needs, "received_us": one.received_us}
                for one in receipts[-_MOST_RECEIPTS:]
            ],
            "packs": len(packs),
            "bytes": sum(packs.values()),
            "keys": replica.keys(),
            "lag": lag(replica, self.settings.silent_s),
        }

    def missing(self, replica: Replica, body: bytes) -> dict[str, Any]:
        """Which of the objects named are not here."""
        objects = _members(_document(body), "objects", PAGE)
        return {"missing": replica.missing([(_sha256(one, "sha256"), _number(one, "size")) for one in objects])}

    # ---- what writes ----

    def check_epoch(self, replica: Replica, epoch: int, repository_id: str) -> bool:
        """Refuses an old primary, and another repository. Returns whether there is a replica to ask.

        The epoch to hold against is that of the last entry here. One that a header alone says is held against nothing
        and kept nowhere: a request that is refused, or a mistaken one, would lock out the real sender for ever.

        Raises:
            Refusal: either. DamagedError: what is kept of the sender cannot be read, and nothing more is taken.
        """
        head = replica.head()
        if head is None:
            return False
        replica.check_status()
        if epoch < head.epoch:
            said = f"epoch {epoch} is over: this replica has seen epoch {head.epoch}, so another primary has taken over"
            raise Refusal(409, "STALE_EPOCH", said, epoch=head.epoch)
        if repository_id != head.repository_id.hex():
            said = f"this replica is of repository {head.repository_id.hex()}; nothing is overwritten"
            raise Refusal(409, "OTHER_REPOSITORY", said, repository_id=head.repository_id.hex())
        return True

    def take_part(self, replica: Replica, kind: str, part: Part, content: bytes | memoryview) -> tuple[int, bool, bool]:
        """As `Replica.take_part`, of a part that came as it was sent."""
        if part.digest.adler is None and not part.digest.is_of(content):
            raise damaged(part, replica.quarantine.held(part.sha256))
        return replica.take_part(kind, part, content)

    def append(self, api_key: str, replica: Replica, repository_id: str, body: bytes) -> dict[str, Any]:
        """Takes entries and receipts; returns the signed acknowledgement once all is durable."""
        said = _document(body)
        nonce, entries = said.get("nonce"), _members(said, "entries", PAGE)
        if not isinstance(nonce, str) or not nonce.isascii() or not 16 <= len(nonce) <= 64:
            raise Refusal(422, "BAD_REQUEST", "`nonce` must be 16 to 64 characters, drawn anew for each request")
        receipts = [(_number(one, "number"), _sha256(one, "needs")) for one in _members(said, "receipts", PAGE)]
        if replica.head() is None:
            if not entries:
                replica.require_head()
            replica.begin(_entry(replica, entries[0]), repository_id)
        with replica.writing():
            replica.settle()
            asked = dict(receipts)
            for entry in entries:
                replica.append(_entry(replica, entry), asked)
                if "object" in entry:
                    replica.quarantine.discard(entry["object"])
            for number, needs in asked.items():
                replica.grant(number, needs)
            self._hear(replica, said)
        if receipts:
            self._thin(replica)
        return self._acknowledge(replica, nonce, [number for number, _ in receipts]).signed(api_key)

    def _thin(self, replica: Replica) -> None:
        """What goes wrong with it takes nothing away from what was received."""
        now = time.monotonic()
        if now - self._thinned.get(replica.directory, -THINNED_S) < THINNED_S:
            return
        self._thinned[replica.directory] = now
        try:
            gone = thin(replica, self.settings.rules)
        except (OSError, LightragBkpError) as error:
            logger.warning("event=replica_not_thinned graph=%s error=%r", replica.graph_id, error)
            return
        if gone.dropped or gone.packs:
            said = "event=replica_thinned graph=%s snapshots=%d packs=%d bytes=%d"
            logger.info(said, replica.graph_id, len(gone.dropped), gone.packs, gone.freed_bytes)

    def _hear(self, replica: Replica, said: Mapping[str, Any]) -> None:
        head = replica.require_head()
        told = said.get("head") or {"number": head.number}
        if not isinstance(told, dict):
            raise Refusal(422, "BAD_REQUEST", "`head` must be an object")
        number, behind = _number(told, "number"), _number(told, "behind_bytes", 0)
        changed: dict[str, Any] = {"head": number, "behind_bytes": behind, "heard_us": now_us()}
        if number <= head.number and not behind:
            changed["even_us"] = changed["heard_us"]
        if "held" in said:
            held = said["held"] if isinstance(said["held"], list) else [None]
            changed["held"] = [_number({"held": one}, "held") for one in held]
        replica.note(**changed)

    def _acknowledge(self, replica: Replica, nonce: str, receipts: list[int]) -> Acknowledgement:
        head, packs = replica.require_head(), replica.packs()
        return Acknowledgement(
            graph=replica.graph_id,
            repository_id=head.repository_id.hex(),
            epoch=head.epoch,
            number=head.number,
            sha256=head.sha256.hex(),
            entries=head.number + 1,
            packs=len(packs),
            bytes=sum(packs.values()),
            receipts=[number for number in receipts if replica.has_receipt(number)],
            time_us=now_us(),
            nonce=nonce,
        )


def _readable_head(replica: Replica) -> Head | None:
    """None also where it is damaged: that is told when somebody sends there."""
    try:
        return replica.head()
    except DamagedError:
        return None


# ---- what a body says ----


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(422, "BAD_REQUEST", "the body is no JSON") from None
    if not isinstance(document, dict):
        raise Refusal(422, "BAD_REQUEST", "the body is no JSON object")
    return document


def _members(document: Mapping[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    found = document.get(name, [])
    if not isinstance(found, list) or len(found) > most or not all(isinstance(one, dict) for one in found):
        raise Refusal(422, "BAD_REQUEST", f"`{name}` must be a list of at most {most} objects")
    return found


def _number(document: Mapping[str, Any], name: str, default: int | None = None) -> int:
    found = document.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _MOST_NUMBER:
        raise Refusal(422, "BAD_REQUEST", f"`{name}` must be a whole number that is not negative")
    return found


def _sha256(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    if not isinstance(found, str) or not SHA256_HEX.fullmatch(found):
        raise Refusal(422, "BAD_NAME", f"`{name}` must be 64 lower-case hex digits")
    return found


def _entry(replica: Replica, said: Mapping[str, Any]) -> bytes:
    """An entry as it was sent: in the request, or before it in parts."""
    if "object" in said:
        name = _sha256(said, "object")
        stored = shelf.read(replica.quarantine.path(name)) if replica.exists else None
        if stored is None or hashlib.sha256(stored).hexdigest() != name:
            raise Refusal(424, "INCOMPLETE", f"object {name} is not here: send it first", missing=[name])
        return stored
    try:
        return base64.b64decode(said.get("bytes", ""), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Refusal(422, "BAD_ENTRY", "`bytes` of an entry must be base64") from None


# ---- the directory ----


def _instance_id(root: str) -> str:
    path = os.path.join(root, INSTANCE_FILE)
    shelf.create(path, str(uuid.uuid4()).encode(), root)
    return (shelf.read(path) or b"").decode()


def _forget_what_a_restart_may_have_torn(receiver: Receiver) -> None:
    """After a power cut the length of a file may be more than was written of it."""
    path = os.path.join(receiver.root, BOOT_FILE)
    boot = processes.boot().encode()
    if shelf.read(path) == boot:
        return
    for _, replica in receiver.replicas.all():
        replica.quarantine.empty()
    shelf.replace(path, boot, receiver.root)
