"""A process that does one thing after the other to the graphs: `python -m torture.worker DIRECTORY SEED NUMBER SLOT`.

Whatever it does goes through `Hands`, which writes it down and lets the program's own errors pass; any other error is a
bug, and the process ends with it.
"""

import argparse
import faulthandler
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.folders import write_odd_tree

from lightrag_bkp.errors import LightragBkpError
from lightrag_bkp.models import RetentionPolicy
from lightrag_bkp.sync import BackupManager, GraphBackup

from . import states
from .field import PASSPHRASE, PLACES, TARGETS, Field, aside, put, remove
from .plan import OPERATIONS, chance, stint
from .trail import Trail

HOLDERS = ("one", "another")
_BEYOND_ALL_DAYS = timedelta(days=40)


class Hands:
    """Does things to graphs and writes them down."""

    def __init__(self, field: Field, trail: Trail) -> None:
        self.field = field
        self.trail = trail

    def do(self, kind: str, place: str, work: Callable[[], dict[str, Any]], **facts: Any) -> dict[str, Any]:
        """Does one thing; returns what came of it, `error` among it if it failed."""
        operation = self.trail.begin(kind, place, **facts)
        try:
            result = work()
        except LightragBkpError as error:
            result = {"error": type(error).__name__, "message": str(error)}
        self.trail.end(operation, **result)
        return result

    def listed(self, graph: GraphBackup, place: str) -> list[list[Any]]:
        """What a listing shows: (id, operation that took it, whether a restore did, who holds it)."""

        def work() -> dict[str, Any]:
            found = graph.list_snapshots()
            return {"snapshots": [[one.backup_id, one.metadata.get("op"), one.safety, one.holders] for one in found]}

        found: list[list[Any]] = self.do("list", place, work).get("snapshots", [])
        return found

    def create(self, graph: GraphBackup, place: str, source: Path) -> None:
        with aside():
            content = self.field.content(place, source)
        metadata = {"op": self.trail.name_next()}

        def work() -> dict[str, Any]:
            return {"id": graph.create_snapshot(source, metadata, on_busy="crash", partial=True).backup_id}

        self.do("create", place, work, content=content)

    def restore(self, graph: GraphBackup, place: str, snapshot: str, target: Path) -> None:
        """Finishes what was interrupted there before, and restores; looks at the target before and after."""
        if "error" in self.found(graph, place, target):
            return
        with aside():
            before = self.field.content(place, target)

        def work() -> dict[str, Any]:
            safety = graph.restore(snapshot, target, allow_unusable=True).safety_snapshot
            with aside():
                return {"content": self.field.content(place, target), "safety": safety}

        self.do("restore", place, work, snapshot=snapshot, target=str(target), before=before)

    def found(self, graph: GraphBackup, place: str, target: Path) -> dict[str, Any]:
        """What a target holds once nothing waits to be finished there."""

        def work() -> dict[str, Any]:
            finished = graph.finish_restore(target)
            with aside():
                return {"content": self.field.content(place, target), "finished": finished}

        return self.do("found", place, work, target=str(target))

    def clear(self, place: str, target: Path) -> None:
        """Takes a target away, at once."""

        def work() -> dict[str, Any]:
            with aside():
                remove(target, target.with_name(f"trash-{self.trail.name_next()}"))
            return {}

        self.do("clear", place, work, target=str(target))

    def unpack(self, graph: GraphBackup, place: str, snapshot: str, target: Path, **facts: Any) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            graph.unpack(snapshot, target)
            with aside():
                return {"content": self.field.content(place, target)}

        result = self.do("unpack", place, work, snapshot=snapshot, **facts)
        with aside():
            remove(target, target.with_name(f"trash-{self.trail.name_next()}"))
        return result

    def verify(
        self, graph: GraphBackup, place: str, snapshot: str | None, level: str = "digests", **facts: Any
    ) -> None:
        def work() -> dict[str, Any]:
            found = graph.verify_snapshot(snapshot, level).findings
            return {"findings": [f"{one.object}: {one.message}" for one in found]}

        self.do("verify", place, work, snapshot=snapshot, level=level, **facts)


class Worker:
    """What one process does, by its plan."""

    def __init__(self, field: Field, seed: str, number: int, slot: int) -> None:
        self.field = field
        self.plan = stint(seed, number, slot)
        self.dice = chance(seed, "worker", number)
        self.hands = Hands(field, Trail(field.trail, self.plan.name, self.plan.trouble))
        self.managers: dict[str, BackupManager] = {}

    def run(self) -> None:
        for _ in range(self.plan.operations):
            place = self.dice.choice(PLACES)
            kind = self.dice.choices(tuple(OPERATIONS), tuple(OPERATIONS.values()))[0]
            getattr(self, kind)(self.graph(place), place)
            if self.dice.random() < 0.1:
                self.leave()
        self.leave()

    def leave(self) -> None:
        """Closes everything, so that what comes next opens it anew."""
        for manager in self.managers.values():
            manager.close()
        self.managers.clear()

    def graph(self, place: str) -> GraphBackup:
        storage, graph_id = place.split("/")
        if storage not in self.managers:
            by_passphrase = self.plan.number > 0 and self.dice.random() < 0.2
            self.managers[storage] = self.field.manager(storage, by_passphrase=by_passphrase)
        return self.managers[storage].register_graph(graph_id, self.field.source(self.plan.slot, place))

    def choose(self, graph: GraphBackup, place: str, *, held: bool = False) -> str | None:
        """Any snapshot there is, or one of those that are held."""
        ids = [row[0] for row in self.hands.listed(graph, place) if row[3] or not held]
        return self.dice.choice(ids) if ids else None

    # ---- one method for each operation of the plan ----

    def create(self, graph: GraphBackup, place: str) -> None:
        source = self.field.source(self.plan.slot, place)
        with aside():
            self._place(place, source)
        self.hands.create(graph, place, source)

    def _place(self, place: str, source: Path) -> None:
        if place.endswith("folder"):
            change_folder(source, self.dice)
            return
        while True:  # LightRAG's old states go away meanwhile
            with suppress(FileNotFoundError):
                state = self.dice.choice(states.newest(self.field.states / place.split("/")[0]))
                put(state, source, rewrite=self.dice.random() < 0.2)
                break
        if self.dice.random() < 0.15:
            spoil(source, self.dice)

    def restore(self, graph: GraphBackup, place: str) -> None:
        snapshot = self.choose(graph, place)
        if snapshot is None:
            return
        target = self.field.target(self.plan.slot, place, self.dice.randrange(TARGETS))
        if self.dice.random() < 0.25:
            if "error" in self.hands.found(graph, place, target):
                return
            self.hands.clear(place, target)
        self.hands.restore(graph, place, snapshot, target)

    def unpack(self, graph: GraphBackup, place: str) -> None:
        snapshot = self.choose(graph, place)
        if snapshot:
            name = f"unpacked-{self.hands.trail.name_next()}"
            target = self.field.source(self.plan.slot, place).with_name(name)
            self.hands.unpack(graph, place, snapshot, target)

    def list(self, graph: GraphBackup, place: str) -> None:
        self.hands.listed(graph, place)

    def verify(self, graph: GraphBackup, place: str) -> None:
        one = self.choose(graph, place) if self.dice.random() < 0.5 else None
        self.hands.verify(graph, place, one, self.dice.choice(("digests", "digests", "digests", "catalogue")))

    def delete(self, graph: GraphBackup, place: str) -> None:
        snapshot = self.choose(graph, place)
        if snapshot:
            work = lambda: {"deleted": graph.delete_snapshot(snapshot)}  # noqa: E731
            self.hands.do("delete", place, work, snapshot=snapshot)

    def hold(self, graph: GraphBackup, place: str) -> None:
        snapshot, holder = self.choose(graph, place), self.dice.choice(HOLDERS)
        if snapshot:
            work = lambda: {"new": graph.hold(snapshot, holder)}  # noqa: E731
            self.hands.do("hold", place, work, snapshot=snapshot, holder=holder)

    def release(self, graph: GraphBackup, place: str) -> None:
        snapshot, holder = self.choose(graph, place, held=True), self.dice.choice(HOLDERS)
        if snapshot:
            work = lambda: {"was": graph.release(snapshot, holder)}  # noqa: E731
            self.hands.do("release", place, work, snapshot=snapshot, holder=holder)

    def prune(self, graph: GraphBackup, place: str) -> None:
        """With `aged` as in forty days, when nothing is kept for its age any more."""
        keep, aged = self.dice.randint(2, 8), self.dice.random() < 0.4
        wait_s = self.dice.choice((0, 0, 1, 3600))
        now = datetime.now(UTC) + _BEYOND_ALL_DAYS if aged else None
        policy = RetentionPolicy(days=aged, keep_last=keep)

        def work() -> dict[str, Any]:
            outcome = graph.prune(retention=policy, now=now, wait_s=wait_s)
            return {"dropped": outcome.dropped, "freed": outcome.bytes_freed}

        self.hands.do("prune", place, work, keep=keep, aged=aged, wait_s=wait_s)

    def forget(self, graph: GraphBackup, place: str) -> None:
        """Caches may be lost at any moment."""
        operation = self.hands.trail.begin("forget", place)
        with aside():
            for path in (self.field.repository(place) / "cache").glob(self.dice.choice(("index", "sources-*", "*"))):
                path.unlink(missing_ok=True)
        self.hands.trail.end(operation)


# ---- sources ----


def change_folder(source: Path, dice: random.Random) -> None:
    """Makes an odd tree, or changes a few things in it."""
    if not (source / "big").exists():
        write_odd_tree(source)
    path = source / dice.choice(("big", "zeros", "empty", "-rf", "new", "newer"))
    content = bytearray(path.read_bytes()) if path.exists() else bytearray(dice.randbytes(dice.randrange(200_000)))
    at = dice.randrange(len(content) + 1)
    content[at : at + dice.choice((0, 1, 5000))] = dice.randbytes(dice.choice((1, 5000)))
    path.write_bytes(content[:1_000_000])
    if dice.random() < 0.2:
        (source / "newer").unlink(missing_ok=True)


def spoil(source: Path, dice: random.Random) -> None:
    """What a crash of the host, or an unlucky hand, may leave of one of LightRAG's files."""
    path = dice.choice(sorted(source.glob("vdb_*")))
    content = bytearray(path.read_bytes())
    at = dice.randrange(len(content))
    if dice.random() < 0.3:
        del content[at:]
    else:
        content[at] ^= 1 << dice.randrange(8)
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


def found_all(field: Field, seed: str) -> None:
    """Makes the storage paths, with a first snapshot of every graph, and a second way to open the sealed one."""
    worker = Worker(field, seed, 0, 0)
    for place in PLACES:
        worker.create(worker.graph(place), place)
    worker.leave()
    with field.manager("sealed") as manager:
        manager.add_passphrase(PASSPHRASE)


def main() -> None:
    faulthandler.enable()
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("seed")
    parser.add_argument("number", type=int)
    parser.add_argument("slot", type=int)
    given = parser.parse_args()
    field = Field(given.directory)
    if given.number == 0:
        found_all(field, given.seed)
    else:
        Worker(field, given.seed, given.number, given.slot).run()


if __name__ == "__main__":
    main()
