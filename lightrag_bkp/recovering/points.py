"""Recovery points as objects: documents that are written once, in a directory of each point.

    <storage>/recovery_points/<id>/0     the point: what it is called, and which snapshots it is
                                  /1 ... what became of it: validations, drills, failovers

The C core writes them as it writes the log (repo/point.h). Nothing of a point is kept elsewhere, so that it survives
the loss of any database, and every process sees the same.
"""

import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .. import _bridge, locking, presence
from ..arguments import check_text, is_graph_id
from ..errors import Busy, DamagedError, ForeignObjectError, InvalidInputError, LightragBkpError, LockedError
from ..holders import holder_of
from ..keyring import Keyring
from ..models import moment
from ..threads import in_thread
from .records import DRILL, FAILOVER, POINT, VALIDATION, wrong_member

__all__ = [
    "DIRECTORY", "DRILL", "FAILOVER", "POINT", "VALIDATION", "NamedSnapshot", "PointStore", "Record", "RecoveryPoint",
    "new_id", "problems", "proof_of", "proved", "unreadable",
]  # fmt: skip

DIRECTORY = "recovery_points"
_LOCK = ".lock"
_DIGITS = 20
_ADVICE = "restore it from a copy, or delete the recovery point"


@dataclass(frozen=True, slots=True)
class NamedSnapshot:
    """A snapshot a recovery point names.

    Attributes:
        id: of the snapshot. digest: its `data_hash`: what was meant, whatever the id leads to later.
        created_at: when it was taken, aware, UTC.
    """

    id: str
    digest: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """One checkpoint over several graphs: what a failover brings back.

    Attributes:
        checkpoint_id: its name, e.g. "20261123T130112Z-1f3c9a2e". graphs: ids of all graphs, sorted.
        description, created_at (aware, UTC): of whoever made it.
        validated: what the newest validation or drill said; False before the first.
        validation_timestamp: when that was.
        snapshots: what is brought back, by graph. level: how deep the newest validation went, or None.
        replication: what is written down of replicas; nothing, {}, by this version.
    """

    checkpoint_id: str
    graphs: tuple[str, ...]
    description: str
    created_at: datetime
    validated: bool = False
    validation_timestamp: datetime | None = None
    snapshots: Mapping[str, NamedSnapshot] = field(default_factory=dict)
    level: str | None = None
    replication: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holder(self) -> str:
        """On whose behalf its snapshots are held."""
        return holder_of(self.checkpoint_id)


@dataclass(frozen=True, slots=True)
class Record:
    """One document of a point: its number, when it was written (claimed), and what it says."""

    number: int
    at: datetime
    kind: str
    document: Mapping[str, Any]


def new_id() -> str:
    """A name for a new point, which no other has. Names sort as they were made, also within a second: what follows it
    are its microseconds, and chance."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:05x}{secrets.randbelow(1 << 12):03x}"


class PointStore:
    """All recovery points of a storage path; sealed where its repositories are.

    Raises, beside what methods say: LockedError for a passphrase or key file that is missing, wrong or too much.
    """

    def __init__(self, storage_path: str, keyring: Keyring) -> None:
        self.storage_path = storage_path
        self._keyring = keyring

    def ids(self) -> list[str]:
        """Ids of all points, oldest first; also of damaged ones, of which any record is left.

        Raises:
            DamagedError: where they lie is no directory.
        """
        root = os.path.join(self._resolved(), DIRECTORY)
        names = [name for name in _names_in(root) if not name.startswith(".")]
        return sorted(name for name in names if any(map(_is_record, _names_in(os.path.join(root, name)))))

    def records(self, checkpoint_id: str) -> list[Record]:
        """Everything written about a point, in order.

        Raises:
            NotFoundError: no such point. DamagedError: a record is missing or is not what was written.
            InvalidInputError: this cannot be an id.
        """
        place, key = self._place(checkpoint_id), self._keyring.key_now()
        try:
            rows = _bridge.point_read(place, checkpoint_id, key)
        except (ForeignObjectError, InvalidInputError) as error:  # the id is well: what lies there is not
            raise DamagedError(f"{error}: {_ADVICE}", op="read", target=error.target) from error
        found = [Record(number, moment(at_ns), *_parsed(text, number, checkpoint_id)) for number, at_ns, text in rows]
        _refuse_strange_graphs(checkpoint_id, found)
        return found

    def point(self, checkpoint_id: str) -> RecoveryPoint:
        """One point. Raises what `records` raises."""
        return _point(checkpoint_id, self.records(checkpoint_id))

    def points(self) -> tuple[list[RecoveryPoint], dict[str, LightragBkpError]]:
        """All points that can be read, oldest first, and why the others cannot: the directory of them all, too."""
        found: list[RecoveryPoint] = []
        failed: dict[str, LightragBkpError] = {}
        try:
            ids = self.ids()
        except DamagedError as error:
            return found, {DIRECTORY: error}
        for checkpoint_id in ids:
            try:
                found.append(self.point(checkpoint_id))
            except LockedError:
                raise  # it is the same with all of them
            except LightragBkpError as error:
                failed[checkpoint_id] = error
        return found, failed

    async def create(self, checkpoint_id: str, document: Mapping[str, Any]) -> RecoveryPoint:
        """Makes a point of this document; it is durable afterwards."""
        await self._append(checkpoint_id, True, POINT, document)
        return await in_thread(self.point, checkpoint_id)

    async def add(self, checkpoint_id: str, kind: str, document: Mapping[str, Any]) -> None:
        """Adds a record to a point; it is durable afterwards."""
        await self._append(checkpoint_id, False, kind, document)

    async def delete(self, checkpoint_id: str) -> bool:
        """Removes a point and all its records; False when there is none."""
        return await in_thread(lambda: _bridge.point_delete(self._place(checkpoint_id), checkpoint_id))

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Keeps other failovers of this storage path out, in any process.

        Raises:
            Busy: one is under way. DamagedError: where the points lie is no directory.
        """
        self._resolved()
        os.makedirs(os.path.join(self.storage_path, DIRECTORY), mode=0o750, exist_ok=True)
        path = os.path.join(self.storage_path, DIRECTORY, _LOCK)
        with locking.opened(path) as fd, locking.tried(fd) as is_ours:
            if not is_ours:
                raise Busy(f"another failover is under way: {what} when it is done", op=what, target=path)
            yield

    def under_way(self) -> bool:
        """Whether a failover is under way in some process."""
        if not os.path.exists(os.path.join(self.storage_path, DIRECTORY, _LOCK)):
            return False
        try:
            with self.alone("look"):
                return False
        except Busy:
            return True

    async def _append(self, checkpoint_id: str, create: bool, kind: str, document: Mapping[str, Any]) -> None:
        text = json.dumps({"record": kind, **document}, ensure_ascii=True)
        key = await self._keyring.key()
        await in_thread(lambda: _bridge.point_append(self._resolved(), checkpoint_id, create, text, key))

    def _place(self, checkpoint_id: str) -> str:
        """As `_resolved`, for a point of this id.

        Raises:
            InvalidInputError: this cannot be an id.
        """
        if not is_graph_id(check_text(checkpoint_id, "checkpoint_id")):
            said = f"{checkpoint_id!r} cannot be the id of a recovery point: a listing names all"
            raise InvalidInputError(said, op="open", target=checkpoint_id)
        return self._resolved()

    def _resolved(self) -> str:
        """The storage path behind any symlinks of its owner; the core itself follows none.

        Raises:
            DamagedError: where the points lie is no directory. StorageError: the storage path's disk is not mounted.
        """
        presence.require(self.storage_path)
        storage_path = os.path.realpath(self.storage_path)
        place = os.path.join(storage_path, DIRECTORY)
        if os.path.lexists(place) and not stat.S_ISDIR(os.lstat(place).st_mode):
            raise DamagedError(
                f"{place!r} is a symlink or file and no directory, so that no recovery point is known: move it away and"
                " restore the directory from a copy",
                op="open",
                target=place,
            )
        return storage_path


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_record(name: str) -> bool:
    return len(name) == _DIGITS and name.isascii() and name.isdigit()


def unreadable(checkpoint_id: str, why: object) -> str:
    """That a point cannot be read, or all of them cannot, as `PointStore.points` says."""
    return str(why) if checkpoint_id == DIRECTORY else f"recovery point {checkpoint_id} cannot be read: {why}"


def proof_of(records: list[Record]) -> Record | None:
    """The newest validation or drill."""
    return next((one for one in reversed(records) if one.kind in (VALIDATION, DRILL)), None)


def proved(proof: Record, graph_id: str) -> tuple[bool, float | None]:
    """What a validation or drill says of one graph: whether it would come back, and how long that took, in seconds."""
    ok = not any(found for name, found in _found(proof) if name == graph_id)
    if proof.kind == VALIDATION:
        return ok, None
    timed = (one for one in proof.document["graphs"] if one["graph_id"] == graph_id)
    return ok, next((one["restore_s"] + one["validate_s"] for one in timed if "restore_s" in one), None)


def problems(records: list[Record]) -> list[tuple[str, str]]:
    """What the newest validation or drill found wrong: (graph id, what)."""
    proof = proof_of(records)
    return [] if proof is None else [(graph_id, said) for graph_id, found in _found(proof) for said in found]


def _found(proof: Record) -> Iterator[tuple[str, list[str]]]:
    graphs = proof.document["graphs"]
    if proof.kind == VALIDATION:
        yield from graphs.items()
    else:
        yield from ((one["graph_id"], one.get("problems", [])) for one in graphs)


def _parsed(text: str, number: int, checkpoint_id: str) -> tuple[str, Mapping[str, Any]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("record"), str):
        raise _damaged(checkpoint_id, number, "is no record")
    kind = document.pop("record")
    if (number == 0) != (kind == POINT):
        raise _damaged(checkpoint_id, number, f"is of kind {kind!r}, out of place")
    wrong = wrong_member(kind, document)
    if wrong is not None:
        raise _damaged(checkpoint_id, number, f"does not say {wrong!r} as a {kind} does")
    return kind, document


def _refuse_strange_graphs(checkpoint_id: str, records: list[Record]) -> None:
    """Proofs are of all graphs of their point, and a failover restores none but these."""
    graphs = set(records[0].document["snapshots"])
    for one in records:
        if one.kind in (VALIDATION, DRILL):
            strange = {graph_id for graph_id, _ in _found(one)} != graphs
        else:
            strange = one.kind == FAILOVER and one.document.get("graph_id", min(graphs)) not in graphs
        if strange:
            raise _damaged(checkpoint_id, one.number, "is not of the graphs of its recovery point")


def _damaged(checkpoint_id: str, number: int, why: str) -> DamagedError:
    path = f"{DIRECTORY}/{checkpoint_id}/{number:0{_DIGITS}}"
    return DamagedError(f"{path} {why}: {_ADVICE}", op="parse", target=path)


def _point(checkpoint_id: str, records: list[Record]) -> RecoveryPoint:
    first = records[0]
    snapshots = {
        graph_id: NamedSnapshot(named["id"], named["digest"], datetime.fromisoformat(named["created_at"]))
        for graph_id, named in first.document["snapshots"].items()
    }
    proof = proof_of(records)
    return RecoveryPoint(
        checkpoint_id=checkpoint_id,
        graphs=tuple(sorted(snapshots)),
        description=first.document["description"],
        created_at=first.at,
        validated=proof is not None and proof.document["ok"],
        validation_timestamp=None if proof is None else proof.at,
        snapshots=snapshots,
        level=None if proof is None else proof.document["level"],
        replication=first.document.get("replication", {}),
    )
