"""One graph to one target, once: ask what is missing, send that, and have it acknowledged (docs/replication.md).

Nothing is remembered between two tries: the receiver says what it has, so the next one sends the rest. What it says
unsigned saves work and proves nothing: a snapshot is there when the signed acknowledgement of this try names it.
"""

import asyncio
import base64
import hashlib
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from typing import Any, TypeVar

from ..errors import DamagedError
from ..receiving import protocol
from ..receiving.protocol import Acknowledgement
from ..redaction import without_key
from ..turns import Turns
from . import answers
from .cargo import Cargo, Entry, Readable
from .course import Course
from .peer import Answer, Peer, Refusal, Setback

T = TypeVar("T")
_TRIES_OF_A_PART = 4
_LOG_BYTES = protocol.BODY_BYTES - (64 << 10)
"""Of one request's entries; the rest is for receipts and braces."""
_INLINE_BYTES = _LOG_BYTES // 4 * 3
_RECEIPTS_AT_ONCE = 256

logger = logging.getLogger("lightrag_bkp")


class Shipment:
    """Brings a replica to the state of a log that was just read.

    Args:
        label: what to call the target in logs.
        course: how far it took each object in earlier tries; written on here.
        turns: of the packs under way to the target, of whatever graph.
        part_bytes: of an object in one request, at most.
    """

    def __init__(
        self,
        cargo: Cargo,
        graph_id: str,
        peer: Peer,
        api_key: str,
        label: str,
        course: Course,
        turns: Turns,
        part_bytes: int,
    ) -> None:
        self._turns = turns
        self._part_bytes = part_bytes
        self._cargo = cargo
        self._graph_id = graph_id
        self._peer = peer
        self._api_key = api_key
        self._label = label
        self._head = cargo.head()
        self._held = cargo.held()
        self._headers = {
            protocol.EPOCH_HEADER: str(self._head.epoch),
            protocol.REPOSITORY_HEADER: self._head.repository_id.hex(),
        }
        self._course = course
        self._lacking = 0
        self.accepted_at: float | None = None
        """When something last got through for the first time, on the monotonic clock, so that whoever tries again knows
        whether it gets anywhere; None: nothing did."""

    async def run(self, snapshot_ids: Sequence[str], lacking: int = 0) -> tuple[Acknowledgement, str]:
        """Ships these snapshots and the whole log. Returns the last acknowledgement, also as the text that was signed.

        Args:
            lacking: bytes of newer snapshots that are not meant: the target is told that it is behind by them.

        Raises:
            Setback: try again. Refusal: trying again changes nothing. NotFoundError: a snapshot, or a pack, is gone.
            DamagedError: what is here is not whole.
        """
        self._lacking = lacking
        replica = await self._replica()
        if replica is None:
            await self._post_log([await self._encoded(await self._cargo.entry(0))], [])
            replica = await self._existing()
        await self._send_keys(replica)
        try:
            return await self._bring(snapshot_ids, replica.number, replica.receipts, frozenset())
        except Setback as setback:
            if setback.document.get("code") != "INCOMPLETE":
                raise
            lost = self._read(answers.lost, setback)
        logger.warning("event=replica_incomplete graph=%s target=%s objects=%d", self._graph_id, self._label, len(lost))
        return await self._bring(snapshot_ids, (await self._existing()).number, frozenset(), lost)

    async def _bring(
        self, snapshot_ids: Sequence[str], number: int, told: Set[int], lost: Set[str]
    ) -> tuple[Acknowledgement, str]:
        """Sends what snapshots need, the entries above `number`, and asks for all their receipts.

        Args:
            told: entries of snapshots the replica says it has: of those nothing is offered.
            lost: names of what it says it has not.
        """
        receipts = []
        for snapshot_id in snapshot_ids:
            at, packs = await self._cargo.needs(snapshot_id)
            self._peer.moved()  # patience is with the target
            needs = protocol.encode_needs(packs)
            if at not in told:
                await self._send_needed(packs, needs, lost)
            receipts.append({"number": at, "needs": hashlib.sha256(needs).hexdigest()})
        return await self._send_log(number, receipts)

    # ---- where the replica is ----

    async def _existing(self) -> answers.Replica:
        replica = await self._replica()
        if replica is None:
            raise Setback(f"{self._label} says that the replica it acknowledged is not there")
        return replica

    async def _replica(self) -> answers.Replica | None:
        """What it says of itself, held against the log here; None when there is none yet."""
        try:
            answer = await self._peer.ask("GET", self._path())
        except Refusal as refused:
            if refused.status == 404 and refused.document.get("code") == "NO_REPLICA":
                return None
            raise
        said = self._read(answers.replica, answer)
        if said.repository_id != self._head.repository_id.hex():
            raise Refusal(
                f"{self._label} holds another repository of graph {self._graph_id!r}: remove that replica there, or"
                " send with another key"
            )
        ours = await self._cargo.entry(said.number) if said.number <= self._head.number else None
        if ours is None or ours.sha256.hex() != said.sha256:
            raise Refusal(
                f"the copy of graph {self._graph_id!r} at {self._label} and the log here differ at entry"
                f" {said.number}: one of them was rolled back or replaced; nothing was overwritten"
            )
        return said

    def _read(self, reader: Callable[[Mapping[str, Any]], T], said: Answer | Setback) -> T:
        try:
            if isinstance(said, Answer) and said.flaw:
                raise ValueError(said.flaw)
            return reader(said.document)
        except ValueError as error:
            raise Setback(f"{self._label} does not answer as a receiver does: {error}") from None

    # ---- objects ----

    async def _send_keys(self, replica: answers.Replica) -> None:
        """What acknowledges a snapshot says nothing of them, so the target is asked whether it has them."""
        slots = await self._cargo.key_slots()
        lacking = [name for name in slots if name not in replica.keys]
        for name in lacking:
            await self._peer.ask("PUT", self._path("keys", name), body=slots[name], headers=self._headers)
        if lacking and not (await self._existing()).keys.issuperset(lacking):
            raise Setback(f"{self._label} took key slots and does not have them: something in between answers")

    async def _send_needed(self, packs: list[tuple[bytes, int]], needs: bytes, lost: Set[str]) -> None:
        """Sends what is missing of a snapshot's packs, and their list."""
        name = hashlib.sha256(needs).hexdigest()
        objects = [(pack_id.hex(), size) for pack_id, size in packs] + [(name, len(needs))]
        sizes = dict(objects)
        missing = dict.fromkeys(lost & sizes.keys(), 0) | await self._missing(objects)
        behind = sum(sizes[one] - offset for one, offset in missing.items() if one != name)
        listed = missing.pop(name, None)
        for one, offset in missing.items():
            self._course.lacks(one, sizes[one], offset)
        await self._send_packs([(one, sizes[one], offset) for one, offset in missing.items()], behind)
        if listed is not None:
            await self._send("needs", name, Readable(needs, len(needs)), listed)

    async def _missing(self, objects: list[tuple[str, int]]) -> dict[str, int]:
        """How much is there of each object that is not complete."""
        missing: dict[str, int] = {}
        asked = dict(objects)
        for at in range(0, len(objects), protocol.PAGE):
            page = [{"sha256": name, "size": size} for name, size in objects[at : at + protocol.PAGE]]
            answer = await self._peer.ask("POST", self._path("missing"), document={"objects": page})
            found = self._read(answers.missing, answer)
            if any(offset > asked.get(name, -1) for name, offset in found.items()):
                raise Setback(f"{self._label} asks for something that was not offered")
            missing |= found
        return missing

    async def _send_packs(self, packs: list[tuple[str, int, int]], behind: int) -> None:
        """Several at a time; at the first that fails the others are stopped. Should the line break, the target knows
        how far behind it is.
        """
        left = iter(packs)

        async def work() -> None:
            for name, size, offset in left:
                async with self._turns.turn():
                    pack = await self._cargo.pack(bytes.fromhex(name), size)
                    try:
                        await self._send("pack", name, pack, offset)
                    finally:
                        pack.close()

        try:
            async with asyncio.TaskGroup() as group:
                if behind:
                    group.create_task(self._post_log([], [], behind))
                for _ in range(min(self._turns.most, len(packs))):
                    group.create_task(work())
        except BaseExceptionGroup as several:
            raise _worst(several) from None

    async def _send(self, kind: str, name: str, content: Readable, offset: int) -> None:
        """The rest of one object. What comes out flipped is sent again from there on."""
        headers = self._headers | {protocol.KIND_HEADER: kind, protocol.LENGTH_HEADER: str(content.size)}
        flipped_at, tries = -1, 0
        while True:
            part = await self._peer.put_object(
                self._path("objects", name),
                content,
                offset,
                self._part_bytes,
                headers,
                lambda upto: self._count(name, upto),
            )
            try:
                reached, is_complete = self._read(answers.progress, self._peer.accepted(part.answer))
            except Setback as setback:
                tries = tries + 1 if part.offset == flipped_at else 1
                if setback.document.get("code") != "DAMAGED_PART" or tries == _TRIES_OF_A_PART:
                    raise
                flipped_at = reached = part.offset
                logger.warning(
                    "event=part_damaged_on_the_way graph=%s target=%s kind=%s name=%s offset=%d",
                    self._graph_id, self._label, kind, name, part.offset,
                )  # fmt: skip
            except Refusal as refused:
                if refused.document.get("code") == "WRONG_HASH" and kind == "pack":
                    raise await self._blame(name) from None
                raise
            else:
                self._count(name, part.offset + part.part_bytes)
                if is_complete:
                    return
                if not part.offset < reached < content.size:
                    raise Setback(f"{self._label} does not take the parts of {kind} {name} in order")
            offset = reached

    def _count(self, name: str, upto: int) -> None:
        if self._course.took(name, upto):
            self.accepted_at = time.monotonic()
            self._peer.moved()

    async def _blame(self, name: str) -> Exception:
        """Every part arrived as it was sent, and the whole is not what its name says."""
        if await self._cargo.is_sound(bytes.fromhex(name)):
            return Setback(f"{self._label} found pack {name} to be damaged, and here it is not: it is sent again")
        return DamagedError(
            f"pack {name} is damaged here and was not taken by {self._label}: verify enters it, and the next snapshot"
            " stores its content again",
            target=f"packs/{name}",
        )

    # ---- the log ----

    async def _send_log(self, number: int, receipts: list[dict[str, Any]]) -> tuple[Acknowledgement, str]:
        """The entries above `number`, then the receipts; at least one request, which refreshes what is known there."""
        batch: list[dict[str, Any]] = []
        async for following in self._batches(number + 1):
            if batch:
                await self._post_log(batch, [])
            batch = following
        last = await self._post_log(batch, receipts[:_RECEIPTS_AT_ONCE])  # one wait for what is made durable there
        for at in range(_RECEIPTS_AT_ONCE, len(receipts), _RECEIPTS_AT_ONCE):
            last = await self._post_log([], receipts[at : at + _RECEIPTS_AT_ONCE])
        if last[0].number < self._head.number:
            raise Setback(f"{self._label} has the log up to entry {last[0].number} only, and said it had more")
        return last

    async def _batches(self, first: int) -> AsyncIterator[list[dict[str, Any]]]:
        batch: list[dict[str, Any]] = []
        length = 0
        for number in range(first, self._head.number + 1):
            told = await self._encoded(await self._cargo.entry(number))
            more = len(json.dumps(told))
            if batch and length + more > _LOG_BYTES:
                yield batch
                batch, length = [], 0
            batch.append(told)
            length += more + 2
        if batch:
            yield batch

    async def _encoded(self, entry: Entry) -> dict[str, Any]:
        if len(entry.stored) <= _INLINE_BYTES - 256:
            return {"number": entry.number, "bytes": base64.b64encode(entry.stored).decode()}
        name, size = entry.sha256.hex(), len(entry.stored)
        offset = (await self._missing([(name, size)])).get(name)
        if offset is not None:
            await self._send("entry", name, Readable(entry.stored, size), offset)
        return {"number": entry.number, "object": name}

    async def _post_log(
        self, entries: list[dict[str, Any]], receipts: list[dict[str, Any]], behind_bytes: int = 0
    ) -> tuple[Acknowledgement, str]:
        nonce, behind = secrets.token_hex(16), behind_bytes + self._lacking
        head = {"number": self._head.number, "sha256": self._head.sha256.hex(), "behind_bytes": behind}
        answer = await self._peer.ask(
            "POST",
            self._path("log"),
            document={"entries": entries, "receipts": receipts, "head": head, "held": self._held, "nonce": nonce},
            headers=self._headers,
        )
        said = self._read(lambda found: answers.acknowledgement(found, self._api_key, nonce), answer)
        if said is None:
            raise Setback(f"{self._label} acknowledges without having the key: something in between answers")
        await self._check(said, receipts)
        if entries:
            self._count("log", said.number + 1)
        text = json.dumps(dict(answer.document), separators=(",", ":"))
        if without_key(text, self._api_key) != text:  # it is kept as it was signed
            raise Setback(f"{self._label} does not answer as a receiver does: its acknowledgement names the key")
        return said, text

    async def _check(self, said: Acknowledgement, receipts: list[dict[str, Any]]) -> None:
        """That what is acknowledged is what was sent."""
        is_ours = said.graph == self._graph_id and said.repository_id == self._head.repository_id.hex()
        if is_ours and said.number <= self._head.number:
            is_ours = (await self._cargo.entry(said.number)).sha256.hex() == said.sha256
        if not is_ours:
            raise Refusal(f"{self._label} acknowledges another log than the one of graph {self._graph_id!r} here")
        if not {receipt["number"] for receipt in receipts} <= set(said.receipts):
            raise Setback(f"{self._label} does not acknowledge the snapshot that was sent")

    def _path(self, *more: str) -> str:
        return "/".join((protocol.BASE_PATH, "graphs", self._graph_id, *more))


def _worst(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of what went wrong at once, what decides: a refusal before what may be tried again."""
    found = [one for one in several.exceptions if not isinstance(one, Setback)]
    return found[0] if found else several.exceptions[0]
